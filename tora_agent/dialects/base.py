"""What a dialect is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from prompts import PromptSet
from prompts.sets import Message
from tora_agent.dialects.fences import Turn, read_reply
from tora_agent.steps import ModelCall


@dataclass(frozen=True)
class Sent:
    """A conversation as it goes to the endpoint."""

    messages: list[dict[str, Any]]
    stop: tuple[str, ...] = ()
    tools: tuple[dict[str, Any], ...] = ()
    continued: bool = False
    """Whether the last message is the model's own, to be gone on with."""


class Dialect(Protocol):
    """One way of bringing code to the kernel and output back."""

    @property
    def name(self) -> str:
        """As in `--dialect`."""

    @property
    def tools(self) -> bool:
        """Whether the model runs code by calling a tool: prompts word it so."""

    def send(self, messages: list[Message], prompt: PromptSet) -> Sent:
        """The conversation `messages`, which is not changed, for the endpoint."""

    def read(self, call: ModelCall, prompt: PromptSet) -> Turn:
        """What a reply says."""


def alternating(messages: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """`messages` with those of the user that follow one another as one: many chat templates refuse a second one.

    In a chat there are such, where a reply was stopped or a person has run code.
    """
    joined: list[dict[str, Any]] = []
    for message in messages:
        if joined and joined[-1]["role"] == message["role"] == "user":
            joined[-1] = message | {"content": f"{joined[-1]['content']}\n\n{message['content']}"}
        else:
            joined.append(message)
    return joined


def read_fenced(call: ModelCall, prompt: PromptSet) -> Turn:
    """Read a reply whose code is in a fenced block."""
    return read_reply(
        call.raw, code=prompt.code != "none", complete=call.finish_reason not in ("length", "content_filter")
    )
