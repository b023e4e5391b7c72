"""`tora fork`: go on from a step of a recorded sample, with another model, prompt set or seed."""

from __future__ import annotations

import asyncio
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from evals.grading import Grade, Grader
from evals.runs import Manifest, Run
from evals.runs.naming import made_with
from evals.runs.problems import problems_of, save_problems
from evals.runs.run import Parent
from evals.runs.selection import selected
from prompts import load_prompt
from tora_agent.agent import Agent, OnEvent, checked_prompt, open_agent
from tora_agent.dialects import Dialect
from tora_agent.dialects.fences import fenced
from tora_agent.display import Live
from tora_agent.errors import UsageError
from tora_agent.folders import new_folder
from tora_agent.model import ClientSettings, Endpoint, choose_endpoint, fetch_if_embedded
from tora_agent.model.settings import client_settings
from tora_agent.settings import AgentSettings, settings_from
from tora_agent.steps import Code, Reasoning, Step, Trajectory


@dataclass(frozen=True)
class Fork:
    """What `tora fork` is asked to do."""

    parent: Run
    trajectory: Trajectory
    step: int
    """The first step that is made anew; a model call."""
    settings: AgentSettings
    endpoint: Endpoint
    client: ClientSettings


def fork_command(run: Run, given: dict[str, Any], console: Console) -> Run:
    """Carry out `tora fork` with the options `given`; show the new steps as they are made, and the grade.

    Raises `ToraError` or `SandboxError`; then no run directory is left behind.
    """
    trajectory = _chosen(run, given["id"], given["sample"])
    base = run.manifest.settings.model_dump() | {"seed": trajectory.settings.get("seed", 0)}
    settings = settings_from(base, given)
    checked_prompt(settings)
    manifest = run.manifest
    same_server = given["model"] is None and given["base_url"] is None
    model = given["model"] if given["model"] or manifest.imported else manifest.model
    client = client_settings(given)
    endpoint = choose_endpoint(model, manifest.base_url if same_server else given["base_url"], client)
    if not client.replay_only:
        fetch_if_embedded(endpoint)
    fork = Fork(run, trajectory, model_call_at(trajectory, given["at"]), settings, endpoint, client)
    console.print(f"going on from step {fork.step} of {trajectory.problem_id}", soft_wrap=True, highlight=False)
    with Live(console) as live:
        made, grade = asyncio.run(_make(fork, given["log_dir"], live))
    console.print(Text(f"gold {grade.gold} -> {grade.verdict} ({grade.reason})"))
    command = f"tora show {shlex.quote(str(made.folder))}"
    console.print(f"run: {made.folder}\nopen: {command}", soft_wrap=True, highlight=False, markup=False)
    return made


def model_call_at(trajectory: Trajectory, step: int) -> int:
    """The nearest model call at or before `step`: what is made anew is the reply. Raises `UsageError`."""
    if not 0 <= step < len(trajectory.steps):
        raise UsageError(f"--at {step}: {trajectory.problem_id} has the steps 0 to {len(trajectory.steps) - 1}")
    calls = [i for i, each in enumerate(trajectory.steps[: step + 1]) if isinstance(each, Reasoning)]
    return calls[-1] if calls else 0


def kept_steps(trajectory: Trajectory, step: int, dialect: Dialect, prompt: str) -> list[Step]:
    """The steps before `step`, as a conversation in `dialect` can go on from them.

    A reply in another form (imported, or made in another dialect) is given as its words and its code in fenced blocks.
    """
    steps, prompt_set = trajectory.steps[:step], load_prompt(prompt)
    kept: list[Step] = []
    for index, each in enumerate(steps):
        if isinstance(each, Reasoning):
            codes = _codes_after(steps, index)
            if tuple(dialect.read(each.call, prompt_set).codes) != tuple(codes):
                raw = "\n\n".join([each.text, *map(fenced, codes)])
                call = each.call.model_copy(update={"raw": raw, "tool_calls": [], "finish_reason": "stop"})
                each = each.model_copy(update={"call": call})
        kept.append(each)
    return kept


def _codes_after(steps: list[Step], index: int) -> list[str]:
    codes = []
    for step in steps[index + 1 :]:
        if isinstance(step, Reasoning):
            break
        if isinstance(step, Code):
            codes.append(step.code)
    return codes


def _chosen(run: Run, problem_id: str, sample: int | None) -> Trajectory:
    found = selected(run, problem_id, sample)
    if len(found) > 1:
        raise UsageError(f"{problem_id} has {len(found)} samples; say which with --sample")
    return found[0]


async def _make(fork: Fork, log_dir: Path, on_event: OnEvent) -> tuple[Run, Grade]:
    old = fork.trajectory
    problem = problems_of(fork.parent)[old.problem_id]
    async with Grader() as grader, open_agent(fork.settings, fork.endpoint, fork.client) as agent:
        if agent.chosen:
            on_event({"note": agent.chosen})
        kept = kept_steps(old, fork.step, agent.dialect, fork.settings.prompt)
        new = await agent.rollout(problem, on_event=on_event, begin=kept)
        grade = await grader.grade(new, problem.answer)
        manifest = _manifest(fork, agent)
    run = Run.create(new_folder(log_dir, "fork", old.problem_id.removesuffix(".json"), str(fork.step)), manifest)
    try:
        save_problems(run, [problem])
        run.add(new)
        run.add(grade)
    finally:
        run.close()
    return run, grade


def _manifest(fork: Fork, agent: Agent) -> Manifest:
    """Of its parent a fork has the benchmark and nothing else: what was spent, drawn or graded there is not its own."""
    was, old = fork.parent.manifest, fork.trajectory
    return Manifest(
        benchmark=was.benchmark,
        data_source=was.data_source,
        data_sha256=was.data_sha256,
        data_file=was.data_file,
        limit=None,
        problem_ids=[old.problem_id],
        samples=1,
        parent=Parent(run=str(fork.parent.folder), problem_id=old.problem_id, sample=old.sample, step=fork.step),
        model_reported=agent.model.reported,
        fingerprint=agent.model.fingerprint,
        spent=agent.model.spending.spent,
        **made_with(agent, fork.endpoint),
    )
