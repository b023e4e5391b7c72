"""Code-based self-verification (CSV, arXiv:2308.07921): a check program, run in a kernel of its own."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from prompts import load_prompt
from prompts.sets import render
from sandbox import CellResult
from tora_agent.answers import spoken
from tora_agent.check_function import CHECK_MIME
from tora_agent.dialects.fences import prose
from tora_agent.errors import ContextFull
from tora_agent.independence import void
from tora_agent.steps import ModelCall, State, StateSource, Usage, Verification

if TYPE_CHECKING:
    from tora_agent.graph import Context

_NO_CALL = ModelCall(raw="", finish_reason="none", usage=Usage(), seconds=0)
CHECK_FUNCTION = (files("tora_agent") / "check_function.py").read_text("utf-8")
"""The first cell of a check's kernel."""
_IN_WORDS = re.compile(
    r"\b(?:verification|state|verdict|result|(?:proposed )?answer)\b(?: is|:)?\W*"
    r"(?P<state>(?:not )?(?:true|correct|right)|false|uncertain|incorrect|wrong)\b(?!\s+(?:if|when))",
    re.IGNORECASE,
)


def refused(steps: list[dict[str, Any]]) -> Verification | None:
    """The void check at the end of `steps`, in whose place another is to be made."""
    last = steps[-1]
    return Verification.model_validate(last) if last["kind"] == "verification" and last["void"] else None


async def ask(problem: str, answer: str, refused: Verification | None, max_tokens: int, ctx: Context) -> Verification:
    """Ask the model for a program that checks `answer`; what it writes is still to `run`.

    The model is told why `refused` was void.
    """
    assert ctx.prompt.check
    at, prompt = ctx.now(), load_prompt(ctx.prompt.check)
    messages = prompt.start(None, problem=problem, answer=answer)
    if refused:
        again = render(prompt.void, tools=False, reason=refused.void)
        messages += [{"role": "assistant", "content": spoken(refused.call.raw)}, {"role": "user", "content": again}]
    try:
        call = await ctx.model.complete(
            ctx.dialect.send(messages, prompt),
            max_tokens=max_tokens,
            temperature=ctx.settings.temperature,
            seed=ctx.settings.seed,
        )
    except ContextFull as error:
        return Verification(at=at, answer=answer, state="Uncertain", reason=str(error), call=_NO_CALL)
    code = ctx.dialect.read(call, prompt).code
    reason = "the check was not run" if code else "the model wrote no check"
    if call.finish_reason == "content_filter" and not code:
        reason = "the endpoint's content filter refused the check"
    asked = Verification(
        at=at, seconds=call.seconds, answer=answer, state="Uncertain", reason=reason, call=call, code=code
    )
    return asked if code else asked.model_copy(update=_read_prose(spoken(call.raw)))


async def run(asked: Verification, cells: list[tuple[str, bool]], ctx: Context) -> Verification:
    """Run the check that the model was `asked` for, if it wrote one. What cannot be decided is Uncertain.

    A check that is void, seen beside the solution's `cells` (`worked`), is Uncertain, too.
    """
    if asked.code is None:
        return asked
    async with ctx.fresh_session() as session:
        await session.run(CHECK_FUNCTION)
        result = await session.run(asked.code, timeout=ctx.settings.cell_seconds)
    state, reason, source = read_state(result)
    why_void = void(asked.code, cells) if ctx.settings.independence and not result.error else None
    if why_void:
        state, reason = "Uncertain", f"the check is void: {why_void}"
    return asked.model_copy(
        update={
            "seconds": asked.seconds + result.seconds,
            "state": state,
            "reason": reason,
            "result": result,
            "source": source,
            "void": why_void,
        }
    )


def _read_prose(text: str) -> dict[str, Any]:
    """The state that a reply without code tells in its last line, if any: what a model says, not what a check found."""
    lines = prose(text).strip().splitlines()[-1:] or [""]
    told = _IN_WORDS.search(lines[0])
    if told is None:
        return {}
    word = told["state"].lower()
    state: State = "True" if word in ("true", "correct", "right") else "False" if word != "uncertain" else "Uncertain"
    return {"state": state, "reason": f"the model says {state}, without code", "source": "prose"}


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
