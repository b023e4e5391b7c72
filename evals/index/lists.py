"""Lists of trajectories from the index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evals.index.filters import Filter
from evals.index.index import Index

PAGE = 100
"""Rows of a list's page."""
Row = dict[str, Any]
Choices = dict[str, list[tuple[str, int]]]
_COUNTED = {
    "verdict": "SELECT coalesce(verdict, 'none'), count(*) FROM trajectories GROUP BY 1 ORDER BY 2 DESC",
    "cause": "SELECT cause, count(*) FROM trajectories WHERE cause NOT NULL GROUP BY 1 ORDER BY 2 DESC",
    "rule": "SELECT rule, count(DISTINCT trajectory) FROM tags GROUP BY 1 ORDER BY 2 DESC",
    "subject": "SELECT coalesce(subject, 'none'), count(*) FROM trajectories GROUP BY 1 ORDER BY 1",
    "level": "SELECT coalesce(level, 'none'), count(*) FROM trajectories GROUP BY 1 ORDER BY 1",
    "state": "SELECT coalesce(state, 'none'), count(*) FROM trajectories GROUP BY 1 ORDER BY 2 DESC",
    "failure": "SELECT failure, count(*) FROM trajectories WHERE failure NOT NULL GROUP BY 1 ORDER BY 2 DESC",
    "rounds": "SELECT rounds, count(*) FROM trajectories GROUP BY 1 ORDER BY 1",
    "error": "SELECT error, count(DISTINCT trajectory) FROM cells WHERE error NOT NULL GROUP BY 1 ORDER BY 2 DESC",
}


@dataclass(frozen=True)
class Page:
    """A page of a list: its rows of `trajectories`, and how many there are on all pages."""

    rows: list[Row]
    number: int
    """From 1."""
    total: int

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // PAGE))


def page_of(index: Index, wanted: Filter, number: int = 1) -> Page:
    """The page `number` of the wanted trajectories, or the last one."""
    where, values = wanted.where_clause()
    total = index.one(f"SELECT count(*) FROM trajectories WHERE {where}", values)
    number = max(1, min(number, -(-total // PAGE)))
    sql = f"SELECT * FROM trajectories WHERE {where} ORDER BY {wanted.order} LIMIT ? OFFSET ?"
    return Page(index.rows(sql, [*values, PAGE, PAGE * (number - 1)]), number, total)


def choices(index: Index) -> Choices:
    """For each filter with few values, the values that occur, each with the number of its trajectories."""
    return index.remember("choices", lambda: _counted(index))


def _counted(index: Index) -> Choices:
    with index.reading() as db:
        return {name: [(str(value), count) for value, count in db.execute(sql)] for name, sql in _COUNTED.items()}


def find(index: Index, problem_id: str, sample: int) -> Row | None:
    """The row of a sample, None if it is not there."""
    rows = index.rows("SELECT * FROM trajectories WHERE problem_id = ? AND sample = ?", [problem_id, sample])
    return rows[0] if rows else None


def rows_of_problem(index: Index, problem_id: str) -> list[Row]:
    """The rows of all samples of a problem."""
    return index.rows("SELECT * FROM trajectories WHERE problem_id = ? ORDER BY sample", [problem_id])


def tags_of(index: Index, id_: int) -> list[Row]:
    """The rules that fired on a trajectory."""
    return index.rows("SELECT rule, step, evidence FROM tags WHERE trajectory = ? ORDER BY rowid", [id_])


def neighbours(index: Index, wanted: Filter, id_: int) -> tuple[Row | None, Row | None]:
    """The rows before and after the trajectory `id_` among the wanted ones."""
    where, values = wanted.where_clause()
    sql = f"SELECT id FROM trajectories WHERE {where} ORDER BY {wanted.order}"
    with index.reading() as db:
        ids = [found for (found,) in db.execute(sql, values)]
    if id_ not in ids:
        return None, None
    at = ids.index(id_)
    around = (ids[at - 1] if at else None, ids[at + 1] if at + 1 < len(ids) else None)
    return _by_id(index, around[0]), _by_id(index, around[1])


def _by_id(index: Index, id_: int | None) -> Row | None:
    return None if id_ is None else index.rows("SELECT * FROM trajectories WHERE id = ?", [id_])[0]
