"""What a model wrote cannot command the terminal."""

from __future__ import annotations

import io

import pytest
from rich.text import Text

from tora_agent.console import PlainConsole
from tora_agent.display import Live

HOSTILE = "\x1b]0;title\x07\x1b[2J\x9b31mred\b\r\x7f"
HARMLESS = "]0;title[2J31mred"


def test_a_text_without_controls_is_printed_in_our_own_style() -> None:
    out = io.StringIO()
    PlainConsole(file=out, force_terminal=True, color_system="standard").print(Text(HOSTILE, "red"))
    assert out.getvalue() == f"\x1b[31m{HARMLESS}\x1b[0m\n"


@pytest.mark.parametrize("pieces", [[HOSTILE], list(HOSTILE)], ids=["whole", "split"])
def test_a_reply_that_streams_has_no_controls(pieces: list[str]) -> None:
    out = io.StringIO()
    live = Live(PlainConsole(file=out))
    for piece in pieces:
        live({"text": piece})
    assert out.getvalue() == HARMLESS
