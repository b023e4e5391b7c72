"""Going on from a step of a recorded sample."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from evals.forking import kept_steps, model_call_at
from evals.grading import Verdict
from evals.runs import Manifest, Run
from evals.runs.run import Grading
from sandbox import CellResult
from tests.conftest import Tora, script
from tests.evals import making
from tests.evals.running import serving
from tora_agent.dialects import DIALECTS
from tora_agent.dialects.fences import fenced
from tora_agent.errors import UsageError
from tora_agent.steps import Code, ModelCall, Output, Reasoning, Retry, Step, ToolCall, Trajectory, Usage


def said(text: str, code: str = "", **call: Any) -> Reasoning:
    """A reply, with the code that it ends in."""
    raw = f"{text}\n{fenced(code)}" if code else text
    made = ModelCall(**{"raw": raw, "finish_reason": "stop", "usage": Usage(calls=1), "seconds": 0.1} | call)
    return Reasoning(at=1.0, seconds=0.1, text=text, call=made)


def ran(code: str, stdout: str) -> list[Step]:
    return [Code(code=code), Output(at=2.0, seconds=0.1, result=CellResult(stdout=stdout), text=stdout)]


STEPS: list[Step] = [
    said("Let us see.", "x = 41\nprint(x)"),
    *ran("x = 41\nprint(x)", "41\n"),
    said("I have no box."),
    Retry(reason="no_box", text="Box it."),
    said(r"It is $\boxed{41}$."),
]


def trajectory(*steps: Step) -> Trajectory:
    plain = making.trajectory("41")
    return plain.model_copy(update={"steps": [*steps, *plain.steps[1:]], "problem": "What is 41 + 1?"})


@pytest.fixture
def parent(tmp_path: Path) -> Run:
    """A run with one wrong sample."""
    run = Run.create(
        tmp_path / "runs" / "p", making.manifest(problem_ids=["own/1"], samples=1, settings={"prompt": "tora"})
    )
    run.add(trajectory(*STEPS))
    run.add(making.grade(Verdict.WRONG).model_copy(update={"answer": "41", "gold": "42"}))
    run.close()
    return run


def test_what_is_made_anew_is_the_reply_at_or_before_the_step() -> None:
    whole = trajectory(*STEPS)
    assert [model_call_at(whole, step) for step in range(7)] == [0, 0, 0, 3, 3, 5, 5]
    for step in (-1, 7):
        with pytest.raises(UsageError, match="0 to 6"):
            model_call_at(whole, step)


def test_kept_steps_are_the_recorded_ones() -> None:
    assert kept_steps(trajectory(*STEPS), 5, DIALECTS["turns"], "tora") == STEPS[:5]


def test_a_reply_of_another_dialect_is_kept_as_words_and_code() -> None:
    call = ToolCall(name="python", arguments='{"code": "x = 1"}')
    foreign = [said("Let us see.", tool_calls=[call]), *ran("x = 1", "")]
    first, *rest = kept_steps(trajectory(*foreign, said("So.")), 3, DIALECTS["turns"], "tora")
    assert isinstance(first, Reasoning) and not first.call.tool_calls
    assert first.call.raw == "Let us see.\n\n```python\nx = 1\n```"
    assert rest == foreign[1:]
    assert kept_steps(trajectory(*foreign, said("So.")), 3, DIALECTS["tools"], "tora") == foreign


@pytest.mark.usefixtures("engine", "parent")
def test_a_fork_goes_on_with_the_kernel_and_the_conversation(tora: Tora, tmp_path: Path) -> None:
    turns = ["never asked", "One more.\n```python\nprint(x + 1)\n```", r"So it is $\boxed{42}$."]
    replies = script({"match": "What is 41", "turns": [{"content": text} for text in turns]})
    with serving(replies) as server:
        url = ("--base-url", server.base_url, "--model", "other")
        done = tora("fork", "p", "own/1", "--at", "4", *url, "--seed", "7", env={"OPENAI_API_KEY": "k"})
        asked = server.requests[0]["messages"]
    assert done.returncode == 0, done.stderr
    assert "gold 42 -> correct" in done.stdout
    assert [message["role"] for message in asked[-3:]] == ["user", "assistant", "user"]
    assert "x = 41" in asked[-2]["content"] and "41" in asked[-1]["content"]
    (folder,) = (each for each in (tmp_path / "runs").iterdir() if each.name != "p")
    made = Run.read(folder)
    (new,) = made.trajectories()
    assert new.steps[:3] == STEPS[:3]
    assert [step.kind for step in new.steps[3:]] == ["reasoning", "code", "output", "reasoning", "answer"]
    assert new.steps[5].result.stdout == "42\n"  # type: ignore[union-attr]  # as the line before says
    assert new.answer == "42" and new.settings["seed"] == 7
    manifest: Manifest = made.manifest
    assert manifest.parent and (manifest.parent.problem_id, manifest.parent.step) == ("own/1", 3)
    assert manifest.model == "other"
    assert "fork of" in tora("show", folder.name, "own/1").stdout
    assert tora("eval", "--resume", folder.name).returncode == 2


@pytest.mark.usefixtures("engine")
def test_a_fork_has_nothing_that_only_its_parent_has(tora: Tora, parent: Run, tmp_path: Path) -> None:
    was = parent.manifest
    was.limit, was.spread, was.spent, was.versions = 1, 5, Usage(calls=90), {"openai": "0"}
    was.gradings = [Grading(grade_set=1, created=was.created, versions={})]
    parent.save_manifest()
    with serving(script({"match": "What is 41", "turns": [{"content": r"It is $\boxed{42}$."}]})) as server:
        url = ("--base-url", server.base_url, "--model", "other")
        done = tora("fork", "p", "own/1", "--at", "0", *url, env={"OPENAI_API_KEY": "k"})
    assert done.returncode == 0, done.stderr
    (folder,) = (each for each in (tmp_path / "runs").iterdir() if each.name != "p")
    made = Run.read(folder).manifest
    assert (made.limit, made.spread, made.gradings, made.spent.calls) == (None, None, [], 1)
    assert made.versions["openai"] == version("openai")
    assert tora("score", folder.name).returncode == 0
    assert [grading.grade_set for grading in Run.read(folder).manifest.gradings] == [1]


@pytest.mark.usefixtures("engine", "parent")
def test_a_fork_is_paid_for_limited_and_replayed_as_a_run_is(tora: Tora, tmp_path: Path) -> None:
    turns = ["Let us see.", r"It is $\boxed{42}$."]
    with serving(script({"match": "What is 41", "turns": [{"content": text} for text in turns]})) as server:
        known = ("fork", "p", "own/1", "--at", "0", "--base-url", server.base_url, "--model", "other")
        done = tora(*known, "--price", "1,2", "--cassette", "tape", env={"OPENAI_API_KEY": "k"})
        assert done.returncode == 0, done.stderr
        ended = tora(*known, "--max-tokens-total", "1", env={"OPENAI_API_KEY": "k"})
        assert ended.returncode == 2 and "the budget of 1 tokens is spent" in ended.stderr
    again = tora(*known, "--cassette", "tape", "--replay-only")
    assert again.returncode == 0, again.stderr
    made = [Run.read(each) for each in (tmp_path / "runs").iterdir() if each.name != "p"]
    assert len(made) == 2
    assert any(run.manifest.spent.cost for run in made)


@pytest.mark.usefixtures("engine", "parent")
def test_a_fork_whose_model_does_not_answer_leaves_nothing(tora: Tora, tmp_path: Path) -> None:
    url = ("--base-url", "http://127.0.0.1:9/v1", "--model", "other")
    done = tora("fork", "p", "own/1", "--at", "0", *url, env={"OPENAI_API_KEY": "k"})
    assert done.returncode == 2
    assert [each.name for each in (tmp_path / "runs").iterdir()] == ["p"]


@pytest.mark.usefixtures("parent")
def test_a_fork_of_what_is_not_there(tora: Tora) -> None:
    done = tora("fork", "p", "own/1", "--at", "9", "--base-url", "http://127.0.0.1:9/v1", "--model", "m")
    assert done.returncode == 2
    assert "steps 0 to 6" in done.stderr
