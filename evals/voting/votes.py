"""Voting among the samples of a problem: majority (self-consistency) and weighted by verification state.

Self-consistency: Wang et al. 2023, arXiv:2203.11171. Verification-guided weighted voting: Zhou et al. 2023 (CSV),
arXiv:2308.07921, section 3.3. Voters are classes of mathematically equal answers, not equal strings.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from evals.grading import answer_classes_async
from evals.statistics import pass_at_k
from prompts import load_prompt
from tora_agent.errors import UsageError
from tora_agent.steps import State

EXACT_UP_TO = 8
"""Samples of a problem up to which every subset is counted; with more, subsets are drawn."""
DRAWN = 400
"""Orders drawn of more samples than that: the resampling error of a problem's share is at most 2.5 points."""


class Vote(StrEnum):
    """How the answer of several samples is chosen."""

    MAJORITY = "majority"
    VERIFIED = "verified"

    @classmethod
    def parse(cls, name: str | None) -> Vote | None:
        """Read `--vote`. Raises `UsageError`."""
        try:
            return cls(name) if name else None
        except ValueError as error:
            raise UsageError(f"--vote {name}: use majority or verified") from error


class Weights(BaseModel):
    """What a vote counts by the verification state of its answer; w_T > w_U > w_F as in CSV."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    true: float = Field(1.0, ge=0)
    uncertain: float = Field(0.5, ge=0)
    """Also of an answer that was not checked."""
    false: float = Field(0.2, ge=0)

    @classmethod
    def parse(cls, text: str) -> Weights:
        """Read `--weights`: "1,0.5,0.2". Raises `UsageError`."""
        try:
            true, uncertain, false = map(float, text.split(","))
            weights = cls(true=true, uncertain=uncertain, false=false)
            if not 0 < true < math.inf:
                raise ValueError("nothing can be decided by these")
        except ValueError as error:
            raise UsageError(
                f"--weights {text}: give three weights, of True, Uncertain and False: 1,0.5,0.2"
            ) from error
        if not true >= uncertain >= false:
            raise UsageError(f"--weights {text}: True must not weigh less than Uncertain, nor that less than False")
        return weights

    def of(self, vote: Vote, state: State | None) -> float:
        """The weight of one sample."""
        if vote is Vote.MAJORITY:
            return 1.0
        return {"True": self.true, "False": self.false}.get(state or "", self.uncertain)


def check_voting(given: dict[str, Any], vote: Vote | None, samples: int, prompt: str) -> None:
    """Make sure that the options `given` for a vote of `samples` samples can do something. Raises `UsageError`."""
    if samples == 1 and (vote or given["weights"] or given["stop_early"]):
        raise UsageError(
            "one sample has nobody to vote with: give --samples, or leave out --vote, --weights, --stop-early"
        )
    if given["stop_early"] and vote is None:
        raise UsageError("--stop-early ends a problem when its vote is decided: give --vote majority or verified")
    checked = load_prompt(prompt).check is not None
    if given["weights"] and not checked:
        raise UsageError(
            f"--weights are of a verified vote, and the prompt set {prompt} has no check: give --prompt csv"
        )
    if vote is Vote.VERIFIED and not checked:
        raise UsageError(f"a verified vote needs answers that were checked, and the prompt set {prompt} has no check: "
                         "give --prompt csv, or --vote majority")  # fmt: skip


@dataclass(frozen=True)
class Ballot:
    """One sample as a voter."""

    group: int | None
    """The class of its answer, numbered by first occurrence; None without an answer: it does not vote."""
    state: State | None
    correct: bool


@dataclass(frozen=True)
class Scores:
    """Shares of problems, from all subsets of k samples of each."""

    k: int
    pass_at_k: float
    """At least one of k samples is right (unbiased estimator: Chen et al. 2021, arXiv:2107.03374, equation 1)."""
    majority: float
    verified: float


async def classes(answers: Sequence[str | None]) -> list[int | None]:
    """The class of each answer, equal ones sharing one, numbered by first occurrence; None for no answer."""
    places = [place for place, answer in enumerate(answers) if answer is not None]
    groups: list[int | None] = [None] * len(answers)
    for number, members in enumerate(await answer_classes_async([answers[place] or "" for place in places])):
        for member in members:
            groups[places[member]] = number
    return groups


def winner(ballots: Sequence[Ballot], vote: Vote, weights: Weights) -> int | None:
    """Index of the ballot that stands for the winning class: its first. Ties go to the class that came first."""
    total: dict[int, float] = defaultdict(float)
    first: dict[int, int] = {}
    for index, ballot in enumerate(ballots):
        if ballot.group is not None:
            total[ballot.group] += weights.of(vote, ballot.state)
            first.setdefault(ballot.group, index)
    if not total:
        return None
    return min(first.values(), key=lambda index: (-_rounded(total[ballots[index].group or 0]), index))


def decided(ballots: Sequence[Ballot], left: int, vote: Vote, weights: Weights) -> bool:
    """Whether `left` more samples cannot change who wins."""
    total: dict[int, float] = defaultdict(float)
    for ballot in ballots:
        if ballot.group is not None:
            total[ballot.group] += weights.of(vote, ballot.state)
    ranked = sorted(total.values(), reverse=True)
    if not ranked:
        return left == 0
    most = 1.0 if vote is Vote.MAJORITY else max(weights.true, weights.uncertain, weights.false)
    runner_up = ranked[1] if len(ranked) > 1 else 0.0
    return _rounded(ranked[0] - runner_up - left * most) > 0 or left == 0


def scores(problems: Sequence[Sequence[Ballot]], weights: Weights, seed: int = 0) -> list[Scores]:
    """The scores for each k up to the largest number of samples of a problem; one with fewer counts with all it has.

    Exact up to `EXACT_UP_TO` samples, else over `DRAWN` random orders of each problem's samples.
    """
    most = max(map(len, problems), default=0)
    shares = [_shares(ballots, weights, f"{seed}/{i}") for i, ballots in enumerate(problems) if ballots]
    found = []
    for k in range(1, most + 1):
        at_k = [each[min(k, len(each)) - 1] for each in shares]
        found.append(Scores(k, *(sum(column) / len(at_k) for column in zip(*at_k, strict=True))))
    return found


def _shares(ballots: Sequence[Ballot], weights: Weights, seed: str) -> list[tuple[float, float, float]]:
    """For k = 1, 2, ...: pass@k, and the share of subsets in which each vote is right."""
    n, right = len(ballots), sum(ballot.correct for ballot in ballots)
    share = _exact if n <= EXACT_UP_TO else _drawn
    majority, verified = (share(ballots, vote, weights, seed) for vote in Vote)
    return [(pass_at_k(n, right, k), majority[k - 1], verified[k - 1]) for k in range(1, n + 1)]


def _exact(ballots: Sequence[Ballot], vote: Vote, weights: Weights, seed: str) -> list[float]:
    """For each k, the share of all subsets of k ballots in which the vote is right."""
    found = []
    for k in range(1, len(ballots) + 1):
        subsets = list(combinations(ballots, k))
        winners = [winner(subset, vote, weights) for subset in subsets]
        right = sum(w is not None and subset[w].correct for subset, w in zip(subsets, winners, strict=True))
        found.append(right / len(subsets))
    return found


def _drawn(ballots: Sequence[Ballot], vote: Vote, weights: Weights, seed: str) -> list[float]:
    """The same over the beginnings of `DRAWN` random orders."""
    import numpy as np

    n = len(ballots)
    groups = [ballot.group for ballot in ballots]
    draw = random.Random(seed)
    orders = np.array([draw.sample(range(n), n) for _ in range(DRAWN)])
    best, chosen = np.zeros((DRAWN, n)), np.full((DRAWN, n), n)
    for group in {group for group in groups if group is not None}:
        member = np.array([each == group for each in groups])
        weight = np.array([weights.of(vote, ballot.state) for ballot in ballots]) * member
        total = weight[orders].cumsum(axis=1).round(9)
        first = np.minimum.accumulate(np.where(member[orders], orders, n), axis=1)
        wins = (first < n) & ((total > best) | ((total == best) & (first < chosen)))
        best, chosen = np.where(wins, total, best), np.where(wins, first, chosen)
    correct = np.array([*(ballot.correct for ballot in ballots), False])
    return [float(share) for share in correct[chosen].mean(axis=0)]


def _rounded(weight: float) -> float:
    """Sums of weights, equal where only floating-point noise parts them."""
    return round(weight, 9)
