"""The limits of a session."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Isolation(StrEnum):
    """What stands between two sessions."""

    SHARED = "shared"
    """One container for all: a user id, a directory and limits for each session; a session starts in milliseconds."""
    CONTAINER = "container"
    """A container for each; a session starts in about a second."""


class Limits(BaseModel):
    """What one session may use. Exceeding a limit ends a cell or a kernel, never the host process."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    memory_mib: int = Field(1024, ge=128)
    """Memory of all the session's processes and files together, in MiB; there is no swap."""
    processes: int = Field(64, ge=16)
    """Processes and threads."""
    cpus: float = Field(1.0, gt=0)
    """Processor cores."""
    files_mib: int = Field(64, ge=1)
    """Size of the session's only writable directory, `/tmp`, in MiB."""
    descriptors: int = Field(512, ge=64)
    """Open files, pipes and the like of each process."""
    output_chars: int = Field(100_000, ge=100)
    """Characters kept of each of a cell's outputs; of more, the head and the tail are kept."""
    cell_seconds: float = Field(30.0, gt=0)
    """Time a cell may take before it is interrupted."""
    start_seconds: float = Field(60.0, gt=0)
    """Time a kernel may take to start."""
