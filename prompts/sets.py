"""Load and render prompt sets. A missing placeholder value or an unknown field fails at once."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml
from jinja2 import Environment, StrictUndefined, Template, TemplateError
from pydantic import BaseModel, ConfigDict, ValidationError

Message = dict[str, str]
"""`{"role": "system" | "user" | "assistant" | "output", "content": text}`, where an output is what a cell printed.

What a model thought before it wrote an assistant's message may stand beside it, as `reasoning_content`.
"""
_JINJA = Environment(undefined=StrictUndefined, keep_trailing_newline=False)


class PromptError(ValueError):
    """A prompt set is unknown or malformed; the message is one line."""


class Example(BaseModel):
    """A worked few-shot example: values for the problem template, then replies and outputs in turns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    values: dict[str, str]
    """What the `problem` template asks for."""
    turns: list[dict[Literal["assistant", "output"], str]]


class Notes(BaseModel):
    """Templates of what a model is told below a cell's output."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lost: str = ""
    """Its kernel lost its state; placeholder `before`: whether that was before the code ran."""
    repeated: str = ""
    """It ran the same code before, with the same output."""
    short: str = ""
    """Little of its budget is left; placeholders `rounds`, and `seconds`, which is None where there are plenty."""


class PromptSet(BaseModel):
    """One way of asking a model to solve a problem.

    Every template but `output` and `notes` may ask for `tools`: whether the model runs code by calling a tool.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    about: str
    code: Literal["none", "program", "turns"]
    """Whether the model writes no code, one program whose output is the answer, or code in turns with reasoning."""
    system: str = ""
    problem: str
    """Template of the first user message."""
    output: str = "{{ output }}"
    """Template of a cell's output in a text; placeholder `output`."""
    nudge: str = ""
    """Template of the message to a model that gave neither code nor answer."""
    bad_call: str = ""
    """Template of the message to a model whose tool call cannot be read."""
    notes: Notes = Notes()
    retry: str = ""
    """Template of the message after a check that came out False; placeholders `answer`, `code`, `output`."""
    doubt: str = ""
    """Template of the message after an answer that looks wrong; placeholders `answer`, `evidence`."""
    void: str = ""
    """Of a set that checks: template of the message after a check that says nothing; placeholder `reason`."""
    check: str | None = None
    """Name of the prompt set that checks an answer; None for no verification."""
    examples: list[Example] = []

    @property
    def sha256(self) -> str:
        """Hash of all of the set's texts, its check's included."""
        text = self.model_dump_json() + (load_prompt(self.check).model_dump_json() if self.check else "")
        return hashlib.sha256(text.encode()).hexdigest()

    def start(self, shots: int | None, *, tools: bool = False, **values: str) -> list[Message]:
        """The conversation up to the model's first reply, with `shots` examples (None for all).

        Raises `PromptError` if the set has fewer examples or a placeholder has no value.
        """
        if shots is not None and shots > len(self.examples):
            raise PromptError(f"prompt set {self.name} has {len(self.examples)} examples, fewer than {shots} shots")
        system = render(self.system, tools=tools)
        messages = [{"role": "system", "content": system}] if system else []
        for example in self.examples[:shots]:
            messages.append(_user(render(self.problem, tools=tools, **example.values)))
            for turn in example.turns:
                messages += [{"role": role, "content": text.strip()} for role, text in turn.items()]
        return [*messages, _user(render(self.problem, tools=tools, **values))]

    def rehearse(self, shots: int | None) -> None:
        """Render every template once: what is wrong raises `PromptError` now rather than in the middle of a sample."""
        for tools in (False, True):
            self.start(shots, tools=tools, problem="")
            render(self.nudge, tools=tools)
            render(self.bad_call, tools=tools)
            render(self.retry, tools=tools, answer="", code="", output="")
            render(self.doubt, tools=tools, answer="", evidence="")
        render(self.output, output="")
        render(self.notes.lost, before=False)
        render(self.notes.repeated)
        render(self.notes.short, rounds=1, seconds=1)
        if self.check:
            check = load_prompt(self.check)
            check.start(None, problem="", answer="")
            render(check.void, tools=False, reason="")


def render(template: str, **values: object) -> str:
    """Fill `template`; a placeholder without a value raises `PromptError`."""
    try:
        return _compiled(template).render(**values).strip()
    except TemplateError as error:
        raise PromptError(f"prompt template {template[:40]!r}: {error}") from error


@lru_cache(maxsize=256)
def _compiled(template: str) -> Template:
    return _JINJA.from_string(template)


def prompt_names() -> list[str]:
    """Names of the sets that solve problems."""
    names = sorted(Path(f.name).stem for f in files("prompts").iterdir() if f.name.endswith(".yaml"))
    return [name for name in names if name not in ("check", "chat")]


@lru_cache(maxsize=1)
def chat_texts() -> dict[str, str]:
    """Templates of what a chat says in a person's name: `ran` (placeholders `code`, `output`) and `refused`."""
    texts: dict[str, str] = yaml.safe_load((files("prompts") / "chat.yaml").read_text("utf-8"))
    return texts


def load_prompt(name: str) -> PromptSet:
    """Load a bundled set by name, or any set from a path that ends in `.yaml`. Raises `PromptError`."""
    bundled = files("prompts") / f"{name}.yaml"
    if name.endswith((".yaml", ".yml")):
        source = Path(name)
    elif bundled.is_file():
        source = Path(str(bundled))
    else:
        raise PromptError(f"unknown prompt set {name!r}; there are {', '.join(prompt_names())}")
    try:
        fields: dict[str, Any] = yaml.safe_load(source.read_text("utf-8"))
        if base := fields.pop("extends", None):
            fields = load_prompt(base).model_dump(exclude={"name"}) | fields
        return PromptSet.model_validate({"name": source.stem} | fields)
    except OSError as error:
        there = f"give a file that is there, or one of {', '.join(prompt_names())}"
        raise PromptError(f"the prompt set {source} cannot be read: {error.strerror}; {there}") from error
    except (UnicodeDecodeError, yaml.YAMLError, AttributeError, TypeError, RecursionError) as error:
        raise PromptError(f"{source.name}: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise PromptError(f"{source.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _user(text: str) -> Message:
    return {"role": "user", "content": text}
