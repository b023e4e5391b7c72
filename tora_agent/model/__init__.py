"""Models: the client, the endpoints it can talk to, the embedded model and the scripted one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from tora_agent.model.endpoint import Endpoint, choose_endpoint
from tora_agent.model.settings import ClientSettings

if TYPE_CHECKING:
    from tora_agent.model.client import Model

__all__ = ["ClientSettings", "Endpoint", "choose_endpoint", "fetch_if_embedded", "open_model"]


def fetch_if_embedded(endpoint: Endpoint) -> None:
    """Download the embedded model, with a progress bar, if `endpoint` is that and it is missing."""
    if endpoint.embedded:
        from tora_agent.model.weights import get_weights

        get_weights(endpoint.model)


@asynccontextmanager
async def open_model(endpoint: Endpoint, settings: ClientSettings | None = None) -> AsyncIterator[Model]:
    """The model at `endpoint`, ready to be asked; the embedded one is fetched and started first.

    Raises `ModelRefused`, `WeightsMissing` or `UsageError`.
    """
    from tora_agent.model.client import Model

    async with AsyncExitStack() as stack:
        if endpoint.embedded and settings and settings.replay_only:
            from tora_agent.model.weights import served_name

            endpoint = endpoint.model_copy(update={"model": served_name(endpoint.model)})
        elif endpoint.embedded:
            import asyncio

            from tora_agent.model.embedded import serve
            from tora_agent.model.weights import get_weights

            gguf = await asyncio.to_thread(get_weights, endpoint.model)
            served = await stack.enter_async_context(serve(gguf))
            endpoint = served.model_copy(update={"embedded": True})
        yield await stack.enter_async_context(Model(endpoint, settings))
