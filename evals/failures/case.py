"""What the rules look at: a graded trajectory, taken apart once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from evals.grading import Grade, Verdict
from evals.replay.cells import Cell, cells_of
from prompts import PromptError, load_prompt
from tora_agent.answers import last_box
from tora_agent.steps import Answer, Reasoning, Retry, Trajectory, Verification

_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")


@dataclass(frozen=True)
class Said:
    """Something that the model said, and where."""

    step: int
    text: str


class Case:
    """One sample for the rules."""

    def __init__(self, trajectory: Trajectory, grade: Grade, gold: str, prompts: Mapping[str, Any]) -> None:
        self.trajectory, self.grade, self.gold, self._prompts = trajectory, grade, gold, prompts
        self.answer = trajectory.answer
        self.wrong = grade.verdict is not Verdict.CORRECT

    @cached_property
    def cells(self) -> list[Cell]:
        """The solution's cells in order; code that was never run is not among them."""
        return [cell for cell in cells_of(self.trajectory) if not cell.check]

    @cached_property
    def replies(self) -> list[tuple[int, Reasoning]]:
        """The solution's model calls with their steps."""
        return [(index, step) for index, step in enumerate(self.trajectory.steps) if isinstance(step, Reasoning)]

    @cached_property
    def boxes(self) -> list[Said]:
        """Every box that the model has written, and every answer that was checked, in order."""
        found = []
        for index, step in enumerate(self.trajectory.steps):
            if isinstance(step, Reasoning):
                found += [Said(index, box) for box in _boxes(step.text)]
            elif isinstance(step, Verification):
                found.append(Said(index, step.answer))
        return found

    @cached_property
    def verifications(self) -> list[tuple[int, Verification]]:
        """The checks with their steps."""
        return [(index, step) for index, step in enumerate(self.trajectory.steps) if isinstance(step, Verification)]

    @property
    def end(self) -> int:
        """Index of the last step."""
        return len(self.trajectory.steps) - 1

    @property
    def last_reply(self) -> int | None:
        """Index of the solution's last model call."""
        return self.replies[-1][0] if self.replies else None

    @property
    def answered_at(self) -> int:
        """Index of the step that gave the final answer, or of the last one."""
        for said in reversed(self.boxes):
            if said.text == self.answer:
                return said.step
        answers = [i for i, step in enumerate(self.trajectory.steps) if isinstance(step, Answer)]
        return answers[-1] if answers else self.end

    @property
    def asked_for_code(self) -> bool:
        """Whether the prompt asks for code. Of an imported sample, whether any of its log has code."""
        asked = self._code
        return bool(self.trajectory.settings.get("writes_code", True)) if asked is None else asked != "none"

    @property
    def boxed(self) -> bool:
        """Whether the answer stood in a box, or was a program's output, which needs none."""
        return bool(self.boxes) or self._code == "program" or any(last_box(cell.result.printed) for cell in self.cells)

    @property
    def claim(self) -> str | None:
        """The answer that the model gave; None where the source of an imported sample took one from no box."""
        return self.answer if self.boxed else None

    @property
    def _code(self) -> str | None:
        """What code the prompt set asks for; None for a set that is not at hand."""
        name = self.trajectory.prompt
        code: str | None = self._prompts[name]["code"] if name in self._prompts else _bundled_code(name)
        return code

    @property
    def nudged(self) -> bool:
        """Whether the model was asked for the box that it had not written."""
        return any(isinstance(step, Retry) and step.reason == "no_box" for step in self.trajectory.steps)


def _boxes(text: str) -> Iterator[str]:
    starts = [match.start() for match in _BOX.finditer(text)]
    for start, end in zip(starts, [*starts[1:], None], strict=False):
        if (box := last_box(text[start:end])) is not None:
            yield box


@lru_cache
def _bundled_code(prompt: str) -> str | None:
    try:
        return load_prompt(prompt).code
    except PromptError:
        return None
