"""Proxies of the environment are used for the world and not for this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.conftest import model_at, script
from tora_agent.dialects import Sent
from tora_agent.errors import ModelRefused
from tora_agent.model import Endpoint
from tora_agent.model.client import Model
from tora_agent.model.scripted import ScriptedServer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def proxied(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[str]]:
    """The requests that reach a proxy which all variables name and which refuses everything."""
    seen: list[str] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await reader.readline()).decode())
        writer.write(b"HTTP/1.1 503 Refused\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, address)
        monkeypatch.setenv(name.lower(), address)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with server:
        yield seen


async def test_the_world_is_reached_through_the_proxy(proxied: list[str]) -> None:
    with pytest.raises(ModelRefused):
        async with Model(Endpoint(model="m", base_url="https://models.invalid/v1", api_key="k")):
            pass
    assert proxied == ["CONNECT models.invalid:443 HTTP/1.1\r\n"]


async def test_this_machine_is_not(proxied: list[str]) -> None:
    async with ScriptedServer(script({"match": "", "turns": ["hello"]})) as server, model_at(server) as model:
        call = await model.complete(Sent([{"role": "user", "content": "?"}]), max_tokens=9, temperature=0, seed=0)
    assert call.raw == "hello"
    assert not proxied
