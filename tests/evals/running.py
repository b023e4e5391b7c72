"""A scripted server and `tora` as processes that a test can look at, stop and kill."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from anyio.from_thread import start_blocking_portal

from tests.conftest import OWN_VARIABLES, PATIENCE
from tora_agent.model.scripted import Script, ScriptedServer


@contextmanager
def serving(script: Script, port: int = 0) -> Iterator[ScriptedServer]:
    """The scripted server in a thread."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(ScriptedServer(script, port=port)) as server,
    ):
        yield server


@dataclass
class Done:
    """A `tora` process that has ended."""

    pid: int
    status: int
    out: str
    err: str


def environment(**more: str) -> dict[str, str]:
    """This process's environment without an endpoint of its own, with `tora` on the path and a wide terminal."""
    clean = {key: value for key, value in os.environ.items() if key not in OWN_VARIABLES}
    return clean | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "200"} | more


def start(
    folder: Path, *args: object, before: tuple[str, ...] = (), stdin: int | None = None, **env: str
) -> subprocess.Popen[str]:
    """Start `tora` with `args` in `folder`, in a process group of its own; `before` are words before the command."""
    command = [*before, sys.executable, "-m", "tora_agent", *map(str, args)]
    out = subprocess.PIPE
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment(**env),
        stdin=stdin,
        stdout=out,
        stderr=out,
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen[str]) -> Done:
    """Wait until `process` ends."""
    out, err = process.communicate(timeout=PATIENCE)
    return Done(process.pid, process.returncode, out, err)


def tora_in(folder: Path, *args: object, **env: str) -> Done:
    """Run `tora` with `args` in `folder`."""
    return end(start(folder, *args, **env))


def containers(engine: docker.DockerClient, pid: int) -> list[Any]:
    """The containers of the process `pid`, running or not."""
    found: list[Any] = engine.api.containers(all=True, filters={"label": "tora.owner"})
    return [each for each in found if re.match(rf"{pid}\D", each["Labels"]["tora.owner"])]


def wait_until(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Wait until `condition` holds; fail if `process` ends before."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, f"it ended too early: {process.communicate()}"
        assert time.monotonic() < deadline, f"nothing happened within {PATIENCE} s"
        time.sleep(0.01)
