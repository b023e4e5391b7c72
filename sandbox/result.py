"""What a cell brings back."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class CellError(BaseModel):
    """An exception of the user's code, or what ended it from outside (`TimeoutError`, `KernelDied`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str
    """The exception's class name."""
    message: str
    traceback: str = ""
    """Frames of the user's own cells, plain text; empty where there are none."""

    @property
    def line(self) -> str:
        """The exception as Python's last traceback line."""
        return f"{self.type}: {self.message}" if self.message else self.type


class CellResult(BaseModel):
    """The outcome of one cell. All text is valid UTF-8 without terminal escapes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stdout: str = ""
    stderr: str = ""
    value: str | None = None
    """`repr` of the last expression, None where there is none."""
    error: CellError | None = None
    displays: tuple[dict[str, str], ...] = ()
    """Rich outputs, each by MIME type, where there is more to them than plain text: a figure is "image/png", base64."""
    left: str = ""
    """One line on threads and processes that still ran when the cell ended, and were stopped."""
    late: str = ""
    """What earlier cells of the session printed after their end."""
    seconds: float = 0.0
    """Wall time of the cell."""
    truncated: bool = False
    """Output was cut; the text says where and by how much."""
    timed_out: bool = False
    """The cell was interrupted by its time limit."""
    state_lost: bool = False
    """The kernel is a new one: variables of earlier cells are gone."""
    lost_before: bool = False
    """They were lost before this cell: what it made itself is there."""

    @property
    def died(self) -> bool:
        """Whether the kernel ended in this cell."""
        return self.state_lost and not self.lost_before

    @property
    def printed(self) -> str:
        """What the code meant to say: stdout and value, without stderr and error."""
        return _joined(self.stdout, self.value)

    @property
    def text(self) -> str:
        """All of it in reading order, as a notebook shows it: stdout, stderr, value, error."""
        failure = None
        if self.error:
            failure = f"{self.error.traceback}\n{self.error.line}" if self.error.traceback else self.error.line
        return _joined(self.stdout, self.stderr, self.value, failure, self.left and f"[{self.left}]")


def _joined(*parts: str | None) -> str:
    return "\n".join(part.rstrip("\n") for part in parts if part)
