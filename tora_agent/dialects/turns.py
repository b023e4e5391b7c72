"""`turns`: code in fenced blocks, its output in a user message. Any chat endpoint can do that."""

from __future__ import annotations

from prompts import PromptSet
from prompts.sets import Message, render
from tora_agent.dialects.base import Sent, alternating, read_fenced
from tora_agent.dialects.fences import STOP, Turn
from tora_agent.steps import ModelCall


class Turns:
    """Outputs are user messages."""

    name = "turns"
    tools = False

    def send(self, messages: list[Message], prompt: PromptSet) -> Sent:
        """Each message as it is, and each output as one of the user."""
        sent = alternating(sent_as_user(message, prompt) for message in messages)
        return Sent(sent, STOP if prompt.code != "none" else ())

    def read(self, call: ModelCall, prompt: PromptSet) -> Turn:
        """The reply up to its first complete block."""
        return read_fenced(call, prompt)


def sent_as_user(message: Message, prompt: PromptSet) -> Message:
    """`message` without a thought, an output as one of the user."""
    if message["role"] != "output":
        return {"role": message["role"], "content": message["content"]}
    return {"role": "user", "content": render(prompt.output, output=message["content"])}
