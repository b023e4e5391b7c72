"""What follows from the steps alone: the cells behind the kernel's state, and those that a check is held against."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox import CellError, CellResult
from tora_agent.conversation import cells_run, since_restart, worked
from tora_agent.steps import Code, Output, Retry

DIED = CellResult(error=CellError(type="KernelDied", message="gone"), state_lost=True)
NEW = CellResult(state_lost=True, lost_before=True)
FAILED = CellResult(error=CellError(type="NameError", message="x"))


def steps(*parts: tuple[str, CellResult] | str) -> list[dict[str, Any]]:
    """Cells with their results; "restart" and "revise" for retries, other words for cells that were never run."""
    made: list[Any] = []
    for part in parts:
        if part in ("restart", "revise"):
            made.append(Retry(at=0, reason="check_false", text="", restart=part == "restart"))
        elif isinstance(part, str):
            made.append(Code(at=0, code=part))
        else:
            made += [Code(at=0, code=part[0]), Output(at=0, seconds=0, result=part[1], text="")]
    return [step.model_dump(mode="json") for step in made]


FINE = CellResult(stdout="1\n")


@pytest.mark.parametrize(
    ("parts", "run", "held"),
    [
        ([("a", FINE), ("b", FINE)], "ab", "ab"),
        ([("a", FINE), ("b", FAILED)], "ab", "a-"),
        ([("a", FINE), "b"], "a", "a"),
        ([("a", FINE), "restart", ("b", FINE)], "b", "b"),
        ([("a", FINE), "revise", ("b", FINE)], "ab", "ab"),
        ([("a", FINE), ("b", DIED), ("c", FINE)], "c", "a-c"),
        ([("a", FINE), ("b", NEW), ("c", FINE)], "bc", "abc"),
    ],
)
def test_cells(parts: list[Any], run: str, held: str) -> None:
    told = "".join(code if ended else "-" for code, ended in worked(steps(*parts)))
    assert ("".join(cells_run(steps(*parts))), told) == (run, held)


def test_a_conversation_that_was_given_up_is_not_known() -> None:
    assert since_restart(steps(("a", FINE), "restart")) == []
    assert len(since_restart(steps("a", "restart", "b", "revise"))) == 2
