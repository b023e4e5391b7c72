"""The sandbox as a whole: one Docker client, many sessions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Self

import zmq.asyncio

from sandbox import container
from sandbox.session import Session
from sandbox.settings import Limits

MAX_MESSAGE_BYTES = 32 << 20


class Sandbox:
    """Runs Python in locked-down containers.

    >>> async with Sandbox() as box:
    ...     async with box.session() as session:
    ...         result = await session.run("print(1 + 1)", timeout=10)
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.image = ""
        """Id of the image, once entered."""
        self._closing: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(16, thread_name_prefix="tora-docker")

    async def __aenter__(self) -> Self:
        """Connect and remove what dead processes left. Raises `DockerUnavailable` or `ImageMissing`."""
        self._docker = await self._in_thread(container.connect)
        self.image = await self._in_thread(lambda: container.require_image(self._docker))
        await self._in_thread(lambda: container.cleanup(self._docker))
        self._context = zmq.asyncio.Context()
        self._context.setsockopt(zmq.LINGER, 0)
        self._context.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        self._context.setsockopt(zmq.RECONNECT_IVL, 10)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._closing:
            await asyncio.wait(self._closing)
        self._context.destroy(linger=0)
        self._docker.close()
        self._threads.shutdown(wait=False)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A private kernel, gone with everything it started at the end of the block."""
        start = partial(container.Container.start, self._docker, self.image, self.limits)
        session = Session(start, self._in_thread, self._context, self.limits)
        try:
            yield session
        finally:
            closing = asyncio.create_task(session.close())
            self._closing.add(closing)  # it goes on if this is cancelled
            closing.add_done_callback(self._closing.discard)
            await asyncio.shield(closing)

    async def _in_thread(self, call: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)
