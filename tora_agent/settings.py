"""Settings of the agent: what decides how a problem is solved."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class AgentSettings(BaseModel):
    """How one sample is made. Part of a run's manifest: two runs with equal settings ask the same of a model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str = "csv"
    """Name of the prompt set."""
    shots: int | None = Field(None, ge=0)
    """Few-shot examples shown; None for all that the prompt set has."""
    temperature: float = Field(0.0, ge=0, le=2)
    seed: int = Field(0, ge=0)
    """Sample k asks the model with seed + k."""
    max_tokens: int = Field(4096, gt=0)
    """Tokens that one sample may generate in all its rounds together."""
    max_rounds: int = Field(8, gt=0)
    """Model calls per sample, checks included."""
    max_seconds: float = Field(900.0, gt=0)
    """Working time per sample: model calls and cells."""
    max_retries: int = Field(2, ge=0)
    """Further attempts after a check that came out False."""
    cell_seconds: float = Field(30.0, gt=0)
    """Time limit of one cell."""
