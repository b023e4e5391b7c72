"""One private kernel: run a cell, get a `CellResult`. The only place that speaks the Jupyter protocol."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import zmq
from jupyter_client.asynchronous.client import AsyncKernelClient

from sandbox.container import SOCKETS, Container
from sandbox.errors import KernelFailed, SandboxError
from sandbox.image.cut import NOTE_CHARS, Excerpt, cut_middle
from sandbox.result import CellError, CellResult
from sandbox.settings import Limits

INTERRUPT_SECONDS = 3.0
TRACEBACK_CHARS = 2000
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours, moves of the cursor
    r"|(?:\x1b[]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # the window's title, links
    r"|\x1b[ -/]*[0-~]?|[\x80-\x9f]"
)
_CUT = re.compile(r"\.\.\. \[\d+ characters cut\] \.\.\.")
_LEFT = {("SystemExit", status) for status in ("", "0", "None")}
"""How a script ends that has not failed."""
# What reading a message raises that is none: the code in the session can write to its kernel's sockets.
_GARBLED = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
_CELL_FRAME = re.compile(r"Cell In\[\d+\]")


class Session:
    """An IPython kernel in a container of its own. Variables live from cell to cell.

    Get one from `Sandbox.session()`. The container starts with the first cell.
    """

    def __init__(
        self,
        start: Callable[[dict[str, Any]], Container],
        in_thread: Callable[[Callable[[], Any]], Awaitable[Any]],
        context: zmq.Context[Any],
        limits: Limits,
    ) -> None:
        self._start_container = start
        self._in_thread = in_thread
        self._context = context
        self.limits = limits
        self._starting: asyncio.Future[Container] | None = None
        self._container: Container | None = None
        self._client: AsyncKernelClient | None = None
        self._death: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._lost = False

    async def run(self, code: str, timeout: float | None = None) -> CellResult:
        """Run `code` as one cell and return its result within `timeout` + 5 seconds, whatever the code does.

        `timeout` is in seconds (default: `limits.cell_seconds`) and does not count the start of a kernel, which is
        due in the first cell and after a lost one. Raises `SandboxError` where the sandbox itself fails.
        """
        async with self._lock:
            if self._death and self._death.done():
                await self._stop()
                self._lost = True
            had_state = self._client is not None
            try:
                if self._client is None:
                    await self._start()
                result = await self._run(code, self.limits.cell_seconds if timeout is None else timeout)
            except BaseException:
                # Cancelled, say: neither a half-started kernel nor a cell that still runs may meet the next cell.
                self._lost |= had_state
                await asyncio.shield(self._stop())
                raise
            lost, self._lost = self._lost, False
            return result.model_copy(update={"state_lost": True}) if lost else result

    async def close(self) -> None:
        """Kill the kernel and everything it started. Safe to call twice."""
        async with self._lock:
            await self._stop()

    async def _start(self) -> None:
        connection = {
            "transport": "ipc",
            "ip": f"{SOCKETS}/k",
            "key": uuid.uuid4().hex,
            "signature_scheme": "hmac-sha256",
            **{f"{name}_port": i for i, name in enumerate(("shell", "iopub", "stdin", "control", "hb"), 1)},
        }
        setup = {"connection": connection, "output_chars": self.limits.output_chars}
        # Shielded, since the thread goes on when this is cancelled: `_stop` then removes what it has made.
        self._starting = asyncio.ensure_future(self._in_thread(lambda: self._start_container(setup)))
        self._container = await asyncio.shield(self._starting)
        self._death = asyncio.create_task(_end_of(self._container))
        self._client = AsyncKernelClient(context=self._context)
        self._client.load_connection_info(connection | {"ip": str(self._container.folder / "s" / "k")})
        self._client.start_channels(stdin=False, hb=False)
        greeted = asyncio.create_task(self._greet())
        try:
            await self._unless_dead(greeted, self.limits.start_seconds)
        except (TimeoutError, _Died) as error:
            why = await self._in_thread(self._container.why_ended)
            raise KernelFailed(f"the kernel did not start: {why}; try `tora doctor`") from error
        finally:
            await _cancelled(greeted)
        await self._in_thread(self._container.seal)

    async def _greet(self) -> None:
        """Wait until both channels live: a cell sent before iopub is connected would never seem to end."""
        assert self._client is not None
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    return await self._ended(self._client.kernel_info(), _Output(0))

    async def _run(self, code: str, timeout: float) -> CellResult:
        assert self._client is not None and self._container is not None
        output, started = _Output(self.limits.output_chars), time.monotonic()
        code = code.encode("utf-8", "replace").decode()  # a lone surrogate cannot be sent
        message = self._client.execute(code, store_history=True, allow_stdin=False, stop_on_error=False)
        ended = asyncio.create_task(self._ended(message, output))
        timed_out = state_lost = False
        try:
            await self._unless_dead(ended, timeout)
        except TimeoutError:
            timed_out = True
            state_lost = not await self._interrupt(ended)
            how = "killed" if state_lost else "interrupted"
            output.error = CellError(
                type="TimeoutError",
                message=f"the cell ran longer than {timeout:g} s and was {how}",
                traceback=output.error.traceback if output.error else "",  # where it was when it was interrupted
            )
        except _Died:
            state_lost = True
            why = await self._in_thread(self._container.why_ended)
            output.error = CellError(type="KernelDied", message=f"the Python process ended: {why}")
        finally:
            await _cancelled(ended)
        if state_lost:
            await self._stop()
        seconds = time.monotonic() - started
        return output.result(seconds=seconds, timed_out=timed_out, state_lost=state_lost)

    async def _interrupt(self, ended: asyncio.Task[None]) -> bool:
        """Interrupt the cell; return whether it ended, with the kernel's state kept."""
        assert self._client is not None
        self._client.control_channel.send(self._client.session.msg("interrupt_request", content={}))
        try:
            await self._unless_dead(ended, INTERRUPT_SECONDS)
        except (TimeoutError, _Died):
            return False
        return True

    async def _ended(self, message: str, output: _Output) -> None:
        """A cell is over when both its reply and its idle status have come; either can be the later one."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._until_reply(message))
            both.create_task(self._until_idle(message, output))

    async def _until_reply(self, message: str) -> None:
        assert self._client is not None
        while True:
            with suppress(*_GARBLED):
                reply = await self._client.get_shell_msg(timeout=None)
                if reply["parent_header"].get("msg_id") == message:
                    return

    async def _until_idle(self, message: str, output: _Output) -> None:
        assert self._client is not None
        while True:
            with suppress(*_GARBLED):
                part = await self._client.get_iopub_msg(timeout=None)
                if part["parent_header"].get("msg_id") != message:
                    continue
                if part["msg_type"] == "status" and part["content"].get("execution_state") == "idle":
                    return
                output.take(part["msg_type"], part["content"])

    async def _unless_dead(self, work: asyncio.Task[None], timeout: float) -> None:
        """Await `work`, which goes on where this raises `TimeoutError` (after `timeout` s) or `_Died`."""
        assert self._death is not None
        done, _ = await asyncio.wait({work, self._death}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if work in done:
            return work.result()
        raise _Died if self._death in done else TimeoutError

    async def _stop(self) -> None:
        client, self._client = self._client, None
        starting, self._starting, self._container = self._starting, None, None
        death, self._death = self._death, None
        if death:
            await _cancelled(death)  # before the stream it reads is closed
        if client:
            client.stop_channels()
        if starting:
            with suppress(SandboxError):
                container = await starting
                await self._in_thread(container.remove)


class _Died(Exception):
    """The kernel's container ended."""


async def _cancelled(task: asyncio.Task[None]) -> None:
    """Cancel `task` and wait for its end."""
    task.cancel()
    await asyncio.wait({task})


async def _end_of(container: Container) -> None:
    """Return when the container has ended: Docker then closes the stream. What it prints there is dropped."""
    loop = asyncio.get_running_loop()
    while await loop.sock_recv(container.stream, 1 << 16):
        pass


class _Output:
    """Collects the parts of one cell's output, each cut to `limit` characters."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.streams = {"stdout": _Stream(limit), "stderr": _Stream(limit)}
        self.value: str | None = None
        self.error: CellError | None = None

    def take(self, kind: str, content: dict[str, Any]) -> None:
        """Add one iopub message."""
        if kind == "stream" and content.get("name") in self.streams:
            self.streams[content["name"]].add(str(content.get("text", "")))
        elif kind == "execute_result":
            self.value = self._short(content.get("data", {}).get("text/plain", ""))
        elif kind == "display_data":
            self.streams["stdout"].add(str(content.get("data", {}).get("text/plain", "")) + "\n")
        elif kind == "error" and (content.get("ename"), content.get("evalue")) not in _LEFT:
            self.error = CellError(
                type=self._short(content.get("ename", "Error")),
                message=self._short(content.get("evalue", "")),
                traceback=_clean(_own_frames("\n".join(map(str, content.get("traceback", []))))),
            )

    def result(self, **outcome: Any) -> CellResult:
        """The `CellResult` of what was taken and of `outcome`."""
        stdout, stderr = (_clean(str(stream)) for stream in self.streams.values())
        result = CellResult(stdout=stdout, stderr=stderr, value=self.value, error=self.error, **outcome)
        return result.model_copy(update={"truncated": bool(_CUT.search(result.text))})

    def _short(self, text: object) -> str:
        return _clean(cut_middle(str(text), self.limit))


class _Stream:
    """What came on one stream; of a flood, the head and the tail."""

    def __init__(self, limit: int) -> None:
        self._head: list[str] = []
        # With room for the kernel's own cut and the line that states it.
        self._excerpt = Excerpt(limit + 2 * NOTE_CHARS)

    def add(self, text: str) -> None:
        self._head.append(self._excerpt.add(text))

    def __str__(self) -> str:
        return "".join(self._head) + self._excerpt.end()


def _clean(text: str) -> str:
    """`text` without terminal escapes, NUL and lone surrogates."""
    text = _ESCAPES.sub("", text.replace("\0", "\N{SYMBOL FOR NULL}"))
    return text.encode("utf-8", "replace").decode()


def _own_frames(traceback: str) -> str:
    """The frames of the user's own cells out of an IPython traceback in plain mode."""
    lines, kept, keep = traceback.splitlines(), [], False
    for line in lines:
        if line.lstrip().startswith(("Cell In[", "File ")):
            keep = bool(_CELL_FRAME.search(line))
        elif not line.startswith(" "):
            keep = False
        if keep:
            kept.append(line)
    return cut_middle("\n".join(kept), TRACEBACK_CHARS)
