"""Runs inside the container: cap what a cell may send, before it is sent."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from cut import cut_middle, cut_note
from ipykernel.iostream import OutStream

_LIMIT = 100_000


class CappedStream(OutStream):  # type: ignore[misc]
    """A stream that passes on the first half of the limit at once and the last half at the end of the cell."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.start_cell()

    def start_cell(self) -> None:
        """Begin anew with the whole limit."""
        self._room = _LIMIT // 2
        self._tail = ""
        self._cut = 0

    def write(self, string: str) -> int | None:
        """Write as much of `string` as the limit lets through; the result is its whole length."""
        string = string.encode("utf-8", "replace").decode()  # a lone surrogate would break the message
        head, rest = string[: self._room], string[self._room :]
        self._room -= len(head)
        if rest:
            kept = self._tail + rest[-_LIMIT:]
            over = max(0, len(kept) - _LIMIT // 2)
            self._cut += over + len(rest) - len(rest[-_LIMIT:])
            self._tail = kept[over:]
        if head:
            super().write(head)
        return len(string)

    def end_cell(self) -> None:
        """Send what was held back, and say how much was cut before it."""
        if self._tail:
            super().write((cut_note(self._cut) if self._cut else "") + self._tail)
        self._tail = ""


def cap_outputs(shell: Any, limit: int) -> None:
    """Let every cell of `shell` send at most `limit` characters to each stream, and as many of a value's text."""
    global _LIMIT
    _LIMIT = limit

    def shorten(message: dict[str, Any]) -> dict[str, Any]:
        data = message["content"]["data"]
        message["content"]["data"] = {
            mime: cut_middle(text.encode("utf-8", "replace").decode(), limit) if isinstance(text, str) else text
            for mime, text in data.items()
        }
        return message

    def of_streams(step: Callable[[CappedStream], None]) -> Callable[..., None]:
        def handler(*_: Any) -> None:
            for stream in (sys.stdout, sys.stderr):
                if isinstance(stream, CappedStream):
                    step(stream)

        return handler

    shell.displayhook.register_hook(shorten)
    shell.display_pub.register_hook(shorten)
    shell.events.register("pre_run_cell", of_streams(CappedStream.start_cell))
    shell.events.register("post_run_cell", of_streams(CappedStream.end_cell))
