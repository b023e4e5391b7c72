"""`tora eval`: from options to a run, with a progress bar."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as Remaining

from evals.benchmarks import load_benchmark
from evals.grading import Grade, Verdict
from evals.report import print_report
from evals.runner import Outcome, Plan, evaluate, same_run
from evals.runs import Manifest, Run
from evals.runs.run import find_run
from evals.voting.votes import Vote, Weights, check_voting
from tora_agent.agent import checked_prompt
from tora_agent.dialects.probe import told
from tora_agent.errors import UsageError
from tora_agent.model import choose_endpoint, fetch_if_embedded
from tora_agent.model.settings import client_settings
from tora_agent.settings import settings_from
from tora_agent.steps import Trajectory, Usage

COMPLETE, INCOMPLETE = 0, 3


def eval_command(given: dict[str, Any], console: Console) -> int:
    """Carry out `tora eval` with the options `given`; return the exit status.

    Raises `ToraError` or `SandboxError` where nothing could be started.
    """
    resume = find_run(given["resume"], given["log_dir"]) if given["resume"] else None
    was = Run.read(resume) if resume else None
    plan = _plan(given, was)
    endpoint = choose_endpoint(plan.model, plan.base_url, plan.client)
    benchmark = load_benchmark(plan.benchmark, plan.data)
    if benchmark.warning:
        console.print(f"warning: {benchmark.warning}", style="yellow", markup=False)
    if plan.samples > 1 and plan.settings.temperature == 0:
        console.print("[yellow]warning: at temperature 0 the samples of a problem are alike; see --temperature[/]")
    if was:
        same_run(was, plan, benchmark, endpoint)
    run = Run.resume(resume) if resume else None
    if not plan.client.replay_only:
        fetch_if_embedded(endpoint)
    with _Bar(console) as bar:
        try:
            outcome = asyncio.run(evaluate(plan, benchmark, endpoint, given["log_dir"], run, bar.start, bar.count))
        except KeyboardInterrupt:
            outcome = None
    return _end(outcome, bar.run or run, plan, console)


def _plan(given: dict[str, Any], was: Run | None) -> Plan:
    """What is asked for; what is not given comes from the run to resume, or is the default."""
    for option in ("limit", "samples", "max_connections"):
        if given[option] is not None and given[option] < 1:
            raise UsageError(f"--{option.replace('_', '-')} must be at least 1, not {given[option]}")
    client = client_settings(given)
    weights = Weights.parse(given["weights"]) if given["weights"] else None
    vote = Vote.parse(given["vote"])
    settings = settings_from(was.manifest.settings.model_dump() if was else {"prompt": "tora"}, given)
    checked_prompt(settings)
    if was is None:
        if given["benchmark"] is None:
            raise UsageError("name a benchmark: sample, math500 or a .jsonl file; or a run to finish with --resume")
        keys = ("benchmark", "limit", "spread", "data", "model", "base_url", "max_connections")
        voting = {"vote": vote, "weights": weights or Weights(), "stop_early": given["stop_early"]}
        samples = given["samples"] or 1
        check_voting(given, vote, samples, settings.prompt)
        return Plan(settings=settings, samples=samples, client=client, **voting, **{key: given[key] for key in keys})
    manifest = was.manifest
    return Plan(
        benchmark=given["benchmark"] or manifest.benchmark,
        settings=settings,
        limit=given["limit"] or manifest.limit,
        spread=manifest.spread if given["spread"] is None else given["spread"],
        samples=given["samples"] or manifest.samples,
        vote=vote or manifest.vote,
        weights=weights or manifest.weights,
        stop_early=given["stop_early"] or manifest.stop_early,
        data=given["data"] or _data_of(manifest, given["benchmark"]),
        model=given["model"] or manifest.model,
        base_url=given["base_url"] or manifest.base_url,
        max_connections=given["max_connections"],
        client=client,
    )


def _data_of(manifest: Manifest, benchmark: str | None) -> Path | None:
    """The run's own file of problems, unless another is named in the place of the benchmark."""
    own = benchmark in (None, manifest.benchmark, manifest.data_file)
    return Path(manifest.data_file) if manifest.data_file and own else None


def _end(outcome: Outcome | None, run: Run | None, plan: Plan, console: Console) -> int:
    if run is None or not run.folder.exists():
        console.print("stopped before any sample was finished; nothing was kept")
        return INCOMPLETE
    print_report(run, console)
    if outcome and not outcome.left:
        return COMPLETE
    for line in outcome.problems if outcome else ["stopped by the user"]:
        console.print(line, style="yellow", soft_wrap=True, highlight=False, markup=False)
    command = shlex.join(["tora", "eval", "--resume", str(run.folder), *_again(plan, run.manifest.spent)])
    console.print(f"paused; finish it with: {command}", soft_wrap=True, highlight=False, markup=False)
    return INCOMPLETE


def _again(plan: Plan, spent: Usage) -> list[str]:
    """The options that a run does not keep, as they were given; a budget is doubled until it has something left."""
    given = plan.client.model_dump(exclude_defaults=True)
    if plan.max_connections:
        given["max_connections"] = plan.max_connections
    used = {"max_cost": spent.cost or 0, "max_tokens_total": spent.prompt_tokens + spent.completion_tokens}
    words = []
    for option, value in given.items():
        while option in used and value <= used[option]:
            value *= 2
        if option == "price":
            value = f"{value['prompt']:g},{value['completion']:g}"
        words += [f"--{option.replace('_', '-')}", *([] if value is True else [str(value)])]
    return words


class _Bar:
    """Progress with running accuracy: a bar on a terminal, a line per sample elsewhere."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.run: Run | None = None
        self._right = self._done = self._total = 0
        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), Remaining())
        self._progress = Progress(
            TextColumn("{task.description}"), *columns, console=console, disable=not console.is_terminal
        )
        self._task = self._progress.add_task("starting the model and the sandbox", total=None)

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def start(self, run: Run, total: int, done: list[Grade]) -> None:
        """The run is there, with the samples that an earlier process finished."""
        self.run, self._total, self._done = run, total, len(done)
        self._right = sum(grade.verdict is Verdict.CORRECT for grade in done)
        self.console.print(f"run: {run.folder}", soft_wrap=True, highlight=False, markup=False)
        manifest = run.manifest
        if chosen := told(manifest.settings.dialect, manifest.dialect, manifest.dialect_reason):
            self.console.print(chosen, soft_wrap=True, highlight=False, markup=False)
        self._progress.update(self._task, description="no sample yet", total=total, completed=len(done))

    def count(self, trajectory: Trajectory, grade: Grade) -> None:
        """One more sample is finished."""
        self._done += 1
        self._right += grade.verdict is Verdict.CORRECT
        score = f"accuracy {100 * self._right / self._done:.1f} %"
        if self._progress.disable:
            line = f"{self._done}/{self._total}  {score}  {trajectory.problem_id}  {grade.verdict}"
            self.console.print(line, soft_wrap=True, highlight=False, markup=False)
        else:
            self._progress.update(self._task, completed=self._done, description=score)
