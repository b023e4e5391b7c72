r"""What a model says: its reply without its thought, and of that the answer, the last complete `\boxed{}`."""

from __future__ import annotations

import re

_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")


def spoken(reply: str) -> str:
    """`reply` without the thought that it begins with, where the server does not part the two.

    A thought ends with </think>; <think> may be missing, because some chat templates write it before the model begins.
    """
    _, closing, rest = reply.partition("</think>")
    if closing:
        return rest.lstrip("\n")
    return "" if reply.lstrip().startswith("<think>") else reply


def last_box(text: str) -> str | None:
    r"""Return the content of the last complete, non-empty `\boxed{...}` (or `\fbox`) in `text`, or None.

    Braces are balanced; escaped ones (`\{`) do not count. A box that never closes is passed over.
    """
    for opening in reversed(list(_BOX.finditer(text))):
        content = _group(text, opening.end())
        if content is not None and content.strip():
            return content.strip()
    return None


def _group(text: str, start: int) -> str | None:
    """The text from `start` to the brace that closes the group opened just before it."""
    depth, i = 1, start
    while i < len(text):
        if text[i] == "\\":
            i += 1
        elif text[i] == "{":
            depth += 1
        elif text[i] == "}":
            depth -= 1
            if depth == 0:
                return text[start:i]
        i += 1
    return None
