"""A conversation that survives its process: the graph with a checkpointer, and a kernel made again from its cells."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.constants import START
from langgraph.types import Command
from langsmith import tracing_context
from pydantic import BaseModel, ValidationError

from prompts.sets import chat_texts, render
from sandbox import CellResult, Session
from sandbox.image.cut import cut_middle
from tora_agent import budgets, verification
from tora_agent.agent import RECURSION_LIMIT, Agent, OnEvent, collect, open_agent
from tora_agent.conversation import asks, cells_run, since_request, since_restart, worked
from tora_agent.dialects.fences import fenced
from tora_agent.errors import ToraError, UsageError
from tora_agent.graph import Context, build_graph
from tora_agent.model import ClientSettings, Endpoint
from tora_agent.settings import AgentSettings
from tora_agent.steps import Budget, Request, Retry, State, Step, Trajectory, Usage, Verification

_CONFIG: dict[str, Any] = {"configurable": {"thread_id": "chat"}, "recursion_limit": RECURSION_LIMIT}


class Setup(BaseModel):
    """What a chat was begun with: `chat.json` in its folder. The key is not in it."""

    created: str
    settings: AgentSettings
    model: str | None
    base_url: str | None
    approve: bool = False
    opened: str = ""
    """When it was last gone on with."""
    dialect: str = ""
    """The one that the conversation is in, also where the settings leave it open."""

    @classmethod
    def read(cls, folder: Path) -> Setup:
        """Raises `UsageError` if `folder` holds no chat."""
        path = folder / "chat.json"
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise UsageError(f"{folder} is no chat: it has no readable chat.json; see those under chats/") from error
        except ValidationError as error:
            raise UsageError(f"{path} is not of this version: {str(error).splitlines()[0]}") from error


class Chat:
    """One conversation. Open it with `Chat.open`; each method is one thing that a person can ask for."""

    def __init__(self, folder: Path, setup: Setup, agent: Agent, graph: Any) -> None:
        self.folder, self.setup, self.agent = folder, setup, agent
        self._prompt, self._graph = agent.prompt, graph
        self._kernel = AsyncExitStack()
        self._session: Session | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, folder: Path, setup: Setup, endpoint: Endpoint, client: ClientSettings) -> AsyncIterator[Chat]:
        """The chat in `folder`, gone on with if it is there. Raises `ToraError` or `SandboxError`."""
        known = setup.dialect if setup.settings.dialect == "auto" else ""
        async with AsyncExitStack() as stack:
            agent = await stack.enter_async_context(open_agent(setup.settings, endpoint, client, known))
            opened = datetime.now(UTC).isoformat(timespec="milliseconds")
            setup = setup.model_copy(update={"dialect": agent.dialect.name, "opened": opened})
            stack.callback(_create(folder, setup).close)
            saver = await stack.enter_async_context(AsyncSqliteSaver.from_conn_string(str(folder / "steps.sqlite")))
            chat = cls(folder, setup, agent, build_graph(saver))
            stack.push_async_callback(chat.drop_kernel)
            yield chat

    async def steps(self) -> list[dict[str, Any]]:
        """All steps so far, as JSON types."""
        return list((await self._state()).values.get("steps", ()))

    async def problem(self) -> str | None:
        """The problem; None before it was stated."""
        problem: str | None = (await self._state()).values.get("problem")
        return problem

    async def unfinished(self) -> bool:
        """Whether the last thing asked for was stopped in the middle."""
        return bool((await self._state()).tasks)  # `next` leaves out one that has ended but was not followed up

    async def waiting(self) -> dict[str, str] | None:
        """What waits for a person's approval, if anything: the `code` of the newest step, or of a `check`."""
        waiting = (await self._state()).interrupts
        return waiting[0].value if waiting else None

    async def say(self, text: str, on_event: OnEvent) -> None:
        """State the problem, or go on with a request in the same conversation and kernel."""
        if await self.problem() is None:
            await self._go({"problem": text, "steps": []}, on_event)
        else:
            await self._begin(Request(at=self._age(), text=text), on_event)

    async def go_on(self, on_event: OnEvent) -> None:
        """Finish what was stopped."""
        await self._go(None, on_event)

    async def decide(self, refusal: str, on_event: OnEvent) -> None:
        """Have the code that waits run; or, with a refusal, tell the model that instead."""
        await self._go(Command(resume=refusal), on_event)

    async def retry(self, on_event: OnEvent) -> None:
        """Have the problem tried again from the start, in a new kernel and with another seed.

        Raises `UsageError` before it was stated.
        """
        if await self.problem() is None:
            raise UsageError("there is nothing to try again yet: state a problem first")
        again = Retry(at=self._age(), reason="asked", text="", restart=True)
        await self.drop_kernel()
        await self._begin(again, on_event)

    async def ask_check(self) -> Verification:
        """Have the model write a check of the newest answer, for `run_check`. Raises `UsageError` if there is none."""
        problem, steps = await self.problem(), await self.steps()
        answer, _ = _newest_answer(steps)
        if answer is None or problem is None:
            raise UsageError("there is no answer to verify yet")
        answered = max(i for i, step in enumerate(steps) if step["kind"] == "answer")
        asked = [step["text"] for step in since_restart(steps[:answered]) if step["kind"] == "request" and asks(step)]
        ctx = await self._context(stream=False)
        ctx = replace(ctx, prompt=ctx.prompt.model_copy(update={"check": ctx.prompt.check or "check"}))
        return await verification.ask("\n\n".join([problem, *asked]), answer, None, ctx.settings.max_tokens, ctx)

    async def run_check(self, asked: Verification) -> Verification:
        """Run it in a kernel of its own."""
        check = await verification.run(asked, worked(await self.steps()), await self._context(stream=False))
        check = check.model_copy(update={"requested": True})
        await self._add(check)
        return check

    async def run(self, code: str) -> CellResult:
        """Run a person's own code in the solution's kernel; the model is told of it with the next request."""
        at = self._age()
        async with self._kernel_kept():
            result = await (await self._open_kernel()).run(code)
        shown = cut_middle(result.text, self.setup.settings.output_chars) or "(no output)"
        if result.state_lost:
            shown += f"\n{render(self._prompt.notes.lost, before=result.lost_before)}"
        output = render(self._prompt.output, output=shown)
        text = render(chat_texts()["ran"], code=fenced(code), output=output)
        if await self.problem() is not None:
            await self._add(Request(at=at, seconds=result.seconds, text=text, code=code))
        return result

    async def left(self) -> tuple[Budget, Usage]:
        """The budget of the current request, and what the whole chat has used."""
        steps = await self.steps()
        return budgets.left(self.setup.settings, since_request(steps)), budgets.usage(steps)

    async def trajectory(self) -> Trajectory:
        """The chat so far as a trajectory. Raises `UsageError` before the problem was stated."""
        steps, problem = await self.steps(), await self.problem()
        if problem is None:
            raise UsageError("there is nothing to save yet: state a problem first")
        answer, state = _newest_answer(steps)
        return Trajectory(
            problem_id="chat",
            problem=problem,
            prompt=self._prompt.name,
            dialect=self.agent.dialect.name,
            image=self.agent.box.image,
            model=self.agent.model.reported or self.agent.model.name,
            fingerprint=self.agent.model.fingerprint,
            started=self.setup.created,
            seconds=sum(step["seconds"] for step in steps),
            settings=self.setup.settings.model_dump(),
            steps=steps,
            answer=answer,
            state=state,
            failure=steps[-1]["failure"] if answer is None and steps and steps[-1]["kind"] == "failure" else None,
            usage=budgets.usage(steps),
        )

    async def drop_kernel(self) -> None:
        """End the kernel; the next thing that needs one makes it again from the cells."""
        self._session = None
        await self._kernel.aclose()

    async def _begin(self, step: Step, on_event: OnEvent) -> None:
        """Go on with a step of a person's own in the place of what was stopped."""
        steps = [*await self._shown(await self._state()), step.model_dump(mode="json")]
        await self._go({"steps": steps, "pending": [], "found": None}, on_event)

    async def _go(self, start: Any, on_event: OnEvent) -> None:
        modes = ["updates", "custom"]
        async with self._kernel_kept():
            ctx = await self._context(stream=True)
            stream = self._graph.astream(
                start, _CONFIG, context=ctx, stream_mode=modes, version="v2", durability="sync"
            )
            with tracing_context(enabled=False):
                await collect(stream, on_event)

    @asynccontextmanager
    async def _kernel_kept(self) -> AsyncIterator[None]:
        """A cell that is stopped takes its kernel with it: then have it made again from the cells that ended."""
        try:
            yield
        except ToraError:  # of the model, say: no cell was running
            raise
        except BaseException:
            await self.drop_kernel()
            raise

    async def _state(self) -> Any:
        return await self._graph.aget_state(_CONFIG)

    async def _shown(self, state: Any) -> list[dict[str, Any]]:
        """The steps of a node that had ended when a stop came, before they were kept: what is added would lose them."""
        kept = await self._graph.aget_state(state.config)
        made: list[dict[str, Any]] = state.values.get("steps", [])[len(kept.values.get("steps", ())) :]
        return made

    async def _add(self, step: Step) -> None:
        """Append a step of a person's own.

        What was stopped before it goes on: after a message with the model's next reply, else where it was.
        """
        state = await self._state()
        steps, made = state.values.get("steps", []), [*await self._shown(state), step.model_dump(mode="json")]
        pending = state.values.get("pending", [])
        if isinstance(step, Request):
            pending = []
        elif state.tasks and steps[-1]["kind"] == "code":
            made.append(steps[-1])  # which an output follows in any case
        update = {"steps": made, "pending": pending, "found": state.values.get("found")}
        node = START if state.tasks else "answer"
        await self._graph.aupdate_state(_CONFIG, update, as_node=node)

    def _age(self) -> float:
        """Seconds since the chat was begun."""
        begun = datetime.fromisoformat(self.setup.created)
        return round((datetime.now(UTC) - begun).total_seconds(), 3)

    async def _context(self, *, stream: bool) -> Context:
        return Context(
            self.agent.model,
            await self._open_kernel(),
            self.agent.box.session,
            self._prompt,
            self.agent.dialect,
            self.setup.settings,
            stream,
            approve=self.setup.approve,
            begun=time.monotonic() - self._age(),
        )

    async def _open_kernel(self) -> Session:
        """The solution's kernel, made again from the cells that were run where there is none."""
        if self._session is None:
            async with self._kernel_kept():
                session = await self._kernel.enter_async_context(self.agent.box.session())
                for code in cells_run(await self.steps()):
                    await session.run(code)
            self._session = session
        return self._session


def _newest_answer(steps: list[dict[str, Any]]) -> tuple[str | None, State | None]:
    """The newest answer, with the verification state that it had or was given since."""
    answer: str | None = None
    state: State | None = None
    for step in steps:
        if step["kind"] == "answer" or (step["kind"] == "verification" and step["answer"] == answer):
            answer, state = step["answer"], step["state"]
    return answer, state


def _create(folder: Path, setup: Setup) -> TextIO:
    """Write the chat's settings; return its lock, which lasts until it is closed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        (folder / "chat.json").write_text(json.dumps(setup.model_dump(mode="json"), indent=2) + "\n")
    except BlockingIOError as error:
        raise UsageError(f"{folder} is open in another process; leave that one first") from error
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}; give another --log-dir") from error
    return lock
