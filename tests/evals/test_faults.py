"""What providers and models really do wrong: none of it crashes a run, none is scored as if the model had answered."""

from __future__ import annotations

from typing import Any

import pytest

from evals.grading import Grade
from evals.runs import Run
from tests.conftest import script
from tests.evals.making import jsonl, row
from tests.evals.running import Done, serving, tora_in
from tora_agent.agent import solve_async
from tora_agent.model import ClientSettings
from tora_agent.model.scripted import ScriptedServer
from tora_agent.steps import Output, Reasoning, Trajectory

LONG = "word" * 250_000
"""1 MB without a box, and without a space: to the scripted model, one token."""
UNICODE = 'print("∑ π ≈ 3.14 · 数学 · 😀", len("naïve"))'
TURNS: dict[str, list[Any]] = {
    # What passes is tried again, and the answer counts.
    "rate_limit": [{"content": r"\boxed{1}", "fault": "rate_limit", "times": 1}],
    "rate_limit_after": [{"content": r"\boxed{1}", "fault": "rate_limit", "times": 1, "retry_after": 0.3}],
    "server_error": [{"content": r"\boxed{1}", "fault": "server_error", "times": 1}],
    "stall": [{"content": r"\boxed{1}", "fault": "stall", "times": 1}],
    "cut_stream": [{"content": r"So it is \boxed{1}", "fault": "cut_stream", "times": 1}],
    "malformed_json": [{"content": r"\boxed{1}", "fault": "malformed_json", "times": 1}],
    "html_error": [{"content": r"\boxed{1}", "fault": "html_error", "times": 1}],
    # What the model itself does wrong is its own failure.
    "empty": [{"fault": "empty"}],
    "long": [{"content": LONG, "finish_reason": "length"}],
    "only_reasoning": [{"content": "", "reasoning": r"I think it is \boxed{1}."}],
    "truncated": [{"content": r"It might be \boxed{1}, or", "finish_reason": "length"}],
    "unclosed_cut": [{"content": "```python\nprint(1)\n", "finish_reason": "length"}],
    # Odd, and understood.
    "unclosed": ["```python\nprint(1)\n", r"\boxed{1}"],
    "nested": ["````text\n```python\nprint(2)\n```\n````\n```python\nprint(1)\n```", r"\boxed{1}"],
    "unicode": [f"```python\n{UNICODE}\n```", r"\boxed{1}"],
}


@pytest.fixture(scope="module")
def made(engine: object, tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, dict[str, tuple[Trajectory, Grade]]]:
    """One evaluation, with a problem for each fault."""
    folder = tmp_path_factory.mktemp("faults")
    rows = [row(1, unique_id=name, problem=f"Problem <{name}>: what is 1 + 0?") for name in TURNS]
    jsonl(folder / "own.jsonl", *rows)
    entries = [{"match": f"<{name}>", "turns": turns} for name, turns in TURNS.items()]
    with serving(script(*entries)) as server:
        where = ("--data", "own.jsonl", "--base-url", server.base_url, "--model", "scripted")
        done = tora_in(folder, "eval", "sample", *where, "--shots", 0, "--silence-seconds", 2)
    assert (folder / "runs").exists(), done.out + done.err
    (place,) = (folder / "runs").iterdir()
    run = Run.read(place)
    grades = run.grades()
    return done, {each.problem_id: (each, grades[each.problem_id, 0]) for each in run.trajectories()}


def test_none_crashes_the_run(made: tuple[Done, dict[str, Any]]) -> None:
    done, samples = made
    assert (done.status, done.err) == (0, ""), done.out + done.err
    assert set(samples) == set(TURNS)


@pytest.mark.parametrize(
    ("name", "verdict", "failure"),
    [
        *((name, "correct", None) for name in list(TURNS)[:7]),
        ("empty", "no_answer", "no_answer"),
        ("long", "truncated", "truncated"),
        ("only_reasoning", "no_answer", "no_answer"),
        ("unclosed_cut", "truncated", "truncated"),
        *((name, "correct", None) for name in list(TURNS)[-3:]),
    ],
)
def test_each_is_scored_as_what_it_is(made: tuple[Done, Any], name: str, verdict: str, failure: str | None) -> None:
    trajectory, grade = made[1][name]
    assert (grade.verdict, trajectory.failure) == (verdict, failure)


def test_an_answer_before_the_cut_is_one_and_the_cut_is_on_record(made: tuple[Done, Any]) -> None:
    trajectory, grade = made[1]["truncated"]
    assert (grade.verdict, trajectory.truncated) == ("correct", True)


def test_reasoning_is_logged_and_never_graded(made: tuple[Done, Any]) -> None:
    trajectory, _ = made[1]["only_reasoning"]
    assert trajectory.answer is None
    assert r"\boxed{1}" in trajectory.steps[0].call.reasoning


def test_code_is_run_as_it_was_written(made: tuple[Done, Any]) -> None:
    (output,) = (step for step in made[1]["unicode"][0].steps if isinstance(step, Output))
    assert output.result.stdout == "∑ π ≈ 3.14 · 数学 · 😀 5\n"


def test_a_block_within_a_text_is_no_code(made: tuple[Done, Any]) -> None:
    outputs = [step.result.stdout for step in made[1]["nested"][0].steps if isinstance(step, Output)]
    assert outputs == ["1\n"]


def test_a_long_reply_is_logged_whole(made: tuple[Done, Any]) -> None:
    (first, *_) = (step for step in made[1]["long"][0].steps if isinstance(step, Reasoning))
    assert (len(first.call.raw), len(first.text)) == (1_000_000, 1_000_000)


@pytest.mark.anyio
@pytest.mark.parametrize("fault", ["stall", "cut_stream", "malformed_json"])
async def test_a_stream_that_breaks_is_begun_anew(engine: object, fault: str) -> None:
    said = r"It is surely \boxed{1}."
    shown: list[str | None] = []

    def show(event: dict[str, Any]) -> None:
        if "text" in event:
            shown.append(event["text"])

    async with ScriptedServer(
        script({"match": "", "turns": [{"content": said, "fault": fault, "times": 1}]})
    ) as server:
        silence = 2.0 if fault == "stall" else 600.0
        client = ClientSettings(first_wait=0.01, silence_seconds=silence)
        known = {"model": "scripted", "base_url": server.base_url, "prompt": "tora", "shots": 0}
        solution = await solve_async("1 + 0?", client=client, on_event=show, **known)
    assert solution.answer == "1"
    assert "".join(piece or "|" for piece in shown).split("|") == ["It is", said]
