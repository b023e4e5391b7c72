"""The score table: what checks, retries and votes were worth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from evals.grading import Verdict
from evals.report import report, samples_of
from evals.runs import Run
from evals.voting.votes import Vote
from tests.evals.making import grade, manifest, trajectory
from tora_agent.steps import State

RIGHT, WRONG = Verdict.CORRECT, Verdict.WRONG


def shown(run: Run) -> list[str]:
    """The lines of the score table; the words of each parted by single spaces."""
    console = Console(width=200)
    with console.capture() as capture:
        console.print(report(run, samples_of(run)))
    return [" ".join(line.replace("│", " ").split()) for line in capture.get().splitlines()]


def part(lines: list[str], title: str, length: int) -> list[str]:
    """`length` rows of the table of that title."""
    begin = lines.index(title) + 4
    return lines[begin : begin + length]


def run_of(folder: Path, *samples: tuple[State | None, Verdict, Verdict | None, int | None], **fields: Any) -> Run:
    """A run of one sample a problem: its state, verdict, first verdict where it was tried again, and level."""
    ids = [f"own/{i}" for i in range(len(samples))]
    run = Run.create(folder / "run", manifest(**{"problem_ids": ids, "samples": 1} | fields))
    for id_, (state, verdict, first, level) in zip(ids, samples, strict=True):
        run.add(trajectory(problem_id=id_).model_copy(update={"state": state, "level": level}))
        run.add(grade(verdict, id_).model_copy(update={"first_verdict": first}))
    return run


def test_states_against_verdicts_by_level(tmp_path: Path) -> None:
    lines = shown(
        run_of(
            tmp_path,
            ("True", RIGHT, None, 1),
            ("True", RIGHT, None, 5),
            ("True", WRONG, None, 5),
            ("False", Verdict.NO_ANSWER, None, 5),
            ("Uncertain", RIGHT, None, 1),
            (None, RIGHT, None, 1),
        )
    )
    assert part(lines, "What the checks were worth", 4) == [
        "True 2 1 1/1 1/2",
        "Uncertain 1 0 1/1 -",
        "False 0 1 - 0/1",
        "not checked 1 0 1/1 -",
    ]


def test_level_zero_is_a_level(tmp_path: Path) -> None:
    lines = shown(run_of(tmp_path, ("True", RIGHT, WRONG, 0), ("True", WRONG, WRONG, None)))
    assert part(lines, "What trying again has changed", 3) == ["0 1 1 0", "- 1 0 0", "all 2 1 0"]


def test_flips_by_level(tmp_path: Path) -> None:
    lines = shown(
        run_of(
            tmp_path,
            ("True", RIGHT, WRONG, 1),
            ("True", RIGHT, WRONG, 1),
            ("False", WRONG, RIGHT, 1),
            ("False", WRONG, WRONG, 5),
            ("True", RIGHT, RIGHT, 5),
            ("True", RIGHT, None, 5),
        )
    )
    assert part(lines, "What trying again has changed", 3) == ["1 3 2 1", "5 2 0 0", "all 5 2 1"]


def test_problems_without_levels_are_not_split(tmp_path: Path) -> None:
    lines = shown(run_of(tmp_path, ("True", RIGHT, WRONG, None), ("False", WRONG, None, None)))
    assert part(lines, "What the checks were worth", 3) == ["True 1 0", "Uncertain 0 0", "False 0 1"]
    assert part(lines, "What trying again has changed", 1) == ["- 1 1 0"]
    assert not any(line.startswith("all ") for line in lines)


def test_a_run_without_checks_says_nothing_of_them(tmp_path: Path) -> None:
    text = "\n".join(shown(run_of(tmp_path, (None, RIGHT, None, 1))))
    assert "checks" not in text and "trying again" not in text


# Votes


def voted(
    folder: Path,
    *problems: str,
    vote: Vote | None = Vote.MAJORITY,
    samples: int = 3,
    state: State | None = None,
    **fields: Any,
) -> Run:
    """A voted run. A problem is written by its samples' answers; "a" is the right one. All have the `state`."""
    ids = [f"own/{i}" for i in range(len(problems))]
    run = Run.create(folder / "run", manifest(problem_ids=ids, samples=samples, vote=vote, **fields))
    for id_, answers in zip(ids, problems, strict=True):
        for i, answer in enumerate(answers):
            run.add(trajectory(answer, id_, i).model_copy(update={"state": state}))
            run.add(grade(RIGHT if answer == "a" else WRONG, id_, i))
    run.save_classes(
        {id_: {i: ord(a) for i, a in enumerate(answers)} for id_, answers in zip(ids, problems, strict=True)}
    )
    return run


def test_a_vote_has_an_interval_and_is_compared_with_one_sample(tmp_path: Path) -> None:
    lines = shown(voted(tmp_path, "aab", "abb", "aab", "aaa"))
    rows = part(lines, "Votes of k samples", 3)
    # One sample is right in 8 of 12; of three, the majority in 3 of 4 problems. A sample takes 5 tokens.
    assert [row.split()[0] for row in rows] == ["1", "2", "3"]
    assert rows[0] == "1 66.7 % 66.7 % 5" and rows[2] == "3 100.0 % 75.0 % 15"
    (said,) = [line for line in lines if line.startswith("majority@3")]
    assert said == (
        "majority@3: 75.0 % of 4 problems, 95 % interval [30.1, 95.4]; over one sample: +8.3 points [-22.9, +39.6]"
    )


def test_a_single_problem_has_a_difference_without_an_interval(tmp_path: Path) -> None:
    assert any(line.endswith("over one sample: +33.3 points") for line in shown(voted(tmp_path, "aab")))


def test_without_a_vote_all_that_can_be_counted_is_told(tmp_path: Path) -> None:
    said = "\n".join(shown(voted(tmp_path, "aab", vote=None)))
    assert "majority@3" in said and "verified@" not in said
    checked = "\n".join(shown(voted(tmp_path / "checked", "aab", "abb", vote=None, state="True")))
    assert "verified@k" in checked
    assert "verified@3: 50.0 % of 2 problems, 95 % interval [9.5, 90.5]; over majority@3: +0.0 points" in checked


def test_problems_that_stopped_early_count_with_what_they_took(tmp_path: Path) -> None:
    lines = shown(voted(tmp_path, "aaa", "abbab", samples=5, stop_early=True))
    tokens = [line.split()[-1] for line in part(lines, "Votes of k samples", 5)]
    assert tokens == ["5", "10", "15", "18", "20"]  # of 3 and 5 samples of 5 tokens: 15 and 25 at most
    assert any(line.startswith("stopped early: 8 of 10 samples.") for line in lines)


@pytest.mark.parametrize("stop_early", [True, False])
def test_a_run_with_all_its_samples_has_not_stopped_early(tmp_path: Path, stop_early: bool) -> None:
    text = "\n".join(shown(voted(tmp_path, "aab", stop_early=stop_early)))
    assert "stopped early" not in text and "incomplete" not in text
