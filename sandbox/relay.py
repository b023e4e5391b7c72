"""The host's end of a container's standard input and output: opens sessions in it and carries their messages."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sandbox.errors import KernelFailed
from sandbox.image.frames import CHUNK, Blocks, Channel, Kind, pack_frame, pack_message, read_frame, read_message

MAX_MESSAGE_BYTES = 16 << 20
"""Of one message of a session. Its own kernel sends less; what its code sends instead may be anything."""
CLOSE_SECONDS = 30.0
"""After which a container that has not ended a session is given up."""
_STDOUT = 1
_HEADER = struct.Struct("!B3xI")
"""What Docker puts before each piece of a container's output: of which stream it is, and how long."""
_LAST_WORDS = 2000

Listener = Callable[[Channel, list[bytes]], None]


@dataclass(frozen=True)
class End:
    """How a kernel ended."""

    status: int = 0
    """Exit status; negative: the signal that killed it."""
    why: str = ""
    """What the container knows of it, if anything."""

    def __str__(self) -> str:
        """In words."""
        if self.why:
            return self.why
        if self.status < 0:
            with suppress(ValueError):
                return f"it was killed by {signal.Signals(-self.status).name}"
            return f"it was killed by signal {-self.status}"
        return f"it exited with status {self.status}"


class Line:
    """One session's way to its kernel and back."""

    def __init__(self, relay: Relay, number: int, listener: Listener) -> None:
        self._relay, self._number, self._listener = relay, number, listener
        self._blocks = Blocks(MAX_MESSAGE_BYTES)
        loop = asyncio.get_running_loop()
        self.started: asyncio.Future[None] = loop.create_future()
        """Done with the kernel's first message."""
        self.ended: asyncio.Future[End] = loop.create_future()
        """Done when the kernel is gone. Raises `KernelFailed` if the sandbox, and not the code, is why."""
        self._closed: asyncio.Future[None] = loop.create_future()
        self._stack: asyncio.Future[str] | None = None
        self.received = 0
        """Bytes that have come so far."""

    def send(self, channel: Channel, parts: list[bytes]) -> None:
        """Send a message to the kernel; it is lost if there is none any more."""
        data = memoryview(pack_message(channel, parts))
        for start in range(0, len(data), CHUNK):
            self._relay.write(Kind.DATA, self._number, bytes(data[start : start + CHUNK]))

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the cell."""
        self._relay.write(Kind.INTERRUPT, self._number)

    async def where(self, seconds: float) -> str:
        """The stack of the kernel's main thread as `faulthandler` prints it; empty if none comes in time."""
        self._stack = asyncio.get_running_loop().create_future()
        self._relay.write(Kind.WHERE, self._number)
        with suppress(TimeoutError):
            return await asyncio.wait_for(self._stack, seconds)
        return ""

    async def close(self) -> None:
        """Return when every process of the session is dead and its files are deleted. Safe to call twice.

        Raises `KernelFailed` where the container does not answer; it is then gone.
        """
        self._relay.write(Kind.CLOSE, self._number)
        try:
            await asyncio.wait_for(asyncio.shield(self._closed), CLOSE_SECONDS)
        except TimeoutError:
            self._relay.abort("the sandbox container does not answer")
            raise self._relay.failure() from None

    def take(self, kind: Kind, payload: bytes) -> None:
        """Handle one frame of this session."""
        if kind is Kind.DATA:
            self._take_data(payload)
        elif kind is Kind.TRACE:
            if self._stack and not self._stack.done():
                self._stack.set_result(payload.decode(errors="replace"))
        elif kind is Kind.ENDED:
            self.end(End(**json.loads(payload)))
        elif kind is Kind.FAILED:
            self.fail(KernelFailed(f"the sandbox could not open a session: {payload.decode(errors='replace')}"))
        elif kind is Kind.CLOSED:
            self.end(End())
            self._relay.forget(self._number)
            if not self._closed.done():
                self._closed.set_result(None)

    def refuse(self, why: str) -> None:
        """Have the kernel killed for what it sent."""
        self.end(End(why=why))
        self._relay.write(Kind.CLOSE, self._number)

    def end(self, end: End) -> None:
        """The kernel is gone."""
        if not self.ended.done():
            self.ended.set_result(end)

    def fail(self, failure: KernelFailed) -> None:
        """So is the sandbox."""
        if not self.ended.done():
            self.ended.set_exception(failure)
            self.ended.exception()  # seen, whether or not a cell waits for it
        if not self._closed.done():
            self._closed.set_result(None)

    def _take_data(self, payload: bytes) -> None:
        self.received += len(payload)
        if self.ended.done():
            return
        try:
            for block in self._blocks.feed(payload):
                channel, parts = read_message(block)
                if not self.started.done():
                    self.started.set_result(None)
                self._listener(channel, parts)
                if self.ended.done():
                    return
        except ValueError as error:  # nothing after this can be understood
            self.refuse(f"it sent what no kernel sends: {error}")


class Relay(asyncio.Protocol):
    """The stream to one container, which its supervisor (`image/supervisor.py`) is at the other end of."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        """Done when the fork server is up. Raises `KernelFailed`."""
        self.gone: asyncio.Future[None] = loop.create_future()
        """Done when the container is."""
        self.lines: dict[int, Line] = {}
        self._numbers = itertools.count(1)
        self._transport: asyncio.Transport | None = None
        self._raw = bytearray()
        self._frames = Blocks(MAX_MESSAGE_BYTES)
        self._said = ""
        self._why = ""

    @classmethod
    async def over(cls, stream: Any) -> Relay:
        """Begin to use `stream`, a socket attached to a container."""
        loop = asyncio.get_running_loop()
        plain = stream if type(stream) is socket.socket else _pumped(stream)
        plain.setblocking(False)
        _, relay = await loop.create_connection(cls, sock=plain)
        return relay

    def open(self, setup: dict[str, Any], listener: Listener) -> Line:
        """Begin a session whose kernel gets `setup` (see `image/kernel.py`); its messages go to `listener`."""
        number = next(self._numbers)
        line = Line(self, number, listener)
        self.lines[number] = line
        if self.gone.done():
            line.fail(self.failure())
        self.write(Kind.OPEN, number, pack_message(Channel.CONTROL, [json.dumps(setup).encode()]))
        return line

    def write(self, kind: Kind, session: int, payload: bytes = b"") -> None:
        """Send a frame; it is lost if the container is gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(pack_frame(kind, session, payload))

    def forget(self, session: int) -> None:
        """No frame of that session will come any more."""
        self.lines.pop(session, None)

    def abort(self, why: str) -> None:
        """Give the container up."""
        self._why = self._why or why
        if self._transport is not None:
            self._transport.abort()
        self.connection_lost(None)

    def failure(self) -> KernelFailed:
        """What to raise once the container is gone."""
        said = " ".join(self._said.split())[-300:]
        why = self._why or "the sandbox container was taken away; check the Docker Engine"
        return KernelFailed(f"{why} ({said})" if said else why)

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Can write from now on."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take what the container has said."""
        self._raw += data
        start = 0
        while len(self._raw) - start >= _HEADER.size:
            stream, length = _HEADER.unpack_from(self._raw, start)
            end = start + _HEADER.size + length
            if len(self._raw) < end:
                break
            piece = bytes(self._raw[start + _HEADER.size : end])
            start = end
            if stream == _STDOUT:
                self._take(piece)
            else:
                self._said = (self._said + piece.decode(errors="replace"))[-_LAST_WORDS:]
        del self._raw[:start]

    def connection_lost(self, exc: Exception | None) -> None:
        """The container is gone, and every session with it."""
        if self.gone.done():
            return
        self.gone.set_result(None)
        if not self.ready.done():
            self.ready.set_exception(self.failure())
            self.ready.exception()
        for line in list(self.lines.values()):
            line.fail(self.failure())
        self.lines.clear()

    def _take(self, piece: bytes) -> None:
        try:
            for block in self._frames.feed(piece):
                kind, session, payload = read_frame(block)
                if session in self.lines:
                    self.lines[session].take(kind, payload)
                elif kind is Kind.READY and not self.ready.done():
                    self.ready.set_result(None)
                elif kind is Kind.FAILED and not session:
                    self.abort(f"the sandbox gives up: {payload.decode(errors='replace')}; try `tora doctor`")
        except (ValueError, struct.error) as error:
            self.abort(f"the sandbox container sent what it should not ({error})")


def _pumped(stream: Any) -> socket.socket:
    """A plain socket in the place of `stream`, which may be one over TLS or SSH that asyncio cannot use."""
    near, far = socket.socketpair()

    def pump(source: Any, target: Any) -> None:
        with suppress(OSError, ValueError):
            while data := source.recv(CHUNK):
                target.sendall(data)
        for end in (near, far, stream):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    for source, target in ((stream, far), (far, stream)):
        threading.Thread(target=pump, args=(source, target), name="tora-relay", daemon=True).start()
    return near
