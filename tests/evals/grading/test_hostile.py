"""Answers and golds that attack the grader: they cost no more than their time, and the next one is graded."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from evals.grading import Verdict, grade
from evals.grading.workers import Pool
from tests.conftest import soon

TIMEOUT = 1.0
MARGIN = 30.0
"""Seconds that a loaded machine may take to notice, kill and go on."""
OWN_SECONDS = 2.0
"""Processor time that what is done in this process may take."""
HOSTILE = {
    "tower": "9^{9^{9^9}}",
    "power": "10^{10^{10}}",
    "Python power": "9**9**9**9",
    "factorial": "(10^6)!",
    "factorials": "(((10!)!)!)!",
    "binomial": r"\binom{10^6}{5 \cdot 10^5}",
    "polynomial": "(x+1)^{10^6}",
    "exponentials": "e^{e^{e^{e^{10}}}}",
    "sum": r"\sum_{k=1}^{10^{10}} k^{k^k}",
    "integral": r"\int_0^\infty e^{e^{x^x}} dx",
    "megabyte": "1 + x " * 170_000,
    "digits": "7" * 1_000_000,
    "exponent": "1e999999999",
    "braces": "{" * 10_000 + "}" * 10_000,
    "parentheses": "(" * 10_000 + "1" + ")" * 10_000,
    "roots": r"\sqrt{" * 300 + "2" + "}" * 300,
    "signs": "-" * 1900 + "1",
    "boxes": r"\boxed{" * 50_000,
    "phrases": "answer is\n" * 50_000,
    "spaces": "answer" + " " * 500_000,
    "dollars": "$" * 100_000,
    "import": "__import__('os').system('touch X')",
    "tuple": "(open('X', 'w'), 2)",
    "lambda": "(lambda: open('X', 'w'))()",
    "attribute": "().__class__.__bases__[0].__subclasses__()",
    "f-string": "{open('X', 'w')}",
    "malformed": r"\frac{\sqrt[}{\left(",
    "nul": "2\0",
    "surrogate": "\ud800 3",
    "zero": r"\frac{1}{0}",
    "infinities": r"\infty - \infty",
}


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """A pool whose one worker runs in a directory of its own."""
    pool = Pool(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("worker"))
        assert grade(r"\lim_{x\to0} x", r"\lim_{x \to 0} 2x", pool=pool).verdict is Verdict.CORRECT
        yield pool
    pool.close()


@pytest.mark.parametrize("form", ["answer", "response"])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_costs_no_more_than_its_time(pool: Pool, name: str, form: str) -> None:
    hostile = HOSTILE[name]
    for answer, gold in ((hostile, "12345"), ("12345", hostile), (hostile, f"{hostile}+1")):
        began, worked = time.monotonic(), time.thread_time()
        found = grade(answer, gold, form, timeout=TIMEOUT, pool=pool)
        assert time.thread_time() - worked < OWN_SECONDS
        assert time.monotonic() - began < TIMEOUT + MARGIN
        assert found.verdict is not Verdict.CORRECT
    assert os.listdir() == []
    assert grade(r"\sqrt{12}", r"2\sqrt3", pool=pool).verdict is Verdict.CORRECT


def test_a_worker_that_is_killed_is_replaced(pool: Pool) -> None:
    (worker,) = pool.started
    os.kill(worker.process.pid, 9)
    assert grade(r"\sqrt{20}", r"2\sqrt5", pool=pool).verdict is Verdict.CORRECT


def test_nothing_outlives_the_pool() -> None:
    pool = Pool(1)
    assert grade(r"\lim_{x\to0} x", r"\lim_{x \to 0} 2x", pool=pool).verdict is Verdict.CORRECT
    (worker,) = pool.started
    (child,) = Path(f"/proc/{worker.process.pid}/task/{worker.process.pid}/children").read_text().split()
    before = seconds(child)
    with ThreadPoolExecutor(1) as threads:
        busy = threads.submit(grade, HOSTILE["integral"], "1", "answer", timeout=600, pool=pool)
        assert soon(lambda: seconds(child) > before + 0.2)
        pool.close()
        assert busy.result().verdict is Verdict.GRADER_ERROR
    assert soon(lambda: seconds(child) == 0)


def seconds(pid: str) -> float:
    """Processor time that a process has used; zero once it has ended."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if state == "Z" else (int(fields[10]) + int(fields[11])) / os.sysconf("SC_CLK_TCK")
