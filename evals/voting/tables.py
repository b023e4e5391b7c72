"""What the votes of a run come to, as tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from statistics import fmean

from rich.console import RenderableType
from rich.table import Table

from evals.grading import Grade, Verdict
from evals.runs import Run
from evals.statistics import interval, paired_difference
from evals.voting.votes import Ballot, Vote, scores, winner
from tora_agent.steps import Trajectory


def ballots_of(run: Run, samples: Iterable[tuple[Trajectory, Grade]]) -> dict[str, list[Ballot]]:
    """The ballots of each problem, by its id; empty before the run was voted on."""
    groups = run.classes()
    ballots: dict[str, list[Ballot]] = defaultdict(list)
    for trajectory, grade in samples:
        of_problem = groups.get(trajectory.problem_id, {})
        if trajectory.sample in of_problem:
            right = grade.verdict is Verdict.CORRECT
            ballots[trajectory.problem_id].append(Ballot(of_problem[trajectory.sample], trajectory.state, right))
    return dict(ballots)


def vote_tables(run: Run, samples: Iterable[tuple[Trajectory, Grade]]) -> list[RenderableType]:
    """pass@k, maj@k and verified@k for all k, with the tokens that k samples take; nothing without a vote.

    Nothing is verified where no answer was checked.
    """
    known = list(samples)
    ballots = ballots_of(run, known)
    if not ballots:
        return []
    spent: dict[str, list[int]] = defaultdict(list)
    for trajectory, _ in known:
        spent[trajectory.problem_id].append(trajectory.usage.completion_tokens)
    checked = any(ballot.state for each in ballots.values() for ballot in each)
    votes = list(Vote) if checked else [Vote.MAJORITY]
    columns = ("k", "pass@k", "maj@k", *(["verified@k"] if checked else []), "tokens")
    table = Table(*columns, title="Votes of k samples", caption="over all subsets; tokens generated a problem")
    for row in scores(list(ballots.values()), run.manifest.weights):
        shares = (row.pass_at_k, row.majority, *([row.verified] if checked else []))
        tokens = fmean(fmean(each) * min(row.k, len(each)) for each in spent.values())
        table.add_row(str(row.k), *(f"{100 * share:.1f} %" for share in shares), f"{tokens:.0f}")
    asked = [run.manifest.vote] if run.manifest.vote else votes
    return [table, *_outcomes(asked, run, list(ballots.values()))]


def _outcomes(votes: list[Vote], run: Run, problems: list[list[Ballot]]) -> Iterator[str]:
    """What each vote of all samples comes to, with its 95 % interval, and paired with a single sample and the other."""
    before, name = [[ballot.correct for ballot in ballots] for ballots in problems], "one sample"
    for vote in votes:
        chosen = [(winner(ballots, vote, run.manifest.weights), ballots) for ballots in problems]
        right = [[index is not None and ballots[index].correct] for index, ballots in chosen]
        low, high = interval(right)
        gain = paired_difference(before, right)
        between = gain.interval()
        gained = f" [{100 * between.low:+.1f}, {100 * between.high:+.1f}]" if between and gain.deviation else ""
        voted = f"{vote.value}@{run.manifest.samples}"
        yield (
            f"[bold]{voted}: {100 * fmean(map(sum, right)):.1f} % of {len(right)} problems[/], "
            f"95 % interval [{100 * low:.1f}, {100 * high:.1f}]; over {name}: {100 * gain.mean:+.1f} points{gained}"
        )
        before, name = right, voted
