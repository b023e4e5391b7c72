"""Figures over graded samples."""

from __future__ import annotations

import math
from collections.abc import Sequence


def mean_and_error(clusters: Sequence[Sequence[bool]]) -> tuple[float, float | None]:
    """Accuracy and its standard error, both as fractions, from each problem's samples (correct or not).

    The mean is over all samples. The error is clustered by problem (Miller 2024, arXiv:2411.00640, section 2.2):
    the square root of the sum over problems of (sum of that problem's deviations from the mean)^2, over n, with
    m / (m - 1) for m problems. None for fewer than two problems. Raises `ValueError` without samples.
    """
    n = sum(len(samples) for samples in clusters)
    if not n:
        raise ValueError("no samples")
    mean = sum(sum(samples) for samples in clusters) / n
    m = len(clusters)
    if m < 2:
        return mean, None
    squares = sum((sum(samples) - mean * len(samples)) ** 2 for samples in clusters)
    return mean, math.sqrt(squares * m / (m - 1)) / n
