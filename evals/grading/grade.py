"""The grader: extract, clean, compare by the cheapest tier that can tell."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

from evals.grading.extract import Extract, answer_in, extract_answer
from evals.grading.judge import Judgement, judge, short
from evals.grading.verdict import DEFAULT, Conventions, Grade, Tier, Verdict
from evals.grading.workers import Pool, shared_pool

TIMEOUT_SECONDS = 5.0


def grade(
    prediction: str | None,
    gold: str,
    form: str = "response",
    extract: str = "lenient",
    finish_reason: str | None = None,
    *,
    conventions: Conventions = DEFAULT,
    timeout: float = TIMEOUT_SECONDS,
    pool: Pool | None = None,
) -> Grade:
    r"""The verdict on `prediction` against `gold`. Never raises on account of either.

    `form` says what `prediction` is: "response", in which the rule `extract` ("lenient" or "box") finds the answer, or
    "answer", a final answer, which may be wrapped in prose or a box. A response whose `finish_reason` is "length" and
    that has no answer is truncated rather than without one. `timeout` is in seconds, for work that needs a worker.
    Raises `ValueError` for an unknown `form` or `extract`.
    """
    if form not in ("response", "answer"):
        raise ValueError(f"form is 'response' or 'answer', not {form!r}")
    rule = Extract(extract)
    gold = str(gold)
    given = "" if prediction is None else str(prediction)
    answer = answer_in(given) if form == "answer" else extract_answer(given, rule, cut=finish_reason == "length")
    if answer is None or not answer.strip():
        return _nothing(gold, finish_reason)
    return compare(answer, answer_in(gold) or "", gold, conventions, timeout, pool)


def compare(answer: str, target: str, gold: str, conventions: Conventions, timeout: float, pool: Pool | None) -> Grade:
    """The grade of `answer` against `target`, which is what `gold` says."""
    if not target.strip():
        reason = "the gold is empty: there is nothing to compare with"
        return Grade(answer=_sound(answer), gold=_sound(gold), verdict=Verdict.GRADER_ERROR, reason=reason)
    found = decide(answer, target, conventions, timeout, pool)
    return Grade(answer=_sound(answer), gold=_sound(gold), **found)


@lru_cache(maxsize=10_000)
def _cheap(answer: str, gold: str, conventions: Conventions) -> Judgement:
    return judge(answer, gold, conventions)


def decide(answer: str, gold: str, conventions: Conventions, timeout: float, pool: Pool | None) -> dict[str, Any]:
    """Verdict, tier, reason and both normal forms, as fields of a `Grade`."""
    try:
        found = _cheap(answer, gold, conventions)
    except Exception as error:  # a fault of ours must not end a run of thousands
        return {"verdict": Verdict.GRADER_ERROR, "reason": f"comparing failed: {type(error).__name__}: {error}"[:200]}
    forms = {"answer_form": found.answer_form, "gold_form": found.gold_form}
    if found.same is None:
        request = {
            "answer": answer,
            "gold": gold,
            "conventions": conventions.model_dump(),
            "timeout": timeout,
            "library": found.foreign,
        }
        return forms | (pool or shared_pool()).ask(request)
    verdict = Verdict.CORRECT if found.same else Verdict.WRONG
    return forms | {"verdict": verdict, "tier": found.tier, "reason": found.reason}


def _nothing(gold: str, finish_reason: str | None) -> Grade:
    cut = finish_reason == "length"
    verdict = Verdict.TRUNCATED if cut else Verdict.NO_ANSWER
    reason = "a token limit cut the response before its answer" if cut else "there is no answer in it"
    return Grade(answer=None, gold=_sound(gold), verdict=verdict, tier=Tier.EXTRACTION, reason=reason)


def _sound(text: str) -> str:
    """`text` without halves of characters, which no file can hold."""
    return text.encode("utf-8", "replace").decode()


async def grade_async(prediction: str | None, gold: str, *arguments: Any, **options: Any) -> Grade:
    """`grade` for a running event loop, which it does not hold up."""
    return await asyncio.to_thread(grade, prediction, gold, *arguments, **options)


def grade_batch(pairs: Iterable[tuple[str | None, str]], *arguments: Any, **options: Any) -> list[Grade]:
    """The grades of (prediction, gold) pairs, in their order; what needs workers is spread over all of them."""
    pool = options.get("pool") or shared_pool()
    with ThreadPoolExecutor(pool.size, "grading") as threads:
        return list(threads.map(lambda pair: grade(*pair, *arguments, **options), pairs))


def same_answer(a: str, b: str, *, conventions: Conventions = DEFAULT, timeout: float = TIMEOUT_SECONDS) -> bool:
    """Whether two final answers are mathematically the same; False where it cannot be shown in time. Symmetric."""
    one, other = answer_in(a), answer_in(b)
    return bool(one and other) and _same(one or "", other or "", conventions, timeout)


@lru_cache(maxsize=10_000)
def _same(answer: str, other: str, conventions: Conventions, timeout: float) -> bool:
    # Kept, since votes compare the same answers again with each sample, and what ran into the timeout once would again.
    verdict: str = decide(answer, other, conventions, timeout, None)["verdict"]
    return verdict == Verdict.CORRECT


def answer_classes(answers: Sequence[str], *, timeout: float = TIMEOUT_SECONDS) -> list[list[int]]:
    """The indices of `answers` in classes of the same answer, each class and the classes in order of appearance.

    An answer is compared with the first of each class, so that every answer is in one class only.
    """
    classes: list[list[int]] = []
    for i, answer in enumerate(answers):
        for each in classes:
            if same_answer(answer, answers[each[0]], timeout=timeout):
                each.append(i)
                break
        else:
            classes.append([i])
    return classes


async def answer_classes_async(answers: Sequence[str], *, timeout: float = TIMEOUT_SECONDS) -> list[list[int]]:
    """`answer_classes` for a running event loop, which it does not hold up."""
    return await asyncio.to_thread(answer_classes, answers, timeout=timeout)


__all__ = ["answer_classes", "answer_classes_async", "grade", "grade_async", "grade_batch", "same_answer", "short"]
