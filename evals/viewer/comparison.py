"""Two runs over the same problems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evals.comparison import other_golds
from evals.index import Index
from evals.statistics import Difference, paired_difference

SHOWN = 500
_PER_PROBLEM = """
    SELECT problem_id, place, gold, count(verdict) AS total, sum(verdict = 'correct') AS right,
        min(sample) AS any_sample,
        min(CASE WHEN verdict = 'correct' THEN sample END) AS right_sample,
        min(CASE WHEN verdict <> 'correct' THEN sample END) AS wrong_sample
    FROM trajectories WHERE verdict NOT NULL GROUP BY problem_id"""


@dataclass(frozen=True)
class Side:
    """A problem's samples in one run, and the one to look at."""

    right: int
    total: int
    sample: int
    answer: str | None


@dataclass(frozen=True)
class Both:
    """A problem that both runs have."""

    problem_id: str
    gold: str | None
    first: Side
    second: Side

    @property
    def change(self) -> float:
        """The share of correct samples in the second run less that in the first."""
        return self.second.right / self.second.total - self.first.right / self.first.total


@dataclass(frozen=True)
class Comparison:
    """The problems of both runs, the greatest change first."""

    problems: list[Both]
    apart: int
    """Problems that only one of them has."""
    other_golds: int
    """Problems of which the two have other golds."""

    @property
    def better(self) -> int:
        return sum(each.change > 0 for each in self.problems)

    @property
    def worse(self) -> int:
        return sum(each.change < 0 for each in self.problems)

    @property
    def difference(self) -> Difference | None:
        """Of the accuracies, paired by problem; None without any."""
        if not self.problems:
            return None
        sides = [[_cluster(getattr(each, side)) for each in self.problems] for side in ("first", "second")]
        return paired_difference(*sides)


def compare(first: Index, second: Index) -> Comparison:
    """Compare the graded samples of two runs. Raises `UsageError` for runs over other problems of the same ids."""
    rows = [{row["problem_id"]: row for row in index.rows(_PER_PROBLEM)} for index in (first, second)]
    common = [id_ for id_ in sorted(rows[0], key=lambda id_: rows[0][id_]["place"]) if id_ in rows[1]]
    pairs = [_both(first, second, rows[0][id_], rows[1][id_]) for id_ in common]
    differing = other_golds((id_, rows[0][id_]["gold"], rows[1][id_]["gold"]) for id_ in common)
    ordered = sorted(pairs, key=lambda each: -abs(each.change))
    return Comparison(ordered, len(rows[0].keys() ^ rows[1].keys()), differing)


def _both(first: Index, second: Index, row: dict[str, Any], other: dict[str, Any]) -> Both:
    """A pair of samples that shows the change, if there is one."""
    up = other["right"] / other["total"] >= row["right"] / row["total"]
    wanted, other_wanted = ("wrong_sample", "right_sample") if up else ("right_sample", "wrong_sample")
    sides = [_side(index, each, name) for index, each, name in ((first, row, wanted), (second, other, other_wanted))]
    return Both(row["problem_id"], row["gold"], *sides)


def _side(index: Index, row: dict[str, Any], name: str) -> Side:
    sample = row["any_sample"] if row[name] is None else row[name]
    sql = "SELECT answer FROM trajectories WHERE problem_id = ? AND sample = ?"
    return Side(row["right"], row["total"], sample, index.one(sql, [row["problem_id"], sample]))


def _cluster(side: Side) -> list[bool]:
    return [True] * side.right + [False] * (side.total - side.right)
