"""From a problem to a trajectory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from langsmith import tracing_context
from pydantic import BaseModel

from prompts import PromptError, PromptSet, load_prompt
from sandbox import Limits, Sandbox, SandboxError, Session
from tora_agent import budgets
from tora_agent.conversation import cells_run
from tora_agent.dialects import DIALECTS, Dialect
from tora_agent.dialects.probe import choose_dialect, told
from tora_agent.errors import UsageError
from tora_agent.graph import Context, build_graph
from tora_agent.model import ClientSettings, Endpoint, choose_endpoint, open_model
from tora_agent.model.client import Model
from tora_agent.problem import Problem
from tora_agent.settings import AgentSettings, checked_settings
from tora_agent.steps import State, Step, Trajectory, Usage

RECURSION_LIMIT = 100_000
"""Steps of the graph: the rounds are limited by the budget, the cells of one reply by its tokens."""
OnEvent = Callable[[dict[str, Any]], None]
"""Takes live events: {"text": piece of the model's reply, None to begin anew}, {"step": a step as JSON types}, or
{"note": a line on what was chosen}."""


class Solution(BaseModel):
    """What `solve` returns."""

    answer: str | None
    """Content of the final box, LaTeX; None without an answer."""
    verified: bool | None
    """True or False as the check by code came out; None where it was uncertain or not made."""
    trajectory: Trajectory
    usage: Usage


class Agent:
    """Solves problems with one model, one sandbox and one prompt set.

    Raises `UsageError` at once if the settings do not fit the prompt set.
    """

    def __init__(
        self, model: Model, box: Sandbox, settings: AgentSettings, dialect: Dialect | None = None, why: str = ""
    ) -> None:
        """`dialect` is the one that `choose_dialect` found, where the settings leave it open, and `why` it was."""
        self.model, self.box, self.settings = model, box, settings
        self.prompt = checked_prompt(settings)
        self.dialect, self.dialect_reason = dialect or DIALECTS[settings.dialect], why

    @property
    def chosen(self) -> str:
        """The line that says what `--dialect auto` chose, and why; empty without it."""
        return told(self.settings.dialect, self.dialect.name, self.dialect_reason) if self.dialect_reason else ""

    async def rollout(
        self, problem: Problem, sample: int = 0, on_event: OnEvent | None = None, begin: Sequence[Step] = ()
    ) -> Trajectory:
        """Make one sample. A model or sandbox that fails raises `ModelError` or `SandboxError`: there is no sample.

        `begin` are steps of another trajectory to go on from, up to and with any of reasoning, code, output or retry.
        The kernel's state is made again by running their cells; they count as spent of the budget.
        """
        before = [step.model_dump(mode="json") for step in begin]
        settings = self.settings.model_copy(update={"seed": self.settings.seed + sample})
        started, clock = datetime.now(UTC), time.monotonic()
        async with self.box.session() as session, _started(session, self.prompt.code != "none"):
            for code in cells_run(before):
                await session.run(code, timeout=settings.cell_seconds)
            ctx = Context(
                self.model, session, self.box.session, self.prompt, self.dialect, settings, stream=on_event is not None
            )
            start = {"problem": problem.problem, "steps": before}
            steps = before + await self._run(start, ctx, on_event or (lambda _: None))
        last = steps[-1]
        answered = last["kind"] == "answer"
        state: State | None = last["state"] if answered else None
        return Trajectory(
            problem_id=problem.unique_id,
            sample=sample,
            problem=problem.problem,
            subject=problem.subject,
            level=problem.level,
            prompt=self.prompt.name,
            dialect=self.dialect.name,
            image=self.box.image,
            model=self.model.reported or self.model.name,
            fingerprint=self.model.fingerprint,
            started=started.isoformat(timespec="milliseconds"),
            seconds=round(time.monotonic() - clock, 3),
            settings=settings.model_dump(),
            steps=steps,
            answer=last["answer"] if answered else None,
            state=state,
            failure=None if answered else last["failure"],
            usage=budgets.usage(steps),
        )

    async def _run(self, start: dict[str, Any], ctx: Context, on_event: OnEvent) -> list[dict[str, Any]]:
        config = {"recursion_limit": RECURSION_LIMIT}
        stream = build_graph().astream(start, config, context=ctx, stream_mode=["updates", "custom"], version="v2")
        # A user's LANGSMITH_TRACING would ship every state away.
        with tracing_context(enabled=False):
            return await collect(stream, on_event)


@asynccontextmanager
async def open_agent(
    settings: AgentSettings, endpoint: Endpoint, client: ClientSettings | None = None, dialect: str = ""
) -> AsyncIterator[Agent]:
    """An agent with its sandbox and its model, both open. `dialect` is one that `--dialect auto` chose before.

    Raises `ToraError` or `SandboxError`, each with one line that says what to do.
    """
    checked_prompt(settings)
    sandbox = Sandbox(Limits(cell_seconds=settings.cell_seconds), isolation=settings.isolation)
    async with sandbox as box, open_model(endpoint, client) as model:
        chosen, why = (DIALECTS[dialect], "") if dialect else await choose_dialect(settings.dialect, model)
        yield Agent(model, box, settings, chosen, why)


@asynccontextmanager
async def _started(session: Session, wanted: bool) -> AsyncIterator[None]:
    """Have the kernel start while the model thinks. What fails in that will fail again with the first cell."""

    async def start() -> None:
        with suppress(SandboxError):
            await session.start()

    starting = asyncio.create_task(start() if wanted else asyncio.sleep(0))
    try:
        yield
    finally:
        starting.cancel()
        await asyncio.wait([starting])


async def collect(stream: AsyncGenerator[Any], on_event: OnEvent) -> list[dict[str, Any]]:
    """The steps that a run of the graph makes, each of its events told."""
    steps: list[dict[str, Any]] = []
    async with aclosing(stream) as parts:
        async for part in parts:
            if part["type"] == "custom":
                on_event(part["data"])
                continue
            for node, update in part["data"].items():
                for step in (update or {}).get("steps", ()) if node != "__interrupt__" else ():
                    steps.append(step)
                    on_event({"step": step})
    return steps


async def solve_async(
    problem: str | Problem,
    *,
    model: str | None = None,
    base_url: str | None = None,
    settings: AgentSettings | None = None,
    client: ClientSettings | None = None,
    on_event: OnEvent | None = None,
    **options: Any,
) -> Solution:
    """Solve one problem: reasoning, code in the sandbox, a check of the answer.

    `model` and `base_url` as on the command line (default: the environment, else the embedded model); `client` says how
    calls are made (cassette, budget, retries); `options` are fields of `AgentSettings` (prompt="tora", max_rounds=4,
    ...) in place of `settings`. Raises `ToraError` or `SandboxError`, each with one line that says what to do.
    """
    problem = checked_problem(problem)
    endpoint = choose_endpoint(model, base_url, client)
    async with open_agent(settings or checked_settings(options), endpoint, client) as agent:
        if on_event and agent.chosen:
            on_event({"note": agent.chosen})
        trajectory = await agent.rollout(problem, on_event=on_event)
    verified = {"True": True, "False": False}.get(trajectory.state or "")
    return Solution(answer=trajectory.answer, verified=verified, trajectory=trajectory, usage=trajectory.usage)


def solve(problem: str | Problem, **options: Any) -> Solution:
    """`solve_async` for code that is not asynchronous, usable inside a running event loop (a notebook) too."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(solve_async(problem, **options))
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, solve_async(problem, **options)).result()


def checked_problem(problem: str | Problem) -> Problem:
    """The problem, stated as text or whole. Raises `UsageError` if there is nothing in it or it is no valid text."""
    text = problem if isinstance(problem, str) else problem.problem
    if not text.strip():
        raise UsageError("the problem is empty")
    if text != text.encode("utf-8", "replace").decode():
        raise UsageError("the problem is not UTF-8 text")
    return Problem(problem=problem) if isinstance(problem, str) else problem


def checked_prompt(settings: AgentSettings) -> PromptSet:
    """The prompt set that `settings` name. Raises `UsageError` if it is missing, wrong, or has too few examples."""
    try:
        prompt = load_prompt(settings.prompt)
        prompt.rehearse(settings.shots)
    except PromptError as error:
        raise UsageError(str(error)) from error
    return prompt
