"""Code-based self-verification (CSV, arXiv:2308.07921): a check program, run in a kernel of its own."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING

from prompts import load_prompt
from sandbox import CellResult
from tora_agent.check_function import CHECK_MIME
from tora_agent.dialects.fences import STOP, read_reply
from tora_agent.errors import ContextFull
from tora_agent.independence import void
from tora_agent.steps import ModelCall, State, StateSource, Usage, Verification

if TYPE_CHECKING:
    from tora_agent.graph import Context

_NO_CALL = ModelCall(raw="", finish_reason="none", usage=Usage(), seconds=0)
CHECK_FUNCTION = (files("tora_agent") / "check_function.py").read_text("utf-8")
"""The first cell of a check's kernel."""


async def check(problem: str, answer: str, cells: list[str], max_tokens: int, ctx: Context) -> Verification:
    """Ask the model for a program that checks `answer`, and run it. What cannot be decided is Uncertain.

    A check that is void, seen beside the solution's `cells`, is Uncertain, too.
    """
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
        reason = "the model wrote no check"
        return Verification(seconds=call.seconds, answer=answer, state="Uncertain", reason=reason, call=call)
    async with ctx.fresh_session() as session:
        await session.run(CHECK_FUNCTION)
        result = await session.run(code, timeout=ctx.settings.cell_seconds)
    state, reason, source = read_state(result)
    why_void = void(code, cells) if ctx.settings.independence and not result.error else None
    if why_void:
        state, reason = "Uncertain", f"the check is void: {why_void}"
    return Verification(
        seconds=call.seconds + result.seconds,
        answer=answer,
        state=state,
        reason=reason,
        call=call,
        code=code,
        result=result,
        source=source,
        void=why_void,
    )


def read_state(result: CellResult) -> tuple[State, str, StateSource]:
    """The verification state that a check's result stands for, why, and how it was told."""
    if result.error:
        return "Uncertain", f"the check raised {result.error.type}", "none"
    if told := [display[CHECK_MIME] for display in result.displays if CHECK_MIME in display]:
        outcome = json.loads(told[-1])
        state: State = {True: "True", False: "False"}.get(outcome["state"], "Uncertain")  # type: ignore[assignment]
        return state, f"the check says {state}" + (f": {outcome['reason']}" if outcome["reason"] else ""), "called"
    last = result.printed.strip().splitlines()[-1:] or [""]
    if last[0].strip() == "True":
        return "True", "the check printed True", "printed"
    if last[0].strip() == "False":
        return "False", "the check printed False", "printed"
    return "Uncertain", "the check told no state", "none"
