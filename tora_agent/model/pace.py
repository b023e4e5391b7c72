"""The pace of all calls to one endpoint: a rate limit met by one of them slows every one."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

WORTH_SAYING = 10.0
"""Seconds of a wait that a person would wonder about."""
_LOG = logging.getLogger(__name__)


class Pace:
    """Adaptive concurrency: halved by a rate limit, which also holds every call back, and grown again by successes.

    Additive increase and multiplicative decrease, as in Chiu and Jain, "Analysis of the increase and decrease
    algorithms for congestion avoidance in computer networks" (1989).
    """

    def __init__(self) -> None:
        self.limit = math.inf
        """Calls that may be under way; unlimited until the first rate limit."""
        self.slowed = 0
        """How often a rate limit was met since the last success; calls that were under way together count once."""
        self._under_way = 0
        self._open_at = 0.0
        self._slowed_at = 0.0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[float]:
        """Wait for a call's turn, then count it as under way. Gives the time (monotonic) at which it began."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._under_way < max(1, self.limit))
            self._under_way += 1
        try:
            # It may be put off again in the meantime.
            while (wait := self._open_at - time.monotonic()) > 0:  # noqa: ASYNC110
                await asyncio.sleep(wait * random.uniform(1, 1.1))
            yield time.monotonic()
        finally:
            async with self._changed:
                self._under_way -= 1
                self._changed.notify(1)

    def slow(self, began: float, seconds: float) -> None:
        """A call that began at `began` met a rate limit: none begins for `seconds`, and half as many at once."""
        self._open_at = max(self._open_at, time.monotonic() + seconds)
        if began < self._slowed_at:
            return
        self._slowed_at = time.monotonic()
        self.slowed += 1
        self.limit = max(1.0, min(self.limit, self._under_way) / 2)
        if seconds >= WORTH_SAYING:
            _LOG.warning("rate limit: the next call is made in %.0f s", seconds)

    async def succeed(self) -> None:
        """A call went well."""
        self.slowed = 0
        if self.limit == math.inf:
            return
        self.limit += 1 / self.limit
        async with self._changed:
            self._changed.notify(1)
