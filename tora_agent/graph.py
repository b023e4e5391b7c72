"""The whole loop: (reason <-> execute)* -> verify -> check -> (reason | answer)."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Literal, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, interrupt
from pydantic import BaseModel

from prompts import PromptSet
from prompts.sets import render
from sandbox import Session
from tora_agent import attempts, budgets, notes, verification
from tora_agent.conversation import answers_request, conversation, since_request, worked
from tora_agent.dialects import Dialect
from tora_agent.errors import ContextFull
from tora_agent.model.client import Model
from tora_agent.settings import AgentSettings
from tora_agent.steps import (
    AGAIN,
    Answer,
    Code,
    Failure,
    FailureKind,
    Output,
    Reasoning,
    Request,
    Retry,
    RetryReason,
    Verification,
)

RESTARTED = 1_000_003
"""What is added to the seed of an attempt that begins anew: one more would be the seed of the next sample's first."""


class Flow(TypedDict, total=False):
    """What flows through the graph: JSON types only."""

    problem: str
    steps: Annotated[list[dict[str, Any]], operator.add]
    """The trajectory so far, only ever appended to; the conversation and the budget follow from it."""
    pending: list[str]
    """Code of the newest reply that is still to run after the newest step's."""
    found: str | None
    """The newest answer."""
    asked: dict[str, Any]
    """Its check, which the model has written and which is still to run."""


@dataclass(frozen=True)
class Context:
    """What the nodes use but the state does not hold."""

    model: Model
    session: Session
    """The solution's kernel."""
    fresh_session: Callable[[], AbstractAsyncContextManager[Session]]
    """A kernel of its own for each check."""
    prompt: PromptSet
    dialect: Dialect
    settings: AgentSettings
    stream: bool
    """Whether the model's text is wanted piece by piece, as custom stream events."""
    approve: bool = False
    """Whether a person is asked before each cell, a check too, by an interrupt of the graph: resumed with "", or with a
    refusal."""
    begun: float = field(default_factory=time.monotonic)

    def now(self) -> float:
        """Seconds since the sample began."""
        return round(time.monotonic() - self.begun, 3)


async def reason(state: Flow, runtime: Runtime[Context]) -> Command[Literal["reason", "execute", "verify", "answer"]]:
    """Ask the model for its next piece of reasoning, up to its first complete code block."""
    ctx, steps, at = runtime.context, state["steps"], runtime.context.now()
    budget = budgets.left(ctx.settings, since_request(steps))
    if exhausted := budgets.exhausted(budget):
        return _fail(ctx, *exhausted)
    messages = conversation(state["problem"], steps, ctx.prompt, ctx.dialect, ctx.settings)
    try:
        call = await ctx.model.complete(
            ctx.dialect.send(messages, ctx.prompt),
            max_tokens=budget.tokens,
            temperature=ctx.settings.temperature,
            seed=ctx.settings.seed + RESTARTED * sum(step["kind"] == "retry" and step["restart"] for step in steps),
            on_text=(lambda text: runtime.stream_writer({"text": text})) if ctx.stream else None,
        )
    except ContextFull as error:
        return _fail(ctx, "context_full", str(error))
    turn = ctx.dialect.read(call, ctx.prompt)
    step = Reasoning(at=at, seconds=call.seconds, text=turn.prose, call=call, cut=turn.cut, left=budget)
    if turn.codes:
        first, *rest = turn.codes
        return _go("execute", step, Code(at=ctx.now(), code=first), pending=rest)
    if call.finish_reason == "content_filter" and turn.answer is None:
        return _fail(ctx, "filtered", "the endpoint's content filter refused the request or cut the reply", step)
    if answers_request(steps):  # which may be about anything: any reply will do
        return _go("answer", step, found=turn.answer)
    if turn.answer is not None and ctx.prompt.code != "program":
        return _go("verify", step, found=turn.answer)
    if call.finish_reason == "length":
        context = 0 < call.usage.completion_tokens < budget.tokens
        by = "the model's context, which is full" if context else "the token limit (--max-tokens)"
        return _fail(ctx, "truncated", f"the reply was cut by {by}", step)
    if steps and steps[-1]["kind"] == "retry" and steps[-1]["reason"] == "no_box":
        return _fail(ctx, "no_code" if ctx.prompt.code == "program" else "no_answer", "asked again in vain", step)
    text = render(ctx.prompt.bad_call if turn.unreadable else ctx.prompt.nudge, tools=ctx.dialect.tools)
    return _ask_again(ctx, steps, step, "bad_call" if turn.unreadable else "no_box", text)


async def execute(state: Flow, runtime: Runtime[Context]) -> Command[Literal["reason", "execute", "verify", "answer"]]:
    """Run the code that the model wrote; its output goes back, or is the answer itself if the prompt asks for that."""
    ctx, steps, pending, at = runtime.context, state["steps"], state.get("pending", []), runtime.context.now()
    if ctx.approve and (refusal := interrupt({"code": steps[-1]["code"]})):
        return _go("reason", Request(at=at, text=refusal, refusal=True))
    result = await ctx.session.run(steps[-1]["code"], timeout=ctx.settings.cell_seconds)
    text = notes.shown(result, steps, last=not pending, prompt=ctx.prompt, settings=ctx.settings)
    step = Output(at=at, seconds=result.seconds, result=result, text=text)
    if pending:
        return _go("execute", step, Code(at=ctx.now(), code=pending[0]), pending=pending[1:], found=None)
    if ctx.prompt.code == "turns":
        return _go("reason", step, found=None)
    if result.error or not result.printed.strip():
        return _fail(ctx, "code_failed", "the program printed no answer", step)
    return _go("verify", step, found=result.printed.strip())


async def verify(state: Flow, runtime: Runtime[Context]) -> Command[Literal["check", "answer"]]:
    """Have the model write a program that checks the newest answer, if the prompt set has a check."""
    ctx, steps = runtime.context, state["steps"]
    budget = budgets.left(ctx.settings, since_request(steps))
    if ctx.prompt.check is None or budgets.exhausted(budget):
        return _go("answer")
    refused = verification.refused(steps)
    asked = await verification.ask(state["problem"], state["found"] or "", refused, budget.tokens, ctx)
    return _go("check", asked=asked.model_dump(mode="json"))


async def check(state: Flow, runtime: Runtime[Context]) -> Command[Literal["reason", "verify", "answer"]]:
    """Run the check; what is False or looks wrong is tried again, what is void is checked once more."""
    ctx, steps, made = runtime.context, state["steps"], Verification.model_validate(state["asked"])
    if not (ctx.approve and made.code and interrupt({"check": made.code})):
        made = await verification.run(made, worked(steps), ctx)
    if made.void and not verification.refused(steps):
        return _go("verify", made)
    if ctx.settings.doubts and made.state != "True":
        doubts = attempts.doubts_about(state["problem"], made.answer, steps, ctx.prompt)
        made = made.model_copy(update={"doubts": doubts})
    retries = sum(step["kind"] == "retry" and step["reason"] in AGAIN for step in since_request(steps))
    if not (made.state == "False" or made.doubts) or retries >= ctx.settings.max_retries:
        return _go("answer", made)
    if restart := ctx.settings.retry == "restart":
        await ctx.session.close()
    reason, text = attempts.retry(made, ctx.prompt, ctx.settings, tools=ctx.dialect.tools)
    return _ask_again(ctx, steps, made, reason, text, restart=restart)


async def answer(state: Flow, runtime: Runtime[Context]) -> Flow:
    """End with the best attempt; without any, the failure stands."""
    best = attempts.best(since_request(state["steps"]), state.get("found"))
    if best is None:
        return {}
    step = Answer(at=runtime.context.now(), answer=best.answer, state=best.state)
    return {"steps": [step.model_dump(mode="json")]}


@lru_cache(maxsize=1)
def build_graph(checkpointer: Any = None) -> Any:
    """The compiled graph; its edges are the nodes' return types. It goes on from the steps that its state has."""
    graph = StateGraph(Flow, context_schema=Context)
    for node in (reason, execute, verify, check, answer):
        graph.add_node(node)
    graph.add_conditional_edges(START, _first_node, ["reason", "execute", "verify", "answer"])
    return graph.compile(name="tora", checkpointer=checkpointer)


def _first_node(state: Flow) -> Literal["reason", "execute", "verify", "answer"]:
    """Where steps that are there are gone on with; a check that a person asked for in between changes nothing."""
    if state["steps"] and state["steps"][-1]["kind"] == "code":
        return "execute"
    steps = [step for step in state["steps"] if step["kind"] != "verification"]
    if steps and steps[-1]["kind"] in ("reasoning", "output") and state.get("found") is not None:
        return "answer" if answers_request(steps) else "verify"
    return "reason"


def _go(node: str, *steps: BaseModel, **update: Any) -> Command[Any]:
    return Command(goto=node, update={"steps": [step.model_dump(mode="json") for step in steps], **update})


def _ask_again(
    ctx: Context, steps: list[dict[str, Any]], step: BaseModel, reason: RetryReason, text: str, restart: bool = False
) -> Command[Any]:
    told = notes.asked_again(text, [*steps, step.model_dump(mode="json")], ctx.prompt, ctx.settings)
    return _go("reason", step, Retry(at=ctx.now(), reason=reason, text=told, restart=restart))


def _fail(ctx: Context, kind: FailureKind, message: str, *steps: BaseModel) -> Command[Any]:
    return _go("answer", *steps, Failure(at=ctx.now(), failure=kind, message=message))
