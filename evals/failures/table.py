"""`tora errors`: what kinds of failures a run has, with examples."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from rich.box import SIMPLE
from rich.console import Console, RenderableType
from rich.progress import track
from rich.table import Table
from rich.text import Text

from evals.failures.diagnosis import OTHER, Diagnosis, diagnose
from evals.failures.rules import RULES
from evals.runs import Run


@dataclass(frozen=True)
class Diagnosed:
    """A graded sample with its diagnosis: as much of it as the table shows, as there may be very many."""

    problem_id: str
    sample: int
    answer: str | None
    gold: str
    diagnosis: Diagnosis


def diagnosed(run: Run) -> Iterator[Diagnosed]:
    """The run's graded samples, one after another, in the order of the log."""
    grades = run.grades()
    for t in run.trajectories():
        if grade := grades.get((t.problem_id, t.sample)):
            diagnosis = diagnose(t, grade, grade.gold, run.manifest.prompt_text)
            yield Diagnosed(t.problem_id, t.sample, t.answer, grade.gold, diagnosis)


def show_errors(run: Run, examples: int, console: Console) -> None:
    """Print the table of causes, with up to `examples` samples of each."""
    total = len(run.manifest.problem_ids) * run.manifest.samples
    found = list(
        track(diagnosed(run), "diagnosing", total, console=console, transient=True, disable=not console.is_terminal)
    )
    wrong = [each for each in found if each.diagnosis.cause]
    if not wrong:
        console.print("no sample is wrong" if found else "no sample is graded yet")
        return
    console.print(f"{len(wrong)} of {len(found)} samples are not correct", highlight=False)
    console.print(_counts(found, len(wrong)))
    by_cause = defaultdict(list)
    for each in wrong:
        by_cause[str(each.diagnosis.cause)].append(each)
    for cause, members in sorted(by_cause.items(), key=lambda item: -len(item[1])) if examples else ():
        console.print(Text.assemble((cause, "bold"), f"  {about(cause)}"))
        for each in members[:examples]:
            console.print(_example(each), soft_wrap=True, highlight=False)
    console.print(f"open one with: tora show {run.folder} ID", soft_wrap=True, highlight=False, markup=False)


def about(name: str) -> str:
    """A rule, or `OTHER`, in a sentence."""
    if name == OTHER:
        return "The way to the answer is wrong, and no rule says where."
    return " ".join((RULES[name].__doc__ or "").split())


def _counts(found: list[Diagnosed], wrong: int) -> RenderableType:
    causes = Counter(each.diagnosis.cause for each in found if each.diagnosis.cause)
    of_wrong = Counter(tag.rule for each in found if each.diagnosis.cause for tag in each.diagnosis.tags)
    of_right = Counter(tag.rule for each in found if not each.diagnosis.cause for tag in each.diagnosis.tags)
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("what went wrong", no_wrap=True)
    for column in ("as the cause", "share", "fired on wrong", "on correct"):
        table.add_column(column, justify="right")
    order = {name: number for number, name in enumerate([*RULES, OTHER])}
    for name in sorted(order, key=lambda name: (-causes[name], -of_wrong[name], order[name])):
        if causes[name] or of_wrong[name] or of_right[name]:
            fired = ("", "") if name == OTHER else (str(of_wrong[name]), str(of_right[name]))
            table.add_row(name, str(causes[name]), f"{100 * causes[name] / wrong:.1f} %", *fired)
    return table


def _example(each: Diagnosed) -> Text:
    finding, number = each.diagnosis.finding, f"#{each.sample}" if each.sample else ""
    if finding is None:
        return Text(f"  {each.problem_id}{number}  answer {_line(each.answer or '-')}, gold {_line(each.gold)}")
    step = f"  step {finding.step}" if finding.step is not None else ""
    return Text(f"  {each.problem_id}{number}{step}  {finding.evidence}")


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else line[:77] + "..."
