"""`sample`: 35 problems of our own making, one for each MATH subject and level, bundled with the package."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

from evals.benchmarks.base import Row, math_problem, parse_jsonl

EXPECTED = 35
problem = math_problem


def rows() -> tuple[str, Iterator[tuple[str, Row]]]:
    """The source in words, and its rows with their places."""
    data = (files("evals.benchmarks") / "sample.jsonl").read_bytes()
    return "the bundled file sample.jsonl", parse_jsonl("sample.jsonl", data.splitlines())
