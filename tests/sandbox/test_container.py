"""What the container keeps in, seen from inside it; and that nothing of it outlives its owner."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

import sandbox
from sandbox import DockerUnavailable, Limits, Sandbox, Session
from sandbox.container import FOLDERS, LABEL, cleanup, owner

REPOSITORY = Path(sandbox.__file__).parents[1]
SMALL = Limits(memory_mib=160, processes=32, files_mib=8, cpus=0.5)
HELPERS = """
import contextlib, ctypes, os, re, resource, socket, subprocess, sys, time
from pathlib import Path

def error(call, *args):
    try:
        return call(*args)
    except OSError as error:
        return error.strerror

def status(*names):
    found = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return [found[name].strip() for name in names]

def limit(*names):
    "What is in the first of some files of /sys/fs/cgroup, whose layout depends on the host."
    return next(path.read_text().strip() for path in map(Path("/sys/fs/cgroup").joinpath, names) if path.exists())

def write(path, mebibytes):
    with open(path, "wb") as file:
        for _ in range(mebibytes):
            file.write(bytes(1 << 20))
            file.flush()
"""


@pytest.fixture(scope="module")
async def inside(engine: docker.DockerClient) -> AsyncIterator[Session]:
    """One session with tight limits for all tests here that leave it as good as they found it."""
    async with Sandbox(SMALL) as box, box.session() as session:
        assert (await session.run(HELPERS, timeout=20)).error is None
        yield session


async def seen(session: Session, code: str, timeout: float = 20) -> str | None:
    """The value of a cell that must succeed."""
    result = await session.run(code, timeout=timeout)
    assert result.error is None, result.text
    return result.value


HELD = {
    "loopback alone": ("[name for _, name in socket.if_nameindex()]", "['lo']"),
    "no routes": ("Path('/proc/net/route').read_text().splitlines()[1:]", "[]"),
    "no way out": ("error(socket.create_connection, ('1.1.1.1', 80), 5)", "'Network is unreachable'"),
    "no names": ("error(socket.gethostbyname, 'example.com')", "'Temporary failure in name resolution'"),
    "no root": (
        "os.getresuid(), os.getresgid(), os.getgroups()",
        "((10001, 10001, 10001), (10001, 10001, 10001), [10001])",
    ),
    "no capabilities": ("set(status('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'))", "{'0000000000000000'}"),
    "no new privileges": ("status('NoNewPrivs')", "['1']"),
    "system calls filtered": ("status('Seccomp')", "['2']"),
    "no namespaces": ("ctypes.CDLL(None).unshare(0x10000000)", "-1"),  # CLONE_NEWUSER
    "no mounts": ("ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None)", "-1"),
    "read-only root": ("bool(os.statvfs('/').f_flag & os.ST_RDONLY)", "True"),
    "few writable places": (
        "sorted(top for top, _, _ in os.walk('/') if os.access(top, os.W_OK) and top.split('/')[1] != 'proc'"
        " and not top.startswith('/tmp/'))",
        "['/dev/mqueue', '/dev/shm', '/tmp']",
    ),
    "nothing writable in /proc/sys and /sys": (
        "[file for top in ('/proc/sys', '/sys') for folder, _, files in os.walk(top) for name in files"
        " if os.access(file := os.path.join(folder, name), os.W_OK) and os.stat(file).st_uid != os.getuid()]",
        "[]",
    ),
    "no device files, no set-user-id": ("os.statvfs('/tmp').f_flag & 6", "6"),  # ST_NOSUID, ST_NODEV
    "no disks": ("[name for name in os.listdir('/dev') if name[:2] in {'sd', 'vd', 'nv', 'me', 'km'}]", "[]"),
    "own processes alone": ("max(int(name) for name in os.listdir('/proc') if name.isdigit()) < 1000", "True"),
    "few descriptors": ("resource.getrlimit(resource.RLIMIT_NOFILE)", "(512, 512)"),
    "no core files": ("resource.getrlimit(resource.RLIMIT_CORE)", "(0, 0)"),
    "files sized": ("error(write, '/dev/shm/big', 9), os.unlink('/dev/shm/big')", "('File too large', None)"),
    "first to go": ("Path('/proc/self/oom_score_adj').read_text()", r"'500\n'"),
    "processor time": ("limit('cpu.max', 'cpu/cpu.cfs_quota_us').split()[0]", "'50000'"),
    "processes": ("limit('pids.max', 'pids/pids.max')", "'32'"),
    "memory": ("limit('memory.max', 'memory/memory.limit_in_bytes')", f"'{160 << 20}'"),
    "no engine": ("error(os.stat, '/var/run/docker.sock')", "'No such file or directory'"),
}


@pytest.mark.anyio
@pytest.mark.parametrize(("code", "value"), HELD.values(), ids=HELD)
async def test_the_container_holds(inside: Session, code: str, value: str) -> None:
    assert await seen(inside, code) == value


@pytest.mark.anyio
async def test_the_temporary_directory_has_a_size(inside: Session) -> None:
    await seen(inside, "full = error(write, '/tmp/a', 5), error(write, '/tmp/b', 5)")
    assert await seen(inside, "os.unlink('/tmp/a'), os.unlink('/tmp/b'), full") == (
        "(None, None, (None, 'No space left on device'))"
    )


ATTACKS = [
    "os.chmod, '/run/tora', 0o777",
    "os.unlink, '/run/tora/k-1'",
    "os.rename, '/run/tora/k-1', '/run/tora/k-9'",
    "open, '/run/tora/x', 'w'",
    "os.symlink, '/etc', '/run/tora/x'",
]


@pytest.mark.anyio
@pytest.mark.parametrize("attack", ATTACKS)
async def test_the_directory_of_the_sockets_is_sealed(inside: Session, attack: str) -> None:
    assert await seen(inside, f"error({attack})") in ("'Permission denied'", "'Operation not permitted'")


@pytest.mark.anyio
async def test_memory_is_that_of_all_processes(inside: Session) -> None:
    child = "[sys.executable, '-c', 'import time; hog = bytearray(100 << 20); time.sleep(3)']"
    code = f"children = [subprocess.Popen({child}) for _ in range(2)]\nsorted(child.wait() for child in children)"
    assert await seen(inside, code) in ("[-9, 0]", "[-9, -9]")


@pytest.mark.anyio
async def test_the_number_of_processes_is_bounded(inside: Session) -> None:
    code = """
children = []
with contextlib.suppress(BlockingIOError):
    while len(children) < 100:
        children.append(os.fork())
        if not children[-1]:
            time.sleep(60)
            os._exit(0)
for child in children:
    os.kill(child, 9), os.waitpid(child, 0)
"""
    await seen(inside, code)
    assert await seen(inside, "5 < len(children) < 32") == "True"


@pytest.mark.anyio
async def test_the_init_buries_the_dead(inside: Session) -> None:
    await seen(inside, "_ = [subprocess.run(['sh', '-c', 'true &']) for _ in range(3)]; time.sleep(0.3)")
    zombies = (
        "[name for name in os.listdir('/proc') if name.isdigit() and ') Z' in Path(f'/proc/{name}/stat').read_text()]"
    )
    assert await seen(inside, zombies) == "[]"


@pytest.mark.anyio
async def test_a_fork_bomb_harms_its_own_session_alone(box: Sandbox) -> None:
    bomb = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass"
    async with box.session() as victim, box.session() as bystander:
        await asyncio.gather(seen(victim, "1"), seen(bystander, "kept = 1"))
        began = time.monotonic()
        await victim.run(bomb, timeout=0.5)
        assert time.monotonic() - began < 5.5
        assert await seen(bystander, "kept") == "1"
        assert await seen(victim, "1 + 1") == "2"


@pytest.mark.anyio
async def test_neither_environment_nor_files_of_the_host_are_inside(
    engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-" + "secret")
    (tmp_path / "file").touch()
    own = [str(tmp_path / "file"), __file__, sys.executable, "/proc/1/root/" + __file__]
    async with Sandbox() as box, box.session() as session:
        await seen(session, "import os\nfrom pathlib import Path")
        assert await seen(session, f"[path for path in {own} if os.path.exists(path)]") == "[]"
        assert await seen(session, "[name for name in os.environ if 'KEY' in name]") == "[]"
        environments = "b''.join(path.read_bytes() for path in Path('/proc').glob('[0-9]*/environ'))"
        assert await seen(session, f"everything = {environments}; b'PATH=' in everything, b'sk-' in everything") == (
            "(True, False)"
        )


@pytest.mark.anyio
async def test_what_a_session_prints_past_its_kernel_is_not_kept(engine: docker.DockerClient, box: Sandbox) -> None:
    async with box.session() as session:
        await seen(session, "1")
        (found,) = engine.containers.list(filters={"label": f"{LABEL}={owner()}", "status": "running"}, limit=1)
        assert found.attrs["HostConfig"]["LogConfig"]["Type"] == "none"


# Without an engine, without an image


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["unix:///nowhere.sock", "tcp://127.0.0.1:1", "nonsense"])
async def test_without_an_engine_one_line_says_so(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(DockerUnavailable, match=r"^no Docker Engine answers; start it .* or set DOCKER_HOST .*$"):
        async with Sandbox():
            pass


def test_without_the_image_one_line_says_so(engine: docker.DockerClient, tmp_path: Path) -> None:
    """A copy of the package with other requirements needs an image that nobody has built."""
    shutil.copytree(REPOSITORY / "sandbox", tmp_path / "sandbox")
    (tmp_path / "sandbox" / "image" / "requirements.txt").write_text("# nothing\n")
    command = [sys.executable, "-c", "import asyncio, sandbox; asyncio.run(sandbox.Sandbox().__aenter__())"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    line = done.stderr.splitlines()[-1]
    assert line.startswith("sandbox.errors.ImageMissing: the sandbox image tora-sandbox:")
    assert line.endswith("is missing; build it with `tora sandbox build`")


# When the owner ends

USE = """
import asyncio
from sandbox import Sandbox
from sandbox.container import owner

async def main():
    async with Sandbox() as box, box.session() as session:
        print(owner(), (await session.run("1 + 1")).value, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def _containers(engine: docker.DockerClient, name: str, **filters: Any) -> list[str]:
    found = engine.containers.list(all=True, filters=filters | {"label": f"{LABEL}={name}"}, ignore_removed=True)
    return [str(container.id) for container in found]


@pytest.fixture
def user() -> Iterator[subprocess.Popen[str]]:
    """A process that waits within a session."""
    command = [sys.executable, "-c", USE]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        yield process
        process.kill()


def _ready(user: subprocess.Popen[str]) -> str:
    """Wait for the session; return the name of its owner."""
    assert user.stdout is not None
    name, value = user.stdout.readline().split()
    assert value == "2"
    return name


def test_a_killed_owner_takes_its_container_along(engine: docker.DockerClient, user: subprocess.Popen[str]) -> None:
    name = _ready(user)
    assert len(_containers(engine, name, status="running")) == 1
    user.send_signal(signal.SIGKILL)
    user.wait()
    until = time.monotonic() + 10
    while _containers(engine, name, status="running"):
        assert time.monotonic() < until
        time.sleep(0.1)
    cleanup(engine)
    assert _containers(engine, name) == []
    assert list(FOLDERS.glob(f"tora-{name}-*")) == []


def test_an_interrupted_owner_leaves_nothing(engine: docker.DockerClient, user: subprocess.Popen[str]) -> None:
    name = _ready(user)
    user.send_signal(signal.SIGINT)
    user.wait(timeout=10)
    assert _containers(engine, name) == []
    assert list(FOLDERS.glob(f"tora-{name}-*")) == []


@pytest.mark.anyio
async def test_cleanup_spares_the_living(
    engine: docker.DockerClient, box: Sandbox, user: subprocess.Popen[str]
) -> None:
    name = _ready(user)
    async with box.session() as session:
        await seen(session, "kept = 1")
        await asyncio.to_thread(cleanup, engine)
        assert await seen(session, "kept") == "1"
    assert len(_containers(engine, name, status="running")) == 1
    assert len(list(FOLDERS.glob(f"tora-{name}-*"))) == 1


def test_cleanup_removes_a_directory_without_a_container(engine: docker.DockerClient) -> None:
    """As of a process killed after its container was removed, or before it was made."""
    code = "from sandbox.container import owner; print(owner())"
    dead = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    left, own = (FOLDERS / f"tora-{name}-test" for name in (dead.stdout.strip(), owner()))
    for folder in (left, own):
        (folder / "s").mkdir(parents=True)
        (folder / "s").chmod(0o555)
    cleanup(engine)
    assert not left.exists()
    assert own.exists()
    shutil.rmtree(own)


ORDINARY = """
import asyncio, os
from sandbox import Sandbox
from sandbox.container import FOLDERS, owner

async def main():
    async with Sandbox() as box, box.session() as session:
        result = await session.run("import os; os.chmod('/run/tora', 0o777)")
        print(os.getuid(), result.error.type)
    print(*FOLDERS.glob(f"tora-{owner()}-*"))

asyncio.run(main())
"""


def test_an_ordinary_user_has_sealed_sessions_too_and_leaves_nothing(engine: docker.DockerClient) -> None:
    """The directory of the sockets is then that user's own, and not even its owner can delete from it once sealed."""
    if os.geteuid() != 0:
        pytest.skip("whoever runs this is an ordinary user: the other tests have shown it")
    socket = Path("/var/run/docker.sock")
    user: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": [socket.stat().st_gid], "cwd": REPOSITORY}

    def run(code: str) -> subprocess.CompletedProcess[str]:
        home = os.environ | {"HOME": "/nonexistent"}
        command = [sys.executable, "-c", code]
        return subprocess.run(command, env=home, check=False, capture_output=True, text=True, **user)

    try:
        run("import sandbox").check_returncode()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("ordinary users cannot run this Python")
    done = run(ORDINARY)
    assert done.stdout == "65534 PermissionError\n\n", done.stderr
