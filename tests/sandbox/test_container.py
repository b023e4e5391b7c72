"""What the container keeps in, seen from inside it; and that nothing of it outlives its owner."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

import sandbox
from sandbox import DockerUnavailable, Isolation, Limits, Sandbox, Session
from sandbox.container import LABEL, cleanup, require_image
from tests.conftest import PATIENCE, soon
from tests.sandbox.conftest import containers

REPOSITORY = Path(sandbox.__file__).parents[1]
SMALL = Limits(memory_mib=160, processes=32, files_mib=8, cpus=0.5, descriptors=128)
REFUSED = "Operation not permitted"
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

def write(path, mebibytes):
    with open(path, "wb") as file:
        for _ in range(mebibytes):
            file.write(bytes(1 << 20))
            file.flush()
"""


@pytest.fixture(scope="module")
async def inside(engine: docker.DockerClient, isolation: Isolation) -> AsyncIterator[Session]:
    """One session with tight limits for all tests here that leave it as good as they found it."""
    async with Sandbox(SMALL, isolation=isolation) as box, box.session() as session:
        assert (await session.run(HELPERS, timeout=PATIENCE)).error is None
        yield session


async def seen(session: Session, code: str) -> str | None:
    """The value of a cell that must succeed."""
    result = await session.run(code, timeout=PATIENCE)
    assert result.error is None, result.text
    return result.value


HELD = {
    "loopback alone": ("re.findall(r'(\\w+):', Path('/proc/net/dev').read_text())", "['lo']"),
    "no routes": ("Path('/proc/net/route').read_text().splitlines()[1:]", "[]"),
    "no sockets": ("error(socket.socket), error(socket.socket, socket.AF_UNIX)", f"({REFUSED!r}, {REFUSED!r})"),
    "pairs of sockets": ("len(socket.socketpair())", "2"),
    "no root": ("len({*os.getresuid(), *os.getresgid()}), os.getuid() > 1_000_000, os.getgroups()", "(1, True, [])"),
    "no way back to root": ("error(os.setuid, 0), error(os.setgid, 0)", f"({REFUSED!r}, {REFUSED!r})"),
    "no capabilities": ("set(status('CapInh', 'CapPrm', 'CapEff', 'CapAmb'))", "{'0000000000000000'}"),
    "no new privileges": ("status('NoNewPrivs')", "['1']"),
    "system calls filtered": ("status('Seccomp')", "['2']"),
    "no namespaces": ("ctypes.CDLL(None).unshare(0x10000000)", "-1"),  # CLONE_NEWUSER
    "no mounts": ("ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None)", "-1"),
    "read-only root": ("bool(os.statvfs('/').f_flag & os.ST_RDONLY)", "True"),
    "one writable place": (
        "[top for top, _, _ in os.walk('/') if os.access(top, os.W_OK) and top.split('/')[1] != 'proc'"
        " and not top.startswith(os.environ['HOME'])]",
        "[]",
    ),
    "its own, found as home and as /tmp": (
        "len({os.path.realpath(name) for name in ('/tmp', '/dev/shm', os.environ['HOME'], os.getcwd())})",
        "1",
    ),
    "which nobody else can enter": ("oct(os.stat(os.environ['HOME']).st_mode & 0o777)", "'0o700'"),
    "nothing writable in /proc/sys and /sys": (
        "[file for top in ('/proc/sys', '/sys') for folder, _, files in os.walk(top) for name in files"
        " if os.access(file := os.path.join(folder, name), os.W_OK) and os.stat(file).st_uid != os.getuid()]",
        "[]",
    ),
    "no device files, no set-user-id": ("os.statvfs('/tmp').f_flag & 6", "6"),  # ST_NOSUID, ST_NODEV
    "no disks": ("[name for name in os.listdir('/dev') if name[:2] in {'sd', 'vd', 'nv', 'me', 'km'}]", "[]"),
    "the container's processes alone": ("max(int(n) for n in os.listdir('/proc') if n.isdigit()) < 1000", "True"),
    "few descriptors": ("resource.getrlimit(resource.RLIMIT_NOFILE)", "(128, 128)"),
    "nothing inherited": ("sorted(map(int, os.listdir('/proc/self/fd')))[:5]", "[0, 1, 2, 3, 4]"),
    "no core files": ("resource.getrlimit(resource.RLIMIT_CORE)", "(0, 0)"),
    "no message queues": ("resource.getrlimit(resource.RLIMIT_MSGQUEUE)", "(0, 0)"),
    "files sized": ("error(write, 'big', 9), os.unlink('big')", "('File too large', None)"),
    "files counted": ("os.statvfs('/tmp').f_files <= 16384", "True"),
    "processes": ("resource.getrlimit(resource.RLIMIT_NPROC)", "(32, 32)"),
    "first to go": ("Path('/proc/self/oom_score_adj').read_text()", r"'1000\n'"),
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
        environment = "Path('/proc/self/environ').read_bytes()"
        assert await seen(session, f"b'PATH=' in {environment}, b'sk-' in {environment}") == "(True, False)"


@pytest.mark.anyio
async def test_the_container_is_locked_down_as_a_whole(engine: docker.DockerClient, isolation: Isolation) -> None:
    before = containers(engine)
    async with Sandbox(SMALL, isolation=isolation) as box, box.session() as session:
        await seen(session, "1")
        (found,) = containers(engine) - before
        host = engine.containers.get(found).attrs["HostConfig"]
    assert host["LogConfig"]["Type"] == "none"
    assert (host["NetworkMode"], host["IpcMode"], host["ReadonlyRootfs"], host["Init"]) == ("none", "none", True, True)
    assert (host["CapDrop"], sorted(host["CapAdd"])) == (["ALL"], ["CHOWN", "KILL", "SETGID", "SETUID"])
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Memory"] == host["MemorySwap"] > 0
    assert host["PidsLimit"] > 0
    assert host["AutoRemove"]
    assert not host["Binds"]
    assert not host["Privileged"]
    if isolation is Isolation.CONTAINER:
        assert (host["NanoCpus"], host["Memory"], host["PidsLimit"]) == (500_000_000, 672 << 20, 96)


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
    compiled = shutil.ignore_patterns("__pycache__")  # where another process may be writing
    shutil.copytree(REPOSITORY / "sandbox", tmp_path / "sandbox", ignore=compiled)
    (tmp_path / "sandbox" / "image" / "requirements.txt").write_text("# nothing\n")
    command = [sys.executable, "-c", "import asyncio, sandbox; asyncio.run(sandbox.Sandbox().__aenter__())"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    line = done.stderr.splitlines()[-1]
    assert line.startswith("sandbox.errors.ImageMissing: the sandbox image tora-sandbox:")
    assert line.endswith("is missing; build it with `tora sandbox build`")


# When the owner ends

USE = """
import asyncio, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job is deaf to
from sandbox import Sandbox
from sandbox.container import owner

async def main():
    async with Sandbox() as box, box.session() as session:
        print(owner(), (await session.run("1 + 1")).value, flush=True)
        await asyncio.sleep(1000)

asyncio.run(main())
"""


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
    assert len(containers(engine, name, status="running")) == 1
    user.send_signal(signal.SIGKILL)
    user.wait()
    assert soon(lambda: not containers(engine, name))


def test_an_interrupted_owner_leaves_nothing(engine: docker.DockerClient, user: subprocess.Popen[str]) -> None:
    name = _ready(user)
    user.send_signal(signal.SIGINT)
    user.wait(timeout=PATIENCE)
    assert containers(engine, name) == set()


@pytest.mark.anyio
async def test_cleanup_spares_the_living(
    engine: docker.DockerClient, box: Sandbox, user: subprocess.Popen[str]
) -> None:
    name = _ready(user)
    async with box.session() as session:
        await seen(session, "kept = 1")
        await asyncio.to_thread(cleanup, engine)
        assert await seen(session, "kept") == "1"
    assert len(containers(engine, name, status="running")) == 1


def test_cleanup_removes_what_a_dead_owner_has_left(engine: docker.DockerClient) -> None:
    """Also of an older version, whose labels said less and whose containers did not end by themselves."""
    code = "from sandbox.container import owner; print(owner())"
    command = [sys.executable, "-c", code]
    dead = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.strip()
    older = dead.rpartition(".")[0]
    for label in (dead, older):
        engine.api.create_container(require_image(engine), ["sleep", "1000"], labels={LABEL: label})
    cleanup(engine)  # if not another process, in which a sandbox has just been entered
    assert containers(engine, dead) == containers(engine, older) == set()


def test_cleanup_leaves_what_it_cannot_judge(engine: docker.DockerClient) -> None:
    """An owner on another machine, or in another container, that uses the same Docker Engine."""
    name = f"1.1.{uuid.uuid4()}"
    elsewhere = engine.containers.create(require_image(engine), ["sleep", "1000"], labels={LABEL: name})
    try:
        cleanup(engine)
        assert containers(engine, name) == {str(elsewhere.id)}
    finally:
        elsewhere.remove()


ORDINARY = """
import asyncio, os
from sandbox import Sandbox

async def main():
    async with Sandbox() as box, box.session() as session:
        print(os.getuid(), (await session.run("import os; os.getuid() > 1_000_000")).value)

asyncio.run(main())
"""


def test_an_ordinary_user_can_use_the_sandbox(engine: docker.DockerClient) -> None:
    if os.geteuid() != 0:
        pytest.skip("whoever runs this is an ordinary user: the other tests have shown it")
    socket = Path("/var/run/docker.sock")
    if not socket.is_socket():
        pytest.skip(f"the Docker Engine is not at {socket}")
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
    assert done.stdout == "65534 True\n", done.stderr
