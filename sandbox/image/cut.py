"""Shorten text to its head and its tail. Used on both sides: in the container and by the reader on the host."""

from __future__ import annotations

from io import StringIO

NOTE_CHARS = 50
"""At least the length of a `cut_note`."""


class Excerpt:
    """Text that comes in parts: its first `limit // 2` characters pass at once, its last `limit // 2` at the end."""

    def __init__(self, limit: int) -> None:
        self._half = self._room = limit // 2
        self._rest = 0
        self._held = StringIO()

    def add(self, text: str) -> str:
        """Take the next part; return what of it passes at once."""
        head, rest = text[: self._room], text[self._room :]
        self._room -= len(head)
        self._rest += len(rest)
        self._held.write(rest[-self._half :])
        if self._held.tell() > 8 * self._half:  # seldom, since many parts are short
            tail = self._tail()
            self._held = StringIO()
            self._held.write(tail)
        return head

    def end(self) -> str:
        """What was held back, after a line that says how much was cut before it."""
        tail = self._tail()
        return (cut_note(self._rest - len(tail)) if len(tail) < self._rest else "") + tail

    def _tail(self) -> str:
        return self._held.getvalue()[-self._half :]


def cut_middle(text: str, limit: int) -> str:
    """Return `text`, or its first and last `limit // 2` characters with a line that says how much was cut.

    What has been cut to `limit` once, and is longer by that line, is not cut again.
    """
    if len(text) <= limit + NOTE_CHARS:
        return text
    excerpt = Excerpt(limit)
    return excerpt.add(text) + excerpt.end()


def cut_note(chars: int) -> str:
    """The line that stands where `chars` characters were cut."""
    return f"\n... [{chars} characters cut] ...\n"
