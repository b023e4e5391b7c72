"""Figures over graded samples. A problem's samples are a cluster: what they share is not counted twice."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Hashable, Sequence
from statistics import NormalDist, fmean
from typing import NamedTuple

Clusters = Sequence[Sequence[bool]]
"""Each problem's samples, correct or not."""
_NORMAL = NormalDist()
LEVEL = 0.95


class Interval(NamedTuple):
    """A confidence interval, as fractions."""

    low: float
    high: float


def mean_and_error(clusters: Clusters) -> tuple[float, float | None]:
    """Accuracy and its standard error, both as fractions, from each problem's samples (correct or not).

    The mean is over all samples. The error is clustered by problem (Miller 2024, arXiv:2411.00640, section 2.2):
    the square root of the sum over problems of (sum of that problem's deviations from the mean)^2, over n, with
    m / (m - 1) for m problems. None for fewer than two problems. Raises `ValueError` without samples.
    """
    n = sum(len(samples) for samples in clusters)
    if not n:
        raise ValueError("no samples")
    average = sum(sum(samples) for samples in clusters) / n
    m = len(clusters)
    if m < 2:
        return average, None
    squares = sum((sum(samples) - average * len(samples)) ** 2 for samples in clusters)
    return average, math.sqrt(squares * m / (m - 1)) / n


def wilson(p: float, n: float, level: float = LEVEL) -> Interval:
    """The score interval of the share `p` of `n` samples (Wilson 1927, JASA 22:209, eq. 1).

    Unlike mean +- 1.96 errors it stays within 0 and 1, and is right for small n and for scores near 0 or 1
    (Brown, Cai & DasGupta 2001, Statistical Science 16:101).
    """
    z = _z(level)
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def interval(clusters: Clusters, level: float = LEVEL) -> Interval:
    """Interval of the accuracy: Wilson's for one sample a problem, else by the clustered error.

    With clusters it is Wilson's too, for as many independent samples as have that error (the design effect, Kish 1965,
    Survey Sampling, section 8.2), so that it keeps its virtues. Raises `ValueError` without samples.
    """
    average, error = mean_and_error(clusters)
    n = sum(map(len, clusters))
    if not error:  # nothing varies: the samples of a problem are one, as far as can be seen
        return wilson(average, len(clusters), level)
    one_each = all(len(samples) == 1 for samples in clusters)
    return wilson(average, n if one_each else average * (1 - average) / error**2, level)


def bootstrap(clusters: Clusters, level: float = LEVEL, rounds: int = 2000, seed: int = 0) -> Interval:
    """Percentile interval of the accuracy over problems drawn with replacement.

    (Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.) A check of the other intervals.
    """
    draw = random.Random(seed)
    figures = sorted(mean_and_error(draw.choices(clusters, k=len(clusters)))[0] for _ in range(rounds))
    tail = round((1 - level) / 2 * (rounds - 1))
    return Interval(figures[tail], figures[rounds - 1 - tail])


def pass_at_k(n: int, right: int, k: int) -> float:
    """Unbiased probability that at least one of k samples is right, of n of which `right` are (Chen et al. 2021,
    arXiv:2107.03374, eq. 1). Raises `ValueError` for k greater than n."""
    if not 0 < k <= n:
        raise ValueError(f"pass@{k} needs at least {k} samples, not {n}")
    return 1 - math.comb(n - right, k) / math.comb(n, k)


def majority(answers: Sequence[Hashable | None], right: Sequence[bool]) -> float:
    """Probability that a vote among all samples is right; equal votes are drawn by lot. None is no vote.

    Self-consistency (Wang et al. 2022, arXiv:2203.11171). Answers that are right are equal to each other, however they
    are written. 0 where nobody votes.
    """
    votes = Counter(
        True if correct else ("wrong", a) for a, correct in zip(answers, right, strict=True) if a is not None
    )
    if not votes:
        return 0.0
    most = max(votes.values())
    leaders = [answer for answer, count in votes.items() if count == most]
    return (True in leaders) / len(leaders)


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p of McNemar's test on the pairs that differ (McNemar 1947, Psychometrika 12:153): under the null
    hypothesis each falls to either side with probability 1/2."""
    n, least = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(n, i) for i in range(least + 1))
    return min(1.0, 2 * tail / (1 << n))


class Difference(NamedTuple):
    """The mean difference of paired problems, second minus first, as fractions."""

    mean: float
    error: float | None
    """Standard error; None for fewer than two problems."""
    deviation: float
    """Standard deviation of the problems' differences."""

    def interval(self, level: float = LEVEL) -> Interval | None:
        """Where the difference lies."""
        if self.error is None:
            return None
        half = _z(level) * self.error
        return Interval(max(-1.0, self.mean - half), min(1.0, self.mean + half))


def paired_difference(first: Clusters, second: Clusters) -> Difference:
    """Difference of accuracies on the same problems, in the same order (Miller 2024, arXiv:2411.00640, section 4.2).

    Each problem counts once, by the share of its samples that are right. Raises `ValueError` without problems.
    """
    differences = [fmean(b) - fmean(a) for a, b in zip(first, second, strict=True)]
    if not differences:
        raise ValueError("no problems")
    n, average = len(differences), fmean(differences)
    if n < 2:
        return Difference(average, None, 0.0)
    deviation = math.sqrt(sum((d - average) ** 2 for d in differences) / (n - 1))
    return Difference(average, deviation / math.sqrt(n), deviation)


def detectable_difference(deviation: float, n: int, power: float = 0.8, level: float = LEVEL) -> float:
    """The smallest true difference that n paired problems would show with that power, given the deviation of their
    differences (Miller 2024, arXiv:2411.00640, section 5)."""
    return (_z(level) + _NORMAL.inv_cdf(power)) * deviation / math.sqrt(n)


def _z(level: float) -> float:
    return _NORMAL.inv_cdf((1 + level) / 2)
