"""Other programs' grading rules: what they are known to accept and to reject, and that hostile answers do no harm."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from evals.grading.protocols import NAMES, Panel, protocol
from evals.grading.protocols.number_words import as_digits
from evals.grading.protocols.reading import python_expression
from tests.conftest import PATIENCE
from tora_agent.errors import UsageError

MINERVA = "Final Answer: The final answer is ${}$. I hope it is correct."


@pytest.fixture(scope="module")
def panel() -> Iterator[Panel]:
    with Panel(workers=1, timeout=5.0) as panel:
        yield panel


def boxed(answer: str) -> str:
    """A response that every protocol finds the answer in."""
    return f"It is $\\boxed{{{answer}}}$.\n{MINERVA.format(answer)}\nAnswer: {answer}"


@pytest.mark.parametrize("name", NAMES)
def test_every_protocol_tells_right_from_wrong(panel: Panel, name: str) -> None:
    response = "${}$" if name == "lm-eval-hendrycks" else boxed("{}").replace("{{{}}}", "{{{}}}")
    right, wrong = (response.replace("{}", answer) for answer in ("42", "43"))
    assert panel.grade(name, right, "42").correct
    assert not panel.grade(name, wrong, "42").correct
    assert panel.grade(name, right, "42").reason


@pytest.mark.parametrize("name", NAMES)
def test_a_blank_response_is_wrong(panel: Panel, name: str) -> None:
    assert not panel.grade(name, "", "42").correct


KNOWN = [
    ("tora", boxed("5000"), "50", True, "scaling"),
    ("qwen2.5-math", boxed("5000"), "50", True, "scaling"),
    ("prm800k", boxed("5000"), "50", False, ""),
    ("qwen2.5-math", boxed("[0,1)"), "(0,1)", True, ""),
    ("opencompass", boxed("[0,1)"), "(0,1)", False, "string"),
    ("prm800k", boxed(r"\frac{2}{4}"), r"\frac{1}{2}", False, ""),
    ("math-verify", boxed(r"\frac{2}{4}"), r"\frac{1}{2}", True, ""),
    ("opencompass", boxed(r"\frac{2}{4}"), r"\frac{1}{2}", False, "string"),
    ("opencompass", boxed(r"90^\circ"), "90", True, "string"),
    ("opencompass", "Well. The answer is 7. So", "7", True, "names an answer"),
    ("opencompass", r"It is \boxed{7", "7", False, "no complete box"),
    ("tora", r"It is \boxed{7", "7", True, "the last box"),
    ("tora", "```python\nprint(7)\n```\n```output\n7\n```\nHence.", "7", True, "the last output"),
    ("qwen2.5-math", "There are 3 left, or 7", "7", True, "the last number"),
    ("qwen2.5-math", boxed("seven"), "7", True, ""),
    ("qwen2.5-math", boxed("7*pi"), r"7\pi", False, ""),
    ("lm-eval-minerva", r"It is $\boxed{7}$.", "7", False, "no `Final Answer"),
    ("lm-eval-minerva", MINERVA.format("(1,2)"), "(1,2)", False, "cannot be read"),
    ("lm-eval-minerva", MINERVA.format(r"\frac{2}{4}"), r"\frac{1}{2}", True, "simplifies to 0"),
    ("lm-eval-hendrycks", "It is $7$", "7", True, "between"),
    ("lm-eval-hendrycks", "It is 7", "7", False, "the whole response"),
    ("simple-evals", r"It is $\boxed{7}$.", "7", False, "no `Answer:`"),
    ("simple-evals", r"Answer: $\frac{14}{2}$", "7", True, "Math-Verify"),
    ("simple-evals", "Answer: $7$.", "7", True, "in place of a judge"),
]


@pytest.mark.parametrize(("name", "response", "gold", "correct", "reason"), KNOWN)
def test_known_rules(panel: Panel, name: str, response: str, gold: str, correct: bool, reason: str) -> None:
    ruling = panel.grade(name, response, gold)
    assert ruling.correct is correct, ruling
    assert reason in ruling.reason


HOSTILE = {
    "an endless power": "9^{9^{9^9}}",
    "many brackets": "(" * 300,
    "many braces": "{" * 2000,
    "no text": "\x00\ud800",
}


@pytest.fixture(scope="module")
def hasty() -> Iterator[Panel]:
    with Panel(workers=2, timeout=1.0) as panel:
        yield panel


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_answers_end_and_harm_nothing(hasty: Panel, what: str) -> None:
    started = time.monotonic()
    cases = [(name, boxed(HOSTILE[what]), "2", "") for name in NAMES]
    assert not any(ruling.correct for ruling in hasty.grade_all(cases))
    assert hasty.grade("prm800k", boxed("7"), "7").correct
    assert time.monotonic() - started < PATIENCE


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_run_as_python(panel: Panel, name: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    for code in (
        f"(open('{trace}','w'),2)",
        f"__import__('os').system('touch {trace}')",
        f"(lambda: open('{trace}','w'))()",
    ):
        panel.grade(name, boxed(code), "2")
        panel.grade(name, boxed("2"), code)
    assert not trace.exists()


def test_an_unknown_protocol_is_named(panel: Panel) -> None:
    with pytest.raises(UsageError, match="unknown protocol 'mine'; there are all, lm-eval-minerva"):
        protocol("mine")


@pytest.mark.parametrize(
    ("text", "value"),
    [("7*pi", "7*pi"), ("1/2", "1/2"), ("x**2 + 2*x", "x**2 + 2*x"), ("sqrt(8)", "2*sqrt(2)"), ("(1, -2)", "(1, -2)")],
)
def test_arithmetic_is_read(text: str, value: str) -> None:
    assert str(python_expression(text)) == value


@pytest.mark.parametrize("text", ["a.b", "f(1)", "[x for x in y]", "2 < 3", "'a'*9", "2**99999", "1" * 3000, "True"])
def test_all_else_is_not_read(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        python_expression(text)


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("two hundred and five", "205"),
        ("43₆", "43₆"),
        ("Twenty-one", "21"),
        ("3 million", "1000000"),
        ("x", "x"),
        ("07", "7"),
    ],
)
def test_number_words(text: str, digits: str) -> None:
    assert as_digits(text) == digits


def test_opencompass_scores_come_out_again(shared: Path, panel: Panel) -> None:
    file = shared / "trajectories" / "qwen2.5-72b.math500-opencompass.jsonl"
    rows = [json.loads(line) for line in file.open()]
    rulings = panel.grade_all(("opencompass", row["response"], row["gold"], "") for row in rows)
    assert [ruling.correct for ruling in rulings] == [row["label"] for row in rows]
