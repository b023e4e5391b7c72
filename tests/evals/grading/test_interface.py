"""The grader from wherever it is called: a script, a notebook, threads, an event loop, the command line."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from evals.grading import Verdict, answer_classes, answer_classes_async, grade, grade_async, grade_batch, same_answer
from tests.conftest import Tora

NEEDS_WORKER = (r"\sqrt{12}", r"2\sqrt3")
ROOT = Path(__file__).parents[3]
SCRIPT = """
from evals.grading import grade, grade_batch
print("once")
print(grade(r"\\sqrt{12}", r"2\\sqrt3").verdict)
print([each.verdict.value for each in grade_batch([("1", "1"), (r"\\sqrt{12}", "3")])])
"""


def test_from_an_unguarded_script(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.split("\n")[:3] == ["once", "correct", "['correct', 'wrong']"], done.stderr
    assert done.stderr == ""


@pytest.mark.anyio
async def test_in_a_running_loop_which_goes_on_meanwhile() -> None:
    assert grade(*NEEDS_WORKER).verdict is Verdict.CORRECT  # as in a cell of a notebook
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.02)
            beats += 1

    pulse = asyncio.create_task(beat())
    slow = r"\int_0^\infty e^{e^{x^x}} dx"
    found = await asyncio.gather(grade_async(slow, "1", "answer", timeout=1), grade_async(*NEEDS_WORKER))
    pulse.cancel()
    assert [each.verdict for each in found] == [Verdict.GRADER_TIMEOUT, Verdict.CORRECT]
    assert beats > 5


def test_from_many_threads() -> None:
    pairs = [(rf"\sqrt{{{4 * n}}}", rf"2\sqrt{{{n}}}") for n in range(2, 40)]
    with ThreadPoolExecutor(8) as threads:
        verdicts = list(threads.map(lambda pair: grade(*pair).verdict, pairs))
    assert verdicts == [Verdict.CORRECT] * len(pairs)


def test_batch_keeps_the_order() -> None:
    pairs = [(rf"\sqrt{{{4 * n}}}", rf"{2 + n % 2}\sqrt{{{n}}}") for n in (2, 3, 5, 6, 7)]
    expected = ["correct", "wrong", "wrong", "correct", "wrong"]
    assert [each.verdict.value for each in grade_batch(pairs, form="answer")] == expected


def test_an_unknown_form_or_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="'response' or 'answer', not 'essay'"):
        grade("1", "1", form="essay")
    with pytest.raises(ValueError, match="'first' is not a valid"):
        grade("1", "1", extract="first")


@pytest.mark.anyio
async def test_classes_of_the_same_answer() -> None:
    answers = ["1/2", "3", "0.5", r"\frac{2}{4}", "3.0", r"2\sqrt3", r"\sqrt{12}", "no solution"]
    expected = [[0, 2, 3], [1, 4], [5, 6], [7]]
    assert answer_classes(answers) == expected
    assert await answer_classes_async(answers) == expected
    assert same_answer("0.5", r"\frac12") and same_answer(r"\frac12", "0.5")
    assert not same_answer("", "") and not same_answer("1", "")


def test_import_is_light() -> None:
    code = "import sys, evals.grading as g; g.grade('2/4', '0.5'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"sympy", "math_verify", "mpmath", "sandbox", "openai"} & set(done.stdout.split())


def test_command(tora: Tora, tmp_path: Path) -> None:
    done = tora("grade", r"So \boxed{\frac{2}{4}}.", "0.5")
    assert done.returncode == 0, done.stderr
    assert ["verdict", "correct"] in [line.split() for line in done.stdout.splitlines()]
    assert tora("grade", "-5", "-5.0").returncode == 0
    done = tora("grade", "3", "4", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["reason"] == "not equal in exact arithmetic"
    cases = [{"id": "a", "gold": "1", "prediction": "1.0"}, {"gold": 2, "prediction": None, "form": "answer"}]
    (tmp_path / "cases.jsonl").write_text("".join(json.dumps(case) + "\n" for case in cases))
    done = tora("grade", "--file", "cases.jsonl")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "2 cases: correct 1, no_answer 1"
    done = tora("grade", "--file", "cases.jsonl", "--json")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(each["id"], each["verdict"]) for each in found] == [("a", "correct"), ("cases.jsonl:2", "no_answer")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("1",), "give a prediction and a gold answer"),
        (("1", "1", "--form", "essay"), "form is 'response' or 'answer'"),
        (("--file", "none.jsonl"), "there is no file none.jsonl"),
        (("--file", "bad.jsonl"), "bad.jsonl:1: the field 'prediction' is missing"),
        (("--file", "empty.jsonl"), "empty.jsonl holds no cases"),
    ],
)
def test_bad_usage_is_one_line(tora: Tora, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    (tmp_path / "bad.jsonl").write_text('{"gold": "1"}\n')
    (tmp_path / "empty.jsonl").write_text("")
    done = tora("grade", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("tora: ") and message in done.stderr
    assert len(done.stderr.splitlines()) == 1
