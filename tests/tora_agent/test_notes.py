"""What the model is told below an output: a lost kernel, a repeated cell, a budget that runs out."""

from __future__ import annotations

import pytest

from sandbox import Sandbox
from tests.tora_agent.test_agent import rollout, run
from tora_agent.steps import Output, Reasoning, Retry

pytestmark = pytest.mark.anyio


async def test_a_model_that_repeats_itself_is_told_so(box: Sandbox) -> None:
    made = await rollout(box, [run("1 / 0"), run("1 / 0"), run("print(1)"), r"\boxed{1}"])
    first, second, third = made.steps(Output)
    told = "(This code was run before, with the same output. Do something else.)"
    assert told not in first.text and second.text.endswith(told) and told not in third.text
    assert made.requests[2]["messages"][-1]["content"].endswith(f"{told}\n```")


async def test_the_same_code_with_another_output_is_no_repetition(box: Sandbox) -> None:
    made = await rollout(box, [run("n = 0"), run("n += 1\nprint(n)"), run("n += 1\nprint(n)"), r"\boxed{2}"])
    assert [step.text for step in made.steps(Output)] == ["(no output)", "1", "2"]


async def test_what_is_left_is_told_when_it_is_little(box: Sandbox) -> None:
    made = await rollout(box, [run("print(1)"), run("print(2)"), run("print(3)"), r"\boxed{3}"], max_rounds=4)
    first, second, third = (step.text for step in made.steps(Output))
    assert first == "1"
    assert second == "2\n(Left: 2 replies.)"
    assert third == "3\n(The next reply is the last: give the final answer inside \\boxed{} now.)"
    assert [step.left.rounds for step in made.steps(Reasoning)] == [4, 3, 2, 1]


async def test_what_is_left_is_told_with_each_request(box: Sandbox) -> None:
    nudged = await rollout(box, ["Hmm.", r"\boxed{1}"], max_rounds=2)
    assert nudged.steps(Retry)[0].text.endswith(
        "\n(The next reply is the last: give the final answer inside \\boxed{} now.)"
    )
    plenty = await rollout(box, ["Hmm.", r"\boxed{1}"], max_rounds=8)
    assert "Left" not in plenty.steps(Retry)[0].text


async def test_a_kernel_that_was_lost_before_the_code_is_told_so(box: Sandbox) -> None:
    thread = "import threading\ndef f():\n    while True:\n        try:\n            sum(range(999))\n"
    thread += "        except BaseException:\n            pass\nthreading.Thread(target=f).start()"
    made = await rollout(box, [run(thread), run("y = 2\nprint(y)"), run("import os\nos._exit(0)"), r"\boxed{2}"])
    _, second, third = (step.text for step in made.steps(Output))
    assert second == "2\n(The kernel was restarted before this code ran: earlier variables are gone.)"
    assert third.endswith("\n(The kernel was restarted: all variables are gone.)")


async def test_nothing_is_told_where_no_reply_is_left(box: Sandbox) -> None:
    made = await rollout(box, [run("print(1)")], max_rounds=1)
    assert [step.text for step in made.steps(Output)] == ["1"]


async def test_little_time_is_told_too(box: Sandbox) -> None:
    made = await rollout(box, [run("import time\ntime.sleep(1.5)\nprint(1)"), r"\boxed{1}"], max_seconds=1.8)
    assert made.steps(Output)[0].text == "1\n(Left: 7 replies, 0 seconds.)"
