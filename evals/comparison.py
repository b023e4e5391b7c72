"""`tora compare A B`: two runs on the problems that both have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

from evals.report import Sample, samples_of
from evals.runs import Run
from evals.runs.differences import differences
from evals.statistics import detectable_difference, interval, mcnemar, mean_and_error, paired_difference
from tora_agent.errors import UsageError

SHOWN = 40


@dataclass(frozen=True)
class Pair:
    """One problem's samples in both runs."""

    problem_id: str
    first: list[Sample]
    second: list[Sample]

    @property
    def flipped(self) -> int:
        """1 where only the second run has it right, -1 where only the first has, else 0: by each run's first sample."""
        return self.second[0].correct - self.first[0].correct


def compare_command(first: Run, second: Run, console: Console) -> None:
    """Print the comparison. Raises `UsageError` where the runs have no problem in common."""
    pairs, apart = paired(first, second)
    differing = other_golds((p.problem_id, p.first[0].grade.gold, p.second[0].grade.gold) for p in pairs)
    console.print(_figures(first, second, pairs, apart))
    if differing:
        console.print(f"[yellow]warning: the golds of {differing} problems differ between the runs[/]")
    for title, side in (("right in A only", -1), ("right in B only", 1)):
        if flipped := [pair for pair in pairs if pair.flipped == side]:
            console.print(_flips(title, flipped))


def paired(first: Run, second: Run) -> tuple[list[Pair], tuple[int, int]]:
    """The problems that both runs have graded, in the first run's order; how many either has besides.

    Raises `UsageError` where they have none in common.
    """
    one, other = (_by_problem(run) for run in (first, second))
    pairs = [Pair(id_, one[id_], other[id_]) for id_ in one if id_ in other]
    if not pairs:
        raise UsageError(
            f"{first.folder} and {second.folder} have no graded problem in common; compare runs of one set"
        )
    return pairs, (len(one) - len(pairs), len(other) - len(pairs))


def other_golds(golds: Iterable[tuple[str, str | None, str | None]]) -> int:
    """Of how many problems the golds differ, from each one's id and its gold in either run.

    Raises `UsageError` where it is most of them: then they are other problems, of the same ids.
    """
    common = list(golds)
    differing = [id_ for id_, one, other in common if one != other]
    if len(differing) > len(common) / 2:
        raise UsageError(f"the runs have problems of the same ids but other golds, such as {differing[0]}")
    return len(differing)


def _by_problem(run: Run) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples_of(run):
        found[sample.trajectory.problem_id].append(sample)
    return found


def _figures(first: Run, second: Run, pairs: list[Pair], apart: tuple[int, int]) -> RenderableType:
    sides = [[[s.correct for s in getattr(pair, side)] for pair in pairs] for side in ("first", "second")]
    difference = paired_difference(sides[0], sides[1])
    lost, won = (sum(pair.flipped == side for pair in pairs) for side in (-1, 1))
    table = Table(title="A and B on the same problems", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column()
    for name, run, clusters in (("A", first, sides[0]), ("B", second, sides[1])):
        label = escape(f"{run.folder.name} ({run.manifest.model_reported or run.manifest.model})")
        low, high = interval(clusters)
        share = f"{100 * mean_and_error(clusters)[0]:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
        table.add_row(name, f"{share}  {label}")
    between = difference.interval()
    margin = f" [{100 * between.low:+.1f}, {100 * between.high:+.1f}]" if between else ""
    table.add_row("B - A", f"{100 * difference.mean:+.1f} points{margin} (95 %, paired)")
    several = any(len(s) > 1 for side in sides for s in side)
    which = ", on the first sample of each problem" if several else ""
    table.add_row("McNemar", f"exact p = {mcnemar(lost, won):.3g} ({lost} right in A only, {won} in B only{which})")
    least = detectable_difference(difference.deviation, len(pairs))
    table.add_row("detectable", f"{100 * least:.1f} points: the least true difference that {len(pairs)} problems "
                  "show in 4 of 5 comparisons")  # fmt: skip
    table.add_row("problems", f"{len(pairs)} in both, {apart[0]} in A only, {apart[1]} in B only")
    differ = [f"{name}: {a} / {b}" for name, a, b in differences(first.manifest, second.manifest)]
    table.add_row("differ in", escape("\n".join(differ)) or "nothing that their manifests tell")
    return table


def _flips(title: str, pairs: list[Pair]) -> RenderableType:
    table = Table(title=f"{title}: {len(pairs)}", title_justify="left")
    for column in ("problem", "gold", "A", "B"):
        table.add_column(column, overflow="fold")
    for pair in pairs[:SHOWN]:
        sides = [f"{s.grade.answer or '-'} ({s.grade.verdict})" for s in (pair.first[0], pair.second[0])]
        table.add_row(*map(escape, (pair.problem_id, pair.first[0].grade.gold, *sides)))
    if len(pairs) > SHOWN:
        table.caption = f"the first {SHOWN} of {len(pairs)}"
    return table
