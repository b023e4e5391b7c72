"""A kernel of the sandbox behind the ZeroMQ sockets that Jupyter's front ends speak to."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import zmq
import zmq.asyncio
from jupyter_client.session import Session as Codec

from sandbox.box import Sandbox
from sandbox.errors import KernelFailed, SandboxError
from sandbox.image.frames import Channel
from sandbox.relay import End, Line

LINGER_SECONDS = 1.0
"""How long the last messages may take to reach a front end."""
PASSIVE = frozenset(
    {
        "application/json",
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/webp",
        "text/latex",
        "text/plain",
    }
)
"""Kinds of output that no front end runs scripts of."""
_PUBLISHED = frozenset(
    {
        "clear_output",
        "display_data",
        "error",
        "execute_input",
        "execute_result",
        "shutdown_reply",
        "status",
        "stream",
        "update_display_data",
    }
)
"""Likewise of messages. Those of widgets build, in the front end, whatever the code asks for."""
_PARTS = ("header", "parent_header", "metadata", "content")
_SOCKETS = {
    Channel.SHELL: (zmq.ROUTER, "shell_port"),
    Channel.IOPUB: (zmq.PUB, "iopub_port"),
    Channel.STDIN: (zmq.ROUTER, "stdin_port"),
    Channel.CONTROL: (zmq.ROUTER, "control_port"),
}


class Sockets:
    """What front ends connect to. It outlives a kernel that is restarted, so that they need not connect anew.

    One that did would miss what the new kernel, which is there in milliseconds, says first. To be used in one loop.
    """

    def __init__(self, context: zmq.asyncio.Context, info: dict[str, Any]) -> None:
        """`info` is Jupyter's connection information, with ipc as the transport."""
        self.key: bytes = info["key"]
        self.signature_scheme: str = info["signature_scheme"]
        self._info = info
        self._beat = self._bind(context, zmq.REP, "hb_port")
        self._of = {channel: self._bind(context, kind, port) for channel, (kind, port) in _SOCKETS.items()}

    def _bind(self, context: zmq.asyncio.Context, kind: int, port: str) -> zmq.asyncio.Socket:
        socket = context.socket(kind)
        socket.linger = int(LINGER_SECONDS * 1000)
        socket.sndhwm = 0  # a front end that reads slowly still reads all: `most_bytes` is the bound
        if kind == zmq.ROUTER:
            socket.router_handover = 1  # a front end that connects anew is still the same
        socket.bind(f"ipc://{self._info['ip']}-{port}")
        return socket

    def publish(self) -> None:
        """Put the names that front ends know, and delete at each restart, beside those that the sockets have."""
        for port in ("hb_port", *(port for _, port in _SOCKETS.values())):
            name, own = (Path(f"{self._info['ip']}-{ending}") for ending in (self._info[port], port))
            name.unlink(missing_ok=True)
            name.symlink_to(own)

    def send(self, channel: Channel, parts: list[bytes]) -> None:
        """Send a message to front ends."""
        self._of[channel].send_multipart(parts)

    async def echo(self) -> None:
        """Answer the front ends' question whether the kernel lives."""
        while True:
            await self._beat.send(await self._beat.recv())

    async def receive(self, channel: Channel, take: Callable[[Channel, list[bytes]], None]) -> None:
        """Take the front ends' messages, for ever."""
        while True:
            take(channel, await self._of[channel].recv_multipart())

    def close(self) -> None:
        """Close them; their last messages still go out."""
        for socket in (self._beat, *self._of.values()):
            socket.close()


class ServedKernel:
    """One life of a kernel. `ended`, `why`, `interrupt` and `close` may be used from any thread and loop."""

    def __init__(self, sockets: Sockets, *, active: bool, most_bytes: int) -> None:
        """To be called, like `start`, in the loop of the sockets; see `SandboxProvisioner` for the options."""
        self.ended: Future[int] = Future()
        """Done with its exit status when nothing of the kernel is left."""
        self.why = ""
        """How it ended, in words, where it was not asked to."""
        self._sockets, self._active, self._most_bytes = sockets, active, most_bytes
        self._codec = Codec(key=sockets.key, signature_scheme=sockets.signature_scheme)
        self._loop = asyncio.get_running_loop()
        self._close = asyncio.Event()
        self._line: Line | None = None
        self._most = most_bytes
        self._cell: dict[str, Any] | None = None
        self._born = datetime.now(UTC)

    async def start(self, box: Sandbox) -> ServedKernel:
        """Return itself as soon as the kernel is up. Raises `SandboxError`, and nothing is left then."""
        up: asyncio.Future[None] = self._loop.create_future()
        self._life = asyncio.create_task(self._live(box, up))
        try:
            await up
        except BaseException:  # also where this is cancelled
            self._close.set()
            await asyncio.wait({self._life})
            raise
        return self

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the running cell, if any."""
        self._soon(lambda: self._line.interrupt() if self._line else None)

    def close(self) -> None:
        """Begin to end the kernel; `ended` tells when that is done."""
        self._soon(self._close.set)

    def _soon(self, call: Callable[[], Any]) -> None:
        if not self.ended.done():
            with suppress(RuntimeError):  # its loop has ended meanwhile, and so has the kernel
                self._loop.call_soon_threadsafe(call)

    async def _live(self, box: Sandbox, up: asyncio.Future[None]) -> None:
        status = 1
        works: list[asyncio.Task[None]] = []
        try:
            key = self._sockets.key.decode()
            setup = {"key": key, "signature_scheme": self._sockets.signature_scheme, "stop_leftovers": False}
            self._line = await box.pool.open(setup, self._from_kernel)
            self._sockets.publish()
            works = [asyncio.create_task(self._sockets.echo())]
            for channel in (Channel.SHELL, Channel.STDIN, Channel.CONTROL):
                works.append(asyncio.create_task(self._sockets.receive(channel, self._to_kernel)))
            status = await self._last(self._line, box.limits.start_seconds, up)
        except Exception as error:
            self.why = str(error)
            if not up.done():
                up.set_exception(error)
        finally:
            for work in works:
                work.cancel()
            if self._line is not None:
                with suppress(SandboxError):  # it is gone, then
                    await self._line.close()
            self.ended.set_result(status)

    async def _last(self, line: Line, start_seconds: float, up: asyncio.Future[None]) -> int:
        """Wait for the end of the kernel, or for what asks for it; return its exit status."""
        closing = asyncio.create_task(self._close.wait())
        try:
            waits = (line.started, line.ended, closing)
            await asyncio.wait(waits, timeout=start_seconds, return_when=asyncio.FIRST_COMPLETED)
            if not line.started.done():
                why = str(line.ended.result()) if line.ended.done() else f"not within {start_seconds:g} s"
                raise KernelFailed(f"the kernel did not start: {why}; try `tora doctor`")
            if not up.done():
                up.set_result(None)
            await asyncio.wait((line.ended, closing), return_when=asyncio.FIRST_COMPLETED)
            if not line.ended.done():
                return -signal.SIGKILL
            try:
                end = line.ended.result()
            except SandboxError as error:
                end = End(1, str(error))
            if end.why or end.status:
                self.why = str(end)
                self._say(f"the kernel ended: {self.why}")
            return end.status or int(bool(end.why))
        finally:
            closing.cancel()

    def _to_kernel(self, channel: Channel, parts: list[bytes]) -> None:
        assert self._line is not None
        if channel is Channel.SHELL:
            self._most = self._line.received + self._most_bytes
        if channel is not Channel.CONTROL or not self._late(parts):
            self._line.send(channel, parts)

    def _late(self, parts: list[bytes]) -> bool:
        """Whether a message asks the kernel to end that was here before, and died before it was asked."""
        with suppress(ValueError, TypeError, LookupError, AttributeError):
            header = self._codec.unpack(self._codec.feed_identities(parts)[1][1])
            return header["msg_type"] == "shutdown_request" and datetime.fromisoformat(header["date"]) < self._born
        return False

    def _from_kernel(self, channel: Channel, parts: list[bytes]) -> None:
        """Pass a message on. The code in the kernel can send any: what is none is dropped."""
        with suppress(ValueError, TypeError, LookupError, AttributeError, RecursionError):
            identities, rest = self._codec.feed_identities(parts)
            message = self._codec.deserialize(rest)
            if not all(isinstance(message[part], dict) for part in _PARTS):
                raise ValueError("a part that is no object")
            kind, content = message["header"]["msg_type"], message["content"]
            if channel is Channel.IOPUB and kind == "status":
                self._note(message["parent_header"], content["execution_state"])
            if not self._active:
                if channel is Channel.IOPUB and kind not in _PUBLISHED:
                    return
                message["content"] = _passive(content)
            self._sockets.send(channel, [*self._codec.serialize(message, identities), *message["buffers"]])
        if self._line is not None and self._line.received > self._most:
            self._line.end(End(why=f"it sent more than {self._most_bytes >> 20} MiB in answer to one request"))

    def _note(self, request: dict[str, Any], state: str) -> None:
        """Remember the cell that runs."""
        if request.get("msg_type") == "execute_request":
            self._cell = request if state == "busy" else None

    def _say(self, text: str) -> None:
        """Print `text` below the cell that runs, whose kernel no longer can."""
        if self._cell is not None:
            content = {"name": "stderr", "text": f"\n[{text}]\n"}
            message = self._codec.msg("stream", content, parent={"header": self._cell})
            self._sockets.send(Channel.IOPUB, self._codec.serialize(message, b"stream.stderr"))


def _passive(content: Any) -> Any:
    """`content` without outputs of other kinds, wherever they are in it: what is named by a MIME type has a slash."""
    if isinstance(content, dict):
        return {
            key: value if key == "application/json" else _passive(value)
            for key, value in content.items()
            if "/" not in key or key in PASSIVE
        }
    return [_passive(item) for item in content] if isinstance(content, list) else content
