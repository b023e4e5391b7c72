"""`fence`: code in fenced blocks, its output in the same assistant turn, which the model then goes on with.

That is what models trained on ToRA, Qwen2.5-Math TIR or OpenMath data expect. The endpoint has to continue a last
message of the assistant: vLLM and SGLang do when asked (`continue_final_message`), llama.cpp does by itself.
"""

from __future__ import annotations

from prompts import PromptSet
from prompts.sets import Message, render
from tora_agent.dialects.base import Sent, alternating, read_fenced
from tora_agent.dialects.fences import STOP, Turn
from tora_agent.steps import ModelCall


class Fence:
    """Outputs are part of the assistant's turn."""

    name = "fence"
    tools = False

    def send(self, messages: list[Message], prompt: PromptSet) -> Sent:
        """Replies and outputs that follow one another make one message."""
        sent: list[Message] = []
        for message in messages:
            role, text = message["role"], message["content"]
            if role == "output":
                role, text = "assistant", f"\n{render(prompt.output, output=text)}\n"
            if sent and sent[-1]["role"] == role == "assistant":
                sent[-1] = {"role": role, "content": sent[-1]["content"] + text}
            else:
                sent.append({"role": role, "content": text})
        stop = STOP if prompt.code != "none" else ()
        return Sent(alternating(sent), stop, continued=sent[-1]["role"] == "assistant")

    def read(self, call: ModelCall, prompt: PromptSet) -> Turn:
        """The reply up to its first complete block."""
        return read_fenced(call, prompt)
