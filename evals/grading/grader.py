"""Verdicts on trajectories."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Self

from evals.grading.extract import answer_in
from evals.grading.grade import TIMEOUT_SECONDS, compare
from evals.grading.verdict import DEFAULT, Conventions, Grade, Tier, Verdict
from evals.grading.workers import Pool
from tora_agent.steps import AGAIN, Retry, Trajectory, Verification


class Grader:
    """Grades with workers of its own, each of which is killed when an answer takes longer than `timeout` seconds.

    Use as an async context manager.
    """

    def __init__(
        self, timeout: float = TIMEOUT_SECONDS, conventions: Conventions = DEFAULT, workers: int | None = None
    ) -> None:
        self.timeout, self.conventions = timeout, conventions
        self._pool = Pool(workers)
        self._threads = ThreadPoolExecutor(self._pool.size, "grading")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._pool.close()
        await asyncio.to_thread(self._threads.shutdown)

    async def grade(self, trajectory: Trajectory, gold: str) -> Grade:
        """The verdict on `trajectory` against the answer `gold` (LaTeX). Never raises on account of the answer."""
        if trajectory.answer is None:
            cut = trajectory.failure in ("truncated", "context_full")
            found: dict[str, Any] = {
                "answer": None,
                "gold": gold,
                "verdict": Verdict.TRUNCATED if cut else Verdict.NO_ANSWER,
                "tier": Tier.EXTRACTION,
                "reason": str(trajectory.failure or "no answer"),
            }
        else:
            found = (await self.judge(trajectory.answer, gold)).model_dump(
                include={"answer", "gold", "verdict", "tier", "reason", "answer_form", "gold_form"}
            )
        return Grade(
            problem_id=trajectory.problem_id,
            sample=trajectory.sample,
            first_verdict=await self._first_verdict(trajectory, found["verdict"], gold),
            **found,
        )

    async def _first_verdict(self, trajectory: Trajectory, verdict: Verdict, gold: str) -> Verdict | None:
        attempts = [step.answer for step in trajectory.steps if isinstance(step, Verification)]
        if not any(isinstance(step, Retry) and step.reason in AGAIN for step in trajectory.steps):
            return None
        return verdict if attempts[0] == trajectory.answer else (await self.compare(attempts[0], gold))[0]

    async def judge(self, answer: str, gold: str) -> Grade:
        """The grade of the final answer `answer`, of no sample."""
        work = partial(compare, answer, answer_in(gold) or "", gold, self.conventions, self.timeout, self._pool)
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def compare(self, answer: str, gold: str) -> tuple[Verdict, str]:
        """The verdict on `answer`, and one line on what decided. Never raises on account of the answer."""
        found = await self.judge(answer, gold)
        return found.verdict, found.reason
