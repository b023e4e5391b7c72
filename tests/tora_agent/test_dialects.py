"""How code crosses between model and kernel: fence, turns, tools, and what `auto` makes of an endpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from evals.exporting.sft import chat
from evals.runs import Run
from prompts import load_prompt
from sandbox import Sandbox
from tests.conftest import model_at, script
from tests.evals.making import jsonl, row
from tests.evals.running import serving as serving_apart
from tests.evals.running import tora_in
from tests.tora_agent.test_client import ask, serving
from tora_agent.agent import Agent
from tora_agent.conversation import EMPTY
from tora_agent.dialects import DIALECTS, Sent
from tora_agent.dialects.probe import choose_dialect
from tora_agent.errors import ModelUnavailable
from tora_agent.model import ClientSettings
from tora_agent.model.client import Model
from tora_agent.model.scripted import ScriptedServer
from tora_agent.problem import Problem
from tora_agent.settings import AgentSettings
from tora_agent.steps import ModelCall, Output, Reasoning, Retry, ToolCall, Trajectory, Usage

pytestmark = pytest.mark.anyio
QUESTION = "What is six times seven?"


def block(code: str, before: str = "Compute.") -> str:
    return f"{before}\n```python\n{code}\n```"


def code_of(call: dict[str, Any]) -> str:
    code: str = json.loads(call["function"]["arguments"])["code"]
    return code


async def rollout(box: Sandbox, dialect: str, *turns: Any, **settings: Any) -> tuple[Trajectory, list[dict[str, Any]]]:
    """A sample in `dialect`, and the requests it took."""
    entry = {"match": QUESTION, "turns": list(turns)}
    async with ScriptedServer(script(entry)) as server, model_at(server) as model:
        agent = Agent(model, box, AgentSettings(**{"prompt": "tora", "shots": 0, "dialect": dialect} | settings))
        return await agent.rollout(Problem(problem=QUESTION)), server.requests


@pytest.mark.parametrize("name", DIALECTS)
async def test_roles_alternate_where_a_person_asks_twice(name: str) -> None:
    messages = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": block("print(42)")},
        {"role": "output", "content": "42"},
        {"role": "user", "content": "Why?"},
        {"role": "user", "content": "And how?"},
    ]
    sent = DIALECTS[name].send(messages, load_prompt("tora")).messages
    roles = [message["role"] for message in sent]
    assert roles == ["user", "assistant", *(["tool"] if name == "tools" else []), "user"]
    assert sent[-1]["content"].endswith("Why?\n\nAnd how?")


# fence


async def test_fence_goes_on_within_the_same_turn(box: Sandbox) -> None:
    made, requests = await rollout(
        box, "fence", block("x = 6 * 7\nprint(x)"), block("print(x + 1)", ""), r"So \boxed{42}."
    )
    assert (made.answer, made.dialect) == ("42", "fence")
    assert [len(request["messages"]) for request in requests] == [2, 3, 3]
    assert "continue_final_message" not in requests[0]
    assert requests[1]["continue_final_message"] is True and requests[1]["add_generation_prompt"] is False
    first = "Compute.\n```python\nx = 6 * 7\nprint(x)\n```\n```output\n42\n```\n"
    assert requests[1]["messages"][-1] == {"role": "assistant", "content": first}
    assert requests[2]["messages"][-1]["content"] == first + "\n```python\nprint(x + 1)\n```\n```output\n43\n```\n"
    assert [step.call.asked.continued for step in made.steps if isinstance(step, Reasoning)] == [False, True, True]


async def test_fence_begins_a_new_turn_after_a_message_of_the_user(box: Sandbox) -> None:
    _, requests = await rollout(box, "fence", block("print(6 * 7)"), "Hm.", r"So \boxed{42}.")
    roles = [message["role"] for message in requests[-1]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    assert "continue_final_message" not in requests[-1]


async def test_examples_are_worded_in_each_dialect() -> None:
    tora = load_prompt("tora")
    for name, roles in (("fence", {"assistant"}), ("turns", {"assistant", "user"}), ("tools", {"assistant", "tool"})):
        dialect = DIALECTS[name]
        sent = dialect.send(tora.start(1, tools=dialect.tools, problem="?"), tora).messages
        assert {message["role"] for message in sent[2:-1]} == roles
        assert "sqrt(5)/2" in json.dumps(sent)
        assert ("```output" in json.dumps(sent)) == (name != "tools")


# tools


async def test_tools_run_all_calls_of_a_reply_in_order(box: Sandbox) -> None:
    calls = {"content": "Let me compute.", "tool_calls": ["x = 6", "print(x * 7)"]}
    made, requests = await rollout(box, "tools", calls, r"So \boxed{42}.")
    kinds = ["reasoning", "code", "output", "code", "output", "reasoning", "answer"]
    assert ([step.kind for step in made.steps], made.answer) == (kinds, "42")
    assert [step.text for step in made.steps if isinstance(step, Output)] == ["(no output)", "42"]
    assert requests[0]["tools"][0]["function"]["name"] == "python" and "stop" not in requests[0]
    said, *results = requests[1]["messages"][2:]
    assert said["content"] == "Let me compute."
    assert [json.loads(call["function"]["arguments"])["code"] for call in said["tool_calls"]] == [
        "x = 6",
        "print(x * 7)",
    ]
    assert [(result["role"], result["content"]) for result in results] == [("tool", "(no output)"), ("tool", "42")]
    assert [result["tool_call_id"] for result in results] == [call["id"] for call in said["tool_calls"]]


async def test_a_streamed_tool_call_is_the_same() -> None:
    turn = {"content": "Look.", "tool_calls": ["print('é')", "1"]}
    async with ScriptedServer(script({"match": "", "turns": [turn]})) as server, model_at(server) as model:
        whole, streamed = await ask(model), await ask(model, [])
    assert whole.tool_calls == streamed.tool_calls and len(whole.tool_calls) == 2
    assert whole.finish_reason == streamed.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    "arguments", ['{"code": "print(6 * 7)"}', "print(6 * 7)", '{"code": "print(6 * 7)\n"}', '"print(6 * 7)"']
)
async def test_a_call_is_read_as_models_write_it(box: Sandbox, arguments: str) -> None:
    calls = {"tool_calls": [{"arguments": arguments}]}
    made, _ = await rollout(box, "tools", calls, r"So \boxed{42}.")
    assert [step.text for step in made.steps if isinstance(step, Output)] == ["42"]


@pytest.mark.parametrize(
    "call", [{"arguments": '{"code": 1'}, {"arguments": "{}"}, {"name": "search", "arguments": "{}"}]
)
async def test_a_call_that_cannot_be_read_is_told_so(box: Sandbox, call: dict[str, str]) -> None:
    made, requests = await rollout(box, "tools", {"tool_calls": [call]}, r"So \boxed{42}.")
    (retry,) = (step for step in made.steps if isinstance(step, Retry))
    assert (retry.reason, made.answer) == ("bad_call", "42")
    assert [message["content"] for message in requests[1]["messages"][-2:]] == [EMPTY, retry.text]
    assert made.steps[0].call.tool_calls[0].arguments == call["arguments"]


async def test_one_unreadable_call_of_several_is_told_and_none_is_run(box: Sandbox) -> None:
    calls = ["x = 6", {"arguments": '{"code": 1'}, "print(x * 7)"]
    said = {"content": r"It may be \boxed{41}.", "tool_calls": calls}
    made, requests = await rollout(box, "tools", said, {"tool_calls": ["print(42)"]}, r"So \boxed{42}.")
    kinds = ["reasoning", "retry", "reasoning", "code", "output", "reasoning", "answer"]
    assert ([step.kind for step in made.steps], made.answer) == (kinds, "42")
    assert [message["content"] for message in requests[1]["messages"][-2:]] == [said["content"], made.steps[1].text]


def test_of_a_reply_that_was_cut_the_whole_calls_are_run() -> None:
    calls = [ToolCall(name="python", arguments=each) for each in ('{"code": "x = 6"}', '{"code": "pri')]
    call = ModelCall(raw="", tool_calls=calls, finish_reason="length", usage=Usage(), seconds=0)
    turn = DIALECTS["tools"].read(call, load_prompt("tora"))
    assert (turn.codes, turn.unreadable) == (("x = 6",), False)


@pytest.mark.parametrize(
    "prose",
    [
        block("print(1)", "I plan this.") + "\nThen I call.",
        "I plan this.\n```py\nprint(1)\n```",
        "I plan this.\n```python\nprint(1)",
        "I plan this.\n```output\n9\n```\n  ```python\n  print(1)\n  ```",
    ],
)
async def test_what_was_called_goes_back_and_no_block_of_the_prose(box: Sandbox, prose: str) -> None:
    calls = {"content": prose, "tool_calls": ["x = 6", "print(x * 7)"]}
    made, requests = await rollout(box, "tools", calls, r"So \boxed{42}.")
    assert [step.text for step in made.steps if isinstance(step, Output)] == ["(no output)", "42"]
    exported = chat(made, DIALECTS["tools"])["messages"]
    for sent in (requests[1]["messages"], exported):
        said = [message for message in sent if message.get("tool_calls")]
        assert [code_of(call) for each in said for call in each["tool_calls"]] == ["x = 6", "print(x * 7)"]
        assert said[0]["content"].startswith("I plan this.") and "print(1)" not in said[0]["content"]
    (first, *_) = (step for step in made.steps if isinstance(step, Reasoning))
    assert "print(1)" in first.cut and "print(1)" not in first.text


async def test_a_quoted_block_is_not_sent_back_as_the_call(box: Sandbox) -> None:
    quoted = "````text\n```python\nprint(1)\n```\n````"
    made, requests = await rollout(box, "tools", block("print(6 * 7)", quoted), r"So \boxed{42}.")
    assert made.answer == "42"
    said = requests[1]["messages"][-2]
    assert (said["content"], code_of(said["tool_calls"][0])) == (quoted, "print(6 * 7)")


async def test_calls_that_can_never_be_read_come_to_no_answer(box: Sandbox) -> None:
    made, _ = await rollout(box, "tools", {"tool_calls": [{"arguments": '{"code": print(42'}]}, max_rounds=3)
    assert (made.answer, made.failure, made.usage.calls) == (None, "out_of_rounds", 3)


async def test_a_model_that_writes_a_fence_instead_of_a_call_is_understood(box: Sandbox) -> None:
    made, requests = await rollout(box, "tools", block("print(6 * 7)"), r"So \boxed{42}.")
    assert made.answer == "42"
    assert code_of(requests[1]["messages"][-2]["tool_calls"][0]) == "print(6 * 7)"


async def test_code_with_fences_in_it_goes_back_whole(box: Sandbox) -> None:
    code = "text = '''\n```python\nx\n```\n'''\nprint(len(text))"
    made, requests = await rollout(box, "tools", {"tool_calls": [code]}, r"So \boxed{19}.")
    assert made.answer == "19"
    assert code_of(requests[1]["messages"][-2]["tool_calls"][0]) == code


async def test_checks_are_asked_for_in_a_fence_in_every_dialect(box: Sandbox) -> None:
    for dialect in DIALECTS:
        checking = {"match": "Proposed answer", "turns": [block("check(6 * 7 == 42, 'again')")]}
        first = {"tool_calls": ["print(sum([6] * 7))"]} if dialect == "tools" else block("print(sum([6] * 7))")
        solving = {"match": QUESTION, "turns": [first, r"So \boxed{42}."]}
        async with ScriptedServer(script(checking, solving)) as server, model_at(server) as model:
            settings = AgentSettings(prompt="csv", shots=0, dialect=dialect, independence=False)
            made = await Agent(model, box, settings).rollout(Problem(problem=QUESTION))
        assert (made.answer, made.state) == ("42", "True"), dialect


@pytest.mark.parametrize("dialect", ["fence", "turns", "tools"])
async def test_a_thought_within_the_reply_is_logged_and_not_sent_back(box: Sandbox, dialect: str) -> None:
    thought = f"<think>{block('print(0)')} or \\boxed{{0}}</think>"
    call = {"content": f"{thought}Look.", "tool_calls": ["print(1)"]}
    first = call if dialect == "tools" else thought + block("print(1)", "Look.")
    made, requests = await rollout(box, dialect, first, thought + r"So \boxed{1}.")
    assert made.answer == "1"
    assert [step.result.stdout for step in made.steps if isinstance(step, Output)] == ["1\n"]
    (begun, *_) = (step for step in made.steps if isinstance(step, Reasoning))
    assert thought in begun.call.raw and begun.text == "Look."
    assert "think" not in json.dumps(requests[-1]["messages"])


async def test_a_stop_within_a_thought_is_not_sent_again() -> None:
    turn = f"<think>{block('print(0)')}\n```output\n0\n```</think>It is \\boxed{{0}}."
    async with ScriptedServer(script({"match": "", "turns": [turn]})) as server, model_at(server) as model:
        call = await ask(model, stop=("```output",))
        assert [request.get("stop") for request in server.requests] == [["```output"], None]
    assert (call.raw, call.asked and call.asked.stop) == (turn, [])
    # The first reply was paid for, too.
    assert (call.usage.calls, model.spending.spent.calls) == (1, 2)


async def test_fence_says_once_where_an_endpoint_cannot_go_on_within_a_turn(caplog: pytest.LogCaptureFixture) -> None:
    async def chat(request: web.Request) -> web.StreamResponse:
        if "continue_final_message" in await request.json():
            said = "continue_final_message: Extra inputs are not permitted; add_generation_prompt: not permitted"
            return web.json_response({"error": {"message": said}}, status=422)
        return reply("six")

    begun = Sent([{"role": "user", "content": "?"}, {"role": "assistant", "content": "five,"}], continued=True)
    async with serving(chat) as served, Model(served.endpoint(), ClientSettings(first_wait=0.01)) as model:
        calls = [await model.complete(begun, max_tokens=9, temperature=0, seed=0) for _ in range(2)]
    assert [call.asked and call.asked.continued for call in calls] == [False, False]
    assert len(served.requests) == 3
    assert [record.message for record in caplog.records if "--dialect fence" in record.message] == [caplog.messages[0]]


@pytest.mark.parametrize("wanted", [True, False])
async def test_a_thought_goes_back_to_an_endpoint_that_wants_it_and_to_no_other(box: Sandbox, wanted: bool) -> None:
    said = "The `reasoning_content` in the thinking mode must be passed back to the API."

    async def chat(request: web.Request) -> web.StreamResponse:
        before = [each for each in (await request.json())["messages"] if each["role"] == "assistant"]
        if wanted and not all("reasoning_content" in each for each in before):
            return web.json_response({"error": {"message": said, "code": "invalid_request_error"}}, status=400)
        if sum("tool_calls" in each for each in before) > 1:
            return reply(r"So \boxed{42}.")
        return reply(tool_calls=[CALL], reasoning_content="Multiply.")

    async with serving(chat) as served, Model(served.endpoint()) as model:
        agent = Agent(model, box, AgentSettings(prompt="tora", shots=1, dialect="tools"))
        made = await agent.rollout(Problem(problem=QUESTION))
    assert made.answer == "42"
    thoughts = [
        each.get("reasoning_content") for each in served.requests[-1]["messages"] if each["role"] == "assistant"
    ]
    # The example's two messages have none.
    assert thoughts == (["", "", "Multiply."] if wanted else [None] * 3)


# auto


def reply(content: str = "", **message: Any) -> web.Response:
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": "stop"}
    return web.json_response({"choices": [choice]})


CALL = {"id": "1", "type": "function", "function": {"name": "python", "arguments": '{"code": "print(7919 * 6841)"}'}}


@pytest.mark.parametrize(
    ("tools", "continued", "chosen", "why"),
    [
        (reply(tool_calls=[CALL]), None, "tools", "the model calls tools"),
        (reply("54173879"), reply(" 52, 53"), "fence", "called no tool when told to; the endpoint continues a turn"),
        (reply("?"), reply("1, 2, 3, 4"), "turns", "begins a new turn instead of continuing one"),
        (
            web.json_response({"error": {"message": "no tools here"}}, status=400),
            web.json_response({"error": {"message": "last role must be user"}}, status=400),
            "turns",
            "no tools here.*does not continue a turn .*last role must be user",
        ),
        (
            web.json_response({"error": {"message": "tools param requires --jinja flag"}}, status=500),
            web.json_response({"error": {"message": "Cannot continue: roles must alternate"}}, status=500),
            "turns",
            "takes no tools .*does not continue a turn ",
        ),
    ],
)
async def test_auto_asks_the_endpoint(tools: web.Response, continued: web.Response, chosen: str, why: str) -> None:
    async def chat(request: web.Request) -> web.StreamResponse:
        answer = tools if "tools" in await request.json() else continued
        return web.json_response(json.loads(answer.text or ""), status=answer.status)

    async with serving(chat) as served, Model(served.endpoint(), ClientSettings(first_wait=0.01)) as model:
        dialect, said = await choose_dialect("auto", model)
    assert dialect.name == chosen
    assert why.split(".*")[0] in said and why.split(".*")[-1] in said


@pytest.mark.parametrize("fault", ["rate_limit", "stall", "server_error", "html_error", "malformed_json"])
async def test_auto_takes_no_passing_fault_for_an_inability(fault: str) -> None:
    async with (
        ScriptedServer(script({"match": "", "turns": [{"fault": fault}]})) as server,
        model_at(server, silence_seconds=0.3) as model,
    ):
        with pytest.raises(ModelUnavailable):
            await choose_dialect("auto", model)


async def test_a_dialect_that_is_named_costs_no_call() -> None:
    async with ScriptedServer(script({"match": "", "turns": ["x"]})) as server, model_at(server) as model:
        dialect, said = await choose_dialect("fence", model)
        assert (dialect.name, said, server.requests) == ("fence", "as asked for (--dialect)", [])


def test_auto_says_what_it_chose_and_why(engine: object, tmp_path: Path) -> None:
    jsonl(tmp_path / "own.jsonl", row(1))
    turns = [{"match": "Use the tool", "turns": ["54173879"]}, {"match": "Count", "turns": ["1, 2"]}]
    with serving_apart(script(*turns, {"match": "", "turns": [r"So \boxed{1}."]})) as server:
        where = ("--base-url", server.base_url, "--model", "scripted", "--dialect", "auto", "--shots", 0)
        why = "the model called no tool when told to; the endpoint begins a new turn"
        said = f"dialect turns: {why}"
        for command in (("solve", "1?", "--prompt", "tora"), ("eval", "sample", "--data", "own.jsonl")):
            done = tora_in(tmp_path, *command, *where)
            assert (done.status, said in " ".join(done.out.split())) == (0, True), done.out + done.err
    (run,) = (tmp_path / "runs").iterdir()
    manifest = Run.read(run).manifest
    assert (manifest.dialect, manifest.dialect_reason.startswith(why)) == ("turns", True)
    assert manifest.spent.calls == 3  # two of them to choose the dialect
