"""Which problem a record is of: its id, its gold and its labels, from the log or from a benchmark."""

from __future__ import annotations

import re
from dataclasses import dataclass

from evals.benchmarks import Benchmark
from evals.importing.record import Record
from tora_agent.errors import UsageError
from tora_agent.problem import Problem


def normal(text: str) -> str:
    """The text of a problem, so that two copies of it are equal whatever happened to their white space."""
    return re.sub(r"\s+", "", text)


@dataclass(frozen=True)
class Joined:
    """The problems of a log, in its order, and which one each record is of."""

    problems: list[Problem]
    ids: list[str]
    """One for each record."""


def join(records: list[Record], benchmark: Benchmark | None = None) -> Joined:
    """Find the problem of each record. What the log itself says comes first; the benchmark fills in what it lacks.

    Raises `UsageError` where a record has no gold and the benchmark has none for it.
    """
    known = _Known(benchmark)
    problems: dict[str, Problem] = {}
    ids = []
    for number, record in enumerate(records, 1):
        problem = _problem(record, known.problem(record), f"problem/{number}")
        if not problem.answer.strip():
            where = f"the benchmark {benchmark.name}" if benchmark else "a benchmark; name one with --benchmark, --data"
            raise UsageError(f"record {number} ({problem.unique_id}) has no gold answer, and neither has {where}")
        problems.setdefault(problem.unique_id, problem)
        ids.append(problem.unique_id)
    return Joined(list(problems.values()), ids)


class _Known:
    """A benchmark's problems by id and by text."""

    def __init__(self, benchmark: Benchmark | None) -> None:
        problems = benchmark.problems if benchmark else []
        self.by_id = {problem.unique_id: problem for problem in problems}
        self.by_text = {normal(problem.problem): problem for problem in problems}

    def problem(self, record: Record) -> Problem | None:
        text = normal(record.problem) if record.problem is not None else None
        by_id = self.by_id.get(record.id or "")
        if by_id and text in (None, normal(by_id.problem)):
            return by_id
        return self.by_text.get(text or "") or self.by_id.get(f"test/{record.id}")


_SUBJECTS = {
    subject.lower().replace(" & ", "_and_").replace(" ", "_"): subject
    for subject in (
        "Algebra",
        "Counting & Probability",
        "Geometry",
        "Intermediate Algebra",
        "Number Theory",
        "Prealgebra",
        "Precalculus",
    )
}
"""The subjects of MATH by the folder that stands for them in a problem's id."""


def _subject_in(id_: str) -> str:
    folder = id_.split("/")[-2] if "/" in id_ else ""
    return _SUBJECTS.get(folder, "")


def _problem(record: Record, known: Problem | None, fallback_id: str) -> Problem:
    text = record.problem if record.problem is not None else known.problem if known else ""
    return Problem(
        problem=text,
        unique_id=known.unique_id if known else record.id or fallback_id,
        subject=record.subject or (known.subject if known else _subject_in(record.id or "")),
        level=record.level if record.level is not None else known.level if known else None,
        answer=record.gold if record.gold is not None else known.answer if known else "",
        solution=record.solution or (known.solution if known else ""),
    )
