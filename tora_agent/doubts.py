"""What looks wrong about an answer without asking the model: small named rules, each with its evidence.

How often each is right on recorded trajectories is measured by `make bench-doubts`. Rules that fired on none of 1,483
recorded answers, or on right ones alone, are gone: a negative measure, a decimal for a common fraction, a digit that
the base does not have, several different boxes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from tora_agent.numbers import number

Rule = Callable[["Evidence"], str | None]
"""The evidence, in a line that the model can be shown; None where the rule has nothing to say."""


@dataclass(frozen=True)
class Evidence:
    """An answer, and what led to it."""

    problem: str
    answer: str
    outputs: list[str] = field(default_factory=list)
    """What each cell brought."""
    failed: bool = False
    """Whether the last cell raised or timed out."""
    asked_for_code: bool = True
    cut: list[str] = field(default_factory=list)
    """What was cut off the replies."""


def doubts(evidence: Evidence) -> dict[str, str]:
    """The rules that fire, by name, each with its evidence."""
    return {name: said for name, rule in RULES.items() if (said := rule(evidence))}


def contradicts_output(a: Evidence) -> str | None:
    """The answer is a number, and so is the last line that was printed, and no number printed is the answer.

    Of a sum of parts, such as m + n, the parts are printed.
    """
    value, printed = number(a.answer), a.outputs[-1].strip() if a.outputs else ""
    last = number(printed.splitlines()[-1]) if printed else None
    if value is None or last is None or a.failed or _OF_PARTS.search(_question(a.problem)):
        return None
    seen = [last, *map(float, _NUMBERS.findall(printed))]
    if any(_close(value, other) or _close(value / 100, other) for other in seen):
        return None
    return f"the last output ends in {printed.splitlines()[-1].strip()[:80]}, and the answer is another number"


def no_code(a: Evidence) -> str | None:
    """The prompt asks for code, and none has run."""
    return "no code was run" if a.asked_for_code and not a.outputs else None


def code_failed(a: Evidence) -> str | None:
    """The last cell before the answer raised or timed out."""
    return "the last code before the answer failed" if a.failed else None


def not_an_integer(a: Evidence) -> str | None:
    """The problem asks how many there are, or for an integer, and not for a decimal or a fraction."""
    value = number(a.answer)
    if value is None or abs(value - round(value)) < 1e-9:
        return None
    if not _COUNTED.search(_question(a.problem)) or _ROUNDED.search(a.problem):
        return None
    return "the problem asks for an integer, and the answer is none"


def not_a_probability(a: Evidence) -> str | None:
    """The problem asks for a probability."""
    value, question = number(a.answer), _question(a.problem)
    if value is None or 0 <= value <= 1 or "%" in a.answer or "percent" in question:
        return None
    if not re.search(r"\bprobability\b", question) or _OF_PARTS.search(question):
        return None
    return "the problem asks for a probability, and the answer is not between 0 and 1"


def invented_output(a: Evidence) -> str | None:
    """The model wrote an output of its code itself."""
    return "an invented output was cut off" if any("```output" in cut for cut in a.cut) else None


RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        contradicts_output,
        no_code,
        code_failed,
        not_an_integer,
        not_a_probability,
        invented_output,
    )
}
_NUMBERS = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.]*\d)")
_OF_PARTS = re.compile(r"\b[a-zA-Z] ?[+-] ?[a-zA-Z]\b")
_ROUNDED = re.compile(r"\b(?:decimal|fraction|mixed number|nearest)\b")
_COUNTED = re.compile(
    r"\b[Hh]ow many (?!\w+ (?:in|of) )|\b(?:the|what) (?:smallest|largest|least|greatest)?\s?(?:positive )?integer\b"
)


def _question(problem: str) -> str:
    """The sentence that asks: the last one with a question mark or an imperative, else the last."""
    sentences = [s for s in re.split(r"(?<=[.?!])\s+", problem.strip()) if s]
    asking = [
        s for s in sentences if s.endswith("?") or re.match(r"(?:Find|Compute|What|How|Determine|Calculate)\b", s)
    ]
    return (asking or sentences or [""])[-1]


def _close(a: float, b: float) -> bool:
    """Equal, or equal once rounded: an output has more digits than an answer, or fewer."""
    return math.isclose(a, b, rel_tol=1e-2, abs_tol=1e-9)
