"""Trajectories for the terminal: a run's list, and one trajectory step by step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from rich.box import SIMPLE
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from evals.failures import Diagnosis, diagnose
from evals.grading import Grade, Verdict
from evals.report import print_report, samples_of
from evals.runs import Run
from evals.runs.selection import selected
from sandbox.image.cut import cut_middle
from tora_agent.display import step_parts
from tora_agent.errors import UsageError
from tora_agent.steps import Reasoning, Retry, Step, Trajectory, Verification

CUT_CHARS = 600
"""Shown of text that was cut off a reply, and of a message to the model."""


def show_run(run: Run, console: Console) -> None:
    """Print one line per sample, then the score table."""
    table = Table(title=escape(str(run.folder)), box=SIMPLE, padding=(0, 1, 0, 0))
    for column in ("problem", "#", "level", "verdict", "why", "check", "calls", "tokens", "s"):
        table.add_column(column, no_wrap=True, min_width=len(column))
    table.add_column("answer | gold", overflow="ellipsis", no_wrap=True)
    samples = samples_of(run)
    for sample in samples:
        t, verdict = sample.trajectory, sample.grade.verdict
        figures = (str(t.usage.calls), str(t.usage.completion_tokens), f"{t.seconds:.1f}")
        both = Text(f"{t.answer or '-'} | {sample.grade.gold}")
        labels = (escape(t.problem_id), str(t.sample), "-" if t.level is None else str(t.level))
        why = diagnose(t, sample.grade, sample.grade.gold, run.manifest.prompt_text).cause or "-"
        table.add_row(*labels, Text(verdict, _colour(verdict)), why, t.state or "-", *figures, both)
    console.print(table)
    print_report(run, console, samples)


def show_trajectory(run: Run, problem_id: str, console: Console) -> None:
    """Print every sample of one problem. `problem_id` may be its end, where that is unique. Raises `UsageError`."""
    grades, parent = run.grades(), run.manifest.parent
    if parent:
        console.print(
            Text(f"fork of {parent.run}, {parent.problem_id} sample {parent.sample}, step {parent.step}", "dim")
        )
    for trajectory in selected(run, problem_id):
        for part in trajectory_parts(trajectory):
            console.print(part, highlight=False)
        if grade := grades.get((trajectory.problem_id, trajectory.sample)):
            for part in _verdict(grade, diagnose(trajectory, grade, grade.gold, run.manifest.prompt_text)):
                console.print(part, highlight=False)


def show_file(file: Path, console: Console) -> None:
    """Print the trajectory in `file`, or several and their vote, as `tora solve --json` or a chat's /save writes them.

    Raises `UsageError`.
    """
    from evals.voting.solving import Elected  # brings the agent along, which a run's list should not wait for

    try:
        found = TypeAdapter(Elected | Trajectory).validate_json(file.read_bytes())
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}; name a run or a trajectory's file") from error
    except ValidationError as error:
        raise UsageError(f"{file} is no trajectory, as tora solve --json or /save in a chat writes it") from error
    for trajectory in found.trajectories if isinstance(found, Elected) else [found]:
        for part in trajectory_parts(trajectory):
            console.print(part, highlight=False)
    if isinstance(found, Elected):
        for line in found.failed:
            console.print(Text(f"a sample could not be made: {line}", "yellow"))
        answer = "no answer" if found.answer is None else f"answer: {found.answer}"
        console.print(Text(f"{answer} ({found.counted})", "bold"))


def trajectory_parts(trajectory: Trajectory) -> Iterator[RenderableType]:
    """The whole story as things to print: the problem, every step with its number, time and tokens, what went wrong."""
    t = trajectory
    yield Rule(escape(f"{t.problem_id}  sample {t.sample}"))
    labels = [t.subject, "" if t.level is None else f"level {t.level}", f"prompt {t.prompt}", f"model {t.model}"]
    yield Text(", ".join(label for label in labels if label), "dim")
    yield Text(t.problem)
    for index, step in enumerate(t.steps):
        yield Text(_heading(index, step), "dim")
        yield from step_parts(step.model_dump())
        if said := _aside(step):
            yield Padding(Text(cut_middle(said, CUT_CHARS), "dim"), (0, 0, 0, 2))
    yield Text(f"{t.usage.calls} calls, {t.usage.completion_tokens} tokens, {t.seconds:.1f} s", "dim")


def _heading(index: int, step: Step) -> str:
    tokens = f"  {step.call.usage.completion_tokens} tokens" if isinstance(step, Reasoning | Verification) else ""
    reason = f"  {step.reason}" if isinstance(step, Retry) else ""
    seconds = f"  {step.seconds:.1f} s" if step.seconds else ""
    return f"[{index}] {step.kind}{reason}{seconds}{tokens}"


def _aside(step: Step) -> str:
    """What is no part of the solution itself: text that was cut off, the message that asked for another attempt."""
    if isinstance(step, Reasoning):
        return step.cut
    return step.text if isinstance(step, Retry) else ""


def _verdict(grade: Grade, diagnosis: Diagnosis) -> Iterator[RenderableType]:
    yield Text(f"gold {grade.gold} -> {grade.verdict} ({grade.reason})", _colour(grade.verdict))
    if diagnosis.cause:
        yield Text(f"why: {diagnosis.cause}", "bold red")
    for tag in diagnosis.tags:
        step = f"step {tag.step}, " if tag.step is not None else ""
        yield Text(f"  {tag.rule}: {step}{tag.evidence}", "yellow")


def _colour(verdict: Verdict) -> str:
    return "green" if verdict is Verdict.CORRECT else "red"
