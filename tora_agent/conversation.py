"""The conversation with the model, as the steps of a trajectory tell it: nothing else has to be kept."""

from __future__ import annotations

from itertools import pairwise, zip_longest
from typing import Any

from prompts import PromptSet
from prompts.sets import Message
from sandbox import CellResult
from tora_agent.dialects import Dialect
from tora_agent.settings import AgentSettings
from tora_agent.steps import ModelCall

EMPTY = "(empty reply)"
"""Stands for a reply without text: roles have to alternate, and some endpoints refuse an empty message."""


def conversation(
    problem: str, steps: list[dict[str, Any]], prompt: PromptSet, dialect: Dialect, settings: AgentSettings
) -> list[Message]:
    """The messages that `steps` (as JSON types) stand for, from the prompt's first one on."""
    messages = prompt.start(settings.shots, tools=dialect.tools, problem=problem)
    for step in since_restart(steps):
        if step["kind"] == "reasoning":
            call = ModelCall.model_validate(step["call"])
            text = dialect.read(call, prompt).text
            thought = {"reasoning_content": call.reasoning} if call.reasoning else {}
            messages.append({"role": "assistant", "content": text if text.strip() else EMPTY} | thought)
        elif step["kind"] == "output":
            messages.append({"role": "output", "content": step["text"]})
        elif step["kind"] in ("retry", "request"):
            messages.append({"role": "user", "content": step["text"]})
    return messages


def worked(steps: list[dict[str, Any]]) -> list[tuple[str, bool]]:
    """The cells that the model wrote since the conversation last began, and whether each ran to its end."""
    return [
        (code["code"], not output["result"]["error"])
        for code, output in pairwise(since_restart(steps))
        if code["kind"] == "code" and output["kind"] == "output"
    ]


def cells_run(steps: list[dict[str, Any]]) -> list[str]:
    """The cells that made the state of the kernel: all that were run since it was last new."""
    run: list[str] = []
    for step, following in zip_longest(steps, steps[1:]):
        result = following["result"] if following and following["kind"] == "output" else None
        if step["kind"] == "retry" and step["restart"]:
            run.clear()
        elif step["kind"] == "code" and result:
            cell = CellResult.model_validate(result)
            if cell.state_lost:
                run.clear()
            if not cell.died:
                run.append(step["code"])
        elif step["kind"] == "request" and step["code"]:
            run.append(step["code"])
    return run


def since_restart(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps since the conversation and its kernel last began anew: those that the model knows of."""
    begun = (i for i, step in enumerate(steps) if step["kind"] == "retry" and step["restart"])
    return steps[max(begun, default=-1) + 1 :]


def since_request(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps since a person last asked for something, but for checks that were asked for in between.

    All of them in a sample that nobody interrupted.
    """
    return [step for step in steps[_last_asked(steps) + 1 :] if not step.get("requested")]


def answers_request(steps: list[dict[str, Any]]) -> bool:
    """Whether the model now answers a person's request, rather than the problem."""
    last = _last_asked(steps)
    return last >= 0 and steps[last]["kind"] == "request"


def asks(step: dict[str, Any]) -> bool:
    """Whether a person asks for something in this step."""
    said = step["kind"] == "request" and not step["code"] and not step.get("refusal")
    return said or step.get("reason") == "asked"


def _last_asked(steps: list[dict[str, Any]]) -> int:
    return max((i for i, step in enumerate(steps) if asks(step)), default=-1)
