"""Grading: is an answer mathematically the gold one?"""

from __future__ import annotations

from evals.grading.grader import Grade, Grader, Verdict

__all__ = ["Grade", "Grader", "Verdict"]
