"""What the scripted model is asked: a chat, or a text to be gone on with."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from tora_agent.model.scripted.script import OneOrMore

_OUTPUT = re.compile("^```output$.*?^```$", re.MULTILINE | re.DOTALL)


class Message(BaseModel):
    """One message of a chat."""

    role: str
    content: str | list[dict[str, Any]] | None = None

    @property
    def text(self) -> str:
        """The content, whose parts are joined by line breaks."""
        if isinstance(self.content, list):
            return "\n".join(str(part["text"]) for part in self.content if "text" in part)
        return self.content or ""


class _Limits(BaseModel, strict=True):
    # The request fields that are honoured. Others are ignored.
    model: str | None = None
    n: Literal[1] | None = None
    stop: Annotated[list[str] | None, OneOrMore] = None
    max_tokens: int | None = Field(default=None, ge=1)


class Chat(_Limits):
    """The body of a request for a chat completion."""

    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None


class Completion(_Limits):
    """The body of a request for completions: one text or several, never streamed, without log-probabilities."""

    prompt: Annotated[list[str], OneOrMore, Field(min_length=1)]
    stream: Literal[False] | None = None
    echo: Literal[False] | None = None

    def chats(self) -> list[Chat]:
        """For each text the chat that it stands for: a reply of the model is before each of its output blocks."""
        return [
            Chat(messages=list(_messages(text)), stop=self.stop, max_tokens=self.max_tokens) for text in self.prompt
        ]


def _messages(text: str) -> list[Message]:
    first, *later = _OUTPUT.split(text)
    said = [Message(role="user", content=first)]
    for part in later:
        said += [Message(role="assistant", content="x"), Message(role="user", content=part)]
    return said


def replies(text: str) -> int:
    """How many replies make a message of the assistant: more than one where outputs stand between them."""
    return max(1, sum(bool(part.strip()) for part in _OUTPUT.split(text)))
