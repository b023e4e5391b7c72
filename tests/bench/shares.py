"""Shares with their intervals, as the benchmarks print them."""

from __future__ import annotations

from evals.statistics import wilson


def share(hits: int, n: int) -> str:
    """A share in percent with its 95 % interval (Wilson) and the counts behind it."""
    if not n:
        return "-"
    between = wilson(hits / n, n)
    return f"{100 * hits / n:.0f} % [{100 * between.low:.0f}, {100 * between.high:.0f}] ({hits}/{n})"
