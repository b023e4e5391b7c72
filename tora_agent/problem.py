"""What is to be solved."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Problem(BaseModel):
    """One problem. Only `problem` reaches the model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    problem: str
    unique_id: str = "problem"
    subject: str = ""
    level: int | None = None
    answer: str = ""
    """The gold answer; empty where none is known."""
    solution: str = ""
