"""`tora show` of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from evals.voting.solving import Elected
from evals.voting.votes import Vote
from tests.conftest import Tora
from tests.evals.making import trajectory


@pytest.mark.parametrize(
    ("answers", "said"),
    [(("2", "3", "2"), "answer: 2 (2 of 3 samples, majority vote)"), ((None,), "no answer (0 of 1 samples, majority")],
)
def test_what_several_samples_came_to(tora: Tora, tmp_path: Path, answers: tuple[str | None, ...], said: str) -> None:
    made = [trajectory(answer, sample=number) for number, answer in enumerate(answers)]
    elected = Elected(answer=answers[0], votes=answers.count("2"), vote=Vote.MAJORITY, trajectories=made)
    (tmp_path / "elected.json").write_text(elected.model_dump_json(indent=2))
    done = tora("show", "elected.json")
    assert done.returncode == 0, done.stderr
    for number in range(len(answers)):
        assert f"own/1  sample {number}" in done.stdout
    assert said in done.stdout.splitlines()[-1]
