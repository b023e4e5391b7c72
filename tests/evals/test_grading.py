"""Verdicts, on ordinary answers and on hostile ones."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from evals.grading import Grader, Verdict
from tests.evals.making import trajectory
from tora_agent.steps import FailureKind, ModelCall, Retry, Usage, Verification

TIMEOUT = 3.0
MARGIN = 30.0
"""Seconds that noticing the time-out and killing the worker may take on a busy machine."""
OWN_SECONDS = 2.0
"""Processor time that what is done in this process may take."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory in which the worker runs."""
    return tmp_path_factory.mktemp("worker")


@pytest.fixture(scope="module")
async def grader(folder: Path) -> AsyncIterator[Grader]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        async with Grader(timeout=TIMEOUT) as grader:
            yield grader


async def verdict(grader: Grader, answer: str | None, gold: str, failure: FailureKind | None = None) -> Verdict:
    return (await grader.grade(trajectory(answer, failure=failure), gold)).verdict


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        (r"\frac{1}{2}", r"\dfrac12"),
        ("0.5", r"\frac{1}{2}"),
        ("1/2", r"\frac{2}{4}"),
        (r"-\frac{7}{3}", r"\frac{-7}{3}"),
        (r"\sqrt{8}", r"2\sqrt{2}"),
        (r"\frac{1}{\sqrt{2}}", r"\frac{\sqrt2}{2}"),
        ("[0, 1)", "[0,1)"),
        (r"(-\infty, 2] \cup [3, \infty)", r"(-\infty,2]\cup[3,\infty)"),
        ("(1, 2)", "(1,2)"),
        (r"\left( 3, \frac{\pi}{2} \right)", r"(3,\pi/2)"),
        ("2.", "2"),
        (r"\frac{3}{4}.", "0.75"),
        (r"2\,.", "2"),
        (r"\text{green}", "green"),
        (r"\text{(C)}", r"\text{(C)}"),
        ("x^2 + 2x + 1", "(x+1)^2"),
        (r"90^\circ", "90"),
        (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
        (" 7 ", "7"),
    ],
)
async def test_same_value_in_another_form_is_correct(grader: Grader, answer: str, gold: str) -> None:
    assert await verdict(grader, answer, gold) is Verdict.CORRECT


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("3", "2"),
        ("200", "2"),
        (r"\frac{1}{2}", r"\frac{1}{3}"),
        (r"\sqrt{8}", r"\sqrt{2}"),
        ("[0,1)", "(0,1)"),
        ("(2,1)", "(1,2)"),
        ("0.333", r"\frac{1}{3}"),
        (r"\text{green}", r"\text{red}"),
        (r"-\infty", r"\infty"),
        ("x^2 + 1", "(x+1)^2"),
        ("(1,2)", "1"),
        (".", "0"),
    ],
)
async def test_another_value_is_wrong(grader: Grader, answer: str, gold: str) -> None:
    assert await verdict(grader, answer, gold) is Verdict.WRONG


@pytest.mark.anyio
async def test_grade_says_what_was_compared(grader: Grader) -> None:
    grade = await grader.grade(trajectory("0.5", "own/9", sample=3), r"\frac12")
    assert (grade.problem_id, grade.sample, grade.answer, grade.gold) == ("own/9", 3, "0.5", r"\frac12")
    assert (grade.tier, grade.reason) == ("exact", "equal part by part, in exact arithmetic")
    assert (grade.answer_form, grade.gold_form) == ("1/2", "1/2")


@pytest.mark.anyio
async def test_the_first_attempt_is_graded_where_another_followed(grader: Grader) -> None:
    call = ModelCall(raw="", finish_reason="stop", usage=Usage(), seconds=0)
    checks = [Verification(answer=each, state="False", reason="", call=call) for each in ("7", "2")]
    asked = Retry(reason="check_false", text="again")
    retried = trajectory("2").model_copy(update={"steps": [checks[0], asked, checks[1]]})
    assert (await grader.grade(retried, "2")).first_verdict is Verdict.WRONG
    unread = trajectory("2").model_copy(update={"steps": [Retry(reason="bad_call", text="JSON, please")]})
    assert (await grader.grade(unread, "2")).first_verdict is None


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (None, Verdict.NO_ANSWER),
        ("no_answer", Verdict.NO_ANSWER),
        ("out_of_rounds", Verdict.NO_ANSWER),
        ("out_of_time", Verdict.NO_ANSWER),
        ("code_failed", Verdict.NO_ANSWER),
        ("truncated", Verdict.TRUNCATED),
        ("context_full", Verdict.TRUNCATED),
    ],
)
async def test_missing_answer_has_its_own_verdict(
    grader: Grader, failure: FailureKind | None, expected: Verdict
) -> None:
    assert await verdict(grader, None, "2", failure) is expected


@pytest.mark.anyio
@pytest.mark.parametrize(
    "answer",
    [
        "9^{9^{9^9}}",
        "10^{10^{10}}",
        "{" * 100_000 + "}" * 100_000,
        "1 + x " * 170_000,
        "__import__('os').system('touch X')",
        "(open('X', 'w'), 2)",
        "2\0",
        "\ud800 3",
        "",
    ],
    ids=["tower", "power", "braces", "megabyte", "import", "open", "nul", "surrogate", "empty"],
)
async def test_hostile_answer_costs_no_more_than_its_time(grader: Grader, folder: Path, answer: str) -> None:
    # The worker is warm, with the library that only some answers need.
    assert await verdict(grader, r"\lim_{x\to0} x", r"\lim_{x \to 0} 2x") is Verdict.CORRECT
    began, worked = time.monotonic(), time.process_time()
    found = await verdict(grader, answer, "1")
    assert time.process_time() - worked < OWN_SECONDS
    assert time.monotonic() - began < TIMEOUT + MARGIN
    assert found in (Verdict.WRONG, Verdict.GRADER_TIMEOUT, Verdict.GRADER_ERROR)
    assert os.listdir(folder) == []
    assert await verdict(grader, r"\frac{2}{4}", "0.5") is Verdict.CORRECT


@pytest.mark.anyio
async def test_endless_comparison_holds_up_neither_the_loop_nor_other_grades(grader: Grader) -> None:
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.05)
            beats += 1

    pulse = asyncio.create_task(beat())
    answers = ["2", r"\int_0^\infty e^{e^{x^x}} dx", "3", "2.0", "4"]
    verdicts = await asyncio.gather(*(verdict(grader, answer, "2") for answer in answers))
    pulse.cancel()
    assert verdicts == ["correct", "grader_timeout", "wrong", "correct", "wrong"]
    assert beats > 20


@pytest.mark.anyio
async def test_every_gold_of_math500_equals_itself(grader: Grader, shared: Path) -> None:
    lines = (shared / "benchmarks" / "math500.jsonl").read_text().splitlines()
    golds = [json.loads(line)["answer"] for line in lines]
    assert len(golds) == 500
    pairs = [(gold, gold) for gold in golds] + [(gold + ".", gold) for gold in golds]
    verdicts = await asyncio.gather(*(verdict(grader, answer, gold) for answer, gold in pairs))
    assert [pair for pair, found in zip(pairs, verdicts, strict=True) if found is not Verdict.CORRECT] == []
