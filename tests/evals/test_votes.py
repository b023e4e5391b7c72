"""Votes among samples: classes of equal answers, winners, ties, decisions, and the scores over all subsets."""

from __future__ import annotations

import json
import random
from itertools import combinations, product
from math import isclose
from pathlib import Path

import pytest

from evals.voting.votes import Ballot, Vote, Weights, classes, decided, scores, winner
from tests.conftest import script
from tests.evals.making import jsonl, row
from tests.evals.running import serving, tora_in
from tora_agent.errors import UsageError
from tora_agent.steps import State

W = Weights()


def ballots(*groups: int | None, states: tuple[State | None, ...] = (), right: int = 0) -> list[Ballot]:
    """One ballot for each of `groups`; those of the class `right` are correct."""
    told = [*states, *[None] * (len(groups) - len(states))]
    return [Ballot(group, state, group == right) for group, state in zip(groups, told, strict=True)]


@pytest.mark.anyio
async def test_equal_answers_are_one_class_however_they_are_written() -> None:
    assert await classes(["0.5", "2", None, r"\frac12", "2.0", "3"]) == [0, 1, None, 0, 1, 2]
    assert await classes([None, None]) == [None, None]


def test_the_majority_wins_and_the_class_that_came_first_wins_a_tie() -> None:
    assert winner(ballots(1, 0, 0), Vote.MAJORITY, W) == 1
    assert winner(ballots(1, 0, 0, 1), Vote.MAJORITY, W) == 0
    assert winner(ballots(None, 2, None), Vote.MAJORITY, W) == 1
    assert winner(ballots(None, None), Vote.MAJORITY, W) is None


def test_a_verified_vote_weighs_by_state() -> None:
    one_true = ballots(0, 1, 1, states=("True", "False", "Uncertain"))
    assert winner(one_true, Vote.MAJORITY, W) == 1
    assert winner(one_true, Vote.VERIFIED, W) == 0
    assert winner(one_true, Vote.VERIFIED, Weights(true=0.6)) == 1
    # Ten times 0.1 is not 1.0 in floating point, and still a tie.
    tenths = ballots(0, *[1] * 10, states=("True", *["False"] * 10))
    assert winner(tenths, Vote.VERIFIED, Weights(true=1, false=0.1)) == 0


@pytest.mark.parametrize(
    ("groups", "left", "yes"),
    [
        ((0, 0), 1, True),
        ((0, 0), 2, False),
        ((0, 0, 1), 1, False),
        ((0, 0, 0, 1), 1, True),
        ((), 1, False),
        ((), 0, True),
    ],
)
def test_a_vote_is_decided_when_the_leader_cannot_be_overtaken(groups: tuple[int, ...], left: int, yes: bool) -> None:
    assert decided(ballots(*groups), left, Vote.MAJORITY, W) is yes


def test_a_verified_vote_is_decided_by_weights() -> None:
    uncertain = ballots(0, 0, states=("Uncertain", "Uncertain"))
    assert not decided(uncertain, 1, Vote.VERIFIED, W)
    assert decided(ballots(0, 0, states=("True", "True")), 1, Vote.VERIFIED, W)


@pytest.mark.parametrize("vote", Vote)
def test_no_samples_that_follow_change_a_decided_vote(vote: Vote) -> None:
    rng = random.Random(0)
    states: tuple[State | None, ...] = ("True", "Uncertain", "False", None)
    any_ballot = [Ballot(group, state, False) for group in (None, 0, 1, 2, 3) for state in ("True", "False")]
    said = {True: 0, False: 0}
    for _ in range(400):
        weights = Weights.parse(rng.choice(["1,0.5,0.2", "1,1,0", "1,0.9,0.9", "0.3,0.2,0.1", "2,0,0"]))
        made = [Ballot(rng.choice([None, 0, 0, 1, 2]), rng.choice(states), False) for _ in range(rng.randint(0, 6))]
        left = rng.randint(0, 2)
        sure = decided(made, left, vote, weights)
        said[sure] += 1
        if sure and left:
            # Samples that follow may have lower numbers, too: they come first where votes are tied.
            ends = {elected([*more, *made], vote, weights) for more in product(any_ballot, repeat=left)}
            assert ends == {elected(made, vote, weights)}
    assert min(said.values()) > 20


def elected(made: list[Ballot], vote: Vote, weights: Weights) -> int | None:
    """The class that wins."""
    index = winner(made, vote, weights)
    return None if index is None else made[index].group


def test_the_scores_are_those_of_all_subsets() -> None:
    problem = ballots(0, 1, 1, 0, 2, states=("True", "False", "False", "Uncertain", "True"))
    found = scores([problem], W)
    assert [row.k for row in found] == [1, 2, 3, 4, 5]
    for each in found:
        subsets = list(combinations(problem, each.k))
        passed = sum(any(b.correct for b in subset) for subset in subsets) / len(subsets)
        assert isclose(each.pass_at_k, passed)
    assert isclose(found[0].majority, 2 / 5)
    assert (found[4].majority, found[4].verified) == (1.0, 1.0)


def test_many_samples_are_drawn_and_agree_with_all_subsets() -> None:
    eight = ballots(0, 1, 1, 0, 2, 0, None, 2, states=("True", "False", "False", "Uncertain", "True"))
    nine = [*eight, Ballot(None, None, False)]
    exact, drawn = scores([eight], W), scores([nine], W)
    # The ninth abstains: the whole set votes the same, and a smaller one is a little weaker.
    assert drawn[8].majority == exact[7].majority
    assert all(abs(drawn[k].verified - exact[k].verified) < 0.2 for k in range(8))
    assert scores([nine], W) == drawn


def test_a_problem_with_fewer_samples_counts_with_all_it_has() -> None:
    found = scores([ballots(0), ballots(1, 0, 0)], W)
    assert [row.majority for row in found] == [pytest.approx(5 / 6), pytest.approx(2 / 3), 1.0]


@pytest.mark.parametrize("text", ["1,2", "a,b,c", "1,0.5,-1", "", "inf,1,0", "1,nan,0", "0,0,0"])
def test_wrong_weights_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"1,0\.5,0\.2"):
        Weights.parse(text)


def test_weights_must_not_rise_from_true_to_false() -> None:
    for text in ("0.2,0.5,1", "1,0.2,0.5"):
        with pytest.raises(UsageError, match="True must not weigh less than Uncertain, nor that less than False"):
            Weights.parse(text)
    assert Weights.parse("1,1,0") == Weights(true=1, uncertain=1, false=0)


# The command


@pytest.mark.parametrize(("early", "made"), [((), 5), (("--stop-early",), 3)])
def test_an_evaluation_votes_and_may_stop_early(
    engine: object, tmp_path: Path, early: tuple[str, ...], made: int
) -> None:
    jsonl(tmp_path / "own.jsonl", row(1))
    with serving(script({"match": "What is 1", "turns": [r"So \boxed{1.0}."]})) as server:
        known = ("eval", "sample", "--data", "own.jsonl", "--base-url", server.base_url, "--model", "scripted")
        voting = ("--samples", 5, "--temperature", 0.7, "--vote", "majority", "--max-connections", 1)
        done = tora_in(tmp_path, *known, *voting, *early)
        again = tora_in(tmp_path, "eval", "--resume", "last")
    assert done.status == 0, done.out + done.err
    assert len(server.requests) == made
    assert "majority@5: 100.0 % of 1 problems" in done.out
    assert again.status == 0 and "majority@5: 100.0 %" in again.out, again.out + again.err
    shown = tora_in(tmp_path, "show", "last")
    assert shown.status == 0, shown.err


@pytest.mark.parametrize(("options", "made"), [((), 6), (("--stop-early",), 4)])
def test_solving_by_vote(engine: object, tmp_path: Path, options: tuple[str, ...], made: int) -> None:
    with serving(script({"match": "What is 1", "turns": [r"So \boxed{1.0}."]})) as server:
        known = ("solve", "What is 1 + 0?", "--prompt", "cot", "--base-url", server.base_url, "--model", "scripted")
        done = tora_in(tmp_path, *known, "--samples", 6, "--vote", "majority", *options)
        as_json = tora_in(tmp_path, *known, "--samples", 2, "--json", "--dialect", "auto")
    assert done.status == 0, done.out + done.err
    assert done.out.count("sample ") == made
    assert done.out.endswith(f"answer: 1.0 ({made} of {made} samples, majority vote)\n")
    elected = json.loads(as_json.out)
    assert (elected["answer"], elected["votes"], len(elected["trajectories"])) == ("1.0", 2, 2)
    assert as_json.err.startswith("warning: at temperature 0") and "dialect turns: " in as_json.err


def test_a_sample_that_cannot_be_made_does_not_lose_the_others(engine: object, tmp_path: Path) -> None:
    refused = {"content": r"So \boxed{1}.", "fault": "quota", "times": 1}
    with serving(script({"match": "What is 1", "turns": [refused]})) as server:
        known = ("solve", "What is 1 + 0?", "--prompt", "cot", "--base-url", server.base_url, "--model", "scripted")
        done = tora_in(tmp_path, *known, "--samples", 9, "--temperature", 0.7)
    assert done.status == 0, done.out + done.err
    assert done.out.count("a sample could not be made: ") == done.out.count("has no quota left") == 1
    assert done.out.endswith("answer: 1 (3 of 3 samples, majority vote)\n")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("--vote", "mine"), "--vote mine: use majority or verified"),
        (("--stop-early", "--samples", "2"), "give --vote majority or verified"),
        (("--vote", "majority"), "give --samples"),
        (("--weights", "1,0.5,0.2", "--samples", "2"), "the prompt set tora has no check: give --prompt csv"),
        (("--vote", "verified", "--samples", "2", "--prompt", "none"), "unknown prompt set 'none'"),
        (("--vote", "verified", "--samples", "2"), "the prompt set tora has no check: give --prompt csv"),
        (("--vote", "verified", "--weights", "1"), "--weights 1:"),
    ],
)
def test_wrong_votes_are_refused(tmp_path: Path, wrong: tuple[str, ...], said: str) -> None:
    done = tora_in(tmp_path, "eval", "sample", *wrong)
    assert (done.status, said in done.err, done.err.count("\n")) == (2, True, 1), done.err
