"""The figures of a run's page, each with the filter that lists the trajectories behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evals.index.filters import NONE, Filter
from evals.index.index import Index
from evals.statistics import Interval, interval, mean_and_error

RIGHT = "coalesce(sum(verdict = 'correct'), 0)"
NO_CHECK = "no check"


@dataclass(frozen=True)
class Count:
    """How many trajectories, and which."""

    label: str
    count: int
    filter: Filter


@dataclass(frozen=True)
class Share:
    """How many of some graded trajectories are correct, and which they are."""

    right: int
    total: int
    filter: Filter

    @property
    def percent(self) -> float | None:
        return 100 * self.right / self.total if self.total else None


@dataclass(frozen=True)
class Summary:
    """A run in figures."""

    samples: int
    graded: int
    expected: int
    problems: int
    mean: float | None
    """Accuracy over the graded samples, a fraction."""
    error: float | None
    """Its standard error, clustered by problem."""
    interval: Interval | None
    """Its 95 % interval."""
    verdicts: list[Count]
    causes: list[Count]
    rules: list[Count]
    levels: list[int | None]
    subjects: list[str | None]
    heat: dict[tuple[str | None, int | None], Share]
    """Accuracy by (subject, level), either of them "all" in sums."""
    tokens: list[Count]
    rounds: list[Count]
    states: list[tuple[str, Count, Count]]
    """(verification state, the correct, those that are not)"""
    flips: list[Count]
    errors: list[Count]
    generated: int
    read: int
    """Tokens."""
    seconds: float
    """Of all samples, each in its own time."""
    cut: int
    """Samples that the token limit cut."""
    cost: float | None
    """US dollars, None where no price is known."""

    @property
    def checked(self) -> bool:
        """Whether any answer was checked."""
        return any(state != NO_CHECK for state, *_ in self.states)


def summarise(index: Index) -> Summary:
    """Count what the index holds."""
    return index.remember("summary", lambda: _counted(index))


def _counted(index: Index) -> Summary:
    with index.reading() as db:

        def ask(sql: str) -> list[tuple[Any, ...]]:
            return db.execute(sql).fetchall()

        sums = ", ".join(f"sum({name})" for name in _SUMMED)
        totals = f"count(*), count(verdict), {sums}"
        ((samples, graded, generated, read, seconds, cut, cost),) = ask(f"SELECT {totals} FROM trajectories")
        per_problem = ask(f"SELECT {RIGHT}, count(verdict) FROM trajectories GROUP BY problem_id HAVING count(verdict)")
        mean, error, likely = _accuracy(per_problem)
        cells = ask(f"SELECT subject, level, {RIGHT}, count(verdict) FROM trajectories GROUP BY 1, 2")
        heat = _heat(cells)
        return Summary(
            samples=samples,
            graded=graded,
            expected=index.expected,
            problems=len(index.run.manifest.problem_ids),
            mean=mean,
            error=error,
            interval=likely,
            verdicts=_counts(
                "verdict",
                ask("SELECT verdict, count(*) FROM trajectories GROUP BY 1 ORDER BY verdict <> 'correct', 2 DESC"),
            ),
            causes=_counts("cause", ask(_OF_WRONG.format("cause"))),
            rules=_counts(
                "rule", ask("SELECT rule, count(DISTINCT trajectory) FROM tags GROUP BY 1 ORDER BY 2 DESC, 1")
            ),
            levels=sorted({level for _, level, *_ in cells}, key=lambda level: (level is None, level)),
            subjects=sorted({subject for subject, *_ in cells}, key=lambda subject: (subject is None, subject)),
            heat=heat,
            tokens=_tokens(ask("SELECT completion_tokens, count(*) FROM trajectories GROUP BY 1")),
            rounds=_rounds(ask("SELECT rounds, count(*) FROM trajectories GROUP BY 1")),
            states=_states(ask(f"SELECT state, {RIGHT}, count(verdict) FROM trajectories GROUP BY 1")),
            flips=_flips(ask(_FLIPS)[0]),
            errors=_counts("error", ask(_ERRORS)),
            generated=generated or 0,
            read=read or 0,
            seconds=seconds or 0.0,
            cut=cut or 0,
            cost=cost,
        )


_SUMMED = ("completion_tokens", "prompt_tokens", "seconds", "truncated", "cost")
_OF_WRONG = "SELECT {0}, count(*) FROM trajectories WHERE {0} NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"
_ERRORS = "SELECT error, count(DISTINCT trajectory) FROM cells WHERE error NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"
_FLIPS = """SELECT count(first_verdict), sum(first_verdict <> 'correct' AND verdict = 'correct'),
    sum(first_verdict = 'correct' AND verdict <> 'correct') FROM trajectories"""


def _accuracy(per_problem: Sequence[tuple[Any, ...]]) -> tuple[float | None, float | None, Interval | None]:
    if not per_problem:
        return None, None, None
    clusters = [[True] * right + [False] * (total - right) for right, total in per_problem]
    return *mean_and_error(clusters), interval(clusters)


def _counts(name: str, rows: Sequence[tuple[Any, ...]]) -> list[Count]:
    return [Count(value or "not graded", count, Filter(**{name: value or "none"})) for value, count in rows]


def _heat(cells: Sequence[tuple[Any, ...]]) -> dict[tuple[str | None, int | None], Share]:
    sums: dict[tuple[Any, Any], tuple[int, int]] = {}
    for subject, level, right, total in cells:
        for key in ((subject, level), (subject, "all"), ("all", level), ("all", "all")):
            before = sums.get(key, (0, 0))
            sums[key] = before[0] + right, before[1] + total
    return {key: Share(*counts, _cell_filter(*key)) for key, counts in sums.items()}


def _cell_filter(*labels: Any) -> Filter:
    subject, level = ("" if label == "all" else NONE if label is None else str(label) for label in labels)
    return Filter(subject=subject, level=level)


def _tokens(rows: Sequence[tuple[int, int]] | Sequence[tuple[Any, ...]]) -> list[Count]:
    """In classes that double: 0-63, 64-127, 128-255, ..."""
    classes: dict[int, int] = {}
    for tokens, count in rows:
        class_ = max(6, int(tokens).bit_length())
        classes[class_] = classes.get(class_, 0) + count
    if not classes:
        return []
    bounds = [(0 if c == 6 else 1 << (c - 1), (1 << c) - 1, c) for c in range(min(classes), max(classes) + 1)]
    return [Count(f"{low}–{high}", classes.get(c, 0), Filter(tokens=f"{low}-{high}")) for low, high, c in bounds]


def _rounds(rows: Sequence[tuple[Any, ...]], most: int = 10) -> list[Count]:
    """One class each up to `most`, and one for more."""
    counts = dict(rows)
    found = [
        Count(str(n), counts.get(n, 0), Filter(rounds=str(n)))
        for n in range(min(counts, default=0), min(max(counts, default=-1), most) + 1)
    ]
    more = sum(count for n, count in counts.items() if n > most)
    return [*found, Count(f"> {most}", more, Filter(rounds=f"{most + 1}-"))] if more else found


def _states(rows: Sequence[tuple[Any, ...]]) -> list[tuple[str, Count, Count]]:
    by_state = {state: (right, total) for state, right, total in rows}
    return [
        (
            state or NO_CHECK,
            Count("correct", right, Filter(state=state or "none", verdict="correct")),
            Count("not correct", total - right, Filter(state=state or "none", verdict="not_correct")),
        )
        for state in ("True", "Uncertain", "False", None)
        if state in by_state
        for right, total in [by_state[state]]
    ]


def _flips(row: tuple[Any, ...]) -> list[Count]:
    retried, better, worse = (count or 0 for count in row)
    if not retried:
        return []
    return [
        Count("tried again", retried, Filter(flip="retried")),
        Count("to right", better, Filter(flip="to_right")),
        Count("to wrong", worse, Filter(flip="to_wrong")),
    ]
