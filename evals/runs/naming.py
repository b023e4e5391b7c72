"""How runs and what they were made with are named."""

from __future__ import annotations

from typing import Any

from prompts import PromptSet, load_prompt
from tora_agent.model import Endpoint


def model_label(endpoint: Endpoint) -> str:
    """The model as it was asked for: "local" or "local:..." for the embedded one."""
    if endpoint.embedded:
        return f"local:{endpoint.model}" if endpoint.model else "local"
    return endpoint.model


def prompt_texts(prompt: PromptSet) -> dict[str, Any]:
    """The whole prompt set by name, and the one that checks its answers."""
    texts = {prompt.name: prompt.model_dump()}
    if prompt.check:
        texts[prompt.check] = load_prompt(prompt.check).model_dump()
    return texts
