"""Options that several commands have, one by one and in groups."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer

Given = dict[str, Any]
"""All options of a command by name, those of its groups included."""
Model = Annotated[
    str | None,
    typer.Option(help="Model id; local, or local:PATH of a GGUF, for the embedded model. Default: TORA_MODEL."),
]
BaseUrl = Annotated[str | None, typer.Option(help="OpenAI-compatible endpoint. Default: OPENAI_BASE_URL.")]
Prompt = Annotated[
    str | None,
    typer.Option(
        help="Prompt set: tora, csv, cot, pal, or a .yaml file (docs/prompts.md). Default: csv; of eval, tora."
    ),
]
Dialect = Annotated[
    str | None,
    typer.Option(
        help="How code crosses: turns (output as a user message), fence (in the same assistant turn), tools (function "
        "calling), or auto (ask the endpoint what it can do). Default: turns."
    ),
]
Shots = Annotated[int | None, typer.Option(help="Few-shot examples. Default: all of the prompt set.")]
Temperature = Annotated[float | None, typer.Option(help="Sampling temperature. Default: 0.")]
Seed = Annotated[int | None, typer.Option(help="Seed; sample k uses seed + k. Default: 0.")]
MaxTokens = Annotated[int | None, typer.Option(help="Tokens generated per sample. Default: 4096.")]
MaxRounds = Annotated[int | None, typer.Option(help="Model calls per sample. Default: 8.")]
MaxSeconds = Annotated[float | None, typer.Option(help="Working seconds per sample. Default: 900.")]
MaxRetries = Annotated[
    int | None,
    typer.Option(help="New attempts after a check that came out False or an answer that looks wrong. Default: 2."),
]
Retry = Annotated[
    str | None,
    typer.Option(help="revise: such an attempt goes on in the conversation; restart: anew. Default: revise."),
]
Doubts = Annotated[
    bool | None, typer.Option("--doubts/--no-doubts", help="Whether rules may find that an answer looks wrong.")
]
Independence = Annotated[
    bool | None,
    typer.Option("--independence/--no-independence", help="Whether a check that repeats the solution is void."),
]
OutputChars = Annotated[
    int | None, typer.Option(help="Characters of a cell's output shown to the model. Default: 4000.")
]
CellSeconds = Annotated[float | None, typer.Option(help="Time limit of one cell of code. Default: 30.")]
Isolation = Annotated[
    str | None,
    typer.Option(help="shared: one container, a user id for each session; container: one each. Default: shared."),
]
Cassette = Annotated[
    Path | None, typer.Option(help="Directory that keeps each reply, and answers the same request from it.")
]
ReplayOnly = Annotated[bool, typer.Option("--replay-only", help="Answer from the cassette alone: no network, no key.")]
Price = Annotated[
    str | None, typer.Option(help="Dollars for a million prompt and completion tokens: 2.5,10. Default: a table.")
]
MaxCost = Annotated[float | None, typer.Option(help="Dollars after which no further call is made.")]
MaxTokensTotal = Annotated[
    int | None, typer.Option(help="Prompt and completion tokens after which no further call is made.")
]
SilenceSeconds = Annotated[
    float | None, typer.Option(help="Seconds without a byte after which a call is tried again. Default: 600.")
]
Vote = Annotated[
    str | None,
    typer.Option(help="How samples choose an answer: majority, or verified (weighted by verification state)."),
]
Weights = Annotated[
    str | None, typer.Option(help="Of True, Uncertain and False in a verified vote. Default: 1,0.5,0.2.")
]
StopEarly = Annotated[bool, typer.Option("--stop-early", help="No more samples of a problem once its vote is decided.")]
Data = Annotated[
    Path | None, typer.Option(help="A jsonl file with the benchmark's rows (docs/data.md). Default: the hub.")
]
LogDir = Annotated[Path, typer.Option(help="Where run directories are made and looked for.")]
RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run: a path, a name under the log directory, or last, the newest one.",
    ),
]


def solving(
    model: Model = None,
    base_url: BaseUrl = None,
    prompt: Prompt = None,
    dialect: Dialect = None,
    shots: Shots = None,
    temperature: Temperature = None,
    seed: Seed = None,
    max_tokens: MaxTokens = None,
    max_rounds: MaxRounds = None,
    max_seconds: MaxSeconds = None,
    max_retries: MaxRetries = None,
    retry: Retry = None,
    doubts: Doubts = None,
    independence: Independence = None,
    output_chars: OutputChars = None,
    cell_seconds: CellSeconds = None,
    isolation: Isolation = None,
) -> None:
    """How a model is asked to solve a problem: the endpoint, and `AgentSettings`."""


def calling(
    cassette: Cassette = None,
    replay_only: ReplayOnly = False,
    price: Price = None,
    max_cost: MaxCost = None,
    max_tokens_total: MaxTokensTotal = None,
    silence_seconds: SilenceSeconds = None,
) -> None:
    """How calls are made: `ClientSettings`."""


def voting(
    vote: Vote = None,
    weights: Weights = None,
    stop_early: StopEarly = False,
) -> None:
    """How several samples choose an answer."""


def taking(*groups: Callable[..., None]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of `groups` after its own; it gets the values of all as `given`."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = _parameters(command)
        own.pop("given")
        everything = own | {name: each for group in groups for name, each in _parameters(group).items()}

        @wraps(command)
        def with_options(**given: Any) -> None:
            command(**{name: given[name] for name in own}, given=given)

        with_options.__signature__ = Signature(list(everything.values()))  # type: ignore[attr-defined]
        with_options.__annotations__ = {name: each.annotation for name, each in everything.items()}
        return with_options

    return decorate


def _parameters(command: Callable[..., None]) -> dict[str, Parameter]:
    return dict(signature(command, eval_str=True).parameters)
