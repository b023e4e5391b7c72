"""Benchmarks: where the rows come from, which field is what. One small module each."""

from __future__ import annotations

from evals.benchmarks.base import Benchmark, load_benchmark

__all__ = ["Benchmark", "load_benchmark"]
