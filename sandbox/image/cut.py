"""Shorten text to its head and its tail. Used on both sides: in the container and by the reader on the host."""

from __future__ import annotations


def cut_middle(text: str, limit: int) -> str:
    """Return `text`, or its first and last `limit // 2` characters with a line that says how much was cut."""
    half = limit // 2
    if len(text) <= 2 * half:
        return text
    return f"{text[:half]}{cut_note(len(text) - 2 * half)}{text[-half:]}"


def cut_note(chars: int) -> str:
    """The line that stands where `chars` characters were cut."""
    return f"\n... [{chars} characters cut] ...\n"
