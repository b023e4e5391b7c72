"""What is printed while a reply streams."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tora_agent.display import Live


def shown(*pieces: str | None) -> str:
    console = Console(file=io.StringIO(), width=80)
    with Live(console) as live:
        for piece in pieces:
            live({"text": piece})
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_prose_streams_and_code_does_not() -> None:
    assert shown("Let me ", "compute.\n`", "``python\nprint(1)\n```") == "Let me compute."


@pytest.mark.parametrize("opened", ["<think>", ""])
def test_the_reply_follows_the_thought_that_stands_in_it(opened: str) -> None:
    assert shown(opened, "Hm, or 2?", "\n</think>", "\n\nIt is ", "1.").endswith("It is 1.")


def test_a_reply_that_begins_anew_is_shown_anew() -> None:
    assert shown("It is", None, "It is 1.").endswith("asking again)\nIt is 1.")


def test_a_note_stands_on_a_line_of_its_own() -> None:
    console = Console(file=io.StringIO(), width=80)
    with Live(console) as live:
        live({"note": "dialect turns: [it] had to be"})
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "dialect turns: [it] had to be\n"
