"""Runs inside the container: cap what a cell may send, before it is sent, and see to it that it is all sent."""

from __future__ import annotations

import codecs
import os
import select
import sys
import threading
from typing import Any

from cut import Excerpt, cut_middle
from ipykernel.iostream import OutStream
from jupyter_client.session import json_packer

_PIPE_BYTES = 1 << 16
_LIMIT = 100_000


class CappedStream(OutStream):  # type: ignore[misc]
    """A stream that passes on the first half of the limit at once and the last half at the end of the cell."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._pumping = threading.Lock()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.start_cell()
        super().__init__(*args, **kwargs)

    def start_cell(self) -> None:
        """Begin anew with the whole limit."""
        self._excerpt = Excerpt(_LIMIT)

    def write(self, string: str) -> int | None:
        """Write as much of `string` as the limit lets through; the result is its whole length."""
        if not self._is_master_process():  # a fork ends without `end_cell`: what it held back would be lost
            return super().write(string)  # type: ignore[no-any-return]
        self._pump()  # what a subprocess wrote before comes before
        self._pass(string)
        return len(string)

    def end_cell(self) -> None:
        """Send what was held back and what subprocesses wrote, and say how much was cut."""
        self._pump()
        if held := self._excerpt.end():
            super().write(held)
        self.start_cell()

    def close(self) -> None:
        """Stay open: code that closes `sys.stdout` would silence every later cell."""

    def _watch_pipe_fd(self) -> None:
        """Pass on what subprocesses and C code write to the descriptor; runs in a thread."""
        while True:
            select.select([self._fid], [], [])
            self._pump()

    def _pump(self) -> None:
        """Take what the pipe holds now, which is one read at most, since processes may write to it for ever."""
        with self._pumping:
            if self._fid is not None and select.select([self._fid], [], [], 0)[0]:
                self._pass(self._decoder.decode(os.read(self._fid, _PIPE_BYTES)))

    def _pass(self, string: str) -> None:
        if head := self._excerpt.add(string):
            super().write(head)


def pack(part: Any) -> bytes:
    """JSON of a part of a message, without what would keep it from arriving: long texts and lone surrogates."""
    packed: bytes = json_packer(_clipped(part))
    return packed


def _clipped(part: Any) -> Any:
    if isinstance(part, str):
        return cut_middle(part.encode("utf-8", "replace").decode(), _LIMIT)
    if isinstance(part, dict):
        return {key: _clipped(value) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [_clipped(item) for item in part]
    return part


def cap_outputs(shell: Any, limit: int) -> None:
    """Let every cell of `shell` send at most `limit` characters to each stream, and as many of any other text."""
    global _LIMIT
    _LIMIT = limit
    streams: tuple[Any, ...] = (sys.stdout, sys.stderr)

    def start_cell(*_: Any) -> None:
        for stream in streams:
            stream.start_cell()

    def end_cell(*_: Any) -> None:
        for stream in streams:
            stream.end_cell()
        # What a cell put in their place, and perhaps failed to take away, would silence every later cell.
        sys.stdout, sys.stderr = streams

    shell.events.register("pre_run_cell", start_cell)
    shell.events.register("post_run_cell", end_cell)
