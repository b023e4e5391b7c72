"""What comes back: whole or streamed, read into a `ModelCall` or refused as no whole reply."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tora_agent.steps import ModelCall, ToolCall, Usage

OnText = Callable[[str | None], None]
"""Takes a streamed reply piece by piece; None means that the reply begins anew."""
_BROKEN_OFF = ("abort", "error", "insufficient_system_resource", "network_error")
"""Finish reasons of a server that gave up: vLLM and SGLang say `abort`, OpenRouter `error`, DeepSeek the third, Zhipu
the last."""
_MEANS = {
    **dict.fromkeys(("model_length", "max_tokens", "max_output_tokens", "model_context_window_exceeded"), "length"),
    **dict.fromkeys(("eos", "eos_token", "stop_sequence", "end_turn", "complete"), "stop"),
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "sensitive": "content_filter",
}
"""What OpenAI's word is for the finish reasons of Mistral, Together, TGI, Zhipu, and those that serve Anthropic's,
Cohere's or Google's models, in lower case."""


class CutReply(Exception):
    """The reply ended without a finish reason, or held no message: it is not a whole answer."""


class ErrorReply(CutReply):
    """An error in the place of a reply, though the status is 200; `body` is what it says."""

    def __init__(self, body: object) -> None:
        super().__init__(f"an error in the place of a reply: {str(body)[:60]}")
        self.body = body


class _Part(BaseModel):
    """A part of a reply, of which only what is needed is looked at."""

    model_config = ConfigDict(extra="allow")


class _Usage(_Part):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Function(_Part):
    name: Any = None
    arguments: Any = None


class _ToolCall(_Part):
    index: int | None = None
    id: Any = None
    function: _Function = _Function()


class _Message(_Part):
    content: Any = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(_Part):
    message: _Message = _Message()
    finish_reason: str | None = None


class _Piece(_Part):
    delta: _Message | None = None
    finish_reason: str | None = None
    usage: _Usage | None = None
    """Where Moonshot puts it."""


class _Head(_Part):
    model: str | None = None
    system_fingerprint: str | None = None
    usage: _Usage | None = None


class _Whole(_Head):
    choices: list[_Choice] = Field(min_length=1)


class _Chunk(_Head):
    choices: list[_Piece] | None = None


def read_whole(answer: str) -> ModelCall:
    """Read the body of an answer. Raises `CutReply` if it is no chat completion, or ends without a finish reason."""
    try:
        body = json.loads(answer)
        if isinstance(body, dict) and body.get("error"):
            raise ErrorReply(body["error"])
        whole = _Whole.model_validate(body)
    except (ValueError, RecursionError) as error:
        raise CutReply(f"no chat completion, but {answer[:60]!r}") from error
    choice, message = whole.choices[0], whole.choices[0].message
    calls = [_tool_call(each.function) for each in message.tool_calls or ()]
    return _call(_said(message), _reasoning(message), calls, choice.finish_reason, whole, whole.usage)


async def read_stream(stream: AsyncIterator[object], on_text: OnText) -> ModelCall:
    """Put a streamed reply together. Raises `CutReply` if it is none, or ends without a finish reason."""
    text, thought, finish, usage, head = "", "", None, None, _Head()
    calls: list[_Begun] = []
    async for event in stream:
        chunk = _chunk(event)
        head, usage = head if head.model else chunk, chunk.usage or usage
        for piece in chunk.choices or ():
            finish, delta, usage = piece.finish_reason or finish, piece.delta or _Message(), piece.usage or usage
            thought += _reasoning(delta)
            for part in delta.tool_calls or ():
                _add(part, calls)
            if new := _said(delta):
                text += new
                on_text(new)
    made = [ToolCall(name=each.name, arguments=each.arguments) for each in sorted(calls, key=lambda call: call.index)]
    return _call(text, thought, made, finish, head, usage)


@dataclass
class _Begun:
    """A tool call of which pieces have come."""

    index: int
    id: str
    name: str = ""
    arguments: str = ""


def _add(part: _ToolCall, calls: list[_Begun]) -> None:
    """Add a piece to the call of its index, or begin another.

    A name with a new id, or where there are arguments already, is another call: Gemini gives all of them the index 0.
    A new id alone says nothing: some servers give each piece its own.
    """
    index, id, more = part.index or 0, str(part.id or ""), _tool_call(part.function)
    call = next((each for each in reversed(calls) if each.index == index), None)
    if call is None or (more.name and (id != call.id if id and call.id else call.arguments)):
        calls.append(call := _Begun(index, id))
    call.name += more.name if more.name != call.name else ""
    call.arguments += more.arguments


def _chunk(event: object) -> _Chunk:
    try:
        return _Chunk.model_validate(event)
    except ValueError as error:
        raise CutReply(f"no part of a chat completion, but {str(event)[:60]!r}") from error


def without_echo(on_text: OnText, begun: str) -> OnText:
    """`on_text` for a turn that is gone on with: some servers (llama.cpp) repeat what it began with."""
    text, passed = "", 0

    def take(piece: str | None) -> None:
        nonlocal text, passed
        if piece is None:
            text, passed = "", 0
            on_text(None)
            return
        text += piece
        if len(text) < len(begun) and begun.startswith(text):
            return
        new = text.removeprefix(begun)[passed:]
        passed += len(new)
        on_text(new)

    return take


def _call(
    text: str,
    reasoning: str,
    tool_calls: list[ToolCall],
    finish: str | None,
    head: _Head,
    usage: _Usage | None,
) -> ModelCall:
    if finish is None:
        raise CutReply("a reply without a finish reason")
    finish = _MEANS.get(finish.lower(), finish.lower())
    if finish in _BROKEN_OFF:
        raise CutReply(f"a reply that the server broke off ({finish})")
    used = usage or _Usage()
    counted = Usage(calls=1, prompt_tokens=used.prompt_tokens or 0, completion_tokens=used.completion_tokens or 0)
    return ModelCall(
        raw=text,
        reasoning=reasoning,
        tool_calls=tool_calls,
        finish_reason=finish,
        usage=counted,
        seconds=0,
        model=head.model or "",
        fingerprint=head.system_fingerprint or "",
    )


def _tool_call(function: _Function) -> ToolCall:
    arguments = function.arguments
    if isinstance(arguments, dict):  # as some servers send them, not as a text
        arguments = json.dumps(arguments)
    return ToolCall(name=_valid(function.name), arguments=_valid(arguments))


def _said(message: _Message) -> str:
    return "".join(_text_of(part) for part in _parts(message.content))


def _reasoning(message: _Message) -> str:
    """What was thought: a field of the message, or (Mistral) parts of its content."""
    extra = message.model_extra or {}
    if found := extra.get("reasoning") or extra.get("reasoning_content"):
        return _valid(found)
    thoughts = [part.get("thinking") for part in _parts(message.content) if isinstance(part, dict)]
    return "".join(_text_of(piece) for thought in thoughts for piece in _parts(thought))


def _parts(content: Any) -> list[Any]:
    return content if isinstance(content, list) else [content]


def _text_of(part: Any) -> str:
    return _valid(part.get("text") if isinstance(part, dict) else part)


def _valid(text: Any) -> str:
    """`text` without lone surrogates, which JSON may bring and UTF-8 cannot hold; "" for None.

    Raises `CutReply` if it is no text.
    """
    if not isinstance(text, str | None):
        raise CutReply(f"a {type(text).__name__} in the place of a text")
    return (text or "").encode("utf-8", "replace").decode()
