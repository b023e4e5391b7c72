"""Settings of the client: how a model is called, which decides nothing about what it is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tora_agent.errors import UsageError, option_error


class Price(BaseModel):
    """US dollars for a million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: float = Field(ge=0, allow_inf_nan=False)
    completion: float = Field(ge=0, allow_inf_nan=False)

    @classmethod
    def parse(cls, text: str) -> Price:
        """Read `--price`: "2.5,10". Raises `UsageError`."""
        try:
            prompt, completion = map(float, text.split(","))
            return cls(prompt=prompt, completion=completion)
        except ValueError as error:
            raise UsageError(
                f"--price {text}: give dollars for a million prompt and completion tokens, such as 2.5,10"
            ) from error


class ClientSettings(BaseModel):
    """How calls are made, tried again, paid for and recorded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tries: int = Field(7, gt=0)
    """Tries of a failing call in all."""
    first_wait: float = Field(1.0, ge=0)
    """Seconds before the second try; doubled each time."""
    longest_wait: float = Field(60.0, ge=0)
    """Seconds that are waited at most, unless the server asks for more."""
    silence_seconds: float = Field(600.0, gt=0)
    """Seconds without a byte after which a call has failed."""
    cassette: Path | None = None
    """A directory that keeps each reply, and answers the same request from it."""
    replay_only: bool = False
    """Whether the cassette is all there is: no endpoint is reached."""
    price: Price | None = None
    """In the place of the table's price."""
    max_cost: float | None = Field(None, gt=0, allow_inf_nan=False)
    """US dollars after which no further call is made."""
    max_tokens_total: int | None = Field(None, gt=0)
    """Prompt and completion tokens after which no further call is made."""


def client_settings(options: dict[str, Any]) -> ClientSettings:
    """`ClientSettings` of those command-line `options` that are given. Raises `UsageError` that names the option."""
    given = {key: options[key] for key in ClientSettings.model_fields if options.get(key) is not None}
    if text := given.get("price"):
        given["price"] = Price.parse(text)
    try:
        settings = ClientSettings(**given)
    except ValidationError as error:
        raise option_error(error) from error
    if settings.replay_only and (settings.cassette is None or not settings.cassette.is_dir()):
        raise UsageError("--replay-only needs the directory of a cassette: --cassette DIR")
    return settings
