"""One private kernel: run a cell, get a `CellResult`. The only place on the host that speaks the Jupyter protocol."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from jupyter_client.session import Session as Codec

from sandbox.errors import KernelFailed, SandboxError
from sandbox.image.frames import Channel
from sandbox.output import Output, Stream, clean, last_line, where
from sandbox.relay import Line, Listener
from sandbox.result import CellError, CellResult
from sandbox.settings import Limits

WHERE_SECONDS = 0.8
INTERRUPT_SECONDS = (1.2, 1.6)
"""How long each of the interrupts of an overdue cell may take to end it."""
MAX_CELL_BYTES = 64 << 20
"""Sent by the kernel of one cell. Its own caps keep it far below; what the code sends past them may be anything."""
MAX_CELL_MESSAGES = 20_000
"""Likewise. Each costs the host a fraction of a millisecond."""
MAX_CODE_CHARS = 4_000_000
LATE_CHARS = 10_000
REMEMBERED = 100
"""Cells whose code and late output are still known."""
_LEFT = {"threads": "thread", "processes": "process"}

Opener = Callable[[dict[str, Any], Listener], Awaitable[Line]]
Watcher = Callable[[str, str], None]
"""Called with "stdout" or "stderr" and text as it comes, before anything is cut or cleaned."""


class Session:
    """An IPython kernel with a user id, a directory and limits of its own. Variables live from cell to cell.

    Get one from `Sandbox.session()`. The kernel starts with the first cell.
    """

    def __init__(self, open_line: Opener, limits: Limits) -> None:
        self._open_line = open_line
        self.limits = limits
        self._line: Line | None = None
        self._codec = _codec()
        self._cell: _Cell | None = None
        self._late = Stream(LATE_CHARS)
        self._past: deque[str] = deque(maxlen=REMEMBERED)
        self._cells: dict[int, str] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._taken = self._most_bytes = self._most_messages = 0
        self._lock = asyncio.Lock()
        self._lost = False
        self._used = False
        """Whether the kernel has been sent a cell, and so may have a state to lose."""

    @property
    def has_kernel(self) -> bool:
        """Whether a kernel has been started, and has not been found lost."""
        return self._line is not None

    async def run(self, code: str, timeout: float | None = None, watch: Watcher | None = None) -> CellResult:
        """Run `code` as one cell and return its result within `timeout` + 5 seconds, whatever the code does.

        `timeout` is in seconds (default: `limits.cell_seconds`) and does not count the start of a kernel, which is
        due in the first cell and after a lost one. `watch` is told of printed text as it comes. Raises `SandboxError`
        where the sandbox itself fails, and `ValueError` for code of more than 4,000,000 characters.
        """
        if len(code) > MAX_CODE_CHARS:
            raise ValueError(f"a cell of {len(code)} characters; {MAX_CODE_CHARS} is the most")
        async with self._lock:
            had_state = self._used
            if self._line is not None and self._line.ended.done():
                self._lost |= had_state
                self._drop()
            try:
                cell = await self._send(code, watch)
                result = await self._finish(cell, self.limits.cell_seconds if timeout is None else timeout)
            except BaseException:
                # Cancelled, say: neither a half-started kernel nor a cell that still runs may meet the next cell.
                self._lost |= had_state
                self._drop()
                raise
            finally:
                self._cell = None
            lost, self._lost = self._lost, cell.kernel_ends
            late, self._late = clean(str(self._late)), Stream(LATE_CHARS)
            before = lost and not result.state_lost
            return result.model_copy(
                update={"state_lost": result.state_lost or lost, "lost_before": before, "late": late}
            )

    async def start(self) -> None:
        """Have the kernel start now rather than with the first cell, and do not wait until it is up.

        Raises `SandboxError` where the sandbox itself fails.
        """
        async with self._lock:
            if self._line is None:
                await self._open()

    async def close(self) -> None:
        """Kill the kernel and everything it started, and delete its files. Safe to call twice."""
        async with self._lock:
            self._drop()
            while self._closing:
                await asyncio.wait(self._closing)

    async def _send(self, code: str, watch: Watcher | None) -> _Cell:
        """Send the cell, opening a kernel first where there is none; return when that kernel is up."""
        line = self._line or await self._open()
        content = {
            "code": code.encode("utf-8", "replace").decode(),  # a lone surrogate cannot be sent
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        message = self._codec.msg("execute_request", content)
        cell = self._cell = _Cell(message["header"]["msg_id"], code, self.limits.output_chars, watch)
        self._allow(line.received)
        self._used = True
        line.send(Channel.SHELL, self._codec.serialize(message))
        if not line.started.done():
            started, ended = line.started, line.ended
            done = await _first(self.limits.start_seconds, started, ended)
            if started not in done:
                why = ended.result() if ended in done else f"not within {self.limits.start_seconds:g} s"
                raise KernelFailed(f"the kernel did not start: {why}; try `tora doctor`")
        return cell

    async def _open(self) -> Line:
        """Open a line to a new kernel, which starts meanwhile."""
        self._codec = _codec()
        setup = {"key": self._codec.key.decode(), "stop_leftovers": True}
        self._past.clear()
        self._cells.clear()
        self._allow(0)
        self._line = await self._open_line(setup, self._take)
        return self._line

    def _allow(self, received: int) -> None:
        """From now on a kernel that has sent `received` bytes may send as much as one cell."""
        self._most_bytes, self._most_messages = received + MAX_CELL_BYTES, self._taken + MAX_CELL_MESSAGES

    async def _finish(self, cell: _Cell, timeout: float) -> CellResult:
        """Wait for the end of the cell, or bring it about."""
        assert self._line is not None
        line, output, began = self._line, cell.output, time.monotonic()
        timed_out = state_lost = False
        if not await self._over(cell, timeout):
            timed_out = True
            place = where(await line.where(WHERE_SECONDS), self._cells)
            for seconds in INTERRUPT_SECONDS:
                line.interrupt()
                if ended := await self._over(cell, seconds):
                    break
            state_lost = not ended or line.ended.done()
            trace = output.error.traceback if output.error else ""
            place = place or last_line(trace)
            how = "killed" if state_lost else "interrupted"
            message = f"the cell ran longer than {timeout:g} s and was {how}" + (f": {place}" if place else "")
            output.error = CellError(type="TimeoutError", message=message, traceback=trace)
        elif not cell.over.done():
            state_lost = True
            message = f"the Python process ended: {line.ended.result()}"  # or raises: the sandbox's own end
            output.error = CellError(type="KernelDied", message=message)
        self._past.append(cell.id)
        if state_lost or cell.kernel_ends:
            self._drop()
        seconds = time.monotonic() - began
        return output.result(seconds=seconds, timed_out=timed_out, state_lost=state_lost)

    async def _over(self, cell: _Cell, timeout: float) -> bool:
        """Wait for the end of the cell or of its kernel; return whether it came within `timeout` seconds."""
        assert self._line is not None
        return bool(await _first(timeout, cell.over, self._line.ended))

    def _take(self, channel: Channel, parts: list[bytes]) -> None:
        """Handle a message. The code in the session can send any: what is none is dropped."""
        cell = self._cell
        # Which can make the reading of it raise anything: an OverflowError, where a number is infinite.
        with suppress(Exception):
            _, rest = self._codec.feed_identities(parts)
            message = self._codec.deserialize(rest)
            request = message["parent_header"].get("msg_id")
            kind, content = message["msg_type"], message["content"]
            if cell is not None and request == cell.id:
                if kind == "execute_input":
                    self._remember(int(content["execution_count"]), cell.code)
                cell.take(channel, kind, content, message["metadata"])
            elif channel is Channel.IOPUB and kind == "stream" and request in self._past:
                self._late.add(str(content.get("text", "")))
        # Between cells, too, where code that has outlived its cell may go on.
        self._taken += 1
        if self._line is not None and (self._line.received > self._most_bytes or self._taken > self._most_messages):
            self._line.refuse(f"its cell sent more than {MAX_CELL_BYTES >> 20} MiB or {MAX_CELL_MESSAGES} messages")

    def _remember(self, count: int, code: str) -> None:
        self._cells[count] = code
        if len(self._cells) > REMEMBERED:
            del self._cells[min(self._cells)]

    def _drop(self) -> None:
        """Have the kernel killed, if there is one; `close` waits until it is."""
        line, self._line, self._used = self._line, None, False
        if line is not None:
            task = asyncio.create_task(_closed(line))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


class _Cell:
    """A cell that runs. It is over when both its reply and its idle status have come; either can be the later one."""

    def __init__(self, number: str, code: str, limit: int, watch: Watcher | None) -> None:
        self.id, self.code, self._watch = number, code, watch
        self.output = Output(limit)
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.kernel_ends = False
        """After this cell, as a thread of it will not."""
        self._waits = {"reply", "idle"}

    def take(self, channel: Channel, kind: str, content: dict[str, Any], metadata: dict[str, Any]) -> None:
        """Handle a message of this cell."""
        if channel is Channel.SHELL and kind == "execute_reply":
            self._waits.discard("reply")
            left = metadata.get("left", {})
            self.output.left, self.kernel_ends = _left(left), bool(left.get("stubborn"))
        elif channel is Channel.IOPUB:
            if kind == "status" and content.get("execution_state") == "idle":
                self._waits.discard("idle")
            if not self.over.done():
                self.output.take(kind, content)
                if self._watch and kind == "stream":
                    self._watch(str(content.get("name")), str(content.get("text", "")))
        if not self._waits and not self.over.done():
            self.over.set_result(None)


async def _closed(line: Line) -> None:
    with suppress(SandboxError):  # gone with its container, then
        await line.close()


def _codec() -> Codec:
    """What signs and reads messages, with a key that no other session has had."""
    return Codec(key=uuid.uuid4().hex.encode())


async def _first(timeout: float, *futures: asyncio.Future[Any]) -> set[asyncio.Future[Any]]:
    """Those of `futures` that are done as soon as one is, or after `timeout` seconds."""
    done, _ = await asyncio.wait(futures, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    return done


def _left(counts: dict[str, int]) -> str:
    """What a cell had left running, in words."""
    words = [
        f"{n} {what if n == 1 else what + ('es' if what.endswith('s') else 's')}"
        for key, what in _LEFT.items()
        if (n := int(counts.get(key, 0)))
    ]
    if not words and not counts.get("stubborn"):
        return ""
    end = "one of them would not stop, and the kernel ends" if counts.get("stubborn") else "stopped"
    return f"still running when the cell ended: {' and '.join(words) or 'a thread'}; {end}"
