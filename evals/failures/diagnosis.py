"""From the rules that fire to one cause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from evals.failures.case import Case
from evals.failures.rules import RULES, Finding
from evals.grading import Grade, Verdict
from tora_agent.steps import Trajectory

OTHER = "wrong_solution"
"""The cause of a wrong sample about which no rule can say more: the way to the answer is wrong."""


@dataclass(frozen=True)
class Diagnosis:
    """What went wrong in one sample."""

    cause: str | None
    """Name of the rule that explains best why the sample is not correct, or `OTHER`; None for a correct one."""
    tags: list[Finding] = field(default_factory=list)
    """All rules that fired, in their order of precedence; a correct sample can have some, too."""

    @property
    def finding(self) -> Finding | None:
        """The finding that is the cause; None where no rule is."""
        return next((tag for tag in self.tags if tag.rule == self.cause), None)


def diagnose(
    trajectory: Trajectory, grade: Grade, gold: str, prompts: Mapping[str, Any] = MappingProxyType({})
) -> Diagnosis:
    """Apply all rules to a graded sample. Pure and quick: no kernel, no model, no worker process.

    `prompts` are the run's prompt sets by name (`Manifest.prompt_text`); without them a sample is taken to be made with
    the bundled set of the name. The cause is the first decisive finding in the order of `RULES`.
    """
    case = Case(trajectory, grade, gold, prompts)
    tags = [finding for rule in RULES.values() if (finding := rule(case))]
    if grade.verdict is Verdict.CORRECT:
        return Diagnosis(None, tags)
    return Diagnosis(next((tag.rule for tag in tags if tag.decisive), OTHER), tags)
