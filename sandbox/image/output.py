"""Runs inside the container: cap what a cell may send, before it is sent, and see to it that it is all sent."""

from __future__ import annotations

import codecs
import io
import os
import select
import threading
import time
from contextvars import ContextVar
from typing import Any

from cut import Excerpt, cut_middle
from jupyter_client.session import extract_header, json_packer

IMAGE_CHARS = 4_000_000
"""Characters of an image, which is of no use in part."""
_PIPE_BYTES = 1 << 16
_LINES_AT_ONCE = 100
"""Lines of a cell that are sent as they come: of a cell that must be killed, they are all there is."""
_FLUSHES_AT_ONCE = 1000
_BLOCK_CHARS, _BLOCK_SECONDS = 8192, 0.05
"""After that, output goes in blocks of so many characters, or of what has come in so many seconds."""


class CappedStream(io.TextIOBase):
    """`sys.stdout` or `sys.stderr`.

    Sends the first half of the limit as it comes, and the last half of what came at the end of the cell.
    What subprocesses and C code write to the descriptor joins it.
    """

    _waker = -1
    encoding = "utf-8"
    errors = "replace"

    def __init__(self, name: str, limit: int) -> None:
        super().__init__()
        self.name = name
        self._limit = limit
        self._lock = threading.RLock()
        self._pumping = threading.Lock()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._parent: ContextVar[dict[str, Any]] = ContextVar("parent")
        self._last_parent: dict[str, Any] = {}
        self._apart: dict[int, tuple[threading.Thread, dict[str, Any]]] = {}
        self._outlet: Any = None
        self._pid = self._pipe = -1
        self.start_cell()

    def begin(self, session: Any, outlet: Any, descriptor: int) -> None:
        """Send over `outlet` from now on, in this process alone, also what is written to `descriptor`."""
        self._session, self._outlet, self._pid = session, outlet, os.getpid()
        self._descriptor = descriptor
        self._pipe, write_end = os.pipe()
        os.dup2(write_end, descriptor)
        os.close(write_end)
        self.buffer = io.FileIO(descriptor, "w", closefd=False)

    def start_cell(self) -> None:
        """Begin anew with the whole limit."""
        with self._lock:
            self._excerpt = Excerpt(self._limit)
            self._waiting: list[str] = []
            self._chars = self._lines = self._flushes = 0
            self._sent_at = 0.0

    def end_cell(self) -> None:
        """Send what was held back and what subprocesses wrote, and say how much was cut."""
        self.pump()
        with self._lock:
            if held := self._excerpt.end():
                self._waiting.append(held)
            self._flush()
            self.start_cell()

    def set_parent(self, parent: dict[str, Any]) -> None:
        """Name the request that what is written from now on belongs to."""
        self._last_parent = extract_header(parent)
        self._parent.set(self._last_parent)

    def keep_thread_apart(self, thread: threading.Thread) -> None:
        """What that thread still writes belongs to the request of now, not to a later one."""
        number = thread.ident or 0
        if number not in self._apart or self._apart[number][0] is not thread:
            self._apart[number] = thread, self._last_parent

    def write(self, string: str) -> int:
        """Write as much of `string` as the limit lets through; the result is its whole length."""
        if not isinstance(string, str):
            raise TypeError(f"write() argument must be str, not {type(string).__name__}")
        if os.getpid() != self._pid:  # a fork: the descriptor leads to the kernel
            if self._pid > 0:
                data = memoryview(string.encode("utf-8", "replace"))
                while data:
                    data = data[os.write(self._descriptor, data) :]
            return len(string)
        apart = self._apart.get(threading.get_ident())
        if apart is not None and apart[0].is_alive():  # or it is another thread, which has its number now
            self._send(string[: self._limit], apart[1])
            return len(string)
        self.pump()  # what a subprocess wrote before comes before
        self._pass(string)
        return len(string)

    def flush(self) -> None:
        """Send what waits to be sent; of very many calls in a cell, not for each of them."""
        self._flushes += 1
        if self._flushes <= _FLUSHES_AT_ONCE or time.monotonic() - self._sent_at > _BLOCK_SECONDS:
            self._flush()

    def _flush(self) -> None:
        with self._lock:
            if self._waiting:
                text = "".join(self._waiting)
                self._waiting, self._chars, self._sent_at = [], 0, time.monotonic()
                self._send(text, self._parent.get(self._last_parent))

    def pump(self) -> None:
        """Take what the pipe holds now, which is one read at most, since processes may write to it for ever."""
        if self._pipe < 0:
            return
        with self._pumping:
            if select.select([self._pipe], [], [], 0)[0]:
                self._pass(self._decoder.decode(os.read(self._pipe, _PIPE_BYTES)))

    @property
    def waits(self) -> bool:
        """Whether something is held back that should go soon."""
        return bool(self._waiting)

    @staticmethod
    def pump_in_thread(streams: tuple[CappedStream, ...]) -> None:
        """Keep pumping, and flushing what has waited long enough."""

        woken, CappedStream._waker = os.pipe()

        def pump() -> None:
            while True:
                patience = _BLOCK_SECONDS if any(stream.waits for stream in streams) else None
                ready = select.select([woken, *(stream._pipe for stream in streams)], [], [], patience)[0]
                if woken in ready:
                    os.read(woken, _PIPE_BYTES)
                for stream in streams:
                    if stream._pipe in ready:
                        stream.pump()
                    elif stream.waits and not ready:
                        stream._flush()

        threading.Thread(target=pump, name="output", daemon=True).start()

    def _pass(self, string: str) -> None:
        with self._lock:
            head = self._excerpt.add(string)
            if not head:
                return
            self._waiting.append(head)
            self._chars += len(head)
            self._lines += head.count("\n")
            due = self._lines <= _LINES_AT_ONCE or time.monotonic() - self._sent_at > _BLOCK_SECONDS
            if (due and head.endswith("\n")) or self._chars > _BLOCK_CHARS:
                self._flush()
            elif len(self._waiting) == 1 and self._waker >= 0:
                os.write(self._waker, b"1")  # the thread is to see to it that it goes soon

    def _send(self, text: str, parent: dict[str, Any]) -> None:
        if self._outlet is not None:
            topic = f"stream.{self.name}".encode()
            content = {"name": self.name, "text": text}
            self._session.send(self._outlet, "stream", content, parent=parent, ident=topic)

    # The rest of what a text file is

    def fileno(self) -> int:
        """The descriptor behind it, which subprocesses can be given."""
        if self._pid < 0:
            raise io.UnsupportedOperation("fileno")
        return self._descriptor

    def writable(self) -> bool:
        """Yes."""
        return True

    def isatty(self) -> bool:
        """No."""
        return False

    def close(self) -> None:
        """Stay open: code that closes `sys.stdout` would silence every later cell."""


def pack(limit: int, part: Any) -> bytes:
    """JSON of a part of a message, without what would keep it from arriving: long texts and lone surrogates."""
    packed: bytes = json_packer(_clipped(part, limit))
    return packed


def _clipped(part: Any, limit: int) -> Any:
    if isinstance(part, str):
        return cut_middle(part.encode("utf-8", "replace").decode(), limit)
    if isinstance(part, dict):
        return {key: _clipped(value, _room(key, value, limit)) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [_clipped(item, limit) for item in part]
    return part


def _room(key: object, value: object, limit: int) -> int:
    """An image goes whole, unless it is huge: then a few of its characters go, by which the reader knows."""
    if isinstance(key, str) and key.startswith("image/") and isinstance(value, str):
        return IMAGE_CHARS if len(value) <= IMAGE_CHARS else limit
    return limit
