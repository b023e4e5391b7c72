"""Accuracy and its standard error, against figures that were had otherwise."""

from __future__ import annotations

import math
from itertools import combinations
from random import Random
from statistics import fmean, stdev

import pytest

from evals.statistics import (
    bootstrap,
    detectable_difference,
    interval,
    majority,
    mcnemar,
    mean_and_error,
    paired_difference,
    pass_at_k,
    wilson,
)


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


@pytest.mark.parametrize(("right", "n"), [(0, 5), (1, 7), (12, 20), (333, 500), (500, 500)])
def test_wilson_is_that_of_statsmodels(right: int, n: int) -> None:
    from statsmodels.stats.proportion import proportion_confint

    assert wilson(right / n, n) == pytest.approx(proportion_confint(right, n, method="wilson"), abs=1e-12)
    assert interval([[i < right] for i in range(n)]) == pytest.approx(wilson(right / n, n))


def test_interval_of_copies_is_that_of_one_sample_each() -> None:
    once = [[i % 3 > 0] for i in range(30)]
    error_of_30 = interval(once)
    copies = interval([samples * 8 for samples in once])
    assert copies == pytest.approx(error_of_30, abs=0.01)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    random, problems, samples, truth = Random(7), 40, 4, 2 / 3
    held = 0
    for _ in range(800):
        skills = [random.betavariate(2, 1) for _ in range(problems)]
        low, high = interval([[random.random() < skill for _ in range(samples)] for skill in skills])
        held += low <= truth <= high
    assert 0.93 <= held / 800 <= 0.975


def test_bootstrap_agrees_with_the_formula() -> None:
    random = Random(3)
    clusters = [[random.random() < skill for _ in range(4)] for skill in (random.random() for _ in range(200))]
    assert bootstrap(clusters, rounds=1000) == pytest.approx(interval(clusters), abs=0.015)


@pytest.mark.parametrize(("n", "right", "k"), [(8, 3, 1), (8, 3, 4), (8, 0, 4), (8, 7, 2), (5, 5, 5)])
def test_pass_at_k_is_the_share_of_all_choices_of_k(n: int, right: int, k: int) -> None:
    choices = list(combinations([i < right for i in range(n)], k))
    assert pass_at_k(n, right, k) == pytest.approx(sum(map(any, choices)) / len(choices))


def test_pass_at_more_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match="pass@3 needs at least 3 samples, not 2"):
        pass_at_k(2, 1, 3)


@pytest.mark.parametrize(
    ("answers", "right", "share"),
    [
        (["2", "2.0", "3", "3"], [True, True, False, False], 0.5),
        (["1/2", "0.5", "3"], [True, True, False], 1.0),
        (["3", "3", "2"], [False, False, True], 0.0),
        ([None, None, "2"], [False, False, True], 1.0),
        ([None], [False], 0.0),
        (["2", "3", "4"], [True, False, False], 1 / 3),
    ],
)
def test_majority(answers: list[str | None], right: list[bool], share: float) -> None:
    assert majority(answers, right) == pytest.approx(share)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (1, 0), (5, 1), (10, 10), (30, 12), (4, 40)])
def test_mcnemar_is_the_binomial_test(b: int, c: int) -> None:
    from scipy.stats import binomtest

    assert mcnemar(b, c) == pytest.approx(binomtest(b, b + c).pvalue if b + c else 1.0)


def test_paired_difference_is_the_t_test_of_scipy() -> None:
    from scipy.stats import ttest_rel

    random = Random(5)
    first = [[random.random() < 0.5] for _ in range(80)]
    second = [[random.random() < 0.7] for _ in range(80)]
    found = paired_difference(first, second)
    t = ttest_rel([int(b[0]) for b in second], [int(a[0]) for a in first]).statistic
    assert found.mean / (found.error or 1) == pytest.approx(t)
    low, high = found.interval() or (0, 0)
    assert (low + high) / 2 == pytest.approx(found.mean)


def test_the_detectable_difference_is_detected_with_its_power() -> None:
    random, n = Random(11), 300
    deviation = math.sqrt(0.3)
    effect = detectable_difference(deviation, n)
    up, down = (0.3 + effect**2 + effect) / 2, (0.3 + effect**2 - effect) / 2
    detected = 0
    for _ in range(400):
        draws = [random.random() for _ in range(n)]
        pairs = [(x < up, up <= x < up + down) for x in draws]
        found = paired_difference([[b] for _, b in pairs], [[a] for a, _ in pairs]).interval()
        detected += found is not None and found.low > 0
    assert detected / 400 == pytest.approx(0.8, abs=0.06)
