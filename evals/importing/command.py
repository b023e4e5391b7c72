"""`tora import`: another program's log becomes runs of ours, graded."""

from __future__ import annotations

import asyncio
import platform
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.progress import track

from evals.benchmarks import Benchmark, load_benchmark
from evals.benchmarks.base import rows_sha256
from evals.grading import Grade, Grader
from evals.importing.joining import Joined, join
from evals.importing.reading import ForeignLog, read_log
from evals.importing.record import Record
from evals.importing.trajectories import UNKNOWN, trajectories
from evals.report import print_report
from evals.runs import Manifest, Run
from evals.runs.problems import save_problems
from evals.runs.run import Imported
from tora_agent.folders import new_folder
from tora_agent.settings import AgentSettings
from tora_agent.steps import Trajectory


@dataclass(frozen=True)
class Wanted:
    """What `tora import` is asked to do."""

    file: Path
    format: str | None = None
    benchmark: str | None = None
    data: Path | None = None
    model: str | None = None
    log_dir: Path = Path("runs")


def import_command(wanted: Wanted, console: Console) -> list[Run]:
    """Make a run of each model and prompt in the file, grade and report it. Raises `UsageError` or `LogError`."""
    benchmark = load_benchmark(wanted.benchmark or "math500", wanted.data) if wanted.benchmark or wanted.data else None
    log = read_log(wanted.file, wanted.format)
    runs = []
    for records in _by_maker(log.records, wanted.model):
        run, made = _written(wanted, replace(log, records=records), benchmark)
        try:
            _grade(run, made, join(records, benchmark), console)
        finally:
            run.close()
        print_report(run, console)
        runs.append(run)
    return runs


def _by_maker(records: list[Record], model: str | None) -> list[list[Record]]:
    """The records of each model and prompt apart: together they would look like samples of the same problems."""
    groups: dict[tuple[str | None, str | None], list[Record]] = defaultdict(list)
    for record in records:
        groups[record.model, record.prompt].append(replace(record, model=model or record.model))
    return list(groups.values())


def _written(wanted: Wanted, log: ForeignLog, benchmark: Benchmark | None) -> tuple[Run, list[Trajectory]]:
    joined = join(log.records, benchmark)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    made = list(trajectories(log.records, joined, now))
    run = Run.create(
        new_folder(wanted.log_dir, log.path.stem, log.records[0].model or "", log.records[0].prompt or ""),
        _manifest(wanted, log, joined, benchmark, now),
    )
    save_problems(run, joined.problems)
    for trajectory in made:
        run.add(trajectory)
    return run, made


def _manifest(wanted: Wanted, log: ForeignLog, joined: Joined, benchmark: Benchmark | None, now: str) -> Manifest:
    first = log.records[0]
    label = first.benchmark or ""
    return Manifest(
        created=now,
        versions={"python": platform.python_version(), "tora-agent": version("tora-agent")},
        benchmark=benchmark.name if benchmark else label or log.path.stem,
        data_source=f"{log.path.name}, imported as {log.format}",
        data_sha256=rows_sha256(joined.problems),
        data_file=str(benchmark.file) if benchmark and benchmark.file else None,
        limit=None,
        problem_ids=[problem.unique_id for problem in joined.problems],
        samples=max(Counter(joined.ids).values()),
        settings=AgentSettings(prompt=first.prompt or UNKNOWN),
        prompt_sha256="",
        prompt_text={},
        model=first.model or UNKNOWN,
        endpoint="imported",
        base_url=None,
        model_reported=first.model or "",
        image_id="",
        image_name="",
        limits={},
        imported=Imported(
            file=log.path.name,
            format=log.format,
            sha256=log.sha256,
            benchmark_label=label,
            golds_from=benchmark.name if benchmark and any(r.gold is None for r in log.records) else "",
            settings=first.settings,
        ),
    )


def _grade(run: Run, made: list[Trajectory], joined: Joined, console: Console) -> None:
    golds = {problem.unique_id: problem.answer for problem in joined.problems}

    async def grade() -> None:
        async with Grader() as grader:
            for trajectory in track(made, "grading", console=console, transient=True, disable=not console.is_terminal):
                verdict: Grade = await grader.grade(trajectory, golds[trajectory.problem_id])
                run.add(verdict)

    asyncio.run(grade())
