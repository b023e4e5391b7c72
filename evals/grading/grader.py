"""Verdicts on trajectories."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from enum import StrEnum
from multiprocessing import resource_tracker
from typing import Any, Self

from pebble import ProcessPool
from pydantic import BaseModel, ConfigDict

from evals.grading.equality import equal, warm_up
from tora_agent.steps import Retry, Trajectory, Verification

TIMEOUT_SECONDS = 10.0


class Verdict(StrEnum):
    """What the grader says of a sample."""

    CORRECT = "correct"
    WRONG = "wrong"
    NO_ANSWER = "no_answer"
    """The sample ended without an answer."""
    TRUNCATED = "truncated"
    """A token limit cut the sample before it had an answer."""
    GRADER_TIMEOUT = "grader_timeout"
    GRADER_ERROR = "grader_error"


class Grade(BaseModel):
    """The verdict on one sample. One line of `grades.jsonl`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = 0
    problem_id: str
    sample: int
    answer: str | None
    gold: str
    verdict: Verdict
    reason: str
    """One line on what decided."""
    first_verdict: Verdict | None = None
    """The verdict on the first attempt, where a check or a doubt led to another; None elsewhere."""


class Grader:
    """Grades in one warm worker process, which is killed when an answer takes longer than `timeout` seconds.

    Use as an async context manager.
    """

    def __init__(self, timeout: float = TIMEOUT_SECONDS) -> None:
        self.timeout = timeout

    async def __aenter__(self) -> Self:
        # Spawned, not forked: this process has threads.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPool(max_workers=1, initializer=warm_up, context=context)
        # Ctrl-C reaches the whole process group. The workers inherit this mask; without it one that is still importing
        # would print a traceback.
        resource_tracker.ensure_running()  # which unblocks the signal
        was = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        self._pool.schedule(int)  # the first task starts the pool: the worker warms up meanwhile
        signal.pthread_sigmask(signal.SIG_SETMASK, was)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._pool.stop()
        await asyncio.to_thread(self._pool.join)

    async def grade(self, trajectory: Trajectory, gold: str) -> Grade:
        """The verdict on `trajectory` against the answer `gold` (LaTeX). Never raises on account of the answer."""
        if trajectory.answer is None:
            cut = trajectory.failure in ("truncated", "context_full")
            verdict, reason = Verdict.TRUNCATED if cut else Verdict.NO_ANSWER, str(trajectory.failure or "no answer")
        else:
            verdict, reason = await self.compare(trajectory.answer, gold)
        return Grade(
            problem_id=trajectory.problem_id,
            sample=trajectory.sample,
            answer=trajectory.answer,
            gold=gold,
            verdict=verdict,
            reason=reason,
            first_verdict=await self._first_verdict(trajectory, verdict, gold),
        )

    async def _first_verdict(self, trajectory: Trajectory, verdict: Verdict, gold: str) -> Verdict | None:
        attempts = [step.answer for step in trajectory.steps if isinstance(step, Verification)]
        if not any(isinstance(step, Retry) and step.reason != "no_box" for step in trajectory.steps):
            return None
        return verdict if attempts[0] == trajectory.answer else (await self.compare(attempts[0], gold))[0]

    async def compare(self, answer: str, gold: str) -> tuple[Verdict, str]:
        """The verdict on `answer`, and one line on what decided. Never raises on account of the answer."""
        task: Any = self._pool.schedule(equal, args=(answer, gold), timeout=self.timeout)
        try:
            same = await asyncio.wrap_future(task)
        except TimeoutError:
            return Verdict.GRADER_TIMEOUT, f"comparing took longer than {self.timeout:g} s"
        except asyncio.CancelledError:
            raise
        except Exception as error:  # whatever the parser makes of the answer, or the worker's death
            return Verdict.GRADER_ERROR, f"comparing failed: {type(error).__name__}: {error}"[:200]
        return (Verdict.CORRECT, "equal by Math-Verify") if same else (Verdict.WRONG, "not equal by Math-Verify")
