"""The loop from a problem to a trajectory, with scripted replies and the real sandbox."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import docker
import pytest
from aiohttp import web

from prompts import load_prompt
from prompts.sets import render
from sandbox import CellError, CellResult, Sandbox
from tests.conftest import Tora, model_at, script, until
from tora_agent import Solution, solve, solve_async
from tora_agent.agent import Agent
from tora_agent.errors import ModelRefused, ModelUnavailable, UsageError
from tora_agent.model import Endpoint
from tora_agent.model.client import Model
from tora_agent.model.scripted import ScriptedServer
from tora_agent.problem import Problem
from tora_agent.settings import AgentSettings
from tora_agent.steps import Failure, Output, Reasoning, Retry, Trajectory, Usage, Verification
from tora_agent.verification import read_state

QUESTION = "How many pebbles are there?"
TRUE, FALSE, RAISES = "print(len('a') == 1)", "print(len('a') == 2)", "print(1 / 0)"
GONE = "(The kernel was restarted: all variables are gone.)"
Turns = list[Any]
Checks = Mapping[str, str | list[str]] | None


def run(code: str, before: str = "Compute.", after: str = "") -> str:
    """A reply with a code block."""
    return f"{before}\n```python\n{code}\n```{after}"


def entries(turns: Turns, checks: Checks = None) -> list[dict[str, Any]]:
    """Replies to the question, and those to each demand to check an answer: code, or words without any."""
    proposed = [
        {
            "match": [QUESTION, f"Proposed answer: {answer}"],
            "turns": [run(each) if "(" in each else each for each in ([reply] if isinstance(reply, str) else reply)],
        }
        for answer, reply in (checks or {}).items()
    ]
    return [*proposed, {"match": QUESTION, "turns": turns}]


class Rollout:
    """A sample, and what was asked of the model for it."""

    def __init__(self, trajectory: Trajectory, requests: list[dict[str, Any]]) -> None:
        self.trajectory = trajectory
        self.requests = requests
        self.kinds = [step.kind for step in trajectory.steps]

    def steps(self, kind: type[Any]) -> list[Any]:
        return [step for step in self.trajectory.steps if isinstance(step, kind)]

    @property
    def outputs(self) -> list[str]:
        return [step.result.text for step in self.steps(Output)]

    @property
    def outcome(self) -> tuple[str | None, str | None, str | None]:
        return self.trajectory.answer, self.trajectory.state, self.trajectory.failure


async def rollout(box: Sandbox, turns: Turns, checks: Checks = None, **settings: Any) -> Rollout:
    async with ScriptedServer(script(*entries(turns, checks))) as server, model_at(server) as model:
        # Most of these answers come without code, which by itself would look wrong; and so do their checks.
        plain = {"prompt": "csv" if checks else "tora", "shots": 0, "doubts": False, "independence": False}
        agent = Agent(model, box, AgentSettings(**plain | settings))
        return Rollout(await agent.rollout(Problem(problem=QUESTION)), server.requests)


# Reasoning and code in turns


@pytest.mark.anyio
async def test_reasoning_code_output_answer(box: Sandbox) -> None:
    made = await rollout(box, [run("print(6 * 7)"), r"So $\boxed{42}$."])
    assert made.kinds == ["reasoning", "code", "output", "reasoning", "answer"]
    assert made.outcome == ("42", None, None)
    first, code, output, last, answer = made.trajectory.steps
    assert (first.text, first.cut, code.code) == ("Compute.", "", "print(6 * 7)")
    assert (output.result.stdout, output.text) == ("42\n", "42")
    assert (last.text, answer.answer) == (r"So $\boxed{42}$.", "42")
    system, asked, said, heard = made.requests[1]["messages"]
    assert [system["role"], asked["content"]] == ["system", QUESTION]
    assert said == {"role": "assistant", "content": run("print(6 * 7)")}
    assert heard == {"role": "user", "content": "```output\n42\n```"}


@pytest.mark.anyio
async def test_state_is_kept_from_cell_to_cell_and_not_from_sample_to_sample(box: Sandbox) -> None:
    turns = [run("print('x' in globals()); x = 5"), run("print(x + 1)"), r"\boxed{6}"]
    async with ScriptedServer(script(*entries(turns))) as server, model_at(server) as model:
        agent = Agent(model, box, AgentSettings(prompt="tora", seed=3))
        one, two = [await agent.rollout(Problem(problem=QUESTION), sample) for sample in range(2)]
        seeds = [request["seed"] for request in server.requests]
    for made in (one, two):
        assert [step.result.text for step in made.steps if isinstance(step, Output)] == ["False", "6"]
    assert (one.sample, one.settings["seed"], two.sample, two.settings["seed"]) == (0, 3, 1, 4)
    assert seeds == [3, 3, 3, 4, 4, 4]


@pytest.mark.anyio
async def test_text_after_the_block_is_recorded_and_neither_run_nor_sent_back(box: Sandbox) -> None:
    invented = "\nSo it prints 7.\n```python\nprint('second')\n```\n\\boxed{7}"
    made = await rollout(box, [run("print('first')", after=invented), r"\boxed{8}"])
    assert made.outcome == ("8", None, None)
    assert made.outputs == ["first"]
    assert made.steps(Reasoning)[0].cut == invented.strip()
    assert made.steps(Reasoning)[0].call.raw.endswith(r"\boxed{7}")
    assert "second" not in str(made.requests[1]["messages"])


@pytest.mark.anyio
async def test_an_invented_output_is_not_taken_as_output(box: Sandbox) -> None:
    invented = "Compute.\n```python\nprint(6 * 7)\n```output\n99\n```\nSo \\boxed{99}."
    made = await rollout(box, [invented, r"\boxed{42}"])
    assert made.outputs == ["42"]
    assert made.outcome == ("42", None, None)
    assert made.requests[0]["stop"] == ["```output"]
    assert "99" not in str(made.requests[1]["messages"])


@pytest.mark.anyio
async def test_a_box_in_code_or_output_is_no_answer(box: Sandbox) -> None:
    made = await rollout(box, [run(r"print(r'\boxed{1}')"), "```output\n\\boxed{2}\n```", r"\boxed{3}"])
    assert made.outputs == [r"\boxed{1}"]
    assert made.kinds == ["reasoning", "code", "output", "reasoning", "retry", "reasoning", "answer"]
    assert made.outcome == ("3", None, None)


@pytest.mark.anyio
async def test_code_that_raises_goes_back_and_the_model_can_recover(box: Sandbox) -> None:
    made = await rollout(box, [run("x = 3\nprint(x / 0)"), run("print(x)"), r"\boxed{3}"])
    first, second = made.steps(Output)
    assert first.result.error.type == "ZeroDivisionError"
    assert "ZeroDivisionError: division by zero" in made.requests[1]["messages"][-1]["content"]
    assert second.result.text == "3"
    assert GONE not in first.text + second.text
    assert made.outcome == ("3", None, None)


@pytest.mark.anyio
async def test_code_without_output_is_named_as_such(box: Sandbox) -> None:
    made = await rollout(box, [run("x = 1"), r"\boxed{1}"])
    assert made.steps(Output)[0].text == "(no output)"


@pytest.mark.anyio
async def test_of_a_long_output_head_and_tail_are_shown_and_all_is_recorded(box: Sandbox) -> None:
    made = await rollout(box, [run("print('a' * 600 + 'b' * 600)"), r"\boxed{1}"], output_chars=200)
    (output,) = made.steps(Output)
    shown = made.requests[1]["messages"][-1]["content"]
    assert output.result.stdout == "a" * 600 + "b" * 600 + "\n"
    assert "a" * 100 + "\n... [1000 characters cut] ...\n" + "b" * 100 in shown


@pytest.mark.anyio
async def test_an_interrupted_cell_keeps_the_variables(box: Sandbox) -> None:
    turns = [run("x = 5\nprint('begun', flush=True)\nwhile True: pass"), run("print(x)"), r"\boxed{5}"]
    made = await rollout(box, turns, cell_seconds=3)
    first, second = made.steps(Output)
    assert (first.result.timed_out, first.result.state_lost) == (True, False)
    assert "begun" in first.text
    assert "ran longer than 3 s" in first.text
    assert GONE not in first.text
    assert second.result.text == "5"


STUBBORN = "x = 5\nimport signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
DEADLY = "x = 5\nimport os\nos._exit(3)"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("code", "error"), [(STUBBORN, "TimeoutError"), (DEADLY, "KernelDied")], ids=["stubborn", "deadly"]
)
async def test_the_model_is_told_that_its_variables_are_gone(box: Sandbox, code: str, error: str) -> None:
    made = await rollout(box, [run(code), run("print('x' in globals())"), r"\boxed{5}"], cell_seconds=3)
    first, second = made.steps(Output)
    assert (first.result.error.type, first.result.state_lost) == (error, True)
    assert GONE in made.requests[1]["messages"][-1]["content"]
    assert second.result.text == "False"
    assert GONE not in second.text
    assert made.outcome == ("5", None, None)


@pytest.mark.anyio
async def test_a_problem_that_looks_like_a_template_reaches_the_model_unchanged(box: Sandbox) -> None:
    stated = QUESTION + r" Let {{ x }} be \{1\} {% if %} {# note #}."
    async with ScriptedServer(script(*entries([r"\boxed{1}"]))) as server, model_at(server) as model:
        made = await Agent(model, box, AgentSettings(prompt="csv", max_rounds=1)).rollout(Problem(problem=stated))
        assert server.requests[0]["messages"][-1]["content"] == stated
    assert made.problem == stated


# Ends without an answer


@pytest.mark.anyio
async def test_a_reply_without_code_and_box_is_asked_about_once(box: Sandbox) -> None:
    made = await rollout(box, ["I think so.", r"\boxed{4}"])
    assert made.kinds == ["reasoning", "retry", "reasoning", "answer"]
    (retry,) = made.steps(Retry)
    assert (retry.reason, retry.text) == ("no_box", render(load_prompt("tora").nudge, tools=False))
    assert made.requests[1]["messages"][-1]["content"] == retry.text
    again = await rollout(box, ["I think so.", "I do.", r"\boxed{4}"])
    assert again.kinds == ["reasoning", "retry", "reasoning", "failure"]
    assert again.outcome == (None, None, "no_answer")


@pytest.mark.anyio
async def test_a_new_attempt_after_code_is_asked_about_again(box: Sandbox) -> None:
    made = await rollout(box, ["Hm.", run("print(1)"), "Hm.", r"\boxed{1}"])
    assert [step.reason for step in made.steps(Retry)] == ["no_box", "no_box"]
    assert made.outcome == ("1", None, None)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "reply",
    ["one two three four five", "Compute.\n```python\nx = 1\ny = 2\nprint(x + y)\n```", r"So \boxed{\frac{1 }{ 2 } }"],
)
async def test_a_reply_cut_by_the_token_limit_is_truncated(box: Sandbox, reply: str) -> None:
    made = await rollout(box, [reply], max_tokens=4)
    assert made.kinds == ["reasoning", "failure"]
    assert made.outcome == (None, None, "truncated")
    assert made.trajectory.truncated
    assert made.trajectory.usage.completion_tokens == 4
    assert "(--max-tokens)" in made.steps(Failure)[0].message


@pytest.mark.anyio
async def test_a_reply_cut_before_the_token_limit_filled_the_context(box: Sandbox) -> None:
    made = await rollout(box, [{"content": "one two", "finish_reason": "length"}])
    assert made.outcome == (None, None, "truncated")
    assert "context" in made.steps(Failure)[0].message


@pytest.mark.anyio
async def test_a_box_that_was_complete_when_the_reply_was_cut_is_an_answer(box: Sandbox) -> None:
    made = await rollout(box, [r"So \boxed{4} is what I mean"], max_tokens=3)
    assert made.outcome == ("4", None, None)
    assert made.trajectory.truncated


@pytest.mark.anyio
async def test_later_calls_get_the_tokens_that_are_left(box: Sandbox) -> None:
    first, second = run("print(1)"), run("print(2)", before="Now compute the other one.")
    made = await rollout(box, [first, second, "a b c d e f g h i j k l"], max_tokens=20)
    assert [request["max_tokens"] for request in made.requests] == [20, 16, 8]
    assert [step.call.usage.completion_tokens for step in made.steps(Reasoning)] == [4, 8, 8]
    assert made.outcome == (None, None, "truncated")


@pytest.mark.anyio
async def test_tokens_used_up_between_two_calls_end_the_sample(box: Sandbox) -> None:
    made = await rollout(box, [run("print(1)"), r"\boxed{1}"], max_tokens=4)
    assert made.kinds == ["reasoning", "code", "output", "failure"]
    assert made.outcome == (None, None, "truncated")
    assert len(made.requests) == 1


@pytest.mark.anyio
async def test_rounds_used_up(box: Sandbox) -> None:
    made = await rollout(box, [run("print(1)")], max_rounds=2)
    assert made.kinds == ["reasoning", "code", "output"] * 2 + ["failure"]
    assert made.outcome == (None, None, "out_of_rounds")
    assert len(made.requests) == 2


@pytest.mark.anyio
async def test_many_rounds_are_possible(box: Sandbox) -> None:
    made = await rollout(box, [run("n = globals().get('n', 0) + 1; print(n)")] * 11 + [r"\boxed{11}"], max_rounds=12)
    assert made.outputs[-1] == "11"
    assert made.outcome == ("11", None, None)


@pytest.mark.anyio
async def test_time_used_up(box: Sandbox) -> None:
    made = await rollout(box, [{"content": run("print(1)"), "delay": 0.2}], max_seconds=0.1)
    assert made.kinds == ["reasoning", "code", "output", "failure"]
    assert made.outcome == (None, None, "out_of_time")
    assert len(made.requests) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("prompt", ["tora", "csv"])
async def test_a_full_context_is_a_failure_and_leaves_an_answer_unchecked(box: Sandbox, prompt: str) -> None:
    async def chat(request: web.Request) -> web.Response:
        asked = str((await request.json())["messages"])
        if "```output" in asked or "Proposed answer" in asked:
            return web.json_response({"error": {"message": "maximum context length is 9 tokens"}}, status=400)
        content = run("print(1)") if prompt == "tora" else r"\boxed{1}"
        choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
        return web.json_response({"choices": [choice]})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint = Endpoint(model="m", base_url=f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
    async with Model(endpoint) as model:
        agent = Agent(model, box, AgentSettings(prompt=prompt, shots=0, doubts=False))
        made = Rollout(await agent.rollout(Problem(problem=QUESTION)), [])
    await runner.cleanup()
    if prompt == "tora":
        assert made.kinds == ["reasoning", "code", "output", "failure"]
        assert made.outcome == (None, None, "context_full")
    else:
        assert made.kinds == ["reasoning", "verification", "answer"]
        assert made.outcome == ("1", "Uncertain", None)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("prompt", "turns", "outcome"),
    [
        ("tora", [run("print(1)"), {"fault": "filtered"}], (None, None, "filtered")),
        ("tora", [{"content": "So", "finish_reason": "content_filter"}], (None, None, "filtered")),
        ("csv", [r"\boxed{1}", {"fault": "filtered"}], ("1", "Uncertain", None)),
    ],
)
async def test_a_content_filter_ends_a_sample_and_leaves_an_answer_unchecked(
    box: Sandbox, prompt: str, turns: list[Any], outcome: tuple[str | None, str | None, str | None]
) -> None:
    made = await rollout(box, turns, prompt=prompt, doubts=False)
    assert made.outcome == outcome
    assert len(made.requests) == len(turns)


# Words alone, and one program


@pytest.mark.anyio
async def test_cot_runs_no_code(box: Sandbox) -> None:
    made = await rollout(box, ["Think.\n```python\nprint(1)\n```\nSo \\boxed{1}."], prompt="cot")
    assert made.kinds == ["reasoning", "answer"]
    assert made.outcome == ("1", None, None)
    assert "stop" not in made.requests[0]


@pytest.mark.anyio
async def test_a_kernel_starts_with_the_sample_only_where_code_is_asked_for(box: Sandbox) -> None:
    before = box.pool.opened
    await rollout(box, [r"\boxed{1}"], prompt="cot")
    assert box.pool.opened == before
    await rollout(box, [run("print(1)"), run("print(1)"), r"\boxed{1}"])
    assert box.pool.opened == before + 1
    await rollout(box, [run("print(1)"), r"\boxed{1}"], {"1": TRUE})
    assert (box.pool.opened, box.pool.sessions) == (before + 3, 0)


@pytest.mark.anyio
async def test_pal_takes_what_the_program_prints(box: Sandbox) -> None:
    program = "import sys\nprint('a warning', file=sys.stderr)\nprint(r'\\frac{1}{2}')"
    made = await rollout(box, [run(program, after="\n\\boxed{9}")], prompt="pal")
    assert made.kinds == ["reasoning", "code", "output", "answer"]
    assert made.outcome == (r"\frac{1}{2}", None, None)
    assert len(made.requests) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("program", ["print(1)\nprint(1 / 0)", "print()"])
async def test_pal_without_an_answer_from_the_program(box: Sandbox, program: str) -> None:
    made = await rollout(box, [run(program)], prompt="pal")
    assert made.kinds == ["reasoning", "code", "output", "failure"]
    assert made.outcome == (None, None, "code_failed")


@pytest.mark.anyio
async def test_pal_without_a_program(box: Sandbox) -> None:
    made = await rollout(box, [r"It is \boxed{5}."], prompt="pal")
    assert made.kinds == ["reasoning", "retry", "reasoning", "failure"]
    assert made.outcome == (None, None, "no_code")


# The check of an answer


@pytest.mark.anyio
async def test_an_answer_whose_check_is_true_is_accepted(box: Sandbox) -> None:
    made = await rollout(box, [run("print(7)"), r"\boxed{7}"], {"7": "assert 7 > 0\nprint(True)"})
    assert made.kinds == ["reasoning", "code", "output", "reasoning", "verification", "answer"]
    assert made.outcome == ("7", "True", None)
    (check,) = made.steps(Verification)
    assert (check.answer, check.state, check.code) == ("7", "True", "assert 7 > 0\nprint(True)")
    assert made.requests[-1]["messages"][-1]["content"] == f"Problem: {QUESTION}\nProposed answer: 7"


@pytest.mark.anyio
async def test_an_answer_whose_check_is_false_is_tried_again(box: Sandbox) -> None:
    made = await rollout(box, [r"\boxed{1}", r"Rather \boxed{2}"], {"1": "print('odd')\nprint(False)", "2": TRUE})
    assert made.kinds == ["reasoning", "verification", "retry", "reasoning", "verification", "answer"]
    assert made.outcome == ("2", "True", None)
    (retry,) = made.steps(Retry)
    assert retry.reason == "check_false"
    assert "answer 1 by code came out False" in retry.text
    assert "print('odd')\nprint(False)" in retry.text
    assert "```output\nodd\nFalse\n```" in retry.text
    assert made.requests[2]["messages"][-2:] == [
        {"role": "assistant", "content": r"\boxed{1}"},
        {"role": "user", "content": retry.text},
    ]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("check", "reason"),
    [
        (RAISES, "the check raised ZeroDivisionError"),
        ("It looks right.", "the model wrote no check"),
        ("print('maybe')", "the check told no state"),
    ],
)
async def test_what_a_check_cannot_decide_is_uncertain(box: Sandbox, check: str, reason: str) -> None:
    made = await rollout(box, [r"\boxed{5}"], {"5": check})
    assert made.kinds == ["reasoning", "verification", "answer"]
    assert made.outcome == ("5", "Uncertain", None)
    assert made.steps(Verification)[0].reason == reason


@pytest.mark.parametrize(
    ("result", "state"),
    [
        (CellResult(stdout="True\n"), "True"),
        (CellResult(stdout="1\n 2\nFalse \n\n"), "False"),
        (CellResult(value="True"), "True"),
        (CellResult(stdout="False\n", value="True"), "True"),
        (CellResult(stdout="True\n", stderr="a warning\n"), "True"),
        (CellResult(stdout="True\nFalse, no\n"), "Uncertain"),
        (CellResult(stdout="true\n"), "Uncertain"),
        (CellResult(), "Uncertain"),
        (CellResult(stdout="True\n", error=CellError(type="ValueError", message="")), "Uncertain"),
    ],
)
def test_the_last_line_of_a_check_is_its_state(result: CellResult, state: str) -> None:
    assert read_state(result)[0] == state


@pytest.mark.anyio
async def test_retries_are_bounded_and_the_latest_answer_stands(box: Sandbox) -> None:
    turns = [r"\boxed{1}", r"\boxed{2}", r"\boxed{3}"]
    made = await rollout(box, turns, dict.fromkeys("123", FALSE), max_retries=1)
    assert [check.answer for check in made.steps(Verification)] == ["1", "2"]
    assert made.kinds == ["reasoning", "verification", "retry", "reasoning", "verification", "answer"]
    assert made.outcome == ("2", "False", None)


@pytest.mark.anyio
async def test_the_answer_is_the_one_with_the_best_state(box: Sandbox) -> None:
    made = await rollout(box, [r"\boxed{1}", r"\boxed{2}", r"\boxed{3}"], {"1": FALSE, "2": RAISES, "3": TRUE})
    assert made.outcome == ("2", "Uncertain", None)


@pytest.mark.anyio
async def test_an_answer_stands_if_the_retry_comes_to_nothing(box: Sandbox) -> None:
    made = await rollout(box, [r"\boxed{1}", "I give up.", "Really."], {"1": FALSE})
    assert made.kinds[-2:] == ["failure", "answer"]
    assert made.outcome == ("1", "False", None)


@pytest.mark.anyio
async def test_an_answer_in_the_last_round_is_left_unchecked(box: Sandbox) -> None:
    made = await rollout(box, [run("print(1)"), r"\boxed{1}"], {"1": FALSE}, max_rounds=2)
    assert made.kinds == ["reasoning", "code", "output", "reasoning", "answer"]
    assert made.outcome == ("1", None, None)


@pytest.mark.anyio
async def test_a_check_runs_in_a_kernel_of_its_own(box: Sandbox) -> None:
    solution = "secret = 7\nopen('/tmp/left', 'w').write('x')\nprint(secret)"
    check = "import os\nprint('secret' in globals() or os.path.exists('/tmp/left'))"
    made = await rollout(box, [run(solution), r"\boxed{7}"], {"7": check}, max_retries=0)
    assert made.outcome == ("7", "False", None)


@pytest.mark.anyio
async def test_a_check_shares_the_budget(box: Sandbox) -> None:
    made = await rollout(box, [r"So \boxed{1} it is", r"\boxed{2}"], {"1": FALSE}, max_rounds=2, max_tokens=50)
    assert [request["max_tokens"] for request in made.requests] == [50, 46]
    assert made.kinds == ["reasoning", "verification", "retry", "failure", "answer"]
    assert made.trajectory.usage.calls == 2


# The trajectory


@pytest.fixture(scope="module")
async def made(engine: docker.DockerClient) -> Rollout:
    """A sample with every kind of step but a failure."""
    turns = ["Hm.", run("print(1)"), r"\boxed{1}", r"\boxed{2}"]
    async with Sandbox() as box:
        return await rollout(box, turns, {"1": FALSE, "2": TRUE})


@pytest.mark.anyio
async def test_steps_stand_in_order_with_their_times(made: Rollout) -> None:
    first = ["reasoning", "retry", "reasoning", "code", "output", "reasoning", "verification"]
    assert made.kinds == [*first, "retry", "reasoning", "verification", "answer"]
    for step in made.trajectory.steps:
        assert (step.seconds > 0) == isinstance(step, Reasoning | Output | Verification)
    assert sum(step.seconds for step in made.trajectory.steps) <= made.trajectory.seconds


@pytest.mark.anyio
async def test_usage_is_the_sum_of_the_calls(made: Rollout) -> None:
    calls = [step.call.usage for step in made.trajectory.steps if isinstance(step, Reasoning | Verification)]
    assert made.trajectory.usage == sum(calls, Usage())
    assert made.trajectory.usage.calls == len(made.requests) == 6
    assert all(a["messages"] != b["messages"] for a, b in pairwise(made.requests))
    assert made.trajectory.usage.prompt_tokens > made.trajectory.usage.completion_tokens > 0


@pytest.mark.anyio
async def test_a_trajectory_survives_json(made: Rollout) -> None:
    text = made.trajectory.model_dump_json()
    assert "\n" not in text
    assert Trajectory.model_validate_json(text) == made.trajectory


@pytest.mark.anyio
async def test_a_trajectory_says_what_made_it(box: Sandbox) -> None:
    async with ScriptedServer(script(*entries([r"\boxed{1}"]), model="tiny")) as server, model_at(server) as model:
        agent = Agent(model, box, AgentSettings(prompt="cot", temperature=0.5))
        stated = Problem(problem=QUESTION, unique_id="p/1", subject="Algebra", level=3, answer="gold", solution="why")
        made = await agent.rollout(stated, sample=2)
        assert "gold" not in str(server.requests)
    assert (made.problem_id, made.sample, made.subject, made.level) == ("p/1", 2, "Algebra", 3)
    assert (made.prompt, made.model, made.fingerprint[:3]) == ("cot", "tiny", "fp_")
    assert made.settings == AgentSettings(prompt="cot", temperature=0.5, seed=2).model_dump()
    assert made.started.endswith("+00:00")


@pytest.mark.anyio
async def test_events_bring_the_text_as_it_comes_and_each_step(box: Sandbox) -> None:
    events: list[dict[str, Any]] = []
    turns = [{"content": run("print(1)"), "fault": "cut_stream", "times": 1}, r"So \boxed{1}."]
    async with ScriptedServer(script(*entries(turns))) as server, model_at(server) as model:
        agent = Agent(model, box, AgentSettings(prompt="tora"))
        made = await agent.rollout(Problem(problem=QUESTION), on_event=events.append)
    assert [event["step"] for event in events if "step" in event] == made.model_dump(mode="json")["steps"]
    first = next(number for number, event in enumerate(events) if "step" in event)
    before, _, after = "".join(event["text"] or "|" for event in events[:first]).partition("|")
    assert (after, run("print(1)").startswith(before), len(before) > 0) == (run("print(1)"), True, True)


# Failures that are no sample's


@pytest.mark.anyio
@pytest.mark.parametrize(("fault", "error"), [("quota", ModelRefused), ("server_error", ModelUnavailable)])
async def test_a_model_that_fails_for_good_raises_and_leaves_no_session(
    box: Sandbox, fault: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await rollout(box, [run("print(1)"), {"fault": fault}])
    assert box.pool.sessions == 0


@pytest.mark.anyio
async def test_a_cancelled_sample_leaves_no_session(box: Sandbox) -> None:
    task = asyncio.create_task(rollout(box, [run("print(1)\nwhile True: pass")]))
    await until(lambda: box.pool.sessions)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert box.pool.sessions == 0


# solve


SOLVED = [*entries([run("print(7)"), r"\boxed{7}"], {"7": TRUE})]


@pytest.mark.anyio
async def test_solve_async_takes_the_endpoint_from_the_environment(
    engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ScriptedServer(script(*SOLVED)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("TORA_MODEL", "scripted")
        solution = await solve_async(Problem(problem=QUESTION, unique_id="p/1"))
    assert (solution.answer, solution.verified, solution.trajectory.problem_id) == ("7", True, "p/1")
    assert solution.usage == solution.trajectory.usage


@pytest.mark.anyio
async def test_solve_works_in_a_thread_without_a_loop(engine: docker.DockerClient) -> None:
    async with ScriptedServer(script(*SOLVED)) as server:
        options = {"model": "scripted", "base_url": server.base_url, "prompt": "tora"}
        solution = await asyncio.to_thread(solve, QUESTION, **options)
    assert (solution.answer, solution.verified) == ("7", None)


@pytest.mark.anyio
async def test_solve_works_inside_a_running_loop(engine: docker.DockerClient) -> None:
    async def notebook(base_url: str) -> Solution:
        return solve(QUESTION, model="scripted", base_url=base_url, prompt="tora")

    async with ScriptedServer(script(*SOLVED)) as server:
        solution = await asyncio.to_thread(asyncio.run, notebook(server.base_url))
    assert (solution.answer, solution.verified) == ("7", None)


@pytest.mark.anyio
@pytest.mark.parametrize("problem", ["", " \n", Problem(problem="\t")])
async def test_an_empty_problem_is_refused(problem: str | Problem) -> None:
    with pytest.raises(UsageError, match="the problem is empty"):
        await solve_async(problem, model="m", base_url="http://127.0.0.1:1/v1")


@pytest.mark.anyio
@pytest.mark.parametrize("options", [{"max_token": 5}, {"max_tokens": 0}, {"temperature": -1}])
async def test_wrong_settings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"--{next(iter(options)).replace('_', '-')}"):
        await solve_async(QUESTION, model="m", base_url="http://127.0.0.1:1/v1", **options)


@contextmanager
def recording() -> Iterator[tuple[str, list[bytes]]]:
    """An address, and the beginning of whatever is sent to it."""
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    seen.append(connection.recv(100))

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}", seen
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.anyio
@pytest.mark.parametrize("switch", ["LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2"])
async def test_tracing_in_the_environment_sends_nothing(engine: docker.DockerClient, tora: Tora, switch: str) -> None:
    with recording() as (address, seen):
        env = {switch: "true", "LANGSMITH_ENDPOINT": address, "LANGSMITH_API_KEY": "lsv2_pt_x"}
        async with ScriptedServer(script(*SOLVED)) as server:
            asked = ("solve", QUESTION, "--model", "scripted", "--base-url", server.base_url, "--prompt", "tora")
            done = await asyncio.to_thread(tora, *asked, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert seen == []
