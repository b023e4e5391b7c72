"""The containers of a sandbox: starts them, finds room for a session in them, and replaces those that die."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import docker

from sandbox import container
from sandbox.errors import SandboxError
from sandbox.relay import Line, Listener, Relay
from sandbox.settings import Isolation, Limits

T = TypeVar("T")
InThread = Callable[[Callable[[], Any]], Awaitable[Any]]


class Pool:
    """Running containers and the sessions open in them."""

    def __init__(
        self,
        client: docker.DockerClient,
        image: str,
        limits: Limits,
        isolation: Isolation,
        spares: int,
        in_thread: InThread,
    ) -> None:
        self._client, self._image, self._limits = client, image, limits
        self._alone = isolation is Isolation.CONTAINER
        self._spares = spares
        self._in_thread = in_thread
        self.opened = 0
        """Sessions begun so far."""
        self._size: container.Size | None = None
        self._running: dict[Relay, container.Container] = {}
        self._starting = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def warm(self) -> None:
        """Start a container ahead of the first session. Raises `KernelFailed`. Where it is cancelled, none is left."""
        try:
            async with self._starting:
                if not self._alone and not self._running:
                    await self._start()
        except BaseException:
            await self.close()  # nobody else would, for the sandbox was never entered
            raise

    async def open(self, setup: dict[str, Any], listener: Listener) -> Line:
        """Begin a session wherever there is room. Raises `KernelFailed`."""
        if self._alone:
            relay = await self._start()
        else:
            async with self._starting:
                relay = self._with_room() or await self._start()
        line = relay.open(setup, listener)
        self.opened += 1
        if self._alone:
            line.ended.add_done_callback(lambda _: self._keep(self._retire(relay, line)))
        return line

    @property
    def sessions(self) -> int:
        """How many are open, or not yet cleaned up after."""
        return sum(len(relay.lines) for relay in self._running)

    async def close(self) -> None:
        """Remove every container."""
        while self._running or self._tasks:
            for relay in list(self._running):
                self._keep(self._remove(relay))
            await asyncio.wait(self._tasks)

    def _with_room(self) -> Relay | None:
        assert self._size is not None or not self._running
        for relay in self._running:
            if not relay.gone.done() and self._size and len(relay.lines) < self._size.slots:
                return relay
        return None

    async def _start(self) -> Relay:
        """Start a container, to its end even where this is cancelled, so that none is lost."""
        starting = self._keep(self._started())
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            if self._alone:  # nobody else has a use for it
                self._keep(self._discard(starting))
            raise

    async def _discard(self, starting: asyncio.Task[Relay]) -> None:
        with suppress(SandboxError):
            await self._remove(await starting)

    async def _started(self) -> Relay:
        if self._size is None:
            self._size = await self._in_thread(
                lambda: container.size_for(self._client, self._limits, alone=self._alone, spares=self._spares)
            )
        size = self._size
        running = await self._in_thread(
            lambda: container.Container.start(self._client, self._image, self._limits, size)
        )
        relay = await Relay.over(running.stream)
        self._running[relay] = running
        relay.gone.add_done_callback(lambda _: self._keep(self._remove(relay)))
        return relay

    async def _retire(self, relay: Relay, line: Line) -> None:
        """Remove the container of a session that has it for itself."""
        with suppress(SandboxError):
            await line.close()
        await self._remove(relay)

    async def _remove(self, relay: Relay) -> None:
        running = self._running.pop(relay, None)
        if running is not None:
            relay.abort("the sandbox was closed")
            await self._in_thread(running.remove)

    def _keep(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `work` as a task that `close` waits for."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
