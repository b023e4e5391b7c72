"""The rule for a run's answer: the last complete, non-empty box."""

from __future__ import annotations

import pytest

from tora_agent.answers import last_box


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{42}.", "42"),
        (r"\boxed{1} or rather \boxed{2}", "2"),
        (r"\boxed{\frac{\sqrt{5}}{2}}", r"\frac{\sqrt{5}}{2}"),
        (r"\boxed{ x = 3 }", "x = 3"),
        ("\\boxed{a\n+b}", "a\n+b"),
        (r"\boxed{0.5}\text{ (see } \frac{1}{2})", "0.5"),
    ],
)
def test_the_last_box_is_the_answer(text: str, answer: str) -> None:
    assert last_box(text) == answer


@pytest.mark.parametrize("command", [r"\boxed{7}", r"\fbox{7}", r"\boxed {7}", "\\boxed\n{7}", r"\fbox  {7}"])
def test_both_commands_and_spaces_before_the_brace(command: str) -> None:
    assert last_box(f"thus ${command}$") == "7"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\left\{ x : x > 0 \right\}}", r"\left\{ x : x > 0 \right\}"),
        (r"\boxed{\left. x \right\}}", r"\left. x \right\}"),
        (r"\boxed{a \\ {b}}", r"a \\ {b}"),
        (r"\boxed{a \\}", r"a \\"),
    ],
)
def test_escaped_braces_do_not_count(text: str, answer: str) -> None:
    assert last_box(text) == answer


@pytest.mark.parametrize(
    "cut", [r"\boxed{", r"\boxed{2", r"\boxed{\frac{1}{2}", r"\boxed{2\}", "\\boxed{2\\", r"\boxed"]
)
def test_a_box_that_never_closes_leaves_the_one_before(cut: str) -> None:
    assert last_box(r"\boxed{1} and then " + cut) == "1"
    assert last_box(cut) is None


@pytest.mark.parametrize("empty", [r"\boxed{}", r"\boxed{ }", "\\boxed{\n}"])
def test_an_empty_box_is_passed_over(empty: str) -> None:
    assert last_box(r"\boxed{1}, in the form " + empty) == "1"
    assert last_box(empty) is None


def test_of_a_box_in_a_box_the_inner_one_counts() -> None:
    assert last_box(r"\boxed{x = \boxed{5}}") == "5"
    assert last_box(r"\boxed{x = \boxed{}}") == r"x = \boxed{}"
    assert last_box(r"\boxed{x = \boxed{5}") == "5"


@pytest.mark.parametrize("text", ["", "42", "boxed{42}", r"\boxes{42}", r"\boxed 42", r"\boxed[42]", r"\mybox{42}"])
def test_anything_else_is_no_box(text: str) -> None:
    assert last_box(text) is None
