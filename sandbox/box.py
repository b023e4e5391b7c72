"""The sandbox as a whole: one Docker client, a few containers, many sessions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Self

from sandbox import container
from sandbox.pool import Pool
from sandbox.session import Session
from sandbox.settings import Isolation, Limits


class Sandbox:
    """Runs Python in locked-down containers. `isolation` says what sessions share: see `Isolation`.

    >>> async with Sandbox() as box:
    ...     async with box.session() as session:
    ...         result = await session.run("print(1 + 1)", timeout=10)
    """

    def __init__(
        self, limits: Limits | None = None, *, isolation: Isolation | str = Isolation.SHARED, spares: int = 2
    ) -> None:
        self.limits = limits or Limits()
        self.isolation = Isolation(isolation)
        self.spares = spares
        """Kernels kept ready ahead of the sessions that will ask for them."""
        self.image = ""
        """Id of the image, once entered."""
        self._closing: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(16, thread_name_prefix="tora-docker")

    async def __aenter__(self) -> Self:
        """Connect, start a container, and remove what dead processes left.

        Raises `DockerUnavailable`, `ImageMissing` or `KernelFailed`.
        """
        try:
            self._docker = await self._in_thread(container.connect)
            self.image = await self._in_thread(lambda: container.require_image(self._docker))
            self.pool = Pool(self._docker, self.image, self.limits, self.isolation, self.spares, self._in_thread)
            await self.pool.warm()
        except BaseException:
            self._threads.shutdown(wait=False)
            raise
        self._sweeping = self._in_thread(lambda: container.cleanup(self._docker))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._closing:
            await asyncio.wait(self._closing)
        await self.pool.close()
        await asyncio.wait({self._sweeping})
        self._docker.close()
        self._threads.shutdown()  # they have nothing to do any more, and so end at once

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A private kernel, gone with everything it started at the end of the block."""
        session = Session(self.pool.open, self.limits)
        try:
            yield session
        finally:
            closing = asyncio.create_task(session.close())
            self._closing.add(closing)  # it goes on if this is cancelled
            closing.add_done_callback(self._closing.discard)
            await asyncio.shield(closing)

    def _in_thread(self, call: Callable[[], Any]) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        try:
            return loop.run_in_executor(self._threads, call)
        except RuntimeError:  # the interpreter is ending, and starts no more threads
            done = loop.create_future()
            try:
                done.set_result(call())
            except Exception as error:
                done.set_exception(error)
            return done
