"""Prompt sets: YAML data with jinja placeholders, and the code that loads and renders them."""

from __future__ import annotations

from prompts.sets import PromptError, PromptSet, load_prompt, prompt_names

__all__ = ["PromptError", "PromptSet", "load_prompt", "prompt_names"]
