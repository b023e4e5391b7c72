"""How bytes cross between the host and the kernels. Used on both sides of the container's wall.

The container's standard input and output carry *frames*, each of one session and of one `Kind`. The `DATA` frames of a
session, put together, are a stream of Jupyter *messages*: a channel and the parts that would travel over ZeroMQ.
Both are blocks: four bytes that say the length of what follows.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from enum import IntEnum

CHUNK = 1 << 16
"""Bytes read at a time."""
_LENGTH = struct.Struct("!I")
_FRAME = struct.Struct("!IIB")
_MESSAGE = struct.Struct("!BH")


class Kind(IntEnum):
    """What a frame says. The first five go in, the others come out."""

    OPEN = 1
    """Begin a session; the payload is the first message of its stream."""
    DATA = 2
    """Bytes of a session's stream, either way."""
    INTERRUPT = 3
    """Send SIGINT to the kernel."""
    WHERE = 4
    """Ask where the kernel's main thread is; answered by a TRACE."""
    CLOSE = 5
    """End a session; answered by CLOSED."""
    READY = 6
    """The fork server is up. Of no session."""
    TRACE = 7
    """A stack as `faulthandler` prints it, innermost frame first; empty if none could be had."""
    ENDED = 8
    """The kernel is gone; the payload is JSON: {"status": as of `os.waitstatus_to_exitcode`, "why": str}."""
    CLOSED = 9
    """Every process of the session is dead and its files are deleted."""
    FAILED = 10
    """The session could not be opened, or (as of no session) the container gives up; the payload says why."""


class Channel(IntEnum):
    """The channels of the Jupyter protocol, but for the heartbeat."""

    SHELL = 0
    IOPUB = 1
    STDIN = 2
    CONTROL = 3


class Blocks:
    """Cuts a stream of bytes into its blocks, none longer than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take more of the stream; yield the blocks it completes. Raises `ValueError` on one that is too long."""
        self._buffer += data
        start, end = 0, len(self._buffer)
        while end - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer, start)
            if length > self._limit:
                raise ValueError(f"a block of {length} bytes")
            begin = start + _LENGTH.size
            if end - begin < length:
                break
            start = begin + length
            yield bytes(self._buffer[begin:start])
        del self._buffer[:start]


def pack_frame(kind: Kind, session: int = 0, payload: bytes = b"") -> bytes:
    """A frame as it travels."""
    return _FRAME.pack(len(payload) + _FRAME.size - _LENGTH.size, session, kind) + payload


def read_frame(block: bytes) -> tuple[Kind, int, bytes]:
    """Kind, session and payload of a frame. Raises `ValueError`."""
    session, kind = struct.unpack_from("!IB", block)
    return Kind(kind), session, block[5:]


def pack_message(channel: Channel, parts: Iterable[bytes]) -> bytes:
    """A message as it travels."""
    parts = list(parts)
    lengths = struct.pack(f"!{len(parts)}I", *map(len, parts))
    body = b"".join((_MESSAGE.pack(channel, len(parts)), lengths, *parts))
    return _LENGTH.pack(len(body)) + body


def read_message(block: bytes) -> tuple[Channel, list[bytes]]:
    """Channel and parts of a message. Raises `ValueError`: the code in the session may have written anything."""
    try:
        channel, count = _MESSAGE.unpack_from(block)
        lengths = struct.unpack_from(f"!{count}I", block, _MESSAGE.size)
    except struct.error as error:
        raise ValueError(str(error)) from error
    parts, start = [], _MESSAGE.size + 4 * count
    if start + sum(lengths) != len(block):
        raise ValueError("the parts of a message do not add up")
    for length in lengths:
        parts.append(block[start : start + length])
        start += length
    return Channel(channel), parts
