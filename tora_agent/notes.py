"""What the model is shown of a cell's result: the output, cut where it is long, and notes on what it must know."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from prompts import PromptSet
from prompts.sets import render
from sandbox import CellResult
from sandbox.image.cut import cut_middle
from tora_agent import budgets
from tora_agent.conversation import since_request, since_restart
from tora_agent.settings import AgentSettings

SHORT_ROUNDS, SHORT_SHARE = 2, 0.2
"""The budget is short with so many rounds left, or such a share of the seconds."""


def shown(
    result: CellResult, steps: list[dict[str, Any]], *, last: bool, prompt: PromptSet, settings: AgentSettings
) -> str:
    """The text for the model. `steps` end with the cell's code; `last` says that the model is asked next."""
    notes = []
    if result.state_lost:
        notes.append(render(prompt.notes.lost, before=result.lost_before))
    if _repeated(result, steps):
        notes.append(render(prompt.notes.repeated))
    if last:
        notes.append(_short(result.seconds, steps, prompt, settings))
    output = cut_middle(result.text, settings.output_chars) or "(no output)"
    return "\n".join([output, *filter(None, notes)])


def _repeated(result: CellResult, steps: list[dict[str, Any]]) -> bool:
    """Whether the same code ran before in this conversation and brought the same: a model that is stuck."""
    return any(
        code["kind"] == "code"
        and code["code"] == steps[-1]["code"]
        and output["kind"] == "output"
        and _brought(CellResult.model_validate(output["result"])) == _brought(result)
        for code, output in pairwise(since_restart(steps))
    )


def _brought(result: CellResult) -> tuple[str, str]:
    """What is the same if a cell is run again: a traceback is not, for it counts the cells."""
    return result.printed, f"{result.error.type}: {result.error.message}" if result.error else ""


def asked_again(text: str, steps: list[dict[str, Any]], prompt: PromptSet, settings: AgentSettings) -> str:
    """The message `text` after `steps`, with what is left if that is little."""
    return "\n".join(filter(None, [text, _short(0, steps, prompt, settings)]))


def _short(seconds: float, steps: list[dict[str, Any]], prompt: PromptSet, settings: AgentSettings) -> str:
    """What is left `seconds` after `steps`, if that is little. Of plenty of time nothing is said: no two runs have the
    same."""
    left = budgets.left(settings, since_request(steps))
    rest = left.seconds - seconds
    late = rest <= SHORT_SHARE * settings.max_seconds
    if left.rounds <= 0 or (left.rounds > SHORT_ROUNDS and not late):
        return ""
    return render(prompt.notes.short, rounds=left.rounds, seconds=max(0, round(rest)) if late else None)
