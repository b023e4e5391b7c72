"""The client of a model, over HTTP: whole and streamed replies, what is tried again, what is refused at once."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import re
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from prompts import load_prompt
from tests.conftest import model_at, script
from tora_agent.dialects import Sent
from tora_agent.dialects.base import read_fenced
from tora_agent.errors import ContextFull, ModelError, ModelRefused, ModelUnavailable
from tora_agent.model import ClientSettings, Endpoint
from tora_agent.model.client import CONNECT_SECONDS, Model
from tora_agent.model.scripted import ScriptedServer
from tora_agent.steps import Asked, ModelCall

KEY = "a-made-up-key-that-must-not-show"
TEXT = "one two  three\nfour five six"
QUICK = ClientSettings(tries=3, first_wait=0.01)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def ask(model: Model, pieces: list[str | None] | None = None, **options: Any) -> ModelCall:
    """One call; streamed if there is a list to take the pieces."""
    on_text = None if pieces is None else pieces.append
    chosen: dict[str, Any] = {"max_tokens": 100, "temperature": 0.5, "seed": 7} | options
    sent = Sent([{"role": "user", "content": "hello"}], stop=chosen.pop("stop", ()))
    return await model.complete(sent, on_text=on_text, **chosen)


def scripted(*turns: Any, **options: Any) -> ScriptedServer:
    return ScriptedServer(script({"match": "", "turns": list(turns)}, **options))


class Served:
    """A server with a handler of one's own for chats: its address and the bodies it received."""

    def __init__(self) -> None:
        self.base_url = ""
        self.requests: list[dict[str, Any]] = []

    def endpoint(self, model: str = "m") -> Endpoint:
        return Endpoint(model=model, base_url=self.base_url, api_key=KEY)


@asynccontextmanager
async def serving(chat: Handler, models: Handler | None = None) -> AsyncIterator[Served]:
    served = Served()

    async def record(request: web.Request) -> web.StreamResponse:
        served.requests.append(await request.json())
        return await chat(request)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", record)
    if models:
        app.router.add_get("/v1/models", models)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    served.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield served
    finally:
        await runner.cleanup()


def whole(content: str | None, finish_reason: str | None = "stop", **fields: Any) -> web.Response:
    """A completion with the fewest fields."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish_reason}
    return web.json_response({"choices": [choice], **fields})


def refusal(status: int, message: str, **fields: Any) -> web.Response:
    return web.json_response({"error": {"message": message, **fields}}, status=status)


def answering(response: Callable[[], web.Response]) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return response()

    return handle


def models_named(*names: str) -> Handler:
    return answering(lambda: web.json_response({"object": "list", "data": [{"id": name} for name in names]}))


def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return f"data: {json.dumps({'model': 'm', 'choices': [choice]})}\n\n"


# Replies


@pytest.mark.anyio
async def test_a_streamed_reply_is_the_same_as_a_whole_one() -> None:
    pieces: list[str | None] = []
    turn = {"content": TEXT, "reasoning": "let me think"}
    async with scripted(turn, model="tiny") as server, model_at(server) as model:
        plain, streamed = await ask(model), await ask(model, pieces)
        assert (model.reported, model.fingerprint[:3]) == ("tiny", "fp_")
    timeless = {"seconds"}
    assert plain.model_dump(exclude=timeless) == streamed.model_dump(exclude=timeless)
    assert "".join(piece or "None" for piece in pieces) == plain.raw == TEXT
    assert len(pieces) == 6
    assert (plain.usage.calls, plain.usage.prompt_tokens, plain.usage.completion_tokens) == (1, 1, 9)
    assert plain.finish_reason == "stop"


@pytest.mark.anyio
async def test_the_request_says_what_was_asked() -> None:
    async with scripted(TEXT) as server, model_at(server) as model:
        call = await ask(model, max_tokens=5, temperature=0.25, seed=11, stop=("five",))
        await ask(model)
        first, second = server.requests
    assert first == {
        "model": "scripted",
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 5,
        "temperature": 0.25,
        "seed": 11,
        "stop": ["five"],
    }
    assert call.raw == "one two  three\nfour "
    assert "stop" not in second


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_a_reply_cut_by_the_token_limit_says_so(stream: bool) -> None:
    async with scripted(TEXT) as server, model_at(server) as model:
        call = await ask(model, [] if stream else None, max_tokens=2)
    assert (call.raw, call.finish_reason, call.usage.completion_tokens) == ("one two", "length", 2)


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_reasoning_is_kept_apart_from_the_reply(stream: bool) -> None:
    pieces: list[str | None] = []
    async with scripted({"content": "six", "reasoning": "let me think"}) as server, model_at(server) as model:
        call = await ask(model, pieces if stream else None)
    assert (call.raw, call.reasoning) == ("six", "let me think")
    assert pieces == (["six"] if stream else [])


@pytest.mark.anyio
async def test_reasoning_under_its_newer_name() -> None:
    message = {"role": "assistant", "content": "six", "reasoning": "let me think"}
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    async with serving(answering(lambda: web.json_response(body))) as served, Model(served.endpoint()) as model:
        call = await ask(model)
    assert (call.raw, call.reasoning) == ("six", "let me think")


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_reasoning_in_parts_of_the_content(stream: bool) -> None:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "let me think"}]}
    content: list[Any] = [thought, {"type": "text", "text": "si"}, {"type": "text", "text": "x"}]
    lines = [chunk({"content": content[:1]}), chunk({"content": content[1:]}), chunk({"content": "!"}, "stop")]
    events = web.Response(text="".join(lines), content_type="text/event-stream")
    message = {"role": "assistant", "content": [*content, {"type": "text", "text": "!"}]}
    body = web.json_response({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
    async with serving(answering(lambda: events if stream else body)) as served, Model(served.endpoint()) as model:
        call = await ask(model, [] if stream else None)
    assert (call.raw, call.reasoning) == ("six!", "let me think")


@pytest.mark.anyio
async def test_a_thought_that_the_template_began_and_the_limit_cut_is_no_answer() -> None:
    cut = r"Perhaps \boxed{5}? No:"
    spoken, ended = ("A </think> ends it.", "stop"), ("Hm.\n</think>\n\nSix.", "stop")
    said = [spoken, (cut, "length"), ended, (cut, "length"), ("Six.", "stop"), ("<think>Hm", "length")]
    answers = iter([whole(*each) for each in [*said, said[1]]])
    async with serving(answering(lambda: next(answers))) as served, Model(served.endpoint()) as model:
        calls = [await ask(model) for _ in said]
        sent = Sent([{"role": "user", "content": "?"}, {"role": "assistant", "content": "Six"}], continued=True)
        calls.append(await model.complete(sent, max_tokens=9, temperature=0, seed=0))
    # Of the first that was cut nobody knows, and one that is gone on with does not begin with a thought.
    parted = [*((text, "") for text, _ in said[:3]), ("", cut), ("Six.", ""), ("<think>Hm", ""), (cut, "")]
    assert [(call.raw, call.reasoning) for call in calls] == parted


@pytest.mark.anyio
@pytest.mark.parametrize("content", ["six", "", None])
async def test_a_reply_with_the_fewest_fields_is_enough(content: str | None) -> None:
    async with serving(answering(lambda: whole(content))) as served, Model(served.endpoint()) as model:
        call = await ask(model)
        assert (model.reported, model.fingerprint) == ("", "")
    assert (call.raw, call.usage.calls, call.usage.completion_tokens) == (content or "", 1, 0)


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("echo", ["1, 2, ", ""])
async def test_what_a_server_repeats_of_a_turn_it_goes_on_with_is_not_the_models(echo: str, stream: bool) -> None:
    sent = Sent([{"role": "user", "content": "count"}, {"role": "assistant", "content": "1, 2, "}], continued=True)
    pieces: list[str | None] = []
    async with scripted(f"{echo}3, 4") as server, model_at(server) as model:
        on_text = pieces.append if stream else None
        call = await model.complete(sent, max_tokens=9, temperature=0, seed=0, on_text=on_text)
    assert (call.raw, "".join(filter(None, pieces))) == ("3, 4", "3, 4" if stream else "")


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_lone_surrogates_become_valid_text(stream: bool) -> None:
    async def chat(request: web.Request) -> web.StreamResponse:
        if not stream:
            return whole("a \ud83d b")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for line in (chunk({"content": "a \ud83d"}), chunk({"content": " b"}, "stop"), "data: [DONE]\n\n"):
            await response.write(line.encode())
        return response

    pieces: list[str | None] = []
    async with serving(chat) as served, Model(served.endpoint()) as model:
        call = await ask(model, pieces if stream else None)
    assert call.raw == "a ? b"
    assert [piece.encode() for piece in pieces if piece] == ([b"a ?", b" b"] if stream else [])
    assert ModelCall.model_validate_json(call.model_dump_json()) == call


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("said", "meant"),
    [
        *((each, "length") for each in ("model_length", "max_tokens", "MAX_TOKENS", "model_context_window_exceeded")),
        *((each, "stop") for each in ("eos", "eos_token", "stop_sequence", "end_turn", "COMPLETE")),
        ("function_call", "tool_calls"),
        ("sensitive", "content_filter"),
        ("content_filter", "content_filter"),
        ("unheard-of", "unheard-of"),
        ("STOP", "stop"),
        ("LENGTH", "length"),
    ],
)
async def test_a_finish_reason_is_told_in_openais_words(said: str, meant: str) -> None:
    async with serving(answering(lambda: whole("six", said))) as served, Model(served.endpoint()) as model:
        call = await ask(model)
    assert call.finish_reason == meant
    turn = read_fenced(call.model_copy(update={"raw": "```python\nprint(1)"}), load_prompt("tora"))
    assert bool(turn.code) == (meant not in ("length", "content_filter"))


def pieces_of(*deltas: dict[str, Any]) -> Handler:
    """A stream with these pieces of tool calls."""
    lines = [*(chunk({"tool_calls": [each]}) for each in deltas), chunk({}, "tool_calls")]
    return answering(lambda: web.Response(text="".join(lines), content_type="text/event-stream"))


def piece(arguments: str, index: int | None = 0, name: str | None = None, **more: Any) -> dict[str, Any]:
    function = {"arguments": arguments} | ({"name": name} if name is not None else {})
    return {"function": function} | ({"index": index} if index is not None else {}) | more


@pytest.mark.anyio
@pytest.mark.parametrize(
    "deltas",
    [
        [piece("one", 0, "f", id="a"), piece("two", 0, "f", id="b")],
        [piece("one", 0, "f", id=""), piece("two", 0, "f", id="")],
        [piece("one", None, "f"), piece("two", None, "f")],
        [piece("", 0, "f", id="a"), piece("on", 0), piece("", 1, "f", id="b"), piece("two", 1), piece("e", 0)],
        [piece("o", 0, "f", id="a"), piece("ne", 0, "f", id="a"), piece("two", 0, "f", id="b")],
        [piece("o", 0, "f", id="a"), piece("ne", 0, "", id=""), piece("t", 1, "f", id="b"), piece("wo", 1, "")],
        [piece("two", 1, "f", id="b"), piece("one", 0, "f", id="a")],
        [piece("o", 0, "f", id="a"), piece("n", 0, id="b"), piece("e", 0, id="c"), piece("two", 0, "f", id="d")],
    ],
    ids=[
        *("ids", "empty ids", "no index", "interleaved", "repeated id", "empty names", "out of order"),
        "an id for each piece",
    ],
)
async def test_streamed_calls_are_told_apart(deltas: list[dict[str, Any]]) -> None:
    async with serving(pieces_of(*deltas)) as served, Model(served.endpoint()) as model:
        call = await ask(model, [])
    assert [(each.name, each.arguments) for each in call.tool_calls] == [("f", "one"), ("f", "two")]


@pytest.mark.anyio
async def test_usage_within_a_choice_of_a_stream() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 3}
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": usage}]}
    events = chunk({"content": "six"}) + f"data: {json.dumps(last)}\n\n"
    page = answering(lambda: web.Response(text=events, content_type="text/event-stream"))
    async with serving(page) as served, Model(served.endpoint()) as model:
        call = await ask(model, [])
    assert (call.usage.prompt_tokens, call.usage.completion_tokens) == (5, 3)


# What is tried again


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "rate_limit"},
        {"fault": "rate_limit", "retry_after": 1},
        {"fault": "server_error"},
        {"fault": "html_error"},
        {"fault": "cut_stream"},
        {"fault": "malformed_json"},
        {"fault": "stall"},
    ],
    ids=lambda fault: "-".join(map(str, fault.values())),
)
async def test_a_passing_fault_is_survived(fault: dict[str, Any], stream: bool) -> None:
    pieces: list[str | None] = []
    wait = fault.get("retry_after", 0.005)
    async with (
        scripted({"content": TEXT, "times": 1} | fault) as server,
        model_at(server, silence_seconds=2) as model,
    ):
        started = time.monotonic()
        call = await ask(model, pieces if stream else None)
        assert time.monotonic() - started >= wait
        assert len(server.requests) == 2
        assert server.requests[0] == server.requests[1]
    assert (call.raw, call.finish_reason) == (TEXT, "stop")
    if stream:
        last = "".join(piece or "|" for piece in pieces).split("|")
        begun = "one two  three" if fault["fault"] in ("cut_stream", "malformed_json", "stall") else ""
        assert last == [begun, TEXT]


@pytest.mark.anyio
@pytest.mark.parametrize("fault", ["rate_limit", "server_error", "html_error", "cut_stream", "malformed_json"])
async def test_a_lasting_fault_ends_after_all_tries(fault: str) -> None:
    async with scripted({"fault": fault}) as server, model_at(server) as model:
        with pytest.raises(ModelUnavailable) as caught:
            await ask(model)
        assert len(server.requests) == 3
    assert server.base_url in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, ModelRefused)


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_a_reply_without_a_finish_reason_is_not_whole(stream: bool) -> None:
    async with serving(answering(lambda: whole("half", None))) as served, Model(served.endpoint(), QUICK) as model:
        with pytest.raises(ModelUnavailable, match="keeps failing"):
            await ask(model, [] if stream else None)
    assert len(served.requests) == 3


@pytest.mark.anyio
@pytest.mark.parametrize(
    "body",
    [
        *("{}", '{"choices": []}', "null", "<html>a web page</html>", "", "[" * 100_000),
        '{"choices": [{"message": {"content": [["x"]]}, "finish_reason": "stop"}]}',
        '{"choices": [{"message": "x", "finish_reason": "stop"}]}',
    ],
)
async def test_a_reply_without_a_message_is_not_whole(body: str) -> None:
    kind = "text/html" if "<" in body else "application/json"
    page = answering(lambda: web.Response(text=body, content_type=kind))
    async with serving(page) as served, Model(served.endpoint(), QUICK) as model:
        with pytest.raises(ModelUnavailable, match="keeps failing"):
            await ask(model)
    assert len(served.requests) == 3


@pytest.mark.anyio
@pytest.mark.parametrize("reason", ["abort", "error", "insufficient_system_resource", "network_error"])
async def test_a_reply_that_the_server_broke_off_is_not_whole(reason: str) -> None:
    async with serving(answering(lambda: whole("half", reason))) as served, Model(served.endpoint(), QUICK) as model:
        with pytest.raises(ModelUnavailable, match="broke off"):
            await ask(model)
    assert len(served.requests) == 3


@pytest.mark.anyio
@pytest.mark.parametrize(
    "line",
    [
        *("null", "[]", "3", '{"choices": 3}', '{"x": 1}', '{"error": {"message": "boom"}}'),
        '{"choices": [{"index": 0, "delta": {"content": 5}, "finish_reason": "stop"}]}',
        '{"choices": [{"index": 0, "delta": {"tool_calls": [3]}, "finish_reason": "stop"}]}',
    ],
)
async def test_a_stream_of_something_else_is_no_reply(line: str) -> None:
    page = answering(lambda: web.Response(text=f"data: {line}\n\n", content_type="text/event-stream"))
    async with serving(page) as served, Model(served.endpoint(), QUICK) as model:
        with pytest.raises(ModelUnavailable, match="keeps failing"):
            await ask(model, [])
    assert len(served.requests) == 3


@asynccontextmanager
async def sending(answer: bytes) -> AsyncIterator[Endpoint]:
    """A server that answers a chat with these bytes and hangs up."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        # Hanging up on what is unread would reset the connection, and the client might not see the answer.
        if length := re.search(rb"(?i)content-length: (\d+)", head):
            await reader.readexactly(int(length[1]))
        missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        writer.write(missing if head.startswith(b"GET") else answer)
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        yield Endpoint(model="m", base_url=address, api_key=KEY)


EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
HALF = chunk({"content": "a word"})[:60].encode()


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "Server disconnected"),
        (b"this is not HTTP\r\n\r\n", "Bad status line"),
        (EVENTS + b"%x\r\n%b" % (len(HALF), HALF), "Not enough data"),
    ],
    ids=["nothing", "garbage", "in mid-token"],
)
async def test_a_connection_that_breaks_is_tried_again_and_named(answer: bytes, words: str, stream: bool) -> None:
    async with sending(answer) as endpoint, Model(endpoint, QUICK) as model:
        with pytest.raises(ModelUnavailable, match=words) as caught:
            await ask(model, [] if stream else None)
    assert "\n" not in str(caught.value)


@pytest.mark.anyio
async def test_arguments_that_are_not_a_text_are_read_all_the_same() -> None:
    call = {"function": {"name": "python", "arguments": {"code": "1"}}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    usage = {"prompt_tokens": None}
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}], "usage": usage}
    async with serving(answering(lambda: web.json_response(body))) as served, Model(served.endpoint()) as model:
        assert (await ask(model)).tool_calls[0].arguments == '{"code": "1"}'


@pytest.mark.anyio
async def test_waiting_for_another_try_is_no_working_time() -> None:
    turn = {"content": TEXT, "fault": "rate_limit", "times": 1, "retry_after": 1}
    async with scripted(turn) as server, model_at(server) as model:
        started = time.monotonic()
        call = await ask(model)
    assert call.seconds < time.monotonic() - started - 1


# What is refused at once


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "words"),
    [("quota", "has no quota left"), ("bad_key", "OPENAI_API_KEY"), ("unknown_model", "'scripted'.*--model")],
)
async def test_what_only_the_user_can_mend_is_refused_at_once(fault: str, words: str, stream: bool) -> None:
    async with scripted({"fault": fault}) as server, model_at(server) as model:
        with pytest.raises(ModelRefused, match=words) as caught:
            await ask(model, [] if stream else None)
        assert len(server.requests) == 1
    assert "\n" not in str(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize("seconds", ["7200", "inf"])
async def test_a_rate_limit_of_hours_is_not_waited_for(seconds: str) -> None:
    """The daily limit of a free tier, for instance: a run that waits for it looks like one that hangs."""
    limit = answering(
        lambda: web.json_response({"error": "free calls used up"}, status=429, headers={"Retry-After": seconds})
    )
    async with serving(limit) as served, Model(served.endpoint(), QUICK) as model:
        with pytest.raises(ModelRefused, match=r"limits the rate for .* h: free calls used up"):
            await ask(model)
    assert len(served.requests) == 1


@pytest.mark.anyio
async def test_an_address_without_chats_is_no_unknown_model() -> None:
    async with scripted("x") as server:
        endpoint = Endpoint(model="m", base_url=server.base_url.removesuffix("/v1"), api_key=KEY)
        async with Model(endpoint, QUICK) as model:
            with pytest.raises(ModelRefused, match=r"has no chat completions.*ends in /v1"):
                await ask(model)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": "slow down"}, "slow down"),
        ({"detail": "no such page"}, "no such page"),
        ([{"error": {"code": 9, "message": "used up"}}], "used up"),
        ({"error": {"message": "odd", "code": {}, "type": []}}, "odd"),
    ],
)
@pytest.mark.parametrize("status", [400, 405, 413, 429, 500])
async def test_the_servers_own_words_are_told(status: int, body: Any, words: str) -> None:
    refused = answering(lambda: web.json_response(body, status=status))
    async with serving(refused) as served, Model(served.endpoint(), QUICK) as model:
        with pytest.raises(ModelError, match=words) as caught:
            await ask(model)
    assert isinstance(caught.value, ModelUnavailable) == (status in (429, 500))
    assert len(served.requests) == (3 if status in (429, 500) else 1)


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, {"message": "The response was filtered", "code": "content_filter", "param": "prompt"}),
        (400, {"message": "rejected", "code": 400, "type": "content_filter"}),
        (400, {"message": "Content Exists Risk", "code": "invalid_request_error"}),
        (403, {"message": "flagged", "code": 403, "metadata": {"reasons": ["violence"], "flagged_input": "kill"}}),
        (200, {"message": "Inappropriate content.", "code": "data_inspection_failed"}),
    ],
)
async def test_what_a_content_filter_refuses_is_an_empty_reply(
    status: int, error: dict[str, Any], stream: bool
) -> None:
    body = web.json_response({"error": error}, status=status)
    event = web.Response(text=f"data: {json.dumps({'error': error})}\n\n", content_type="text/event-stream")
    refused = answering(lambda: event if stream and status == 200 else body)
    async with serving(refused) as served, Model(served.endpoint(), QUICK) as model:
        call = await ask(model, [] if stream else None)
    assert (call.raw, call.finish_reason, len(served.requests)) == ("", "content_filter", 1)


@pytest.mark.anyio
async def test_a_bad_key_is_refused_on_entering() -> None:
    async with scripted("x", api_key="another") as server:
        with pytest.raises(ModelRefused, match=r"refuses the key.*OPENAI_API_KEY"):
            async with model_at(server):
                pass
        assert server.requests == []


@pytest.mark.anyio
@pytest.mark.parametrize("user", ["", "user:secret@"])
async def test_an_endpoint_that_cannot_be_reached_is_refused(user: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        started = time.monotonic()
        with pytest.raises(ModelRefused, match=r"cannot reach http://127\.0\.0\.1.*--base-url") as caught:
            async with Model(Endpoint(model="m", base_url=f"http://{user}127.0.0.1:{taken.getsockname()[1]}/v1")):
                pass
    assert time.monotonic() - started < CONNECT_SECONDS
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.anyio
async def test_a_user_and_password_in_the_address_are_sent_in_the_place_of_a_key() -> None:
    seen: list[str | None] = []

    async def chat(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization"))
        return whole("fine")

    async with serving(chat) as served:
        named = served.base_url.replace("//", "//user:p%40ss@")
        for key in (None, KEY):
            async with Model(Endpoint(model="m", base_url=named, api_key=key), QUICK) as model:
                assert (await ask(model)).raw == "fine"
    assert seen == ["Basic " + base64.b64encode(b"user:p@ss").decode()] * 2


@pytest.mark.anyio
async def test_an_empty_variable_for_the_address_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.close()

    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as server:
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("OPENAI_BASE_URL", "")
        with pytest.raises(ModelRefused, match="cannot reach OpenAI's endpoint"):
            async with Model(Endpoint(model="m", api_key=KEY)):
                pass
    assert set(asked) == {b"CONNECT api.openai.com:443 HTTP/1.1\r\n"}


@pytest.mark.anyio
async def test_a_server_that_never_answers_is_refused() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(mute, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        started = time.monotonic()
        with pytest.raises(ModelRefused, match=r"cannot reach .*: no answer in time"):
            async with Model(Endpoint(model="m", base_url=f"http://127.0.0.1:{port}/v1")):
                pass
        assert time.monotonic() - started < 2 * CONNECT_SECONDS


@pytest.mark.anyio
async def test_a_full_context_is_an_error_of_its_own() -> None:
    said = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."
    chat = answering(lambda: refusal(400, said, type="BadRequestError", code="400"))
    async with serving(chat) as served, Model(served.endpoint(), QUICK) as model:
        with pytest.raises(ContextFull, match="maximum context length is 4096"):
            await ask(model)
    assert len(served.requests) == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("words", "fields"),
    [
        ("Please reduce the length of the messages or completion.", {"code": "context_length_exceeded"}),
        ("Please reduce the length of the messages or completion. Current length is 42328 while limit is 40000", {}),
        ("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", {"code": 400}),
        ("This model's maximum prompt length is 131072 but the request contains 200000 tokens.", {}),
        ("Too much.", {"code": "context_length_exceeded"}),
        ("Input validation error: `inputs` must have less than 4095 tokens. Given: 5000", {}),
        ("Prompt exceeds max length", {}),
    ],
    ids=["Groq", "Cerebras", "Gemini", "xAI", "its code alone", "TGI", "Zhipu"],
)
async def test_a_full_context_is_known_in_whatever_words(words: str, fields: dict[str, Any]) -> None:
    refused = answering(lambda: refusal(400, words, **fields))
    async with serving(refused) as served, Model(served.endpoint(), QUICK) as model:
        with pytest.raises(ContextFull):
            await ask(model)
    assert len(served.requests) == 1


TOO_MANY = "This model's maximum context length is 1000 tokens. However, you requested "


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (TOO_MANY + "{total} tokens (400 in the messages, {asked} in the completion).", [900, 600]),
        ("'max_tokens' is too large: {asked}. " + TOO_MANY + "too many: your request has 400 input tokens", [900, 600]),
        (
            "Please reduce the length of the messages or completion. Current length is {total} while limit is 1000",
            [900, 600],
        ),
        # This count is only as much as the server has looked at.
        (TOO_MANY + "{asked} output tokens and your prompt contains at least {rest} input tokens", [900, 450]),
        ("max_tokens is too large: {asked}. This model supports at most 600 completion tokens.", [900, 450]),
    ],
)
async def test_as_many_tokens_are_asked_for_as_there_is_room(words: str, asked: list[int]) -> None:
    async def chat(request: web.Request) -> web.StreamResponse:
        most = (await request.json())["max_tokens"]
        if most <= 600:
            return whole("fine", "length")
        said = words.format(asked=most, total=most + 400, rest=1001 - most)
        return refusal(400, said, type="BadRequestError", code=400, param="max_tokens")

    async with serving(chat) as served, Model(served.endpoint(), QUICK) as model:
        call = await ask(model, max_tokens=900)
    assert [request["max_tokens"] for request in served.requests] == asked
    assert call.asked and call.asked.max_tokens == asked[-1]


@pytest.mark.anyio
async def test_a_prompt_that_leaves_no_room_fills_the_context() -> None:
    said = f"{TOO_MANY}1980 tokens (980 in the messages, 1000 in the completion)."
    chat = answering(lambda: refusal(400, said))
    async with serving(chat) as served, Model(served.endpoint(), QUICK) as model:
        with pytest.raises(ContextFull):
            await ask(model, max_tokens=1000)
    assert len(served.requests) == 1


@pytest.mark.anyio
async def test_another_bad_request_is_not_tried_again() -> None:
    chat = answering(lambda: refusal(400, "messages: too\nmany", type="invalid_request_error"))
    async with serving(chat) as served, Model(served.endpoint(), QUICK) as model:
        with pytest.raises(ModelError, match="rejects the request: messages: too many") as caught:
            await ask(model)
    assert type(caught.value) is ModelError
    assert len(served.requests) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
async def test_a_key_that_the_server_repeats_is_in_no_message(status: int) -> None:
    chat = answering(lambda: refusal(status, f"no way with the key {KEY}", code="insufficient_quota"))
    async with serving(chat) as served, Model(served.endpoint(), QUICK) as model:
        with pytest.raises(ModelError, match="no way with the key") as caught:
            await ask(model)
    assert KEY not in str(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "kind", "tries"),
    [
        ({"message": "Insufficient credits", "code": 402}, ModelRefused, 1),
        ({"message": "no more", "type": "insufficient_quota"}, ModelRefused, 1),
        ({"message": "who?", "code": "invalid_api_key"}, ModelRefused, 1),
        ({"message": "bad roles", "code": 400}, ModelError, 1),
        ({"message": "bad roles", "type": "invalid_request_error"}, ModelError, 1),
        ({"message": "prompt is too long", "code": "400"}, ContextFull, 1),
        ({"message": "slow down", "code": 429}, ModelUnavailable, 3),
        ({"message": "boom", "code": 502}, ModelUnavailable, 3),
        ({"message": "boom"}, ModelUnavailable, 3),
        ("boom", ModelUnavailable, 3),
    ],
)
async def test_an_error_in_the_place_of_a_reply_is_what_its_code_says(
    error: Any, kind: type[ModelError], tries: int, stream: bool
) -> None:
    body = json.dumps({"error": error})
    text, type_ = (f"data: {body}\n\n", "text/event-stream") if stream else (body, "application/json")
    page = answering(lambda: web.Response(text=text, content_type=type_))
    async with serving(page) as served, Model(served.endpoint(), QUICK) as model:
        with pytest.raises(ModelError, match=error if isinstance(error, str) else error["message"]) as caught:
            await ask(model, [] if stream else None)
    assert (type(caught.value), len(served.requests)) == (kind, tries)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "words", ["`inputs` cannot be empty", "Your prompt exceeds the rate tier", "input length is 0"]
)
async def test_what_only_speaks_of_the_prompt_is_no_full_context(words: str) -> None:
    async with serving(answering(lambda: refusal(400, words))) as served, Model(served.endpoint(), QUICK) as model:
        with pytest.raises(ModelError, match=words) as caught:
            await ask(model)
    assert not isinstance(caught.value, ContextFull)


@pytest.mark.anyio
async def test_a_rate_limit_in_the_place_of_a_reply_slows_all_calls() -> None:
    answers = iter([web.json_response({"error": {"message": "slow down", "code": 429}}), whole("fine")])
    async with serving(answering(lambda: next(answers))) as served, Model(served.endpoint(), QUICK) as model:
        assert (await ask(model)).raw == "fine"
        assert model._pace.limit < math.inf


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("words", "tries"),
    [
        ("tools param requires --jinja flag", 1),
        ("Conversation roles must alternate user/assistant", 1),
        ("Failed to parse tool call", 3),
        ("Prefill transfer failed for request rank=0", 3),
        ("Failed to assume role for upstream", 3),
        ("out of memory", 3),
    ],
)
async def test_a_server_error_about_the_form_of_the_request_is_not_tried_again(words: str, tries: int) -> None:
    async with serving(answering(lambda: refusal(500, words))) as served, Model(served.endpoint(), QUICK) as model:
        with pytest.raises(ModelError, match=words):
            await ask(model)
    assert len(served.requests) == tries


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "words"), [(403, "no"), (403, "Missing scopes: api.model.read"), (401, "Missing scopes: model.read")]
)
async def test_a_key_that_may_not_list_the_models_may_chat(status: int, words: str) -> None:
    models = answering(lambda: refusal(status, words))
    async with serving(answering(lambda: whole("fine")), models) as served:
        async with Model(served.endpoint("m"), QUICK) as model:
            assert (await ask(model)).raw == "fine"
        with pytest.raises(ModelRefused, match="refuses the key"):
            async with Model(served.endpoint("")):
                pass


@pytest.mark.anyio
async def test_a_key_that_the_server_repeats_on_entering_is_in_no_message() -> None:
    models = answering(lambda: refusal(401, f"no way with the key {KEY}"))
    async with serving(answering(lambda: whole("x")), models) as served:
        with pytest.raises(ModelRefused, match="no way with the key") as caught:
            async with Model(served.endpoint()):
                pass
    assert KEY not in str(caught.value)


# Parameters that an endpoint does not take


def picky(*refused: str) -> Handler:
    """A server that refuses these parameters, one at a time."""

    async def chat(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        await asyncio.sleep(0.05)
        for parameter in refused:
            if parameter in asked:
                said = f"Unsupported parameter: '{parameter}' is not supported with this model."
                return refusal(400, said, param=parameter, code="unsupported_parameter")
        return whole("fine")

    return chat


@pytest.mark.anyio
@pytest.mark.parametrize("parameter", ["stop", "temperature", "seed"])
async def test_an_unsupported_parameter_is_left_out_from_then_on(parameter: str) -> None:
    async with serving(picky(parameter)) as served, Model(served.endpoint(), QUICK) as model:
        replies = [(await ask(model, stop=("x",))).raw for _ in range(2)]
    assert replies == ["fine", "fine"]
    first, second, third = served.requests
    assert second == third == {key: value for key, value in first.items() if key != parameter}


@pytest.mark.anyio
async def test_the_log_says_what_was_sent_and_not_what_was_meant() -> None:
    async with serving(picky("stop", "temperature", "seed")) as served, Model(served.endpoint(), QUICK) as model:
        call = await ask(model, stop=("x",), max_tokens=40)
    assert call.asked == Asked(max_tokens=40, temperature=None, seed=None, stop=[])


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, {"message": 'Invalid JSON payload received. Unknown name "seed": Cannot find field.'}),
        (400, {"message": "Unrecognized request argument supplied: seed"}),
        (400, {"message": "Argument not supported on this model: seed"}),
        (422, {"message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "not permitted"}]}}),
        (422, {"message": "seed: Extra inputs are not permitted"}),
    ],
)
async def test_a_parameter_is_unsupported_in_whatever_words(status: int, error: dict[str, Any]) -> None:
    async def chat(request: web.Request) -> web.StreamResponse:
        refused = web.json_response({"error": error}, status=status)
        return refused if "seed" in await request.json() else whole("fine")

    async with serving(chat) as served, Model(served.endpoint(), QUICK) as model:
        assert (await ask(model)).raw == "fine"
    assert len(served.requests) == 2


@pytest.mark.anyio
async def test_two_parameters_refused_at_once_are_both_left_out() -> None:
    async def chat(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        unknown = [each for each in ("seed", "stop") if each in asked]
        said = [
            {"type": "extra_forbidden", "loc": ["body", each], "msg": "Extra inputs not permitted"} for each in unknown
        ]
        return web.json_response({"detail": said}, status=422) if unknown else whole("fine")

    async with serving(chat) as served, Model(served.endpoint(), QUICK) as model:
        assert (await ask(model, stop=("x",))).raw == "fine"
    assert len(served.requests) == 2


@pytest.mark.anyio
async def test_parameters_that_are_only_named_are_still_sent() -> None:
    said = "Unknown field 'messages'; known are 'seed', 'stop' and 'temperature'"
    async with serving(answering(lambda: refusal(400, said))) as served, Model(served.endpoint(), QUICK) as model:
        with pytest.raises(ModelError, match="Unknown field"):
            await ask(model, stop=("x",))
    assert len(served.requests) == 1


@pytest.mark.anyio
async def test_a_stream_without_its_options() -> None:
    refused = {"type": "extra_forbidden", "loc": ["body", "stream_options", "include_usage"], "msg": "not permitted"}
    events = chunk({"content": "fine"}) + chunk({}, "stop")

    async def chat(request: web.Request) -> web.StreamResponse:
        if "stream_options" in await request.json():
            return web.json_response({"detail": [refused]}, status=422)
        return web.Response(text=events, content_type="text/event-stream")

    async with serving(chat) as served, Model(served.endpoint(), QUICK) as model:
        assert [(await ask(model, [])).raw for _ in range(2)] == ["fine", "fine"]
    assert [request["stream"] for request in served.requests] == [True] * 3


@pytest.mark.anyio
async def test_max_tokens_is_renamed_from_then_on() -> None:
    async with serving(picky("max_tokens")) as served, Model(served.endpoint(), QUICK) as model:
        await ask(model, max_tokens=40)
        await ask(model, max_tokens=30)
    limits = [(r.get("max_tokens"), r.get("max_completion_tokens")) for r in served.requests]
    assert limits == [(40, None), (None, 40), (None, 30)]


@pytest.mark.anyio
async def test_several_unsupported_parameters_cost_no_tries() -> None:
    refused = ("stop", "max_tokens", "temperature", "seed")
    async with serving(picky(*refused)) as served, Model(served.endpoint(), ClientSettings(tries=1)) as model:
        assert (await ask(model, stop=("x",))).raw == "fine"
    assert len(served.requests) == 5


@pytest.mark.anyio
async def test_calls_made_at_once_all_learn_of_an_unsupported_parameter() -> None:
    async with serving(picky("stop", "max_tokens")) as served, Model(served.endpoint(), QUICK) as model:
        calls = await asyncio.gather(*(ask(model, stop=("x",)) for _ in range(8)))
    assert [call.raw for call in calls] == ["fine"] * 8
    assert len(served.requests) <= 24


@pytest.mark.anyio
async def test_a_parameter_that_cannot_be_left_out_is_an_error() -> None:
    async with serving(picky("messages")) as served, Model(served.endpoint(), QUICK) as model:
        with pytest.raises(ModelError, match="'messages' is not supported"):
            await ask(model)
    assert len(served.requests) == 1


# Which model


@pytest.mark.anyio
@pytest.mark.parametrize(
    "models",
    [
        None,
        answering(lambda: web.Response(status=501)),
        answering(lambda: web.Response(text="<html>a web page</html>", content_type="text/html")),
        answering(lambda: web.Response(text="not json", content_type="application/json")),
        answering(lambda: web.json_response({})),
        answering(lambda: web.json_response({"object": "list", "data": None})),
        answering(lambda: web.json_response({"object": "list", "data": []})),
        answering(lambda: web.json_response({"object": "list", "data": [{}]})),
    ],
    ids=["none", "error", "page", "malformed", "nothing", "null", "empty", "nameless"],
)
async def test_a_server_need_not_list_its_models(models: Handler | None) -> None:
    async with serving(answering(lambda: whole("fine")), models) as served:
        async with Model(served.endpoint("m")) as model:
            assert (await ask(model)).raw == "fine"
        with pytest.raises(ModelRefused, match="name a model"):
            async with Model(served.endpoint("")):
                pass
    assert served.requests[0]["model"] == "m"


@pytest.mark.anyio
async def test_the_only_model_is_taken_where_none_is_named() -> None:
    fine = answering(lambda: whole("fine"))
    async with serving(fine, models_named("only")) as served, Model(served.endpoint("")) as model:
        await ask(model)
        assert model.name == "only"
    assert served.requests[0]["model"] == "only"


@pytest.mark.anyio
async def test_of_several_models_one_must_be_named() -> None:
    async with serving(answering(lambda: whole("fine")), models_named("small", "large")) as served:
        with pytest.raises(ModelRefused, match="--model or TORA_MODEL; it serves small, large"):
            async with Model(served.endpoint("")):
                pass
        async with Model(served.endpoint("large")) as model:
            assert model.name == "large"
