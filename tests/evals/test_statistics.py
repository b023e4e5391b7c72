"""Accuracy and its standard error, against figures that were had otherwise."""

from __future__ import annotations

import math
from random import Random
from statistics import fmean, stdev

import pytest

from evals.statistics import mean_and_error


def test_equals_figures_worked_out_by_hand() -> None:
    # Deviations +1 and -1, squared and summed: 2; times 2/1, root, over 4 samples.
    assert mean_and_error([[True, True], [False, False]]) == (0.5, 0.5)
    # Unequal numbers of samples: mean 3/5; (0.2^2 + 0.6^2 + 0.4^2) * 3/2 = 0.84.
    mean, error = mean_and_error([[True, True, False], [False], [True]])
    assert mean == pytest.approx(0.6)
    assert error == pytest.approx(math.sqrt(0.84) / 5)


@pytest.mark.parametrize(("right", "total"), [(1, 2), (7, 12), (333, 500), (500, 500), (0, 3)])
def test_one_sample_per_problem_has_the_binomial_error(right: int, total: int) -> None:
    mean, error = mean_and_error([[i < right] for i in range(total)])
    p = right / total
    assert mean == pytest.approx(p)
    assert error == pytest.approx(math.sqrt(p * (1 - p) / (total - 1)))


def test_copies_of_a_sample_add_no_certainty() -> None:
    once = mean_and_error([[True], [False], [False], [True], [True]])
    assert mean_and_error([[True] * 8, [False] * 8, [False] * 8, [True] * 8, [True] * 8]) == pytest.approx(once)


def test_samples_that_balance_within_each_problem_leave_no_error() -> None:
    assert mean_and_error([[True, False], [False, True], [True, False]]) == (0.5, 0.0)


def test_is_the_spread_seen_in_simulated_evaluations() -> None:
    random, problems, samples = Random(20260101), 60, 4

    def evaluate() -> list[list[bool]]:
        skills = [random.random() for _ in range(problems)]
        return [[random.random() < skill for _ in range(samples)] for skill in skills]

    figures = [mean_and_error(evaluate()) for _ in range(1500)]
    spread = stdev(mean for mean, _ in figures)
    assert fmean(error or 0 for _, error in figures) == pytest.approx(spread, rel=0.06)
    unclustered = math.sqrt(0.25 / (problems * samples))
    assert unclustered < 0.8 * spread, "the simulation would not tell a clustered error from a plain one"


def test_one_problem_has_no_error() -> None:
    assert mean_and_error([[True, False, True, True]]) == (0.75, None)


@pytest.mark.parametrize("clusters", [[], [[]], [[], []]])
def test_without_samples_is_refused(clusters: list[list[bool]]) -> None:
    with pytest.raises(ValueError, match="no samples"):
        mean_and_error(clusters)
