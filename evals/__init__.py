"""Benchmarks, grading, runs and reports: from a model to a number that can be defended."""
