"""That the sandbox outlives the loss of its parts. `make soak-sandbox` does the same at length."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

import sandbox
from sandbox import KernelFailed, Limits, Sandbox, SandboxError, Session
from sandbox.container import LABEL, owner
from tests.bench.visits import DAEMON
from tests.conftest import PATIENCE

pytestmark = pytest.mark.anyio

REPOSITORY = Path(sandbox.__file__).parents[1]
SOON = 60.0
"""Seconds, as a ceiling for what takes a fraction of one where the machine is not busy."""


@pytest.fixture
def ours(engine: docker.DockerClient) -> docker.DockerClient:
    """The engine, where processes of a container can be seen and killed from here."""
    if os.geteuid() != 0 or not engine.api.base_url.startswith("http+docker"):
        pytest.skip("only root can kill a container's processes, and only on the engine's own machine")
    return engine


def containers(engine: docker.DockerClient, name: str = "") -> list[Container]:
    """The running containers of this process, or of another owner."""
    filters = {"label": f"{LABEL}={name or owner()}", "status": "running"}
    return list(engine.containers.list(filters=filters, ignore_removed=True))


def kill(container: Container, word: str, beside: str = "\0", number: signal.Signals = signal.SIGKILL) -> int:
    """Send a signal to the process of root's whose command line has `word` and not `beside`, once there is one.

    A kernel has the fork server's command line, but is a user's process, or, when it has just been forked, its child.
    """
    until = time.monotonic() + SOON
    while time.monotonic() < until:
        rows = container.top(ps_args="-eo uid,pid,ppid,args")["Processes"]
        root = min((uid for uid, *_ in rows), key=int)
        named = {pid: parent for uid, pid, parent, line in rows if uid == root and word in line and beside not in line}
        if found := [int(pid) for pid, parent in named.items() if parent not in named]:
            os.kill(found[0], number)
            return found[0]
        time.sleep(0.05)
    raise AssertionError(f"no {word}")


async def value(session: Session, code: str) -> str | None:
    """The value of a cell that must succeed."""
    result = await session.run(code, timeout=PATIENCE)
    assert result.error is None, result.text
    return result.value


async def test_sessions_outlive_the_fork_server(ours: docker.DockerClient) -> None:
    async with Sandbox() as box, box.session() as old, box.session() as waiting:
        await asyncio.gather(value(old, "kept = 1"), value(waiting, "import time"))
        sleeping = asyncio.create_task(value(waiting, "time.sleep(2); 'slept'"))
        await asyncio.sleep(0.3)
        (container,) = containers(ours)
        first = kill(container, "forkserver.py")
        assert await value(old, "kept") == "1"
        async with AsyncExitStack() as stack:  # more than there are spares
            new = [await stack.enter_async_context(box.session()) for _ in range(5)]
            assert await asyncio.gather(*(value(session, "6 * 7") for session in new)) == ["42"] * 5
        assert await value(old, "kept") == "1"
        assert await sleeping == "'slept'"
        assert kill(container, "forkserver.py") != first


async def test_a_fork_server_may_be_killed_while_it_forks(ours: docker.DockerClient) -> None:
    async with Sandbox(spares=0) as box, box.session() as session:
        await value(session, "1")
        (container,) = containers(ours)

        async def visit(number: int) -> str | None:
            async with box.session() as session:
                return await value(session, f"{number} + 1")

        for _ in range(3):
            visits = [asyncio.create_task(visit(number)) for number in range(8)]
            await asyncio.sleep(0.02)
            await asyncio.to_thread(kill, container, "forkserver.py")
            # The kernels that it had not made yet, the next one makes.
            assert await asyncio.gather(*visits) == [str(number + 1) for number in range(8)]


ENDS = {
    "import os; os._exit(3)": "it exited with status 3",
    "import ctypes; ctypes.string_at(0)": "it was killed by SIGSEGV",
}


async def test_a_kernel_s_end_is_told_while_the_fork_server_is_busy(ours: docker.DockerClient) -> None:
    """As it is for seconds on a loaded machine, when it has just started."""
    async with Sandbox() as box, AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(box.session()) for _ in ENDS]
        for session in sessions:
            await value(session, "1")
        (container,) = containers(ours)
        pid = kill(container, "forkserver.py", number=signal.SIGSTOP)
        try:
            for session, (code, how) in zip(sessions, ENDS.items(), strict=True):
                result = await session.run(code, timeout=PATIENCE)
                assert result.error is not None
                assert (result.error.type, result.timed_out) == ("KernelDied", False)
                assert result.error.message == f"the Python process ended: {how}"
        finally:
            os.kill(pid, signal.SIGCONT)
        assert await asyncio.gather(*(value(session, "6 * 7") for session in sessions)) == ["42", "42"]


@pytest.mark.parametrize("isolation", ["shared", "container"])
@pytest.mark.parametrize("what", ["supervisor", "container"])
async def test_a_lost_container_is_the_sandbox_s_failure_and_is_replaced(
    ours: docker.DockerClient, isolation: str, what: str
) -> None:
    async with Sandbox(isolation=isolation) as box, box.session() as session:
        await value(session, "kept = 1")
        running = asyncio.create_task(session.run("import time; time.sleep(1000)", timeout=PATIENCE))
        await asyncio.sleep(0.5)
        (container,) = containers(ours)
        if what == "container":
            await asyncio.to_thread(container.kill)
        else:
            await asyncio.to_thread(kill, container, "supervisor.main", beside="docker-init")
        began = time.monotonic()
        with pytest.raises(KernelFailed, match="taken away"):
            await running
        assert time.monotonic() - began < SOON
        result = await session.run("'kept' in dir()")
        assert (result.value, result.state_lost) == ("False", True)
        async with box.session() as another:
            assert await value(another, "6 * 7") == "42"
    assert not containers(ours)


async def test_many_parts_lost_at_once_hang_nobody(ours: docker.DockerClient) -> None:
    """Whoever asks for a session just then gets one, or a `SandboxError`."""

    async def visit(box: Sandbox) -> str | None:
        try:
            async with box.session() as session:
                return await value(session, "6 * 7")
        except SandboxError as error:
            return type(error).__name__

    async with Sandbox() as box:
        visits = [asyncio.create_task(visit(box)) for _ in range(30)]
        await asyncio.sleep(0.6)
        for container in containers(ours):
            await asyncio.to_thread(container.kill)
        assert set(await asyncio.wait_for(asyncio.gather(*visits), PATIENCE)) <= {"42", "KernelFailed"}
        assert await visit(box) == "42"


USE = """
import asyncio, sys
from sandbox import Sandbox
from sandbox.container import owner

async def main():
    async with Sandbox(isolation=sys.argv[1]) as box, box.session() as session:
        await session.run("1")
        running = asyncio.create_task(session.run("while True: pass", timeout=1000))
        await asyncio.sleep(0.5)
        print(owner(), flush=True)
        await running

asyncio.run(main())
"""


@pytest.fixture(params=["shared", "container"])
def user(request: pytest.FixtureRequest, engine: docker.DockerClient) -> Iterator[subprocess.Popen[str]]:
    """A process with a session whose cell never ends."""
    command = [sys.executable, "-c", USE, request.param]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_a_killed_owner_takes_busy_sessions_along(engine: docker.DockerClient, user: subprocess.Popen[str]) -> None:
    assert user.stdout is not None
    name = user.stdout.readline().strip()
    assert len(containers(engine, name)) == 1
    user.kill()
    user.wait()
    until = time.monotonic() + SOON
    while containers(engine, name):
        assert time.monotonic() < until
        time.sleep(0.05)


async def test_two_sandboxes_know_nothing_of_each_other(ours: docker.DockerClient) -> None:
    async with Sandbox() as one, one.session() as session:
        async with Sandbox(Limits(memory_mib=256)) as other, other.session() as theirs:
            await asyncio.gather(value(session, "kept = 1"), value(theirs, "kept = 2"))
            assert len(containers(ours)) == 2
            assert await asyncio.gather(value(session, "kept"), value(theirs, "kept")) == ["1", "2"]
        assert len(containers(ours)) == 1
        assert await value(session, "kept") == "1"
        async with one.session() as another:
            assert await value(another, "6 * 7") == "42"


def test_each_thread_may_have_a_loop_and_a_sandbox_of_its_own(engine: docker.DockerClient) -> None:
    values: dict[int, str | None] = {}

    async def use(number: int) -> None:
        async with Sandbox() as box, box.session() as session:
            await value(session, f"kept = {number}")
            values[number] = await value(session, "kept")

    threads = [threading.Thread(target=asyncio.run, args=(use(number),)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert values == {0: "0", 1: "1", 2: "2"}
    assert not containers(engine)


async def test_a_daemon_is_found_however_it_is_timed(engine: docker.DockerClient) -> None:
    """It may be made, and its parent end, at the very moment when processes are counted."""

    async def daemons(box: Sandbox) -> set[bool]:
        async with box.session() as session:
            return {"process" in (await session.run(DAEMON)).left for _ in range(40)}

    async with Sandbox() as box:
        assert set.union(*await asyncio.gather(*(daemons(box) for _ in range(4)))) == {True}


async def test_what_holds_its_limit_of_memory_outlives_the_fork_server(ours: docker.DockerClient) -> None:
    """What the session shared with the fork server is then its own, and not held against it."""
    async with Sandbox(Limits(memory_mib=192)) as box, box.session() as session:
        await session.run("hog = []\nwhile True: hog.append(bytearray(1 << 22))", timeout=PATIENCE)
        size = await value(session, "len(hog)")
        (container,) = containers(ours)
        kill(container, "forkserver.py")
        await asyncio.sleep(1.5)
        assert await value(session, "len(hog)") == size
