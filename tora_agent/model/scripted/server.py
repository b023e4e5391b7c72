"""The scripted model: an OpenAI-compatible server that answers from a file and can misbehave on request.

A reply depends only on the request and on how often a fault was already met, so concurrency and resuming
change nothing. Only the `created` stamp is read from the clock. One token is a word together with the white
space before it; white space at the very end is one more.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
import shlex
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

from aiohttp import web

from tora_agent.model.scripted.request import Chat, Completion, Message, replies
from tora_agent.model.scripted.script import Fault, FinishReason, Script, Turn, load_script, problem_in

SLOW_TOKEN_SECONDS = 0.05
# aiohttp waits this long twice for open requests, and takes zero to mean "for ever".
SHUTDOWN_SECONDS = 0.1
MAX_BODY_BYTES = 64 * 2**20

# Status, message, type and code, close to what OpenAI sends.
ERRORS: dict[str, tuple[int, str, str, str | None]] = {
    "rate_limit": (429, "Rate limit reached. Please try again later.", "requests", "rate_limit_exceeded"),
    "quota": (429, "You exceeded your current quota.", "insufficient_quota", "insufficient_quota"),
    "server_error": (500, "The server had an error processing your request.", "server_error", None),
    "bad_key": (401, "Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    "unknown_model": (404, "The model does not exist.", "invalid_request_error", "model_not_found"),
    "filtered": (400, "The response was filtered due to the prompt.", "invalid_request_error", "content_filter"),
}
HTML_ERROR = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"

Asked = TypeVar("Asked", Chat, Completion)


class _Refusal(web.HTTPException):
    def __init__(self, status: int, message: str, kind: str, code: str | None = None, param: str | None = None) -> None:
        self.status_code = status
        error = {"message": message, "type": kind, "param": param, "code": code}
        super().__init__(text=json.dumps({"error": error}), content_type="application/json")


def split_tokens(text: str) -> list[str]:
    """Split a text into the scripted model's tokens. Joined, they give the text again, exactly."""
    return re.findall(r"\s*\S+|\s+", text)


def _digest(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:24]


def _find_turn(script: Script, messages: list[Message]) -> tuple[int, int]:
    """Return the indices of the entry and of its turn that answer a chat."""
    users = [index for index, message in enumerate(messages) if message.role == "user"]
    for number, entry in enumerate(script.entries):
        matching = [index for index in users if all(part in messages[index].text for part in entry.match)]
        if matching or not any(entry.match):
            later = messages[matching[-1] :] if matching else messages
            made = sum(replies(message.text) for message in later if message.role == "assistant")
            return number, min(made, len(entry.turns) - 1)
    last = messages[users[-1]].text[:80] if users else ""
    message = f"No entry of the script matches. The last user message begins: {last!r}"
    raise _Refusal(400, message, "invalid_request_error")


def _generate(turn: Turn, chat: Chat) -> tuple[str, FinishReason]:
    """Return the content, cut as the request asks, and the finish reason."""
    content, finish_reason = turn.content, turn.finish_reason
    stops = [content.index(stop) for stop in chat.stop or [] if stop and stop in content]
    if stops:
        content, finish_reason = content[: min(stops)], "stop"
    tokens = split_tokens(content)
    limits = [limit for limit in (chat.max_tokens, chat.max_completion_tokens) if limit is not None]
    if limits and len(tokens) > min(limits):
        return "".join(tokens[: min(limits)]), "length"
    return content, finish_reason


def _answer(head: dict[str, Any], turn: Turn, chat: Chat) -> dict[str, Any]:
    """Build the whole answer as it is sent without streaming. Reasoning counts as completion tokens."""
    content, finish_reason = _generate(turn, chat)
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if turn.reasoning:
        message["reasoning_content"] = turn.reasoning
    if turn.tool_calls:
        message["tool_calls"], finish_reason = list(_tool_calls(turn)), "tool_calls"
    prompt = sum(len(split_tokens(message.text)) for message in chat.messages)
    made = len(split_tokens(content)) + len(split_tokens(turn.reasoning))
    return head | {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": made, "total_tokens": prompt + made},
    }


def _tool_calls(turn: Turn) -> Iterator[dict[str, Any]]:
    for number, call in enumerate(turn.tool_calls):
        function = {"name": call.name, "arguments": call.arguments}
        yield {"id": f"call_{number}", "type": "function", "function": function}


async def _events(answer: dict[str, Any], fault: Fault | None, with_usage: bool) -> AsyncIterator[str]:
    """Yield the data lines of a stream, at the pace and up to the point that the fault sets."""
    head = answer | {"object": "chat.completion.chunk", "usage": None}
    (choice,) = answer["choices"]

    def chunk(delta: dict[str, Any], finish_reason: FinishReason | None = None) -> str:
        return json.dumps(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})

    yield chunk({"role": "assistant", "content": ""})
    for delta in _deltas(choice["message"], half=fault in ("stall", "cut_stream", "malformed_json")):
        await asyncio.sleep(SLOW_TOKEN_SECONDS if fault == "slow" else 0)
        yield chunk(delta)
    await _stall_if(fault == "stall")
    if fault == "cut_stream":
        return
    yield chunk({})[:40] if fault == "malformed_json" else chunk({}, choice["finish_reason"])
    if with_usage:
        yield json.dumps(head | {"choices": [], "usage": answer["usage"]})
    yield "[DONE]"


def _deltas(message: dict[str, Any], half: bool) -> Iterator[dict[str, Any]]:
    for token in split_tokens(message.get("reasoning_content", "")):
        yield {"reasoning_content": token}
    content = split_tokens(message["content"])
    for token in content[: len(content) // 2] if half else content:
        yield {"content": token}
    for number, call in enumerate(message.get("tool_calls", ())):
        arguments = call["function"]["arguments"]
        middle = len(arguments) // 2
        begun = call | {"index": number, "function": call["function"] | {"arguments": arguments[:middle]}}
        yield {"tool_calls": [begun]}
        if not half:
            yield {"tool_calls": [{"index": number, "function": {"arguments": arguments[middle:]}}]}


async def _stall_if(stall: bool) -> None:
    if stall:
        # Ends by cancellation: aiohttp cancels when the client goes and when the server closes.
        await asyncio.Event().wait()


async def _send_stream(
    request: web.Request, answer: dict[str, Any], fault: Fault | None, with_usage: bool
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    if fault == "cut_stream":
        response.force_close()
    await response.prepare(request)
    async for event in _events(answer, fault, with_usage):
        await response.write(f"data: {event}\n\n".encode())
    return response


async def _whole(answer: dict[str, Any], fault: Fault | None) -> web.Response:
    await _stall_if(fault == "stall")
    await asyncio.sleep(SLOW_TOKEN_SECONDS * answer["usage"]["completion_tokens"] if fault == "slow" else 0)
    body = json.dumps(answer).encode()
    sent = body[: len(body) // 2] if fault in ("cut_stream", "malformed_json") else body
    response = web.Response(body=sent, content_type="application/json")
    if fault == "cut_stream":
        # Promise the whole body and hang up: the client sees a connection dropped half way.
        response.headers["Content-Length"] = str(len(body))
        response.force_close()
    return response


class ScriptedServer:
    """Serves one script, once, while its `async with` block lasts. Closing takes less than a second.

    `base_url` is empty until the server has started. `requests` holds the bodies received, in order,
    refused ones included. Port 0 picks a free port. Entering raises OSError if the address cannot be used.
    """

    def __init__(self, script: Script, host: str = "127.0.0.1", port: int = 0) -> None:
        self.base_url = ""
        self.requests: list[dict[str, Any]] = []
        self._script, self._host, self._port = script, host, port
        self._fingerprint = f"fp_{_digest(script.model_dump())}"
        self._arrivals: Counter[tuple[int, int]] = Counter()
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/completions", self._completions)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/health", self._health)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.base_url = f"http://{host}:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._runner.cleanup()

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _models(self, request: web.Request) -> web.Response:
        self._check_key(request)
        model = {"id": self._script.model, "object": "model", "created": 0, "owned_by": "script"}
        return web.json_response({"object": "list", "data": [model]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        chat, head = await self._read(request, Chat)
        turn, fault = await self._meet(chat)
        answer = _answer(head, turn, chat)
        if not chat.stream:
            return await _whole(answer, fault)
        options = chat.stream_options or {}
        return await _send_stream(request, answer, fault, bool(options.get("include_usage")))

    async def _completions(self, request: web.Request) -> web.Response:
        asked, head = await self._read(request, Completion)
        choices, usage, worst = [], Counter[str](), None
        for number, chat in enumerate(asked.chats()):
            turn, fault = await self._meet(chat)
            answer = _answer(head, turn.model_copy(update={"reasoning": "", "tool_calls": []}), chat)
            text, reason = answer["choices"][0]["message"]["content"], answer["choices"][0]["finish_reason"]
            choices.append({"index": number, "text": text, "finish_reason": reason, "logprobs": None})
            usage, worst = usage + Counter(answer["usage"]), fault or worst
        return await _whole(head | {"object": "text_completion", "choices": choices, "usage": usage}, worst)

    async def _meet(self, chat: Chat) -> tuple[Turn, Fault | None]:
        """The turn that answers `chat`, after its delay, and its fault where that is no refusal, which is raised."""
        key = _find_turn(self._script, chat.messages)
        turn = self._script.entries[key[0]].turns[key[1]]
        self._arrivals[key] += 1
        fault = turn.fault if turn.times is None or self._arrivals[key] <= turn.times else None
        await asyncio.sleep(turn.delay)
        if fault == "html_error":
            raise web.HTTPBadGateway(text=HTML_ERROR, content_type="text/html")
        _refuse(fault, turn.retry_after)
        return (Turn(content="") if fault == "empty" else turn), fault

    def _check_key(self, request: web.Request) -> None:
        key = self._script.api_key
        if key is not None and request.headers.get("Authorization") != f"Bearer {key}":
            _refuse("bad_key")

    async def _read(self, request: web.Request, kind: type[Asked]) -> tuple[Asked, dict[str, Any]]:
        """Return the checked request and the fields that every part of its answer carries."""
        try:
            body = json.loads(await request.read())
            if isinstance(body, dict):
                self.requests.append(body)
            self._check_key(request)
            asked = kind.model_validate(body)
        except (ValueError, RecursionError) as error:
            raise _Refusal(400, f"Bad request: {problem_in(error)}", "invalid_request_error") from error
        if self._script.strict_model and asked.model != self._script.model:
            _refuse("unknown_model")
        for field in set(self._script.refuses) & set(body):
            message = f"Unsupported parameter: {field!r} is not supported with this model."
            raise _Refusal(400, message, "invalid_request_error", "unsupported_parameter", field)
        head = {"id": f"chatcmpl-{_digest(body)}", "created": int(time.time()), "model": self._script.model}
        return asked, head | {"system_fingerprint": self._fingerprint}


def _refuse(fault: Fault | None, retry_after: float | None = None) -> None:
    """Raise the error answer of a fault, if it has one. `retry_after` is in seconds."""
    if fault in ERRORS:
        refusal = _Refusal(*ERRORS[fault])
        if retry_after is not None:
            refusal.headers["Retry-After"] = f"{retry_after:g}"
        raise refusal


def serve_script(path: Path, host: str, port: int) -> None:
    """Serve a script until Ctrl-C or SIGTERM. Raises `UsageError`, and OSError for an unusable address."""
    script = load_script(path)
    # Where the event loop cannot handle signals (Windows), Ctrl-C arrives as an exception.
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(script, host, port))


async def _serve(script: Script, host: str, port: int) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with ScriptedServer(script, host, port) as server:
        exports = f"export OPENAI_BASE_URL={server.base_url} TORA_MODEL={shlex.quote(script.model)}"
        print(f"Scripted model at {server.base_url} - to use it: {exports}", flush=True)
        await stopped.wait()
