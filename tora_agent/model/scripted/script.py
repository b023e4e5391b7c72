"""What a scripted model is to say: entries of turns, from a YAML or JSON file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator

from tora_agent.errors import UsageError

Fault = Literal[
    "rate_limit", "quota", "server_error", "bad_key", "unknown_model", "filtered", "html_error",
    "stall", "cut_stream", "malformed_json", "empty", "slow",
]  # fmt: skip
FinishReason = Literal["stop", "length", "content_filter", "tool_calls"]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
OneOrMore = BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
CodeAlone = BeforeValidator(
    lambda value: {"arguments": json.dumps({"code": value})} if isinstance(value, str) else value
)
PlainText = BeforeValidator(lambda value: {"content": value} if isinstance(value, str) else value)


class Call(BaseModel, extra="forbid", strict=True, frozen=True):
    """A call of a tool. In a file a plain text stands for a call of `python` with that code."""

    name: str = "python"
    arguments: str
    """As they are sent: JSON, or whatever the script says."""


class Turn(BaseModel, extra="forbid", strict=True, frozen=True):
    """One reply. In a file a plain text stands for a turn with that content. Times are in seconds."""

    content: str = ""
    reasoning: str = ""
    tool_calls: list[Annotated[Call, CodeAlone]] = []
    finish_reason: FinishReason = "stop"
    delay: Seconds = 0.0
    fault: Fault | None = None
    times: int | None = Field(default=None, ge=1)
    retry_after: Seconds | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.times is not None and self.fault is None:
            raise ValueError("times needs a fault")
        if self.retry_after is not None and self.fault != "rate_limit":
            raise ValueError("retry_after needs fault: rate_limit")
        if not {"content", "tool_calls"} & self.model_fields_set and (self.fault is None or self.times is not None):
            raise ValueError("content is missing")
        return self


class Entry(BaseModel, extra="forbid", strict=True, frozen=True):
    """Replies for the chats that have a user message in which all the `match` texts occur."""

    match: Annotated[list[str], OneOrMore, Field(min_length=1)]
    turns: list[Annotated[Turn, PlainText]] = Field(min_length=1)


class Script(BaseModel, extra="forbid", strict=True, frozen=True):
    """A whole script. The first entry that matches a chat answers it."""

    model: str = Field(default="scripted", min_length=1)
    strict_model: bool = False
    refuses: list[str] = []
    """Fields of a request that are answered with 400, `unsupported_parameter`."""
    api_key: str | None = Field(default=None, min_length=1)
    entries: list[Entry] = Field(min_length=1)


def load_script(path: Path) -> Script:
    """Read a script from a JSON file (suffix .json) or else a YAML file. Raises `UsageError`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        return Script.model_validate(json.loads(text) if path.suffix == ".json" else yaml.safe_load(text))
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}; docs/scripted-model.md says what it holds"
        ) from error
    except (ValueError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: {problem_in(error)}") from error


def problem_in(error: Exception) -> str:
    """Say in one line what is wrong with a script or a request, and where."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}: {error.problem}"
    if not isinstance(error, ValidationError):
        return " ".join(str(error).split())
    first = error.errors()[0]
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"])
    plain = {"extra_forbidden": "unknown key", "model_type": "must be a mapping (a turn may be a text)"}
    message = plain.get(first["type"], first["msg"])
    return f"{place.lstrip('.') or 'top level'}: {message.removeprefix('Value error, ')}"
