"""The embedded model: served on loopback, and gone when it is not wanted any more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tora_agent.dialects import Sent
from tora_agent.errors import ModelRefused
from tora_agent.model import Endpoint, open_model
from tora_agent.model.embedded import serve
from tora_agent.model.weights import find_weights

SMALL = "qwen2.5-coder-0.5b"
PARENT = f"""
import asyncio
from tora_agent.model import Endpoint, open_model

async def main() -> None:
    async with open_model(Endpoint(model={SMALL!r}, embedded=True)) as model:
        print(model.name, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def gguf() -> Path:
    found = find_weights(SMALL)
    if found is None:
        pytest.skip(f"the model file is missing; `tora fetch-model {SMALL}` gets it")
    return found


def children(parent: int) -> list[int]:
    """The llama.cpp processes that a process has started and that still live."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, ppid = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (folder / "cmdline").read_text()
        except OSError:
            continue
        if int(ppid) == parent and state != "Z" and "tora_agent.model.embedded" in command:
            found.append(int(folder.name))
    return found


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def within(seconds: float, there: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not there():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.anyio
async def test_it_answers_and_is_gone_after_the_block(gguf: Path) -> None:
    async with open_model(Endpoint(model=SMALL, embedded=True)) as model:
        (child,) = children(os.getpid())
        pieces: list[str | None] = []
        asked = Sent([{"role": "user", "content": "Count from 1 to 100."}])
        call = await model.complete(asked, max_tokens=16, temperature=0, seed=0, on_text=pieces.append)
        assert model.name == gguf.stem
        assert model.endpoint.where == "the embedded model"
    assert call.raw == "".join(filter(None, pieces)) != ""
    assert 0 < call.usage.completion_tokens <= 16
    assert not lives(child)


@pytest.mark.anyio
async def test_an_error_of_the_block_passes_through(gguf: Path) -> None:
    async def block() -> None:
        async with serve(gguf):
            raise TimeoutError("of the block")

    with pytest.raises(TimeoutError, match="of the block"):
        await block()
    assert children(os.getpid()) == []


def test_it_is_gone_soon_after_its_parent_was_killed(gguf: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        try:
            assert parent.stdout.readline().strip() == gguf.stem
            (child,) = children(parent.pid)
        finally:
            parent.send_signal(signal.SIGKILL)
    assert within(60, lambda: not lives(child))


@pytest.mark.anyio
async def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ModelRefused, match=r"cannot serve broken\.gguf"):
        async with serve(broken):
            pass
    assert children(os.getpid()) == []
