"""The whole path with nothing scripted: a real model, a real sandbox, a real grader."""

from __future__ import annotations

from pathlib import Path

import docker
import pytest

from evals.runs import Run
from tests.conftest import Tora
from tora_agent.model.weights import find_weights

SMALL = "qwen2.5-coder-0.5b"


@pytest.fixture
def small_model() -> Path:
    """The file of the smallest embedded model."""
    found = find_weights(SMALL)
    if found is None:
        pytest.skip(f"the model {SMALL} is not on this machine; `make test` fetches it")
    return found


def test_real_model_is_evaluated(small_model: Path, engine: docker.DockerClient, tora: Tora, tmp_path: Path) -> None:
    words = ["--model", f"local:{SMALL}", "--limit", 2, "--prompt", "tora", "--shots", 1, "--max-tokens", 300]
    done = tora("eval", "sample", *words, timeout=1200)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    run = Run.read(folder)
    trajectories = list(run.trajectories())
    assert sorted((each.problem_id, each.sample) for each in trajectories) == sorted(run.samples())
    assert set(run.grades()) == set(run.samples())
    assert len(run.samples()) == 2
    for each in trajectories:
        assert each.usage.calls > 0
        assert each.usage.prompt_tokens > 0
        assert 0 < each.usage.completion_tokens <= 300
        assert each.model == run.manifest.model_reported == small_model.stem
        assert each.steps[-1].kind in ("answer", "failure")
