"""`tora export`: samples of a run as notebooks, chat messages or ATIF documents."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat

from evals.exporting.atif import atif
from evals.exporting.notebook import notebook
from evals.exporting.sft import chat
from evals.grading import Grade
from evals.runs import Run
from evals.runs.selection import selected
from tora_agent.dialects import DIALECTS
from tora_agent.errors import UsageError
from tora_agent.steps import Trajectory

FORMATS = {"notebook": ".ipynb", "sft": ".jsonl", "atif": ".json"}
Graded = tuple[Trajectory, Grade | None]


@dataclass(frozen=True)
class Wanted:
    """What `tora export` is asked to do."""

    format: str
    problem_id: str | None = None
    sample: int | None = None
    verdict: str | None = None
    """Only samples of this verdict."""
    dialect: str | None = None
    """How the messages of `sft` bring code to the kernel; None for the trajectory's own."""
    prompt: str | None = None
    """Prompt set that words the messages of `sft`; None for the trajectory's own."""
    out: Path | None = None
    """A file, or for several notebooks or ATIF documents a folder; None for standard output."""


def export_command(run: Run, wanted: Wanted) -> str:
    """Write the samples; return a line that says what was written, empty for standard output. Raises `UsageError`."""
    if wanted.format not in FORMATS:
        raise UsageError(f"--format {wanted.format}: use {', '.join(FORMATS)}")
    if wanted.dialect is not None and wanted.dialect not in DIALECTS:
        raise UsageError(f"--dialect {wanted.dialect}: use {', '.join(DIALECTS)}")
    samples = list(_chosen(run, wanted))
    if not samples:
        raise UsageError(f"{run.folder} has no such sample; `tora show {run.folder}` lists them")
    try:
        if wanted.format == "sft" or len(samples) == 1:
            return _one_file(run, samples, wanted)
        return _folder(run, samples, wanted)
    except BrokenPipeError:  # what reads it has had enough
        raise
    except OSError as error:
        where = wanted.out or "standard output"
        raise UsageError(f"{where} cannot be written: {error.strerror}; give another --out") from error


def _chosen(run: Run, wanted: Wanted) -> Iterator[Graded]:
    grades = run.grades()
    for trajectory in selected(run, wanted.problem_id, wanted.sample):
        grade = grades.get((trajectory.problem_id, trajectory.sample))
        if wanted.verdict is None or (grade and grade.verdict == wanted.verdict):
            yield trajectory, grade


def _one_file(run: Run, samples: list[Graded], wanted: Wanted) -> str:
    text = "".join(_text(run, sample, wanted) for sample in samples)
    if wanted.out is None:
        sys.stdout.write(text)
        return ""
    wanted.out.write_text(text)
    return f"{len(samples)} samples in {wanted.out}"


def _folder(run: Run, samples: list[Graded], wanted: Wanted) -> str:
    if wanted.out is None:
        raise UsageError(f"{len(samples)} samples: give --out FOLDER, or the id of one problem")
    wanted.out.mkdir(parents=True, exist_ok=True)
    for sample in samples:
        trajectory = sample[0]
        slug = re.sub(r"[^\w.-]+", "-", trajectory.problem_id.removesuffix(".json")).strip("-.") or "problem"
        file = wanted.out / f"{slug[-100:]}-{trajectory.sample}{FORMATS[wanted.format]}"
        file.write_text(_text(run, sample, wanted))
    return f"{len(samples)} files in {wanted.out}"


def _text(run: Run, sample: Graded, wanted: Wanted) -> str:
    trajectory, grade = sample
    if wanted.format == "notebook":
        return str(nbformat.writes(notebook(trajectory, grade))) + "\n"
    if wanted.format == "atif":
        return json.dumps(atif(trajectory, run.folder.name, grade), indent=2) + "\n"
    messages = chat(trajectory, DIALECTS[wanted.dialect or trajectory.dialect], wanted.prompt)
    about = {"problem_id": trajectory.problem_id, "sample": trajectory.sample}
    return json.dumps(messages | about | {"verdict": grade.verdict.value if grade else None}) + "\n"
