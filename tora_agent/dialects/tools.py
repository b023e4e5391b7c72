"""`tools`: native function calling with one tool, `python`."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from itertools import takewhile
from typing import Any

from prompts import PromptSet
from prompts.sets import Message
from tora_agent.answers import last_box, spoken
from tora_agent.dialects.base import Sent, alternating, read_fenced
from tora_agent.dialects.fences import Turn, fenced, prose, split_blocks, split_prose
from tora_agent.dialects.turns import Turns, sent_as_user
from tora_agent.steps import ModelCall, ToolCall

PYTHON: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "python",
        "description": "Run Python code in a Jupyter kernel. Variables stay defined from call to call.",
        "parameters": {
            "type": "object",
            "properties": {"code": {"type": "string", "description": "The code; print what you need to see."}},
            "required": ["code"],
        },
    },
}


class Tools:
    """Code comes as calls of a tool, outputs go back as its results."""

    name = "tools"
    tools = True

    def send(self, messages: list[Message], prompt: PromptSet) -> Sent:
        """Each block of an assistant's message that an output follows is a call; a program is asked for in a fence."""
        if prompt.code != "turns":
            return Turns().send(messages, prompt)
        return Sent(alternating(_sent(messages, prompt)), tools=(PYTHON,))

    def read(self, call: ModelCall, prompt: PromptSet) -> Turn:
        """The calls in order; a model that calls nothing may have written a fenced block all the same.

        Where one cannot be read, none is run and the model is told; of a reply that was cut, those before it are run.
        """
        if not call.tool_calls:
            return read_fenced(call, prompt)
        read = [code_of(each) for each in call.tool_calls]
        codes = tuple(code for code in takewhile(bool, read) if code)
        said, cut = spoken(call.raw), ""
        if unreadable := len(codes) < len(read) and not (codes and call.finish_reason in ("length", "content_filter")):
            codes = ()
        if codes:  # a block beside them would be sent back as one of them
            said, cut = split_prose(said)
        text = "\n\n".join([*([said.strip()] if said.strip() else []), *map(fenced, codes)])
        answer = None if any(read) else last_box(prose(said))
        return Turn(text, said, codes, answer, cut, unreadable)


def code_of(call: ToolCall) -> str | None:
    """The code of a call, whose arguments should be JSON; some models write bare Python."""
    try:
        arguments = json.loads(call.arguments, strict=False)
    except (ValueError, RecursionError):
        return call.arguments if _is_python(call.arguments) else None
    code = arguments.get("code") if isinstance(arguments, dict) else arguments
    return code if isinstance(code, str) and code.strip() and call.name == "python" else None


def _is_python(text: str) -> bool:
    try:
        return bool(ast.parse(text).body) and not text.lstrip().startswith("{")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _sent(messages: list[Message], prompt: PromptSet) -> Iterator[dict[str, Any]]:
    number = 0
    waiting: list[str] = []
    for message, outputs in zip(messages, _outputs_after(messages), strict=True):
        text, codes = split_blocks(message["content"])
        if message["role"] == "output" and waiting:
            yield {"role": "tool", "tool_call_id": waiting.pop(0), "content": message["content"]}
        elif message["role"] == "assistant" and 0 < outputs <= len(codes):
            waiting = [
                f"{number + each:09d}" for each in range(outputs)
            ]  # nine digits: what the strictest server takes
            number += outputs
            calls = [_call(id, code) for id, code in zip(waiting, codes, strict=False)]
            yield message | {"content": text, "tool_calls": calls}
        else:
            yield dict(sent_as_user(message, prompt))


def _outputs_after(messages: list[Message]) -> list[int]:
    """For each message, how many outputs follow it."""
    counts, outputs = [], 0
    for message in reversed(messages):
        counts.append(outputs)
        outputs = outputs + 1 if message["role"] == "output" else 0
    return counts[::-1]


def _call(id: str, code: str) -> dict[str, Any]:
    function = {"name": "python", "arguments": json.dumps({"code": code})}
    return {"id": id, "type": "function", "function": function}
