"""A run directory: the contract between runner, grader and viewer. Described in docs/log-format.md."""

from __future__ import annotations

from evals.runs.run import Manifest, Run

__all__ = ["Manifest", "Run"]
