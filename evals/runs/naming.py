"""How runs and what they were made with are named."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from prompts import PromptSet, load_prompt
from sandbox.build import image_name
from tora_agent.agent import Agent
from tora_agent.model import Endpoint

_PACKAGES = ("tora-agent", "openai", "langgraph", "jupyter-client", "math-verify", "sympy", "datasets")


def made_with(agent: Agent, endpoint: Endpoint) -> dict[str, Any]:
    """The fields of a manifest that say when and with what samples are made, whatever is asked."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
        "settings": agent.settings,
        "prompt_sha256": agent.prompt.sha256,
        "prompt_text": prompt_texts(agent.prompt),
        "model": endpoint.label,
        "endpoint": endpoint.where,
        "base_url": endpoint.address,
        "dialect": agent.dialect.name,
        "dialect_reason": agent.dialect_reason,
        "image_id": agent.box.image,
        "image_name": image_name(),
        "limits": agent.box.limits.model_dump(),
    }


def prompt_texts(prompt: PromptSet) -> dict[str, Any]:
    """The whole prompt set by name, and the one that checks its answers."""
    texts = {prompt.name: prompt.model_dump()}
    if prompt.check:
        texts[prompt.check] = load_prompt(prompt.check).model_dump()
    return texts
