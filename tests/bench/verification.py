"""What each part of the verification brings, on the first attempts of a run with checks: paired, on the same solutions.

A part flags an answer, so that it is tried again. For each: how many answers it flags, how often that is right
(precision), how many of the wrong ones it finds (recall), both with 95 % intervals (Wilson), and how many right ones it
flags. The stored checks and solutions are judged anew: by the rules of today, whatever the run's settings were. Only a
check that is void by these and was not then has no other in its place: `make bench-verification RUN=...`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from evals.grading import Verdict
from evals.runs import Run
from prompts import load_prompt
from tests.bench.shares import share
from tora_agent.attempts import doubts_about
from tora_agent.conversation import worked
from tora_agent.doubts import RULES
from tora_agent.independence import void
from tora_agent.steps import State, Trajectory, Verification
from tora_agent.verification import read_state


@dataclass
class Check:
    """A stored check."""

    says: State
    """Whether or not it is void."""
    void: bool

    @property
    def state(self) -> State:
        """What it counts for."""
        return "Uncertain" if self.void else self.says


@dataclass
class First:
    """A sample's first answer, the checks of it (a void one may have been made again), and the rules that fire."""

    right: bool
    checks: list[Check]
    doubts: set[str]

    @property
    def state(self) -> State:
        """That of the check that counts."""
        return self.checks[-1].state


def firsts(run: Run) -> list[First]:
    """The first attempts that were checked."""
    grades = run.grades()
    found = []
    for trajectory in run.trajectories():
        grade = grades.get((trajectory.problem_id, trajectory.sample))
        if grade and any(isinstance(step, Verification) for step in trajectory.steps):
            verdict = grade.first_verdict or grade.verdict
            found.append(first_of(trajectory, verdict is Verdict.CORRECT))
    return found


def first_of(trajectory: Trajectory, right: bool) -> First:
    """The first answer of `trajectory`, judged anew."""
    begin = next(i for i, step in enumerate(trajectory.steps) if isinstance(step, Verification))
    solution = [step.model_dump(mode="json") for step in trajectory.steps[:begin]]
    made: list[Verification] = []
    for step in trajectory.steps[begin:]:
        if not isinstance(step, Verification):
            break
        made.append(step)
    fired = doubts_about(trajectory.problem, made[0].answer, solution, load_prompt(trajectory.prompt))
    return First(right, [_judged(check, worked(solution)) for check in made], set(fired))


def _judged(check: Verification, cells: list[tuple[str, bool]]) -> Check:
    says = read_state(check.result)[0] if check.result else check.state
    raised = check.result is not None and check.result.error is not None
    return Check(says, bool(check.code and not raised and void(check.code, cells)))


PARTS: dict[str, Callable[[First], bool]] = {
    "the first check, void or not": lambda each: each.checks[0].says == "False",
    "the check that counts": lambda each: each.state == "False",
    "doubts alone": lambda each: bool(each.doubts),
    "doubts but where the check is True": lambda each: each.state != "True" and bool(each.doubts),
    "check or doubts, as the agent does": lambda each: (
        each.state == "False" or (each.state != "True" and bool(each.doubts))
    ),
}
STATES: tuple[State, ...] = ("True", "Uncertain", "False")


def _states(samples: list[First]) -> Table:
    table = Table("state", "right", "wrong", "of which void before", title="The check that counts")
    for state in STATES:
        of_state = [each for each in samples if each.state == state]
        right, void_before = sum(each.right for each in of_state), sum(each.checks[0].void for each in of_state)
        table.add_row(state, str(right), str(len(of_state) - right), str(void_before))
    return table


def _flagging(title: str, parts: Iterable[tuple[str, Callable[[First], bool]]], samples: list[First]) -> Table:
    table = Table("part", "flagged", "precision", "recall", "right ones flagged", title=title)
    wrong = sum(not each.right for each in samples)
    for name, flags in parts:
        flagged = [each for each in samples if flags(each)]
        hits = sum(not each.right for each in flagged)
        spoilt = f"{len(flagged) - hits}/{len(samples) - wrong}"
        table.add_row(name, str(len(flagged)), share(hits, len(flagged)), share(hits, wrong), spoilt)
    return table


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path, help="the directory of a run with checks")
    samples = firsts(Run.read(parser.parse_args().run))
    console = Console(width=130)
    wrong = sum(not each.right for each in samples)
    console.print(f"{len(samples)} first attempts that were checked, {wrong} of them wrong")
    console.print(_states(samples))
    console.print(_flagging("What leads to another attempt", PARTS.items(), samples))
    rules = [(name, lambda each, name=name: name in each.doubts) for name in RULES]
    console.print(_flagging("Doubts, rule by rule", rules, samples))


if __name__ == "__main__":
    main()
