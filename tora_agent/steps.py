"""The typed steps of a trajectory. A trajectory is a linear list of steps; nothing is rewritten, only appended."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sandbox import CellResult

FORMAT_VERSION = 1
"""Version of the trajectory format (docs/log-format.md). Records of earlier versions are read as they are."""

State = Literal["True", "False", "Uncertain"]
"""Verification state of an answer (CSV, arXiv:2308.07921, section 3.2)."""
RetryReason = Literal["check_false", "looks_wrong", "no_box", "bad_call", "asked"]
AGAIN: tuple[RetryReason, ...] = ("check_false", "looks_wrong")
"""Those that ask for another attempt."""
FailureKind = Literal[
    "truncated", "context_full", "filtered", "out_of_rounds", "out_of_time", "no_answer", "no_code", "code_failed"
]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Usage(_Model):
    """Tokens and calls, as the server counts them."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None
    """US dollars; None where no price is known."""

    def __add__(self, other: Usage) -> Usage:
        costs = [cost for cost in (self.cost, other.cost) if cost is not None]
        return Usage(
            calls=self.calls + other.calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cost=sum(costs) if costs else None,
        )


class Asked(_Model):
    """The settings of one request, as they were sent; None for those that the endpoint does not take."""

    max_tokens: int | None
    temperature: float | None
    seed: int | None
    stop: list[str] = []
    continued: bool = False
    """Whether the model was to go on within its own turn."""


class ToolCall(_Model):
    """A call of a tool, as the model wrote it."""

    name: str
    arguments: str
    """JSON, if the model wrote JSON."""


class ModelCall(_Model):
    """One reply of the model, whole."""

    raw: str
    """The text as it came, before anything was cut."""
    reasoning: str = ""
    """What a reasoning model thought apart from its reply; never executed, never graded."""
    tool_calls: list[ToolCall] = []
    finish_reason: str
    usage: Usage
    seconds: float
    asked: Asked | None = None
    model: str = ""
    """The model's id as this reply gives it."""
    fingerprint: str = ""
    """The server's `system_fingerprint`, where it sends one."""


class Budget(_Model):
    """What a sample may still spend."""

    rounds: int
    tokens: int
    seconds: float


class _Step(_Model):
    at: float = 0.0
    """Seconds from the start of the sample to the start of the step."""
    seconds: float = 0.0
    """Working time of the step; waiting for another try of a model call is none."""


class Reasoning(_Step):
    """The model's own text before its first complete code block."""

    kind: Literal["reasoning"] = "reasoning"
    text: str
    call: ModelCall
    cut: str = ""
    """Text after the code block, or from the first block on beside tool calls, which was not used."""
    left: Budget | None = None
    """The budget before the call."""


class Code(_Step):
    """A code block, as it will be run."""

    kind: Literal["code"] = "code"
    code: str


class Output(_Step):
    """What running the code brought."""

    kind: Literal["output"] = "output"
    result: CellResult
    text: str
    """What the model is shown: the output, cut in the middle where it is long, with notes on what it must know."""


StateSource = Literal["called", "printed", "prose", "none"]
"""How a check told its state: by a call of `check(...)`, by its last printed line, in words alone, or not at all."""


class Verification(_Step):
    """A check of an answer by code, run in a fresh kernel; and what looks wrong about it without a check."""

    kind: Literal["verification"] = "verification"
    answer: str
    state: State
    reason: str
    call: ModelCall
    code: str | None = None
    result: CellResult | None = None
    source: StateSource = "none"
    void: str | None = None
    """Why the check says nothing about the answer, if so (`tora_agent.independence`); its state is then Uncertain."""
    doubts: dict[str, str] = {}
    """Rules that fired (`tora_agent.doubts`), each with its evidence."""
    requested: bool = False
    """Whether a person asked for it, in a chat: it is of an earlier answer, and counts for no attempt."""


class Retry(_Step):
    """Why the model is asked again."""

    kind: Literal["retry"] = "retry"
    reason: RetryReason
    text: str
    """The message that goes to the model."""
    restart: bool = False
    """Whether the conversation begins anew instead, without that message."""


class Request(_Step):
    """What a person said or ran in the middle of a conversation. With what is asked for, the budget begins anew."""

    kind: Literal["request"] = "request"
    text: str
    """The message that goes to the model."""
    code: str | None = None
    """Code that the person ran in the solution's kernel; the message tells what it brought."""
    refusal: bool = False
    """Whether it refuses to have the model's code run. Neither this nor `code` of one's own asks for anything new."""


class Answer(_Step):
    """The final answer: the attempt with the best verification state; of equals one without doubts, then the one that
    most attempts agree with, then the latest."""

    kind: Literal["answer"] = "answer"
    answer: str
    state: State | None = None


class Failure(_Step):
    """Why there is no answer."""

    kind: Literal["failure"] = "failure"
    failure: FailureKind
    message: str


Step = Annotated[
    Reasoning | Code | Output | Verification | Retry | Request | Answer | Failure, Field(discriminator="kind")
]


class Reported(_Model):
    """What the log that a trajectory was imported from says of it."""

    answer: str | None = None
    """The answer as its own program extracted it."""
    correct: bool | None = None
    """That program's verdict."""


class Trajectory(_Model):
    """All that happened in one sample of one problem. One line of `trajectories.jsonl`."""

    format_version: int = FORMAT_VERSION
    problem_id: str
    sample: int = 0
    problem: str
    subject: str = ""
    level: int | None = None
    prompt: str
    """Name of the prompt set."""
    dialect: str = "turns"
    """How code crossed between model and kernel (`tora_agent.dialects`)."""
    image: str = ""
    """Id of the sandbox image; empty where no sandbox was used."""
    model: str
    """The model's id as the server reports it."""
    fingerprint: str = ""
    """The server's `system_fingerprint`, where it sends one."""
    started: str
    """ISO 8601, UTC."""
    seconds: float
    """Wall time; in a chat, that of its steps together."""
    settings: dict[str, Any]
    """`AgentSettings` with the sample's own seed."""
    steps: list[Step]
    answer: str | None
    """Content of the final box; None without one."""
    state: State | None = None
    """Verification state of the answer; None where no check was made."""
    failure: FailureKind | None = None
    usage: Usage
    reported: Reported | None = None
    """For an imported trajectory, what its source says of it."""

    @property
    def truncated(self) -> bool:
        """Whether a reply of the solution was cut by the token limit."""
        return any(isinstance(s, Reasoning) and s.call.finish_reason == "length" for s in self.steps)
