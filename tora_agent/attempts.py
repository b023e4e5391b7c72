"""The attempts of one sample: what is doubtful about one, how the next is asked for, which is best."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from prompts import PromptSet
from prompts.sets import render
from sandbox import CellResult
from sandbox.image.cut import cut_middle
from tora_agent.conversation import since_restart
from tora_agent.doubts import Evidence, doubts
from tora_agent.numbers import number
from tora_agent.settings import AgentSettings
from tora_agent.steps import AGAIN, RetryReason, State, Verification

_RANK = {"False": 0, None: 1, "Uncertain": 1, "True": 2}


@dataclass(frozen=True)
class Attempt:
    """An answer, with what is known about it."""

    answer: str
    state: State | None = None
    """None where no check was made."""
    doubted: bool = False


def attempts(steps: list[dict[str, Any]], found: str | None) -> list[Attempt]:
    """The answers of `steps` (as JSON types) in order. `found` is the newest, which may not have been checked."""
    made: list[Attempt] = []
    checked = False
    for step in steps:
        if step["kind"] == "verification":
            if checked:
                made.pop()  # a void check, and the one made in its place
            made.append(Attempt(step["answer"], step["state"], bool(step["doubts"])))
        checked = step["kind"] == "verification"
    failed = bool(steps) and steps[-1]["kind"] == "failure"
    if found is not None and not checked and not failed:
        made.append(Attempt(found))
    return made


def best(steps: list[dict[str, Any]], found: str | None) -> Attempt | None:
    """The final answer: by verification state, then no doubts, then agreement between attempts, then the latest."""
    made = attempts(steps, found)
    agreed = Counter(_form(attempt.answer) for attempt in made)
    ranked = [
        (_RANK[attempt.state], not attempt.doubted, agreed[_form(attempt.answer)], place)
        for place, attempt in enumerate(made)
    ]
    return made[max(ranked)[-1]] if made else None


def _form(answer: str) -> float | str:
    """What equal answers share: the value of a number, else the text without spaces."""
    value = number(answer)
    return "".join(answer.split()) if value is None else round(value, 9)


def doubts_about(problem: str, answer: str, steps: list[dict[str, Any]], prompt: PromptSet) -> dict[str, str]:
    """The rules that fire for the newest `answer`, each with its evidence."""
    steps = since_restart(steps)
    attempt = max((i for i, step in enumerate(steps) if step.get("reason") in AGAIN), default=0)
    outputs = [step["result"] for step in steps if step["kind"] == "output"]
    return doubts(
        Evidence(
            problem=problem,
            answer=answer,
            outputs=[CellResult.model_validate(result).printed for result in outputs],
            failed=bool(outputs and outputs[-1]["error"]),
            asked_for_code=prompt.code != "none",
            cut=[step["cut"] for step in steps[attempt:] if step["kind"] == "reasoning"],
        )
    )


def retry(check: Verification, prompt: PromptSet, settings: AgentSettings, *, tools: bool) -> tuple[RetryReason, str]:
    """Why another attempt is asked for, and the message that does, with the evidence."""
    if check.state == "False":
        output = cut_middle(check.result.text, settings.output_chars) if check.result else ""
        return "check_false", render(
            prompt.retry, tools=tools, answer=check.answer, code=check.code or "", output=output
        )
    evidence = "; ".join([*check.doubts.values(), *([f"the check was void: {check.void}"] if check.void else [])])
    return "looks_wrong", render(prompt.doubt, tools=tools, answer=check.answer, evidence=evidence)
