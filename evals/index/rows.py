"""The rows of the index that one trajectory makes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sandbox import CellResult
from tora_agent.steps import Answer, Code, Failure, Output, Reasoning, Request, Retry, Step, Trajectory, Verification

STORED_CHARS = 4000
"""Of a cell's code and output, in the table `cells`."""
SEARCHED_CHARS = 100_000
"""Of one step, in the text search."""
Row = dict[str, Any]


def trajectory_row(trajectory: Trajectory, cells: list[Row]) -> Row:
    """The row of `trajectories`, without what the grade and the log's line say."""
    t = trajectory
    kinds = [step.kind for step in t.steps]
    return {
        "problem_id": t.problem_id,
        "sample": t.sample,
        "subject": t.subject or None,
        "level": t.level,
        "answer": t.answer,
        "state": t.state,
        "failure": t.failure,
        "truncated": t.truncated,
        "rounds": kinds.count("reasoning"),
        "calls": t.usage.calls,
        "cells": len(cells),
        "failed_cells": sum(cell["error"] is not None for cell in cells),
        "retries": kinds.count("retry"),
        "prompt_tokens": t.usage.prompt_tokens,
        "completion_tokens": t.usage.completion_tokens,
        "cost": t.usage.cost,
        "seconds": t.seconds,
        "started": t.started,
        "prompt": t.prompt,
        "model": t.model,
        "seed": t.settings.get("seed"),
    }


def step_rows(trajectory: Trajectory) -> Iterator[Row]:
    """The rows of `steps`."""
    for number, step in enumerate(trajectory.steps):
        call = step.call if isinstance(step, Reasoning | Verification) else None
        yield {
            "step": number,
            "kind": step.kind,
            "at": step.at,
            "seconds": step.seconds,
            "chars": _chars(step),
            "prompt_tokens": call.usage.prompt_tokens if call else 0,
            "completion_tokens": call.usage.completion_tokens if call else 0,
            "finish_reason": call.finish_reason if call else None,
            "note": _note(step),
            "cut": len(step.cut) if isinstance(step, Reasoning) else 0,
        }


def cell_rows(trajectory: Trajectory) -> list[Row]:
    """The rows of `cells`."""
    rows, code = [], ""
    for number, step in enumerate(trajectory.steps):
        if isinstance(step, Code):
            code = step.code
        elif isinstance(step, Output):
            rows.append(_cell(number, "solution", code, step.result))
        elif isinstance(step, Verification) and step.result is not None:
            rows.append(_cell(number, "check", step.code or "", step.result))
    return rows


def searched_text(trajectory: Trajectory) -> tuple[str, str, str, str]:
    """What the text search finds the trajectory by: problem, reasoning, code, output."""
    reasoning, code, output = [], [], []
    for step in trajectory.steps:
        if isinstance(step, Reasoning):
            reasoning += [step.text, step.call.reasoning]
        elif isinstance(step, Code):
            code.append(step.code)
        elif isinstance(step, Output):
            output.append(step.result.text)
        elif isinstance(step, Verification):
            code.append(step.code or "")
            output.append(step.result.text if step.result else "")
    return trajectory.problem, _joined(reasoning), _joined(code), _joined(output)


def error_of(result: CellResult) -> str | None:
    """In a word, what went wrong in a cell; None if nothing did."""
    if result.timed_out:
        return "timeout"
    if result.error:
        return result.error.type
    return "kernel lost" if result.state_lost else None


def _cell(number: int, role: str, code: str, result: CellResult) -> Row:
    output = result.text
    return {
        "step": number,
        "role": role,
        "code": code[:STORED_CHARS],
        "output": output[:STORED_CHARS],
        "code_chars": len(code),
        "output_chars": len(output),
        "error": error_of(result),
        "message": result.error.message[:STORED_CHARS] if result.error else None,
        "seconds": result.seconds,
    }


def _note(step: Step) -> str | None:
    if isinstance(step, Verification):
        return step.state
    if isinstance(step, Retry):
        return step.reason
    if isinstance(step, Failure):
        return step.failure
    return step.answer if isinstance(step, Answer) else None


def _chars(step: Step) -> int:
    if isinstance(step, Reasoning | Verification):
        return len(step.call.raw)
    if isinstance(step, Output):
        return len(step.result.text)
    if isinstance(step, Code):
        return len(step.code)
    return len(step.text) if isinstance(step, Retry | Request) else 0


def _joined(parts: list[str]) -> str:
    return "\n".join(part[:SEARCHED_CHARS] for part in parts if part)
