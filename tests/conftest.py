"""What the tests share: the real sandbox, a real scripted server, the real command line."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from sandbox import Sandbox
from sandbox.build import find_image
from tora_agent.model import ClientSettings, Endpoint
from tora_agent.model.client import Model
from tora_agent.model.scripted import Script, ScriptedServer

SHARED = Path(__file__).parents[2] / "shared" / "data"
"""Real benchmarks and recorded trajectories, on machines that have them."""
OWN_VARIABLES = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "TORA_MODEL", "TORA_LOCAL_MODEL", "HF_HUB_OFFLINE")
TERMINAL_VARIABLES = ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "TTY_COMPATIBLE",
                      "TTY_INTERACTIVE")  # fmt: skip
"""What colours or folds output that goes to no terminal; a hosted runner, say, sets some of them."""
PATIENCE = 300
"""Seconds in which all that does not hang has ended, however busy the machine is."""
Tora = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session", autouse=True)
def plain_output() -> Iterator[None]:
    """Output as where nothing is known of a terminal, but for the tests that say more."""
    with pytest.MonkeyPatch.context() as patch:
        for name in TERMINAL_VARIABLES:
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def engine() -> docker.DockerClient:
    """The Docker Engine, with the sandbox image built."""
    try:
        client = docker.from_env()
    except docker.errors.DockerException:
        pytest.skip("no Docker Engine answers; `make test` starts one")
    if find_image(client) is None:
        pytest.skip("the sandbox image is missing; `make test` builds it")
    return client


@pytest.fixture(scope="module")
async def box(engine: docker.DockerClient) -> AsyncIterator[Sandbox]:
    """A sandbox for all tests of a file: the first kernel of a new one waits for what it imports."""
    async with Sandbox() as sandbox:
        yield sandbox


def script(*entries: dict[str, Any], **options: Any) -> Script:
    """A script of `entries`; see docs/scripted-model.md."""
    return Script.model_validate({"entries": list(entries), **options})


def model_at(server: ScriptedServer, **retrying: Any) -> Model:
    """The product's client for `server`, retrying without long waits."""
    endpoint = Endpoint(model="scripted", base_url=server.base_url, api_key="k")
    return Model(endpoint, ClientSettings(**{"tries": 3, "first_wait": 0.01} | retrying))


async def until(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds; fail if it never does."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def soon(condition: Callable[[], object]) -> bool:
    """Whether `condition` comes to hold."""
    deadline = time.monotonic() + PATIENCE
    while not (held := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(held)


@pytest.fixture
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the shared data (../shared/data) is not on this machine")
    return SHARED


@pytest.fixture
def tora(tmp_path: Path) -> Tora:
    """Run the command line in an empty directory, without the environment's own endpoint."""
    clean = {key: value for key, value in os.environ.items() if key not in OWN_VARIABLES}

    def run(*args: object, env: dict[str, str] | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tora_agent", *map(str, args)]
        options = {"capture_output": True, "text": True, "timeout": PATIENCE, "cwd": tmp_path} | options
        return subprocess.run(command, env=clean | (env or {}), check=False, **options)

    return run
