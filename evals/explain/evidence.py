"""What an explanation starts from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from evals.benchmarks import Benchmark
from evals.report import Sample
from evals.runs import Run
from evals.runs.problems import problems_of
from evals.scoring.table import OURS, SOURCE, Scored
from tora_agent.problem import Problem

Equal = Callable[[str, str], bool]
"""Whether two answers are the same to our grader."""


@dataclass(frozen=True)
class Finding:
    """One thing that can explain a part of a score."""

    title: str
    seen: str
    """What was seen, with its numbers."""
    samples: int
    points: tuple[float, float] | None = None
    """By how many points the score would move without it: at least and at most. None where that cannot be said."""
    cases: tuple[str, ...] = ()
    """Ids of some of the samples, each with a word on it."""


@dataclass(frozen=True)
class Evidence:
    """A run, its rulings, and the benchmark to hold it against, if there is one."""

    run: Run
    scored: Scored
    equal: Equal
    benchmark: Benchmark | None = None

    @property
    def samples(self) -> list[Sample]:
        return self.scored.samples

    @cached_property
    def problems(self) -> dict[str, Problem]:
        return problems_of(self.run)

    @property
    def accuracy(self) -> float:
        """By our grader, in percent."""
        return 100 * self.scored.accuracy(OURS)

    @property
    def reported(self) -> float | None:
        """As the source scored it, in percent."""
        return 100 * self.scored.accuracy(SOURCE) if SOURCE in self.scored.rulings else None

    def points(self, count: float) -> float:
        """What `count` samples are worth."""
        return 100 * count / len(self.samples)

    def by_problem(self) -> dict[str, list[Sample]]:
        """The samples of each problem."""
        found: dict[str, list[Sample]] = defaultdict(list)
        for sample in self.samples:
            found[sample.trajectory.problem_id].append(sample)
        return found


def some(cases: Iterable[str], most: int = 5) -> tuple[str, ...]:
    """The first few of `cases`, and how many more there are."""
    every = list(cases)
    return (*every[:most], *([f"and {len(every) - most} more"] if len(every) > most else []))
