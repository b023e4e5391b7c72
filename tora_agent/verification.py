"""Code-based self-verification (CSV, arXiv:2308.07921): a check program, run in a kernel of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompts import load_prompt
from sandbox import CellResult
from tora_agent.dialects.fences import STOP, read_reply
from tora_agent.errors import ContextFull
from tora_agent.steps import ModelCall, State, Usage, Verification

if TYPE_CHECKING:
    from tora_agent.graph import Context

_NO_CALL = ModelCall(raw="", finish_reason="none", usage=Usage(), seconds=0)


async def check(problem: str, answer: str, max_tokens: int, ctx: Context) -> Verification:
    """Ask the model for a program that checks `answer`, and run it. What cannot be decided is Uncertain."""
    assert ctx.prompt.check
    prompt = load_prompt(ctx.prompt.check)
    try:
        call = await ctx.model.complete(
            prompt.start(None, problem=problem, answer=answer),
            max_tokens=max_tokens,
            temperature=ctx.settings.temperature,
            seed=ctx.settings.seed,
            stop=STOP,
        )
    except ContextFull as error:
        return Verification(seconds=0, answer=answer, state="Uncertain", reason=str(error), call=_NO_CALL)
    code = read_reply(call.raw, complete=call.finish_reason != "length").code
    if code is None:
        return Verification(
            seconds=call.seconds,
            answer=answer,
            state="Uncertain",
            reason="the model wrote no check",
            call=call,
        )
    async with ctx.fresh_session() as session:
        result = await session.run(code, timeout=ctx.settings.cell_seconds)
    state, reason = read_state(result)
    seconds = call.seconds + result.seconds
    return Verification(seconds=seconds, answer=answer, state=state, reason=reason, call=call, code=code, result=result)


def read_state(result: CellResult) -> tuple[State, str]:
    """The verification state that a check's result stands for, and why."""
    if result.error:
        return "Uncertain", f"the check raised {result.error.type}"
    last = result.printed.strip().splitlines()[-1:] or [""]
    if last[0].strip() == "True":
        return "True", "the check printed True"
    if last[0].strip() == "False":
        return "False", "the check printed False"
    return "Uncertain", "the check printed neither True nor False"
