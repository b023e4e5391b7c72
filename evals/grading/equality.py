r"""Equality of two answers by Math-Verify. Runs in a worker process that can be killed.

Both sides stand in `\boxed{}`: parsed bare, 108 of the 500 MATH-500 golds are not equal to themselves.
"""

from __future__ import annotations

import re

MEMORY_BYTES = 4 << 30
_END = re.compile(r"(?:\\?[\s.]|\\,|\\!)+$")


def warm_up() -> None:
    """Import what is slow to import, and bound the worker's memory."""
    import logging
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    logging.disable(logging.WARNING)  # on every call, that it has no time limit: the killable worker is that limit
    equal("1", "2")


def equal(answer: str, gold: str) -> bool:
    """Whether `answer` equals `gold`, both LaTeX without a box. Has no time limit; raises what parsing raises."""
    from math_verify import parse, verify

    answer, gold = _END.sub("", answer), _END.sub("", gold)
    if answer == gold:
        return True
    boxed = [parse(rf"\boxed{{{side}}}", parsing_timeout=None, raise_on_error=True) for side in (gold, answer)]
    return bool(verify(*boxed, timeout_seconds=None, raise_on_error=True))
