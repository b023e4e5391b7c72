"""Run a benchmark: samples in parallel, each logged as it ends."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from evals.benchmarks import Benchmark
from evals.grading import Grade, Grader
from evals.runs import Manifest, Run
from evals.runs.naming import made_with
from evals.runs.run import Key, LogError
from evals.voting.election import Election
from evals.voting.votes import Vote, Weights
from prompts import load_prompt
from sandbox import KernelFailed, SandboxError
from tora_agent.agent import Agent, open_agent
from tora_agent.errors import ModelError, ModelRefused, ToraError, UsageError
from tora_agent.folders import new_folder
from tora_agent.model import ClientSettings, Endpoint
from tora_agent.model.endpoint import DEFAULT
from tora_agent.settings import AgentSettings
from tora_agent.steps import Trajectory, Usage

OnGrade = Callable[[Trajectory, Grade], None]
GIVE_UP_AFTER = 10
"""Failures in a row, each after all its retries, that stop a run."""


@dataclass
class Plan:
    """What `tora eval` is asked to do."""

    benchmark: str
    settings: AgentSettings
    limit: int | None = None
    spread: int | None = None
    """Seed for drawing the problems from all subjects and levels; None for the first ones."""
    samples: int = 1
    vote: Vote | None = None
    weights: Weights = field(default_factory=Weights)
    stop_early: bool = False
    data: Path | None = None
    model: str | None = None
    base_url: str | None = None
    max_connections: int | None = None
    """Samples in flight; None for 16, and for the embedded model its number of slots."""
    client: ClientSettings = field(default_factory=ClientSettings)


@dataclass
class Outcome:
    """How an evaluation ended."""

    run: Run
    left: int
    """Samples still missing, or not graded."""
    problems: list[str]
    """One line for each kind of failure of model or sandbox that kept samples from being made."""


def same_run(run: Run, plan: Plan, benchmark: Benchmark, endpoint: Endpoint) -> None:
    """Make sure that `plan` goes on with `run` and is no other evaluation. Raises `UsageError`."""
    was = run.manifest
    for name, before, now in (
        ("benchmark", was.benchmark, benchmark.name),
        ("--limit", was.limit, plan.limit),
        ("--spread", was.spread, plan.spread),
        ("--samples", was.samples, plan.samples),
        ("--vote", was.vote, plan.vote),
        ("--weights", was.weights, plan.weights),
        ("--stop-early", was.stop_early, plan.stop_early),
        ("--model", f"local:{DEFAULT}" if was.model == "local" else was.model, endpoint.label),
        *((f"--{key.replace('_', '-')}", value, getattr(plan.settings, key)) for key, value in was.settings),
        ("prompt text (hash)", was.prompt_sha256, load_prompt(plan.settings.prompt).sha256),
        ("data (hash)", was.data_sha256, benchmark.sha256),
    ):
        if before != now:
            raise UsageError(
                f"{run.folder} was made with another {name}: {before}, not {now}; give it, or begin a new run"
            )


async def evaluate(
    plan: Plan,
    benchmark: Benchmark,
    endpoint: Endpoint,
    log_dir: Path,
    resume: Run | None = None,
    on_start: Callable[[Run, int, list[Grade]], None] = lambda run, total, done: None,
    on_grade: OnGrade = lambda trajectory, grade: None,
) -> Outcome:
    """Make, log and grade every sample that is still missing.

    A failure that ends only its own sample is counted and leaves the sample missing; one that would end them all stops
    the run. Cancelling loses no finished sample. Raises `ToraError` or `SandboxError` if nothing could be started; then
    no run directory is left behind.
    """
    async with AsyncExitStack() as stack:
        grader = await stack.enter_async_context(Grader())
        opened = open_agent(plan.settings, endpoint, plan.client, resume.manifest.dialect if resume else "")
        agent = await stack.enter_async_context(opened)
        run = resume or _create(plan, benchmark, endpoint, agent, log_dir)
        stack.callback(run.discard if not resume else run.close)
        worker = _Worker(run, agent, grader, benchmark, on_grade)
        stack.callback(worker.note_spending)
        done = await worker.grade_leftovers()
        on_start(run, len(run.samples()), done)
        slots = plan.max_connections or _default_connections(endpoint)
        await worker.work(slots)
        if worker.error and not worker.finished and not agent.model.spending.spent.calls:
            raise worker.error
        if run.manifest.samples > 1 and not worker.stopped:
            run.save_classes(worker.election.classes())
        left = len(await worker.missing()) + len(worker.finished - worker.graded)
        return Outcome(run, left, worker.complaints())


class _Worker:
    """Makes samples and logs them."""

    def __init__(self, run: Run, agent: Agent, grader: Grader, benchmark: Benchmark, on_grade: OnGrade) -> None:
        self.run, self.agent, self.grader, self.on_grade = run, agent, grader, on_grade
        self.problems = {problem.unique_id: problem for problem in benchmark.problems}
        self.finished: set[Key] = set()
        self.graded: set[Key] = set()
        self.election = Election(run.manifest)
        self.error: ToraError | SandboxError | None = None
        """The latest failure."""
        self._failed: Counter[str] = Counter()
        self._in_a_row = 0
        self.stopped = False
        """Whether a failure would have ended all further samples."""

    async def grade_leftovers(self) -> list[Grade]:
        """Note which samples the run already has, and grade those whose grade a kill prevented."""
        grades = self.run.grades()
        self.graded |= grades.keys()
        logged = Usage()
        for trajectory in self.run.trajectories():
            logged += trajectory.usage
            key = (trajectory.problem_id, trajectory.sample)
            self.finished.add(key)
            if key not in grades:
                grades[key] = await self._grade(trajectory)
            await self.election.add(trajectory, grades[key])
        # What unfinished samples spent is known where the run was not killed.
        self.agent.model.spending.spent += max(self.run.manifest.spent, logged, key=lambda usage: usage.prompt_tokens)
        return list(grades.values())

    def note_spending(self) -> None:
        """Write down what was spent, unfinished samples included, as far as there is space for it."""
        self.run.manifest.spent = self.agent.model.spending.spent
        with suppress(LogError):
            self.run.save_manifest()

    async def missing(self) -> list[Key]:
        """The samples that are still to be made: none of a problem whose vote is decided, if that ends it.

        First one sample of each problem, then the second of each, where a decision can spare the later ones.
        """
        keys = [key for key in self.run.samples() if key not in self.finished]
        if not self.run.manifest.stop_early:
            return keys
        return sorted([key for key in keys if not await self.election.is_decided(key[0])], key=lambda key: key[1])

    async def work(self, slots: int) -> None:
        """Make the missing samples, `slots` at a time, in order, until one failure would end them all."""
        missing = await self.missing()
        queue = iter(missing)

        async def serve() -> None:
            for key in queue:
                if self.stopped:
                    return
                if not (self.run.manifest.stop_early and await self.election.is_decided(key[0])):
                    await self._make(key)

        async with asyncio.TaskGroup() as workers:
            for _ in range(min(slots, len(missing))):
                workers.create_task(serve())

    async def _make(self, key: Key) -> None:
        try:
            trajectory = await self.agent.rollout(self.problems[key[0]], key[1])
            self.run.add(trajectory)
            self.finished.add(key)
            self._note_model()
            grade = await self._grade(trajectory)
            await self.election.add(trajectory, grade)
            self.on_grade(trajectory, grade)
            self._in_a_row = 0
        except (ToraError, SandboxError) as error:
            self.error = error
            self._failed[str(error)] += 1
            self._in_a_row += not self.agent.model.settings.replay_only  # a cassette is not down for the next request
            alone = isinstance(error, ModelError | KernelFailed) and not isinstance(error, ModelRefused)
            self.stopped = self.stopped or not alone or self._in_a_row >= GIVE_UP_AFTER

    async def _grade(self, trajectory: Trajectory) -> Grade:
        grade = await self.grader.grade(trajectory, self.problems[trajectory.problem_id].answer)
        self.run.add(grade)
        self.graded.add((trajectory.problem_id, trajectory.sample))
        return grade

    def _note_model(self) -> None:
        model, manifest = self.agent.model, self.run.manifest
        if model.reported and not manifest.model_reported:
            manifest.model_reported, manifest.fingerprint = model.reported, model.fingerprint
            self.run.save_manifest()

    def complaints(self) -> list[str]:
        """One line for each kind of failure."""
        return [f"{count} x {line}" for line, count in self._failed.most_common()]


def _create(plan: Plan, benchmark: Benchmark, endpoint: Endpoint, agent: Agent, log_dir: Path) -> Run:
    manifest = Manifest(
        benchmark=benchmark.name,
        data_source=benchmark.source,
        data_sha256=benchmark.sha256,
        data_file=str(benchmark.file) if benchmark.file else None,
        limit=plan.limit,
        spread=plan.spread,
        problem_ids=[problem.unique_id for problem in benchmark.choose(plan.limit, plan.spread)],
        samples=plan.samples,
        vote=plan.vote,
        weights=plan.weights,
        stop_early=plan.stop_early,
        **made_with(agent, endpoint),
    )
    return Run.create(new_folder(log_dir, benchmark.name, agent.prompt.name, agent.model.name), manifest)


def _default_connections(endpoint: Endpoint) -> int:
    if not endpoint.embedded:
        return 16
    from tora_agent.model.embedded import SLOTS

    return SLOTS
