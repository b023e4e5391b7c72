"""A kernel of the sandbox behind the ZeroMQ sockets that Jupyter's front ends speak to."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
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
_SOCKETS = {
    Channel.SHELL: (zmq.ROUTER, "shell_port"),
    Channel.IOPUB: (zmq.PUB, "iopub_port"),
    Channel.STDIN: (zmq.ROUTER, "stdin_port"),
    Channel.CONTROL: (zmq.ROUTER, "control_port"),
}


class ServedKernel:
    """One life of a kernel, from its start to the end of its sockets. May be asked from any thread, of any loop."""

    def __init__(self, info: dict[str, Any], *, active: bool, most_bytes: int) -> None:
        """`info` is Jupyter's connection information, with ipc as the transport; see `SandboxProvisioner` for the rest.

        To be called, like `start`, in the loop that the kernel is to be served in.
        """
        self.ended: Future[int] = Future()
        """Done with its exit status when nothing of the kernel is left, its sockets included."""
        self.why = ""
        """How it ended, in words."""
        self._info, self._active, self._most_bytes = info, active, most_bytes
        self._codec = Codec(key=info["key"], signature_scheme=info["signature_scheme"])
        self._loop = asyncio.get_running_loop()
        self._close = asyncio.Event()
        self._sockets: dict[Channel, zmq.asyncio.Socket] = {}
        self._all: list[zmq.asyncio.Socket] = []
        self._paths: list[Path] = []
        self._line: Line | None = None
        self._most = most_bytes
        self._cell: dict[str, Any] | None = None

    async def start(self, box: Sandbox, context: zmq.asyncio.Context) -> ServedKernel:
        """Return itself as soon as the kernel is up. Raises `KernelFailed`, and nothing is left then."""
        up: asyncio.Future[None] = self._loop.create_future()
        self._life = asyncio.create_task(self._live(box, context, up))
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

    def _soon(self, call: Any) -> None:
        if not self.ended.done():
            with suppress(RuntimeError):  # its loop has ended meanwhile, and so has the kernel
                self._loop.call_soon_threadsafe(call)

    async def _live(self, box: Sandbox, context: zmq.asyncio.Context, up: asyncio.Future[None]) -> None:
        status = 1
        pumps: list[asyncio.Task[None]] = []
        try:
            works = self._bind(context)
            line = self._line = await box.pool.open(self._setup(), self._from_kernel)
            pumps = [asyncio.create_task(work) for work in works]
            status = await self._last(line, box.limits.start_seconds, up)
        except SandboxError as error:
            self.why = str(error)
            if not up.done():
                up.set_exception(error)
        finally:
            for pump in pumps:
                pump.cancel()
            if self._line is not None:
                with suppress(SandboxError):  # it is gone, then
                    await self._line.close()
            self._unbind()
            self.ended.set_result(status)

    async def _last(self, line: Line, start_seconds: float, up: asyncio.Future[None]) -> int:
        """Wait for the end of the kernel, or for what asks for it; return its exit status."""
        closing = asyncio.create_task(self._close.wait())
        try:
            waits = (line.started, line.ended, closing)
            await asyncio.wait(waits, timeout=start_seconds, return_when=asyncio.FIRST_COMPLETED)
            if not line.started.done():
                why = _how(line.ended.result()) if line.ended.done() else f"not within {start_seconds:g} s"
                raise KernelFailed(f"the kernel did not start: {why}; try `tora doctor`")
            up.set_result(None)
            await asyncio.wait((line.ended, closing), return_when=asyncio.FIRST_COMPLETED)
            if not line.ended.done():
                return -signal.SIGKILL
            try:
                end = line.ended.result()
            except SandboxError as error:
                end = End(1, str(error))
            if end.why or end.status:
                self.why = _how(end)
                self._say(f"the kernel ended: {self.why}")
            return end.status or int(bool(end.why))
        finally:
            closing.cancel()

    def _setup(self) -> dict[str, Any]:
        key, scheme = self._info["key"].decode(), self._info["signature_scheme"]
        return {"key": key, "signature_scheme": scheme, "stop_leftovers": False}

    # The sockets

    def _bind(self, context: zmq.asyncio.Context) -> list[Coroutine[Any, Any, None]]:
        """Open the sockets; return what is to run to serve them."""
        works = [self._echo(self._socket(context, zmq.REP, "hb_port"))]
        for channel, (kind, port) in _SOCKETS.items():
            self._sockets[channel] = socket = self._socket(context, kind, port)
            if kind == zmq.ROUTER:
                socket.router_handover = 1  # a front end that connects anew is still the same
                works.append(self._to_kernel(channel, socket))
        return works

    def _socket(self, context: zmq.asyncio.Context, kind: int, port: str) -> zmq.asyncio.Socket:
        path = f"{self._info['ip']}-{self._info[port]}"
        socket = context.socket(kind)
        socket.linger = int(LINGER_SECONDS * 1000)
        socket.sndhwm = 0  # a front end that reads slowly still reads all: `most_bytes` is the bound
        socket.bind(f"ipc://{path}")
        self._paths.append(Path(path))
        self._all.append(socket)
        return socket

    def _unbind(self) -> None:
        """Close the sockets, whose last messages still go out; another kernel can have their names at once."""
        for path in self._paths:
            path.unlink(missing_ok=True)
        for socket in self._all:
            socket.close()

    async def _echo(self, socket: zmq.asyncio.Socket) -> None:
        """Answer the front ends' question whether the kernel lives."""
        while True:
            await socket.send(await socket.recv())

    async def _to_kernel(self, channel: Channel, socket: zmq.asyncio.Socket) -> None:
        assert self._line is not None
        while True:
            parts = await socket.recv_multipart()
            if channel is Channel.SHELL:
                self._most = self._line.received + self._most_bytes
            self._line.send(channel, parts)

    def _from_kernel(self, channel: Channel, parts: list[bytes]) -> None:
        """Pass a message on. The code in the kernel can send any: what is none is dropped."""
        with suppress(ValueError, TypeError, LookupError, AttributeError, RecursionError):
            identities, rest = self._codec.feed_identities(parts)
            message = self._codec.deserialize(rest)
            kind, content = message["header"]["msg_type"], message["content"]
            if channel is Channel.IOPUB and kind == "status":
                self._note(message["parent_header"], content["execution_state"])
            if not self._active:
                if channel is Channel.IOPUB and kind not in _PUBLISHED:
                    return
                message["content"] = _passive(content)
            self._sockets[channel].send_multipart([*self._codec.serialize(message, identities), *message["buffers"]])
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
            self._sockets[Channel.IOPUB].send_multipart(self._codec.serialize(message, b"stream.stderr"))


def _passive(content: Any) -> Any:
    """`content` without outputs of other kinds, wherever they are in it: what is named by a MIME type has a slash."""
    if isinstance(content, dict):
        return {
            key: value if key == "application/json" else _passive(value)
            for key, value in content.items()
            if "/" not in key or key in PASSIVE
        }
    return [_passive(item) for item in content] if isinstance(content, list) else content


def _how(end: End) -> str:
    if end.why:
        return end.why
    if end.status < 0:
        with suppress(ValueError):
            return f"it was killed by {signal.Signals(-end.status).name}"
    return f"it exited with status {end.status}"
