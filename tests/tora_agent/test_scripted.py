"""The scripted model, asked over HTTP by the openai client."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

import tora_agent
from tests.conftest import until
from tora_agent.errors import UsageError
from tora_agent.model.scripted import Script, ScriptedServer, load_script, split_tokens

TEXT = "one two  three\nfour five six"
ROOT = Path(tora_agent.__file__).parent.parent


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


def script_of(*turns: Any, match: Any = "", **settings: Any) -> Script:
    return Script.model_validate({"entries": [{"match": match, "turns": list(turns)}], **settings})


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str = "x") -> dict[str, str]:
    return {"role": "assistant", "content": text}


class Asker:
    """A client and the server it talks to."""

    def __init__(self, server: ScriptedServer, client: openai.AsyncOpenAI) -> None:
        self.server = server
        self.client = client

    async def ask(self, *messages: Any, **options: Any) -> Any:
        """Ask without streaming and return the completion."""
        chosen = list(messages) or [user("hello")]
        return await self.client.chat.completions.create(model="scripted", messages=chosen, **options)

    async def text(self, *messages: Any, **options: Any) -> str:
        completion = await self.ask(*messages, **options)
        return str(completion.choices[0].message.content)

    async def chunks(self, into: list[Any], *messages: Any, **options: Any) -> None:
        """Stream into a list, so that what came before an error can be looked at."""
        async for chunk in await self.ask(*messages, stream=True, **options):
            into.append(chunk)


@asynccontextmanager
async def serving(script: Script, api_key: str = "x") -> AsyncIterator[Asker]:
    async with ScriptedServer(script) as server:
        transport = openai.DefaultAioHttpClient(trust_env=False)  # no proxy reaches this machine
        async with openai.AsyncOpenAI(
            max_retries=0, base_url=server.base_url, api_key=api_key, http_client=transport
        ) as client:
            yield Asker(server, client)


def joined(chunks: list[Any], name: str = "content") -> str:
    return "".join(getattr(choice.delta, name, None) or "" for chunk in chunks for choice in chunk.choices)


def reasons(chunks: list[Any]) -> list[str]:
    return [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]


# Plain replies


@pytest.mark.anyio
async def test_whole_reply() -> None:
    turn = {"content": TEXT, "reasoning": "let me think"}
    async with serving(script_of(turn, model="tiny")) as asker:
        completion = await asker.ask(user("a b"))
        assert asker.server.requests == [{"model": "scripted", "messages": [user("a b")]}]
    choice = completion.choices[0]
    assert (choice.message.content, choice.message.role, choice.finish_reason) == (TEXT, "assistant", "stop")
    assert choice.message.reasoning_content == "let me think"
    assert completion.model == "tiny"
    assert completion.object == "chat.completion"
    assert abs(completion.created - time.time()) < 60
    assert completion.system_fingerprint.startswith("fp_")
    usage = completion.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (2, 9, 11)


@pytest.mark.anyio
async def test_streamed_reply() -> None:
    chunks: list[Any] = []
    async with serving(script_of({"content": TEXT, "reasoning": "let me think"})) as asker:
        await asker.chunks(chunks)
    assert joined(chunks) == TEXT
    assert joined(chunks, "reasoning_content") == "let me think"
    assert reasons(chunks) == ["stop"]
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert all(chunk.usage is None and len(chunk.choices) == 1 for chunk in chunks)


@pytest.mark.anyio
async def test_streamed_usage_comes_last_and_only_on_request() -> None:
    chunks: list[Any] = []
    async with serving(script_of(TEXT)) as asker:
        await asker.chunks(chunks, stream_options={"include_usage": True})
        whole = await asker.ask()
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])


@pytest.mark.anyio
async def test_the_same_request_gets_the_same_reply() -> None:
    async with serving(script_of("a", "b")) as asker:
        first, again = await asker.ask(), await asker.ask()
        other = await asker.ask(user("hello"), temperature=0.5)
    assert first.choices == again.choices
    assert first.id == again.id != other.id


@pytest.mark.anyio
async def test_the_scripts_finish_reason_is_sent() -> None:
    chunks: list[Any] = []
    async with serving(script_of({"content": "cut of", "finish_reason": "length"})) as asker:
        assert (await asker.ask()).choices[0].finish_reason == "length"
        await asker.chunks(chunks)
    assert reasons(chunks) == ["length"]


@pytest.mark.anyio
async def test_delay() -> None:
    async with serving(script_of({"content": "late", "delay": 0.2})) as asker:
        start = time.monotonic()
        assert await asker.text() == "late"
    assert time.monotonic() - start >= 0.2


# Tokens, stop strings and limits


@pytest.mark.parametrize("text", ["", " ", "a", " a", "a ", TEXT, "\n\n a\t b \n", "π ≈ 3\u00a0.1"])
def test_tokens_join_to_the_text(text: str) -> None:
    assert "".join(split_tokens(text)) == text


@pytest.mark.parametrize(
    ("options", "content", "reason"),
    [
        ({"stop": "four"}, "one two  three\n", "stop"),
        ({"stop": ["six", "two"]}, "one ", "stop"),
        ({"stop": ["seven", ""]}, TEXT, "length"),
        ({"stop": []}, TEXT, "length"),
        ({"stop": None, "max_tokens": None}, TEXT, "length"),
        ({"max_tokens": 3}, "one two  three", "length"),
        ({"max_completion_tokens": 1}, "one", "length"),
        ({"max_tokens": 4, "max_completion_tokens": 2}, "one two", "length"),
        ({"max_tokens": 5, "stop": "three"}, "one two  ", "stop"),
        ({"max_tokens": 1, "stop": "three"}, "one", "length"),
    ],
)
@pytest.mark.anyio
async def test_stop_and_limits(options: dict[str, Any], content: str, reason: str) -> None:
    chunks: list[Any] = []
    async with serving(script_of({"content": TEXT, "finish_reason": "length"})) as asker:
        completion = await asker.ask(**options)
        await asker.chunks(chunks, **options)
    choice = completion.choices[0]
    assert (choice.message.content, choice.finish_reason) == (content, reason)
    assert (joined(chunks), reasons(chunks)) == (content, [reason])
    assert completion.usage.completion_tokens == len(split_tokens(content))


@pytest.mark.anyio
async def test_a_reply_of_just_the_allowed_length_is_not_cut() -> None:
    async with serving(script_of(TEXT)) as asker:
        choice = (await asker.ask(max_tokens=6)).choices[0]
    assert (choice.message.content, choice.finish_reason) == (TEXT, "stop")


# Which entry and which turn


@pytest.mark.anyio
async def test_the_first_matching_entry_wins() -> None:
    entries = [
        {"match": ["primes", "below 10"], "turns": ["both"]},
        {"match": "primes", "turns": ["one"]},
        {"match": "", "turns": ["any"]},
    ]
    async with serving(Script.model_validate({"entries": entries})) as asker:
        assert await asker.text(user("primes below 10?")) == "both"
        assert await asker.text(user("below 10"), user("primes")) == "one"
        assert await asker.text({"role": "system", "content": "primes"}, user("squares")) == "any"
        assert await asker.text({"role": "system", "content": "no user at all"}) == "any"


@pytest.mark.anyio
async def test_turns_count_from_the_last_matching_user_message() -> None:
    async with serving(script_of("first", "second", "last", match="Q")) as asker:
        chat = [user("Q"), assistant(), user("output")]
        assert await asker.text(user("Q")) == "first"
        assert await asker.text(*chat) == "second"
        assert await asker.text(*chat, assistant(), user("output")) == "last"
        assert await asker.text(*chat, assistant(), assistant(), assistant()) == "last"
        assert await asker.text(*chat, user("Q again")) == "first"
        assert await asker.text(user("example"), assistant(), user("Q")) == "first"


@pytest.mark.anyio
async def test_a_message_in_parts_matches() -> None:
    parts = [{"type": "text", "text": "How many"}, {"type": "text", "text": "primes"}]
    async with serving(script_of("yes", match=["How many", "primes"])) as asker:
        assert await asker.text({"role": "user", "content": parts}) == "yes"


@pytest.mark.anyio
async def test_no_entry_matches() -> None:
    async with serving(script_of("x", match="primes")) as asker:
        with pytest.raises(openai.BadRequestError, match="No entry of the script matches") as caught:
            await asker.ask(user("Primes? " + "y" * 100))
    assert "'Primes? " + "y" * 72 + "'" in caught.value.message


# Completions


async def completed(asker: Asker, prompt: Any, **options: Any) -> Any:
    return await asker.client.completions.create(model="scripted", prompt=prompt, **options)


@pytest.mark.anyio
async def test_a_text_is_completed() -> None:
    async with serving(script_of(TEXT, match="hello")) as asker:
        whole = await completed(asker, "Say hello.")
        cut = await completed(asker, "Say hello.", stop=["four"], max_tokens=2)
    assert (whole.object, whole.choices[0].text, whole.choices[0].finish_reason) == ("text_completion", TEXT, "stop")
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (2, 6)
    assert (cut.choices[0].text, cut.choices[0].finish_reason) == ("one two", "length")


@pytest.mark.anyio
async def test_outputs_in_a_text_count_its_turns() -> None:
    example = "Q: old\n```python\n0\n```\n```output\n0\n```\nSo 0.\n"
    first = "Q: new\nLook.\n```python\n1\n```\n"
    async with serving(script_of("one", "two", match="new")) as asker:
        texts = [(await completed(asker, example + text)).choices[0].text for text in ("Q: new\n", first)]
        after = await completed(asker, f"{example}{first}```output\n1\n```\n")
    assert [*texts, after.choices[0].text] == ["one", "one", "two"]


@pytest.mark.anyio
async def test_several_texts_are_completed_in_order() -> None:
    entries = [{"match": name, "turns": [f"said {name}"]} for name in ("a", "b")]
    async with serving(Script.model_validate({"entries": entries})) as asker:
        answer = await completed(asker, ["b", "a", "b"])
    assert [(each.index, each.text) for each in answer.choices] == [(0, "said b"), (1, "said a"), (2, "said b")]
    assert answer.usage.total_tokens == 9


@pytest.mark.anyio
async def test_completions_meet_faults_too() -> None:
    async with serving(script_of({"content": TEXT, "fault": "rate_limit", "times": 1})) as asker:
        with pytest.raises(openai.RateLimitError):
            await completed(asker, "x")
        assert (await completed(asker, "x")).choices[0].text == TEXT
        for odd in ({"stream": True}, {"echo": True}):
            with pytest.raises(openai.BadRequestError):
                await completed(asker, "x", **odd)


@pytest.mark.anyio
async def test_fifty_at_once() -> None:
    entries = [{"match": f"<{n}>", "turns": [f"a{n} b c", f"second {n}"]} for n in range(50)]
    async with serving(Script.model_validate({"entries": entries})) as asker:

        async def both(number: int) -> tuple[str, str]:
            chunks: list[Any] = []
            await asker.chunks(chunks, user(f"<{number}>"))
            return joined(chunks), await asker.text(user(f"<{number}>"), assistant())

        answers = await asyncio.gather(*(both(n) for n in range(50)))
        assert len(asker.server.requests) == 100
    assert answers == [(f"a{n} b c", f"second {n}") for n in range(50)]


# Faults


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "error", "status", "code"),
    [
        ("rate_limit", openai.RateLimitError, 429, "rate_limit_exceeded"),
        ("quota", openai.RateLimitError, 429, "insufficient_quota"),
        ("server_error", openai.InternalServerError, 500, None),
        ("bad_key", openai.AuthenticationError, 401, "invalid_api_key"),
        ("unknown_model", openai.NotFoundError, 404, "model_not_found"),
        ("html_error", openai.InternalServerError, 502, None),
    ],
)
@pytest.mark.anyio
async def test_error_statuses(
    fault: str, error: type[openai.APIStatusError], status: int, code: str | None, stream: bool
) -> None:
    async with serving(script_of({"fault": fault})) as asker:
        for _ in range(2):
            with pytest.raises(error) as caught:
                await asker.ask(stream=stream)
            assert (caught.value.status_code, caught.value.code) == (status, code)
            assert "retry-after" not in caught.value.response.headers
    kind = caught.value.response.headers["content-type"]
    assert kind.startswith("text/html" if fault == "html_error" else "application/json")
    assert ("<html>" in str(caught.value.body)) == (fault == "html_error")
    assert fault != "quota" or caught.value.type == "insufficient_quota"


@pytest.mark.parametrize(("seconds", "header"), [(1.5, "1.5"), (2, "2"), (0, "0")])
@pytest.mark.anyio
async def test_retry_after(seconds: float, header: str) -> None:
    async with serving(script_of({"fault": "rate_limit", "retry_after": seconds})) as asker:
        with pytest.raises(openai.RateLimitError) as caught:
            await asker.ask()
    assert caught.value.response.headers["retry-after"] == header


@pytest.mark.anyio
async def test_times_counts_requests_per_turn() -> None:
    flaky = {"content": "fine", "fault": "server_error", "times": 2}
    async with serving(script_of(flaky, flaky)) as asker:
        for chat in ([user("Q")], [user("Q"), assistant()]):
            for _ in range(2):
                with pytest.raises(openai.InternalServerError):
                    await asker.ask(*chat)
            assert await asker.text(*chat) == "fine"
            assert await asker.text(*chat) == "fine"


@pytest.mark.anyio
async def test_times_under_concurrency() -> None:
    turn = {"content": "fine", "fault": "rate_limit", "times": 7, "delay": 0.05}
    async with serving(script_of(turn)) as asker:
        results = await asyncio.gather(*(asker.text() for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(result, openai.RateLimitError) for result in results) == 7
    assert results.count("fine") == 13


@pytest.mark.anyio
async def test_stall_whole_sends_nothing() -> None:
    async with serving(script_of({"content": TEXT, "fault": "stall", "times": 1})) as asker:
        with pytest.raises(openai.APITimeoutError):
            await asker.ask(timeout=2)
        assert await asker.text() == TEXT


@pytest.mark.anyio
async def test_stall_streaming_sends_half() -> None:
    chunks: list[Any] = []
    async with serving(script_of({"content": TEXT, "fault": "stall"})) as asker:
        with pytest.raises(openai.APITimeoutError):
            await asker.chunks(chunks, timeout=2)
    assert (joined(chunks), reasons(chunks)) == ("one two  three", [])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.anyio
async def test_closing_is_quick_with_stalled_requests(stream: bool) -> None:
    async with serving(script_of({"content": TEXT, "fault": "stall"})) as asker:
        chunks: list[Any] = []
        asking = [asker.chunks(chunks) if stream else asker.ask() for _ in range(10)]
        tasks = [asyncio.create_task(one) for one in asking]
        await until(lambda: len(asker.server.requests) == 10)
        start = time.monotonic()
        await asker.server.__aexit__()
        assert time.monotonic() - start < 10  # they would last for ever
        results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)
        assert all(isinstance(result, openai.APIConnectionError) for result in results)


@pytest.mark.anyio
async def test_cut_whole_drops_the_connection() -> None:
    async with serving(script_of({"content": TEXT, "fault": "cut_stream", "times": 1})) as asker:
        with pytest.raises(openai.APIConnectionError):
            await asker.ask(timeout=2)
        assert await asker.text() == TEXT


@pytest.mark.anyio
async def test_cut_stream_ends_silently() -> None:
    script = script_of({"content": TEXT, "fault": "cut_stream"})
    chunks: list[Any] = []
    async with serving(script) as asker:
        await asker.chunks(chunks, stream_options={"include_usage": True})
    assert (joined(chunks), reasons(chunks)) == ("one two  three", [])
    async with ScriptedServer(script) as server, aiohttp.ClientSession() as session:
        body = {"model": "m", "messages": [user("q")], "stream": True}
        async with session.post(f"{server.base_url}/chat/completions", json=body) as response:
            assert "[DONE]" not in await response.text()


@pytest.mark.anyio
async def test_malformed_json() -> None:
    chunks: list[Any] = []
    async with serving(script_of({"content": TEXT, "fault": "malformed_json"})) as asker:
        with pytest.raises((json.JSONDecodeError, openai.APIError)):
            await asker.ask()
        with pytest.raises((json.JSONDecodeError, openai.APIError)):
            await asker.chunks(chunks)
        raw = await asker.client.chat.completions.with_raw_response.create(
            model="m", messages=[{"role": "user", "content": "q"}]
        )
        assert raw.status_code == 200
    assert joined(chunks) == "one two  three"


@pytest.mark.anyio
async def test_empty() -> None:
    chunks: list[Any] = []
    turn = {"content": TEXT, "reasoning": "hm", "fault": "empty", "times": 2}
    async with serving(script_of(turn)) as asker:
        completion = await asker.ask()
        await asker.chunks(chunks)
        assert await asker.text() == TEXT
    assert (completion.choices[0].message.content, completion.choices[0].finish_reason) == ("", "stop")
    assert completion.usage.completion_tokens == 0
    assert (joined(chunks), joined(chunks, "reasoning_content"), reasons(chunks)) == ("", "", ["stop"])


@pytest.mark.anyio
async def test_slow() -> None:
    chunks: list[Any] = []
    async with serving(script_of({"content": TEXT, "fault": "slow"})) as asker:
        start = time.monotonic()
        assert await asker.text() == TEXT
        middle = time.monotonic()
        await asker.chunks(chunks)
        end = time.monotonic()
    assert joined(chunks) == TEXT
    assert middle - start >= 0.29
    assert end - middle >= 0.29


# Keys, models and bad requests


@pytest.mark.anyio
async def test_api_key() -> None:
    script = script_of("in", api_key="right")
    async with serving(script, api_key="right") as asker:
        assert await asker.text() == "in"
        assert [model.id async for model in asker.client.models.list()] == ["scripted"]
    async with serving(script, api_key="wrong") as asker:
        with pytest.raises(openai.AuthenticationError) as caught:
            await asker.ask()
        assert caught.value.code == "invalid_api_key"
        assert len(asker.server.requests) == 1
        with pytest.raises(openai.AuthenticationError):
            await asker.client.models.list()
        async with aiohttp.ClientSession() as session:
            response = await session.get(f"{asker.server.base_url}/models")
            assert response.status == 401


@pytest.mark.anyio
async def test_model_names() -> None:
    async with serving(script_of("in", model="tiny")) as asker:
        assert (await asker.ask()).model == "tiny"
        assert [model.id async for model in asker.client.models.list()] == ["tiny"]
    async with serving(script_of("in", model="tiny", strict_model=True)) as asker:
        with pytest.raises(openai.NotFoundError) as caught:
            await asker.ask()
        assert caught.value.code == "model_not_found"
    async with serving(script_of("in", strict_model=True)) as asker:
        assert await asker.text() == "in"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe\xfa",
        b"[]",
        b"{}",
        b'{"messages": []}',
        b'{"messages": [{"content": "no role"}]}',
        b'{"messages": [{"role": "user", "content": 5}]}',
        b'{"messages": [{"role": "user"}], "max_tokens": 0}',
        b'{"messages": [{"role": "user"}], "stop": 5}',
        b'{"messages": [{"role": "user"}], "n": 2}',
    ],
)
@pytest.mark.anyio
async def test_bad_requests(body: bytes) -> None:
    async with ScriptedServer(script_of("x")) as server, aiohttp.ClientSession() as session:
        async with session.post(f"{server.base_url}/chat/completions", data=body) as response:
            assert response.status == 400
            assert (await response.json())["error"]["type"] == "invalid_request_error"
        async with session.get(server.base_url.removesuffix("/v1") + "/health") as response:
            assert response.status == 200
        async with session.get(f"{server.base_url}/nothing") as response:
            assert response.status == 404


@pytest.mark.filterwarnings("ignore:Sending a large body")
@pytest.mark.anyio
async def test_a_long_chat_is_accepted() -> None:
    async with serving(script_of("ok")) as asker:
        assert await asker.text(user("word " * 500_000)) == "ok"


@pytest.mark.anyio
async def test_a_taken_port_raises() -> None:
    async with ScriptedServer(script_of("x")) as server:
        port = int(server.base_url.split(":")[2].removesuffix("/v1"))
        with pytest.raises(OSError, match="address"):
            await ScriptedServer(script_of("x"), port=port).__aenter__()


# Script files

GOOD = {
    "model": "tiny",
    "entries": [{"match": ["a", "b"], "turns": ["text", {"content": "x", "fault": "slow", "times": 1}]}],
}


@pytest.mark.parametrize("name", ["s.json", "s.yaml", "s.yml"])
def test_load_script(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(json.dumps(GOOD, indent="\t" if name == "s.json" else None), encoding="utf-8")
    script = load_script(path)
    assert script.model == "tiny"
    assert script.entries[0].match == ["a", "b"]
    assert [turn.content for turn in script.entries[0].turns] == ["text", "x"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "top level: "),
        ("- a", "top level: "),
        ("a: b: c", "line 1, column 5: mapping values"),
        ("entries: []", "entries: "),
        ("entries: [{match: a, turns: []}]", "entries[0].turns: "),
        ("entries: [{match: [], turns: [a]}]", "entries[0].match: "),
        ("entries: [{match: 5, turns: [a]}]", "entries[0].match: "),
        ("entries: [{match: a, turns: [a, 5]}]", "entries[0].turns[1]: "),
        ("entries: [{match: a, turns: [a]}]\nextra: 1", "extra: unknown key"),
    ],
)
def test_wrong_scripts(tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_script(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert place in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("turn", "problem"),
    [
        ("{contnt: a}", ".contnt: unknown key"),
        ("{reasoning: a}", ": content is missing"),
        ("{fault: quota, times: 1}", ": content is missing"),
        ("{content: a, times: 1}", ": times needs a fault"),
        ("{fault: quota, retry_after: 1}", ": retry_after needs fault: rate_limit"),
        ("{fault: typo}", ".fault: "),
        ("{content: a, delay: -1}", ".delay: "),
        ("{content: a, delay: .inf}", ".delay: "),
        ("{content: a, finish_reason: done}", ".finish_reason: "),
        ("2024-01-01", ": must be a mapping (a turn may be a text)"),
    ],
)
def test_wrong_turns(tmp_path: Path, turn: str, problem: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(f"entries:\n  - match: a\n    turns:\n      - {turn}\n", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_script(path)
    assert str(caught.value).startswith(f"{path}: entries[0].turns[0]{problem}")
    assert "\n" not in str(caught.value)


def test_unreadable_scripts(tmp_path: Path) -> None:
    broken, binary = tmp_path / "broken.json", tmp_path / "binary.yaml"
    broken.write_text('{"entries": [}', encoding="utf-8")
    binary.write_bytes(b"\xff\xfe\xfa")
    for path, words in [(tmp_path / "none.yaml", "No such file"), (broken, "line 1"), (binary, "utf-8")]:
        with pytest.raises(UsageError, match=words) as caught:
            load_script(path)
        assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_script(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "s.json"
    path.write_text(json.dumps(GOOD), encoding="utf-8")
    code = (
        "import sys; from pathlib import Path; from tora_agent.model.scripted import serve_script;"
        "serve_script(Path(sys.argv[1]), '127.0.0.1', 0)"
    )
    command = [sys.executable, "-c", code, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(number)
        rest, errors = process.communicate(timeout=60)
    assert "export OPENAI_BASE_URL=http://127.0.0.1:" in line
    assert "TORA_MODEL=tiny" in line
    assert (process.returncode, rest, errors) == (0, "", "")
