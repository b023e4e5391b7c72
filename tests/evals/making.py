"""Rows, records and manifests for the tests of this room."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evals.grading import Grade, Verdict
from evals.runs import Manifest
from tora_agent.settings import AgentSettings
from tora_agent.steps import Answer, FailureKind, ModelCall, Reasoning, Trajectory, Usage


def row(number: int = 1, **fields: Any) -> dict[str, Any]:
    """A row in the schema of MATH-500."""
    return {
        "problem": f"What is {number} + 0?",
        "solution": f"It is $\\boxed{{{number}}}$.",
        "answer": str(number),
        "subject": "Algebra",
        "level": 1,
        "unique_id": f"own/{number}",
    } | fields


def jsonl(path: Path, *rows: Mapping[str, Any]) -> Path:
    """Write `rows` to `path`."""
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    return path


def trajectory(
    answer: str | None = "2", problem_id: str = "own/1", sample: int = 0, failure: FailureKind | None = None
) -> Trajectory:
    """A finished sample."""
    usage = Usage(calls=1, prompt_tokens=10, completion_tokens=5)
    call = ModelCall(raw="Thus.", finish_reason="stop", usage=usage, seconds=0.5)
    return Trajectory(
        problem_id=problem_id,
        sample=sample,
        problem="What is 1 + 1?",
        prompt="tora",
        model="scripted",
        started="2026-01-01T00:00:00.000+00:00",
        seconds=0.5,
        settings=AgentSettings().model_dump(),
        steps=[Reasoning(seconds=0.5, text="Thus.", call=call), Answer(answer=answer or "")],
        answer=answer,
        failure=failure,
        usage=usage,
    )


def grade(verdict: Verdict = Verdict.CORRECT, problem_id: str = "own/1", sample: int = 0) -> Grade:
    """A grade of such a sample."""
    return Grade(problem_id=problem_id, sample=sample, answer="2", gold="2", verdict=verdict, reason="said the test")


def manifest(**fields: Any) -> Manifest:
    """The manifest of a run of two problems with two samples each."""
    plain: dict[str, Any] = {
        "created": "2026-01-01T00:00:00+00:00",
        "versions": {"tora-agent": "0.1.0"},
        "benchmark": "sample",
        "data_source": "data.jsonl",
        "data_sha256": "0" * 64,
        "data_file": "data.jsonl",
        "limit": None,
        "problem_ids": ["own/1", "own/2"],
        "samples": 2,
        "settings": AgentSettings(),
        "prompt_sha256": "0" * 64,
        "prompt_text": {},
        "model": "scripted",
        "endpoint": "http://127.0.0.1:8000/v1",
        "base_url": "http://127.0.0.1:8000/v1",
        "image_id": "sha256:0",
        "image_name": "tora-sandbox",
        "limits": {},
    }
    return Manifest.model_validate(plain | fields)
