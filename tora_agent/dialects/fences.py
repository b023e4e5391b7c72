"""Code as fenced blocks: read a reply up to its first complete block."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tora_agent.answers import last_box, spoken

STOP = ("```output",)
"""A model that goes on here is about to invent its code's output."""
_OPENING = re.compile(
    r"^[ \t]*(?P<fence>`{3,})[ \t]*(?P<code>(?:python3?|py|sympy)\b)?[^\n]*\n", re.MULTILINE | re.IGNORECASE
)
_ANY_BLOCK = re.compile(r"^[ \t]*```.*?(?:^[ \t]*```[^\n]*|\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Turn:
    """What a reply says."""

    text: str
    """The reply up to the end of its first complete code block: what the conversation goes on with."""
    prose: str
    """The same without the block."""
    codes: tuple[str, ...]
    """What is to be run, in order: the content of that block, or the code of each tool call."""
    answer: str | None
    """The last complete box outside of any fenced block; None where code must run first."""
    cut: str = ""
    """What the model wrote after the block, before it could have seen the output; beside tool calls, its blocks and
    what follows them."""
    unreadable: bool = False
    """Whether the model has to be told that a tool call of it cannot be read."""

    @property
    def code(self) -> str | None:
        """The first of `codes`, if any."""
        return self.codes[0] if self.codes else None


def read_reply(reply: str, *, code: bool = True, complete: bool = True) -> Turn:
    """Split `reply` at its first complete code block.

    With `code=False` blocks are prose and nothing is cut. `complete` says that the model ended by itself: then a
    block left open at the very end is taken as closed. What the model only thought is no part of the turn.
    """
    reply = spoken(reply)
    opening = _first_code(reply) if code else None
    if opening is None:
        return Turn(reply, reply, (), last_box(prose(reply)))
    closing = _closing(reply, opening)
    if closing is None and not complete:
        return Turn(reply, reply, (), last_box(prose(reply)))
    end = closing.start() if closing else len(reply)
    block = reply[opening.end() : end]
    return Turn(
        text=f"{reply[:end].rstrip()}\n{opening['fence']}",
        prose=reply[: opening.start()].rstrip(),
        codes=(block.strip("\n"),),
        answer=None,
        cut=reply[closing.end() :].strip() if closing else "",
    )


def _first_code(reply: str) -> re.Match[str] | None:
    """Where the first block of code opens; what stands between longer fences is quoted, and no code."""
    opening = _OPENING.search(reply)
    while opening and not opening["code"]:
        quoted = _closing(reply, opening) if len(opening["fence"]) > 3 else None
        opening = _OPENING.search(reply, quoted.end() if quoted else opening.end())
    return opening


def _closing(reply: str, opening: re.Match[str]) -> re.Match[str] | None:
    """The line that ends the block which `opening` begins: a fence as long, whatever follows it."""
    return re.compile(rf"^[ \t]*{opening['fence']}[^\n]*", re.MULTILINE).search(reply, opening.end())


def fenced(code: str) -> str:
    """`code` as a block, between fences longer than any within it."""
    fence = max(["```", *(run + "`" for run in re.findall("`{3,}", code))], key=len)
    return f"{fence}python\n{code}\n{fence}"


def split_blocks(text: str) -> tuple[str, list[str]]:
    """What stands before the first block of code, and the contents of all of them."""
    before, rest = split_prose(text)
    codes = []
    while opening := _first_code(rest):
        closing = _closing(rest, opening)
        codes.append(rest[opening.end() : closing.start() if closing else len(rest)].removesuffix("\n"))
        rest = rest[closing.end() :] if closing else ""
    return before, codes


def split_prose(text: str) -> tuple[str, str]:
    """What stands before the first block of code, and the rest."""
    opening = _first_code(text)
    return (text[: opening.start()].rstrip(), text[opening.start() :]) if opening else (text, "")


def prose(text: str) -> str:
    """`text` without its fenced blocks."""
    return _ANY_BLOCK.sub("", text)
