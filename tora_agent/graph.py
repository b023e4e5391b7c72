"""The whole loop: (reason <-> execute)* -> verify -> (reason | answer)."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command
from pydantic import BaseModel

from prompts import PromptSet
from prompts.sets import render
from sandbox import CellResult, Session
from sandbox.image.cut import cut_middle
from tora_agent import budgets, verification
from tora_agent.dialects.fences import STOP, read_reply
from tora_agent.doubts import Attempt, doubts
from tora_agent.errors import ContextFull
from tora_agent.model import Model
from tora_agent.settings import AgentSettings
from tora_agent.steps import Answer, Code, Failure, FailureKind, Output, Reasoning, Retry, Verification


class State(TypedDict, total=False):
    """What flows through the graph: JSON types only, only ever appended to."""

    problem: str
    messages: Annotated[list[dict[str, str]], operator.add]
    steps: Annotated[list[dict[str, Any]], operator.add]
    attempts: Annotated[list[dict[str, Any]], operator.add]
    """Each answer with the state of its check and how many rules doubt it: {"answer", "state", "doubts"}."""
    found: str
    """The newest answer, not yet checked."""
    begin: int
    """Index of the message that the conversation begins with: an attempt that starts over leaves the others behind."""


@dataclass(frozen=True)
class Context:
    """What the nodes use but the state does not hold."""

    model: Model
    session: Session
    """The solution's kernel."""
    fresh_session: Callable[[], AbstractAsyncContextManager[Session]]
    """A kernel of its own for each check."""
    prompt: PromptSet
    settings: AgentSettings
    stream: bool
    """Whether the model's text is wanted piece by piece, as custom stream events."""


async def reason(state: State, runtime: Runtime[Context]) -> Command[Literal["reason", "execute", "verify", "answer"]]:
    """Ask the model for its next piece of reasoning, up to its first complete code block."""
    ctx, budget = runtime.context, budgets.left(runtime.context.settings, state["steps"])
    if budget.exhausted:
        return _fail(*budget.exhausted)
    try:
        call = await ctx.model.complete(
            state["messages"][state.get("begin", 0) :],
            max_tokens=budget.tokens,
            temperature=ctx.settings.temperature,
            seed=ctx.settings.seed + state.get("begin", 0),
            stop=STOP if ctx.prompt.code != "none" else (),
            on_text=(lambda text: runtime.stream_writer({"text": text})) if ctx.stream else None,
        )
    except ContextFull as error:
        return _fail("context_full", str(error))
    turn = read_reply(call.raw, code=ctx.prompt.code != "none", complete=call.finish_reason != "length")
    step = Reasoning(seconds=call.seconds, text=turn.prose, call=call, cut=turn.cut)
    said = {"role": "assistant", "content": turn.text}
    if turn.code is not None:
        return _go("execute", step, Code(code=turn.code), messages=[said])
    if turn.answer is not None and ctx.prompt.code != "program":
        return _go("verify", step, messages=[said], found=turn.answer)
    if call.finish_reason == "length":
        return _fail("truncated", "the reply was cut by the token limit (--max-tokens)", step)
    nudge = ctx.prompt.nudge.strip()
    if state["messages"][-1]["content"] == nudge:
        return _fail("no_code" if ctx.prompt.code == "program" else "no_answer", "asked again in vain", step)
    return _go("reason", step, Retry(reason="no_box", text=nudge), messages=[said, _user(nudge)])


async def execute(state: State, runtime: Runtime[Context]) -> Command[Literal["reason", "verify", "answer"]]:
    """Run the code that the model wrote; its output goes back, or is the answer itself if the prompt asks for that."""
    ctx = runtime.context
    result = await ctx.session.run(state["steps"][-1]["code"], timeout=ctx.settings.cell_seconds)
    lost = "\n(The kernel was restarted: all variables are gone.)" if result.state_lost else ""
    shown = cut_middle(result.text, ctx.settings.output_chars) or "(no output)"
    text = render(ctx.prompt.output or "{{ output }}", output=shown + lost)
    step = Output(seconds=result.seconds, result=result, text=text)
    if ctx.prompt.code == "turns":
        return _go("reason", step, messages=[_user(text)])
    if result.error or not result.printed.strip():
        return _fail("code_failed", "the program printed no answer", step)
    return _go("verify", step, found=result.printed.strip())


async def verify(state: State, runtime: Runtime[Context]) -> Command[Literal["reason", "answer"]]:
    """Check the newest answer by code, if the prompt set has a check; what is False or looks wrong is tried again."""
    ctx, found, steps = runtime.context, state["found"], state["steps"]
    budget = budgets.left(ctx.settings, steps)
    if ctx.prompt.check is None or budget.exhausted:
        return _go("answer", attempts=[{"answer": found, "state": None, "doubts": 0}])
    cells = [step["code"] for step in steps if step["kind"] == "code"]
    check = await verification.check(state["problem"], found, cells, budget.tokens, ctx)
    if ctx.settings.doubts and check.state != "True":
        check = check.model_copy(update={"doubts": doubts(_attempt(state, ctx))})
    attempt = {"answer": found, "state": check.state, "doubts": len(check.doubts)}
    retries = sum(step["kind"] == "retry" and step["reason"] != "no_box" for step in steps)
    if not (check.state == "False" or check.doubts) or retries >= ctx.settings.max_retries:
        return _go("answer", check, attempts=[attempt])
    retry = _retry(check, ctx)
    if ctx.settings.retry == "restart":
        await ctx.session.close()
        begun = ctx.prompt.start(ctx.settings.shots, problem=state["problem"])
        return _go("reason", check, retry, messages=begun, begin=len(state["messages"]), attempts=[attempt])
    return _go("reason", check, retry, messages=[_user(retry.text)], attempts=[attempt])


async def answer(state: State) -> State:
    """End with the best attempt; without any, the failure stands.

    Best is the verification state, then to have raised no doubts, then the number of attempts with the same answer,
    then to be the latest.
    """
    if not state["attempts"]:
        return {}
    rank = {"False": 0, None: 1, "Uncertain": 1, "True": 2}
    agreed = Counter(attempt["answer"] for attempt in state["attempts"])

    def merit(item: tuple[int, dict[str, Any]]) -> tuple[int, bool, int, int]:
        number, attempt = item
        return rank[attempt["state"]], not attempt["doubts"], agreed[attempt["answer"]], number

    best = max(enumerate(state["attempts"]), key=merit)[1]
    return {"steps": [Answer(answer=best["answer"], state=best["state"]).model_dump(mode="json")]}


def _attempt(state: State, ctx: Context) -> Attempt:
    """What the rules look at: the newest answer, and all the steps before it."""
    steps = state["steps"]
    outputs = [step["result"] for step in steps if step["kind"] == "output"]
    return Attempt(
        problem=state["problem"],
        answer=state["found"],
        outputs=[CellResult.model_validate(result).printed for result in outputs],
        failed=bool(outputs and outputs[-1]["error"]),
        asked_for_code=ctx.prompt.code != "none",
        cut=[step["cut"] for step in steps if step["kind"] == "reasoning"],
    )


def _retry(check: Verification, ctx: Context) -> Retry:
    """The message that asks for another attempt, with the evidence."""
    if check.state == "False":
        output = cut_middle(check.result.text, ctx.settings.output_chars) if check.result else ""
        text = render(ctx.prompt.retry, answer=check.answer, code=check.code or "", output=output)
        return Retry(reason="check_false", text=text)
    evidence = "; ".join([*check.doubts.values(), *([f"the check was void: {check.void}"] if check.void else [])])
    return Retry(reason="looks_wrong", text=render(ctx.prompt.doubt, answer=check.answer, evidence=evidence))


@lru_cache(maxsize=1)
def build_graph() -> Any:
    """The compiled graph; its edges are the nodes' return types."""
    graph = StateGraph(State, context_schema=Context)
    for node in (reason, execute, verify, answer):
        graph.add_node(node)
    graph.add_edge(START, "reason")
    return graph.compile(name="tora")


def _go(node: str, *steps: BaseModel, **update: Any) -> Command[Any]:
    return Command(goto=node, update={"steps": [step.model_dump(mode="json") for step in steps], **update})


def _fail(kind: FailureKind, message: str, *steps: BaseModel) -> Command[Any]:
    return _go("answer", *steps, Failure(failure=kind, message=message))


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}
