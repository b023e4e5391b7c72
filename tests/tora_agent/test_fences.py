"""A reply is read up to its first complete code block."""

from __future__ import annotations

import pytest

from tora_agent.dialects.fences import read_reply


def test_a_reply_without_code_is_prose_with_an_answer() -> None:
    reply = "Clearly\n$\\boxed{4}$."
    turn = read_reply(reply)
    assert (turn.text, turn.prose, turn.code, turn.answer, turn.cut) == (reply, reply, None, "4", "")


def test_prose_and_code_are_parted() -> None:
    turn = read_reply("First compute.\n\n```python\nx = 1\n\nprint(x)\n```\n")
    assert turn.prose == "First compute."
    assert turn.code == "x = 1\n\nprint(x)"
    assert turn.text == "First compute.\n\n```python\nx = 1\n\nprint(x)\n```"
    assert (turn.answer, turn.cut) == (None, "")


def test_text_after_the_block_is_cut_and_recorded() -> None:
    turn = read_reply("A\n```python\nprint(1)\n```\nThe output is 1, so \\boxed{1}.")
    assert turn.text == "A\n```python\nprint(1)\n```"
    assert turn.cut == "The output is 1, so \\boxed{1}."
    assert turn.answer is None


def test_of_several_blocks_the_first_is_run() -> None:
    turn = read_reply("```python\na = 1\n```\nthen\n```python\nprint(a)\n```")
    assert turn.code == "a = 1"
    assert turn.cut == "then\n```python\nprint(a)\n```"


@pytest.mark.parametrize(
    "language", ["python", "Python", "python3", "Python3", "py", "PY", "sympy", "python copy", " python"]
)
def test_the_names_of_python(language: str) -> None:
    assert read_reply(f"```{language}\nprint(1)\n```").code == "print(1)"


@pytest.mark.parametrize("language", ["", "text", "latex", "output", "pycon", "pythonic", "bash", "c++"])
def test_other_languages_are_prose(language: str) -> None:
    reply = f"```{language}\nprint(1)\n```\n\\boxed{{2}}"
    turn = read_reply(reply)
    assert (turn.code, turn.text, turn.answer) == (None, reply, "2")


def test_a_block_of_another_language_may_come_before_the_code() -> None:
    turn = read_reply("```text\na plan\n```\nNow:\n```python\nprint(1)\n```")
    assert turn.code == "print(1)"
    assert turn.prose == "```text\na plan\n```\nNow:"


def test_a_fence_begins_its_line() -> None:
    assert read_reply("Use ```python\nprint(1)\n``` here").code is None
    assert read_reply("```python\nprint('```')\n```").code == "print('```')"


def test_indented_fences() -> None:
    turn = read_reply("1. Compute\n   ```python\n   x = 1\n   print(x)\n   ```\n2. Conclude")
    assert turn.code == "   x = 1\n   print(x)"
    assert turn.cut == "2. Conclude"


@pytest.mark.parametrize("body", ["", "print(1)", "print(1)\n", "print(1)\n\n"])
def test_a_block_left_open_at_the_end_is_closed_only_if_the_model_ended_by_itself(body: str) -> None:
    reply = f"So\n```python\n{body}"
    ended = read_reply(reply, complete=True)
    assert ended.code == body.strip()
    assert ended.text.endswith("\n```")
    assert ended.prose == "So"
    cut = read_reply(reply, complete=False)
    assert (cut.code, cut.text, cut.answer) == (None, reply, None)


def test_a_complete_block_counts_although_the_reply_was_cut_later() -> None:
    turn = read_reply("```python\nprint(1)\n```\nThe res", complete=False)
    assert (turn.code, turn.cut) == ("print(1)", "The res")


def test_an_output_fence_right_after_the_code_closes_it() -> None:
    turn = read_reply("```python\nprint(1)\n```output\n1\n```\nSo \\boxed{1}")
    assert turn.code == "print(1)"
    assert turn.text == "```python\nprint(1)\n```"
    assert turn.cut == "1\n```\nSo \\boxed{1}"


@pytest.mark.parametrize("language", ["python", "output", "text", ""])
def test_a_box_inside_a_block_is_never_the_answer(language: str) -> None:
    block = f"```{language}\n\\boxed{{9}}\n```"
    assert read_reply(block).answer is None
    assert read_reply(block, code=False).answer is None
    assert read_reply(f"\\boxed{{3}}\n{block}", code=False).answer == "3"


def test_a_box_in_a_block_left_open_is_never_the_answer() -> None:
    assert read_reply("```output\n\\boxed{9}").answer is None
    assert read_reply("\\boxed{3}\n```python\n# \\boxed{9}", complete=False).answer == "3"


def test_without_code_blocks_are_prose_and_nothing_is_cut() -> None:
    reply = "```python\nprint(1)\n```\nSo \\boxed{1}"
    turn = read_reply(reply, code=False)
    assert (turn.text, turn.prose, turn.code, turn.answer, turn.cut) == (reply, reply, None, "1", "")


def test_an_empty_reply() -> None:
    turn = read_reply("")
    assert (turn.text, turn.prose, turn.code, turn.answer, turn.cut) == ("", "", None, None, "")


THOUGHT = "Maybe\n```python\nprint(0)\n```\nor \\boxed{0}?"


@pytest.mark.parametrize("opened", ["<think>\n", "\n<think>", ""])
def test_a_thought_is_neither_run_nor_an_answer(opened: str) -> None:
    turn = read_reply(f"{opened}{THOUGHT}\n</think>\n\nLook.\n```python\nprint(1)\n```")
    assert (turn.codes, turn.text) == (("print(1)",), "Look.\n```python\nprint(1)\n```")
    assert read_reply(f"{opened}{THOUGHT}</think>It is \\boxed{{1}}.").answer == "1"


@pytest.mark.parametrize("complete", [True, False])
def test_a_thought_that_does_not_end_is_all_there_is(complete: bool) -> None:
    turn = read_reply(f"<think>{THOUGHT}", complete=complete)
    assert (turn.text, turn.codes, turn.answer) == ("", (), None)
