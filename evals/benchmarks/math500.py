"""`math500`: the 500 problems of MATH (Hendrycks et al. 2021) that PRM800K (Lightman et al. 2023) set apart."""

from __future__ import annotations

from collections.abc import Iterator

from evals.benchmarks.base import Row, math_problem
from tora_agent.errors import UsageError
from tora_agent.hub import offline_without_hub

EXPECTED = 500
REPO = "HuggingFaceH4/MATH-500"
problem = math_problem


def rows() -> tuple[str, Iterator[tuple[str, Row]]]:
    """The source in words, and its rows with their places, from the Hugging Face hub or its cache."""
    offline_without_hub()  # before the import, which is when `datasets` looks
    import datasets
    import httpx2

    datasets.disable_progress_bars()
    try:
        split = datasets.load_dataset(REPO, split="test")
    except (OSError, ValueError, datasets.exceptions.DatasetsError, httpx2.HTTPError) as error:
        raise UsageError(
            f"{REPO} cannot be had from the Hugging Face hub ({' '.join(str(error).split())[:120]}); check the "
            "network, HTTPS_PROXY and HF_ENDPOINT, or give a jsonl file with --data"
        ) from error
    return f"{REPO} on the Hugging Face hub", ((f"{REPO} row {i}", dict(row)) for i, row in enumerate(split, 1))
