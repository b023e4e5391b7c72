"""The cells of a trajectory, as they were run, and how to run them again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sandbox import CellResult, Session
from tora_agent.steps import AGAIN, Code, Output, Retry, Trajectory, Verification


@dataclass(frozen=True)
class Cell:
    """A cell that was run."""

    step: int
    """Index of what it brought (the output or the check) among the trajectory's steps."""
    code: str
    result: CellResult
    check: bool = False
    """Whether it is a check of an answer, which has a kernel of its own."""
    anew: bool = False
    """Whether the kernel was a new one, without the variables of earlier cells."""


def cells_of(trajectory: Trajectory) -> Iterator[Cell]:
    """The cells in order, checks included. Code that was never run is not among them."""
    code, anew = None, True
    # Version 0 of the format does not say it of the step.
    restarts = trajectory.format_version == 0 and trajectory.settings.get("retry") == "restart"
    for index, step in enumerate(trajectory.steps):
        if isinstance(step, Code):
            code = step.code
        elif isinstance(step, Output) and code is not None:
            yield Cell(index, code, step.result, anew=anew or step.result.lost_before)
            code, anew = None, step.result.died
        elif isinstance(step, Verification) and step.code is not None and step.result is not None:
            yield Cell(index, step.code, step.result, check=True, anew=True)
        elif isinstance(step, Retry):
            anew = anew or step.restart or (restarts and step.reason in AGAIN)


async def rebuild(cells: Iterable[Cell], session: Session, seconds: float) -> list[CellResult]:
    """Run the `cells` of one solution in `session`, which then holds the variables that they make."""
    results = []
    for cell in cells:
        if cell.anew:
            await session.close()
        results.append(await session.run(cell.code, timeout=seconds))
    return results
