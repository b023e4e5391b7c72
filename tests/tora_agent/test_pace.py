"""The pace of all calls: what one of them meets slows every one."""

from __future__ import annotations

import asyncio
import math
import time

import openai
import pytest
from aiohttp import web

from tests.conftest import until
from tests.tora_agent.test_client import KEY, ask, serving
from tora_agent.model import ClientSettings
from tora_agent.model.client import Model
from tora_agent.model.pace import Pace
from tora_agent.model.trouble import retry_after

pytestmark = pytest.mark.anyio


async def test_a_rate_limit_holds_back_every_call_and_halves_what_is_under_way() -> None:
    pace = Pace()
    begun: list[float] = []

    async def call() -> None:
        async with pace.turn() as began:
            begun.append(began)
            await asyncio.sleep(0.01)

    async with pace.turn() as first, pace.turn() as second, pace.turn(), pace.turn():
        slowed_at = time.monotonic()
        pace.slow(first, 0.2)
        assert pace.limit == 2
        # Calls that were under way together met the same limit: it counts once.
        pace.slow(second, 0.2)
        assert (pace.limit, pace.slowed) == (2, 1)
    await asyncio.gather(*(call() for _ in range(4)))
    assert min(begun) - slowed_at >= 0.2


async def test_a_long_wait_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    pace = Pace()
    async with pace.turn() as first, pace.turn() as second:
        pace.slow(first, 9)
        pace.slow(second, 9)
        assert not caplog.messages
    pace.slow(time.monotonic(), 75)
    assert caplog.messages == ["rate limit: the next call is made in 75 s"]


async def test_no_more_are_under_way_than_the_limit_which_grows_with_successes() -> None:
    pace = Pace()
    pace.limit = 2.0
    under_way, most = 0, 0

    async def call() -> None:
        nonlocal under_way, most
        async with pace.turn():
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.01)
            under_way -= 1

    await asyncio.gather(*(call() for _ in range(10)))
    assert most == 2
    for _ in range(8):
        await pace.succeed()
    assert 4 < pace.limit < 5


async def test_a_cancelled_call_gives_its_place_back() -> None:
    pace = Pace()
    pace.limit = 1.0
    waiting = asyncio.Event()

    async def hang() -> None:
        async with pace.turn():
            waiting.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hang())
    await waiting.wait()
    task.cancel()
    async with asyncio.timeout(60), pace.turn():
        pass


async def test_one_rate_limit_slows_all_workers_of_a_model() -> None:
    """The server limits one request for 0.5 s: with a shared pace none of the others is sent in that time."""
    limited_at: list[float] = []
    too_early = 0

    async def chat(request: web.Request) -> web.StreamResponse:
        nonlocal too_early
        now = time.monotonic()
        if not limited_at:
            limited_at.append(now)
            headers = {"Retry-After": "0.5"}
            return web.json_response({"error": {"message": "slow down"}}, status=429, headers=headers)
        too_early += now - limited_at[0] < 0.5
        choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
        return web.json_response({"choices": [choice]})

    async with serving(chat) as served, Model(served.endpoint(), ClientSettings(first_wait=0.01)) as model:
        first = asyncio.create_task(ask(model))
        await until(lambda: model._pace.limit < math.inf)  # it knows by now
        await asyncio.gather(first, *(ask(model) for _ in range(8)))
    assert too_early == 0


async def test_a_retry_after_may_be_a_date() -> None:
    async def chat(request: web.Request) -> web.StreamResponse:
        late = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 300))
        return web.json_response({"error": {"message": "slow"}}, status=429, headers={"Retry-After": late})

    async with serving(chat) as served:
        transport = openai.DefaultAioHttpClient(trust_env=False)
        client = openai.AsyncOpenAI(base_url=served.base_url, api_key=KEY, max_retries=0, http_client=transport)
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "?"}])
        await client.close()
    assert 200 < retry_after(caught.value) <= 300
