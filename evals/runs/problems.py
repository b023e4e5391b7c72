"""The problems of a run, with golds and labels, wherever the run keeps them."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from evals.benchmarks import load_benchmark
from evals.benchmarks.base import read_jsonl
from evals.runs.run import Run
from tora_agent.errors import UsageError
from tora_agent.problem import Problem

FILE = "problems.jsonl"


def save_problems(run: Run, problems: list[Problem]) -> None:
    """Keep `problems` in the run directory, for a run whose benchmark cannot be loaded again."""
    text = "".join(json.dumps(problem.model_dump()) + "\n" for problem in problems)
    (run.folder / FILE).write_text(text)


def problems_of(run: Run) -> dict[str, Problem]:
    """The problems by id: from the run directory, else from its log, else from the benchmark that the manifest names.

    From the log they are without their solutions, which is enough to grade and to show them. Raises `UsageError` where
    the benchmark is no longer the one of the run.
    """
    file = run.folder / FILE
    found = _kept(file) if file.exists() else _logged(run)
    if set(run.manifest.problem_ids) <= set(found):
        return found
    return _from_benchmark(run)


def _kept(file: Path) -> dict[str, Problem]:
    problems = {}
    for place, row in read_jsonl(file):
        try:
            problem = Problem.model_validate(row)
        except ValidationError as error:
            raise UsageError(f"{place}: not a problem: {error.errors()[0]['msg']}") from error
        problems[problem.unique_id] = problem
    return problems


def _logged(run: Run) -> dict[str, Problem]:
    """Those that have a graded sample: trajectories have the statement and the labels, grades the gold."""
    golds = {id_: grade.gold for (id_, _), grade in run.grades().items()}
    return {
        t.problem_id: Problem(
            problem=t.problem, unique_id=t.problem_id, subject=t.subject, level=t.level, answer=golds[t.problem_id]
        )
        for t in run.trajectories()
        if t.problem_id in golds
    }


def _from_benchmark(run: Run) -> dict[str, Problem]:
    manifest = run.manifest
    benchmark = load_benchmark(manifest.benchmark, Path(manifest.data_file) if manifest.data_file else None)
    if benchmark.sha256 != manifest.data_sha256:
        raise UsageError(f"{benchmark.source} is no longer what {run.folder} was made with; give it the data it had")
    return {problem.unique_id: problem for problem in benchmark.problems}
