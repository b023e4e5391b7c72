"""Why a sample failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evals.failures import OTHER, RULES, diagnose
from evals.failures.calls import library_calls
from evals.failures.values import relaxation, same, shown
from evals.grading import Grade, Verdict
from evals.index import Index
from evals.index.filters import Filter
from evals.index.lists import page_of
from evals.runs import Run
from sandbox import CellResult
from sandbox.result import CellError
from tests.conftest import Tora
from tests.evals import making
from tora_agent.settings import AgentSettings
from tora_agent.steps import (
    Answer,
    Code,
    Failure,
    FailureKind,
    ModelCall,
    Output,
    Reasoning,
    Retry,
    Step,
    Trajectory,
    Usage,
    Verification,
)


def said(text: str, finish: str = "stop", cut: str = "") -> Reasoning:
    """A model call."""
    call = ModelCall(raw=text, finish_reason=finish, usage=Usage(calls=1), seconds=0.1)
    return Reasoning(seconds=0.1, text=text, call=call, cut=cut)


def ran(stdout: str = "", error: str = "", code: str = "solve(x)", **result: Any) -> list[Step]:
    """A cell and its output. `error` is "Type: message"."""
    kind, _, message = error.partition(": ")
    found = CellResult(stdout=stdout, error=CellError(type=kind, message=message) if error else None, **result)
    return [Code(code=code), Output(seconds=0.1, result=found, text=found.text)]


def checked(answer: str, state: str, reason: str = "the check says so", void: str | None = None) -> Verification:
    """A check of an answer."""
    call = ModelCall(raw="", finish_reason="stop", usage=Usage(calls=1), seconds=0.1)
    return Verification.model_validate(
        {"seconds": 0.1, "answer": answer, "state": state, "reason": reason, "call": call, "void": void}
    )


def sample(
    *steps: Step, answer: str | None = "8", failure: FailureKind | None = None, prompt: str = "tora"
) -> Trajectory:
    """A trajectory of `steps` and the end that `answer` or `failure` is."""
    states = [step.state for step in steps if isinstance(step, Verification) and step.answer == answer]
    end: Step = Answer(answer=answer) if answer else Failure(failure=failure or "no_answer", message="asked in vain")
    return Trajectory(
        problem_id="own/1",
        problem="What is $x$?",
        prompt=prompt,
        model="scripted",
        started="2026-01-01T00:00:00.000+00:00",
        seconds=1.0,
        settings=AgentSettings(prompt=prompt).model_dump(),
        steps=[*steps, end],
        answer=answer,
        state=states[-1] if states else None,
        failure=None if answer else failure or "no_answer",
        usage=Usage(calls=1),
    )


def graded(trajectory: Trajectory, verdict: Verdict | None = None, gold: str = "7") -> Grade:
    """A grade of it; wrong, or no answer, where not said otherwise."""
    verdict = verdict or (Verdict.WRONG if trajectory.answer else Verdict.NO_ANSWER)
    return Grade(problem_id="own/1", sample=0, answer=trajectory.answer, gold=gold, verdict=verdict, reason="said")


SOLVED = [said("Let us see."), *ran("8\n")]
CAUSES: dict[str, list[tuple[Trajectory, int | None]]] = {
    "truncated": [
        (sample(said("So we", finish="length"), answer=None, failure="truncated"), 0),
        (sample(said("So"), *ran("1\n"), answer=None, failure="context_full"), 3),
    ],
    "had_it_lost_it": [
        (sample(said("It is"), *ran("x = 7\n"), *ran("7\n"), said("so"), *ran("8\n")), 4),
        (sample(said(r"$\boxed{7}$"), Retry(reason="looks_wrong", text="again"), said(r"$\boxed{8}$")), 0),
        (sample(said("It is"), *ran("[7]\n"), answer=None, failure="out_of_rounds"), 2),
    ],
    "hallucinated_output": [(sample(said("Run:\n```output\n8\n```\nSo 8."), *ran("9\n")), 0)],
    "same_error_repeated": [
        (sample(said("a"), *ran(error="NameError: name 'y'"), said("b"), *ran(error="NameError: name 'y'")), 5)
    ],
    "another_problem": [
        (
            sample(
                said("Evaluate the integral of one over a square. " * 5), *ran("pi\n"), said(r"$\boxed{8}$")
            ).model_copy(
                update={"problem": "A bicycle travels 20 feet per minute. How fast is it in inches per second?"}
            ),
            0,
        )
    ],
    "going_in_circles": [(sample(said("a"), *ran("9\n"), *ran("9\n"), *ran("9\n"), answer=None), 6)],
    "timeout": [
        (sample(said("a"), *ran(error="TimeoutError: ran longer, in sympy.core.pow", timed_out=True), said("so")), 2)
    ],
    "code_error": [(sample(said("a"), *ran(error="ValueError: no"), said("so")), 2)],
    "contradicts_last_output": [(sample(said("a"), *ran("9\n"), said(r"So $\boxed{8}$")), 2)],
    "budget_exhausted": [(sample(said("a"), *ran("9\n"), answer=None, failure="out_of_rounds"), 3)],
    "no_box": [(sample(said("a"), *ran("9\n"), said("Done."), answer=None), 3)],
    "no_code_run": [(sample(said(r"Clearly $\boxed{8}$.")), 0)],
    "sandbox_failure": [
        (sample(said("a"), *ran(error="KernelDied: the Python process ended", state_lost=True), said("so")), 2)
    ],
    "model_failure": [
        (sample(said("I can", finish="content_filter"), answer=None), 0),
        (sample(said("a"), *ran("1\n"), said(""), answer=None), 3),
    ],
    "verified_false": [(sample(*SOLVED, said(r"$\boxed{8}$"), checked("8", "False"), prompt="csv"), 4)],
    "void_check": [
        (
            sample(
                *SOLVED, said(r"$\boxed{8}$"), checked("8", "Uncertain", void="it asserts a constant"), prompt="csv"
            ),
            4,
        )
    ],
    "verified_true": [(sample(*SOLVED, said(r"$\boxed{8}$"), checked("8", "True"), prompt="csv"), 4)],
    "wrong_program": [(sample(*SOLVED, said(r"$\boxed{8}$")), 2)],
}


@pytest.mark.parametrize(("cause", "case", "step"), [(c, t, step) for c, found in CAUSES.items() for t, step in found])
def test_the_cause_is_found_with_its_step(cause: str, case: Trajectory, step: int | None) -> None:
    found = diagnose(case, graded(case), "7")
    assert found.cause == cause
    assert found.finding and found.finding.step == step
    assert found.finding.evidence and "\n" not in found.finding.evidence


def test_every_rule_is_a_cause_here() -> None:
    # The two that the answer and the grade alone decide have tests of their own below.
    assert set(CAUSES) == set(RULES) - {"grader_disagreement", "format_only"}


def test_a_wrong_answer_that_no_rule_explains() -> None:
    case = sample(said(r"It is $\boxed{8}$."), prompt="cot")
    assert diagnose(case, graded(case), "7").cause == OTHER


def test_a_correct_sample_has_no_cause_and_may_have_tags() -> None:
    case = sample(said("a"), *ran(error="ValueError: no"), said("b"), *ran("7\n"), said(r"$\boxed{7}$"), answer="7")
    found = diagnose(case, graded(case, Verdict.CORRECT), "7")
    assert found.cause is None
    assert [(tag.rule, tag.decisive) for tag in found.tags] == [("code_error", False)]


def test_what_the_sample_got_over_is_a_tag_and_not_the_cause() -> None:
    twice = [*ran(error="NameError: name 'y'"), *ran(error="NameError: name 'y'")]
    slow = ran(error="TimeoutError: ran longer", timed_out=True)
    case = sample(said("a", cut="```output\n1\n```"), *twice, *slow, *ran("9\n8\n"), said(r"$\boxed{8}$"))
    found = diagnose(case, graded(case), "7")
    assert found.cause == "wrong_program"
    assert {tag.rule for tag in found.tags if not tag.decisive} == {
        "hallucinated_output",
        "same_error_repeated",
        "timeout",
        "code_error",
    }


def test_a_small_value_in_one_output_is_chance() -> None:
    once = sample(said("a"), *ran("7\n"), said("b"), *ran("8\n"), said(r"$\boxed{8}$"))
    twice = sample(said("a"), *ran("7\n"), *ran("7\n"), said("b"), *ran("8\n"), said(r"$\boxed{8}$"))
    assert diagnose(once, graded(once), "7").cause == "wrong_program"
    assert diagnose(twice, graded(twice), "7").cause == "had_it_lost_it"
    assert diagnose(once, graded(once, gold="700"), "700").cause == "wrong_program"


def test_a_check_of_part_of_the_answer_does_not_contradict_it() -> None:
    case = sample(said("a"), *ran("8\n"), said("b"), *ran("270\n"), said(r"$\boxed{8}$"))
    found = diagnose(case, graded(case), "7")
    assert found.cause == "wrong_program"
    assert ("contradicts_last_output", False) in [(tag.rule, tag.decisive) for tag in found.tags]


def test_a_grader_without_a_verdict() -> None:
    case = sample(*SOLVED)
    assert diagnose(case, graded(case, Verdict.GRADER_TIMEOUT), "7").cause == "grader_disagreement"


def test_a_grader_that_rejects_the_gold_answer() -> None:
    case = sample(*SOLVED, answer=r"\frac{1}{2}")
    assert diagnose(case, graded(case), r"\dfrac12").cause == "grader_disagreement"


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("1.571", r"\frac{\pi}{2}"),
        ("0.33", r"\frac{1}{3}"),
        ("(3.0, 1.5708)", r"\left(3, \frac{\pi}{2}\right)"),
        (r"25\%", "0.25"),
        ("5 hours", "5"),
        ("12{cm}^2", r"12\text{ cm}^2"),
        ("east", r"\text{East}"),
        (r"f(x)=\frac{1}{4}", r"\frac{1}{4}"),
        ("[1, 2, 3]", "(1,2,3)"),
        ("1011", "1011_2"),
        (r"12^{\text{th}} \text{ grade}", "12"),
    ],
)
def test_an_answer_that_is_wrong_in_its_form_alone(answer: str, gold: str) -> None:
    assert relaxation(answer, gold) or same(answer, gold)
    case = sample(*SOLVED, answer=answer)
    assert diagnose(case, graded(case, gold=gold), gold).cause in ("format_only", "grader_disagreement")


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("8", "7"),
        ("0.3", r"\frac{1}{3}"),
        ("700", "7"),
        ("0.07", "7"),
        ("(2,1)", "(1,2)"),
        ("[0, 1)", "(0, 1)"),
        ("0", "5x - 7y = 0"),
        ("x=2", "x=3"),
        ("55^{1/3}", r"5 \cdot 5^{1/3}"),
        ("1,2", "1,2,3"),
        ("", "7"),
        ("7" * 1000, "7"),
    ],
)
def test_an_answer_that_is_wrong_in_more_than_its_form(answer: str, gold: str) -> None:
    assert not same(answer, gold)
    assert relaxation(answer, gold) is None


@pytest.mark.parametrize(
    ("value", "gold"),
    [
        ("sqrt(3)/3", r"\frac{\sqrt{3}}{3}"),
        ("0.30000000000000004", r"\frac{3}{10}"),
        ("Fraction(3, 5)", r"\frac{3}{5}"),
        ("x**2 + 3*x - 6", "x^2+3x-6"),
        ("(3, pi/2)", r"\left( 3, \frac{\pi}{2} \right)"),
        ("2, 1", "1,2"),
        ("9*sqrt(3)*s**2/2", r"\frac{9\sqrt{3}s^2}{2}"),
        ("1.0 + 274.0*I", "1+274i"),
        ("Interval.open(-oo, 3/5)", r"(-\infty, \frac{3}{5})"),
        ("Interval.Lopen(3/5, 8/3)", r"\left(\frac{3}{5},\frac{8}{3}\right]"),
        ("Matrix([[9], [-2/3]])", r"\begin{pmatrix} 9 \\ -\frac{2}{3} \end{pmatrix}"),
        ("Matrix([[1, 2], [3, 4]])", r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}"),
        ("{1, 2}", r"\{2, 1\}"),
        ("10080", r"10,\!080"),
    ],
)
def test_values_that_are_the_same(value: str, gold: str) -> None:
    assert same(value, gold)


@pytest.mark.parametrize(
    ("output", "value"),
    [
        ("first\nThe area is 12", "12"),
        ("x = 3/4", "3/4"),
        ("[5]", "5"),
        ("{x: 5}", "5"),
        ("[(2, 1)]", "(2, 1)"),
        ("a: b: 9", "b: 9"),
    ],
)
def test_an_output_shows(output: str, value: str) -> None:
    assert value in list(shown(output))


def test_a_line_that_is_one_of_many_shows_no_value() -> None:
    assert "7" not in list(shown("[1,\n 7,\n 9]"))


def test_the_library_calls_of_a_program() -> None:
    assert library_calls("from sympy import *\nimport numpy as np\nnp.linalg.inv(a)\nprint(1)") == ["np.linalg.inv"]
    assert library_calls("this is no python") == []


def test_errors_prints_counts_and_examples(tora: Tora, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "runs" / "r", making.manifest())
    for number, case in enumerate([sample(*SOLVED, said(r"$\boxed{8}$")), sample(said("Done."), answer=None)]):
        run.add(case.model_copy(update={"sample": number}))
        run.add(graded(case).model_copy(update={"sample": number}))
    run.close()
    done = tora("errors", "r")
    assert done.returncode == 0, done.stderr
    assert "2 of 2 samples are not correct" in done.stdout
    assert "own/1  step 2  the output shows 8, which is the answer" in done.stdout
    assert "own/1#1" in done.stdout
    assert "own/1#1" not in tora("errors", "r", "--examples", "0").stdout


def test_errors_of_a_run_without_any(tora: Tora, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "runs" / "r", making.manifest())
    run.close()
    assert "no sample is graded yet" in tora("errors", "r").stdout
    assert tora("errors", "nothing").returncode == 2


def test_a_set_of_ones_own_without_code_is_not_said_to_lack_it(tora: Tora, tmp_path: Path) -> None:
    sets = {"mine": {"code": "none"}}
    run = Run.create(tmp_path / "runs" / "r", making.manifest(prompt_text=sets, settings={"prompt": "gone/mine.yaml"}))
    case = sample(said(r"Clearly $\boxed{8}$."), prompt="mine")
    run.add(case)
    run.add(graded(case))
    run.close()
    assert "wrong_solution" in tora("errors", "r").stdout
    assert "why: wrong_solution" in tora("show", "r", "own/1").stdout
    assert "wrong_solution" in tora("show", "r", env={"COLUMNS": "200"}).stdout
    (row,) = page_of(Index.open(run.folder), Filter()).rows
    assert row["cause"] == "wrong_solution"


def test_show_tells_the_whole_story(tora: Tora, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "runs" / "r", making.manifest())
    again = Retry(reason="check_false", text="Your check says False.")
    case = sample(*SOLVED, said(r"$\boxed{8}$", cut="And so on."), checked("8", "False"), again, said(r"$\boxed{8}$"))
    run.add(case)
    run.add(graded(case))
    run.close()
    shown_one = tora("show", "r", "own/1").stdout
    for piece in ("What is $x$?", "[2] output", "And so on.", "[5] retry  check_false", "Your check says False."):
        assert piece in shown_one
    assert "gold 7 -> wrong" in shown_one
    assert "why: verified_false" in shown_one
    assert "  wrong_program: step 2, the output shows 8, which is the answer" in shown_one
    assert "verified_false" in tora("show", "r", env={"COLUMNS": "200"}).stdout
