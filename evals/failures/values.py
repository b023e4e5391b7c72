r"""Values that a trajectory shows, beside the gold answer. Text and floats only: nothing is evaluated, nothing waits.

The grader decides what is correct. This is quicker and narrower, for hundreds of values per sample: what it calls
`same` is the same; what it does not may be.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache

from evals.grading import Conventions
from evals.grading.judge import judge
from tora_agent.answers import last_box
from tora_agent.numbers import number

VALUE_CHARS = 300
"""Longer texts are no values."""
LINES = 60
"""Of an output, the last lines that are looked at."""

_DRESSING = (
    (re.compile(r"Interval\.open\((.*)\)"), r"(\1)"),
    (re.compile(r"Interval\.Lopen\((.*)\)"), r"(\1]"),
    (re.compile(r"Interval\.Ropen\((.*)\)"), r"[\1)"),
    (re.compile(r"Interval\((.*)\)"), r"[\1]"),
    (re.compile(r"(?<![\w.])(\d+)\.0+(?!\d)"), r"\1"),
    (re.compile(r"(?<=\d)\s*\*?\s*I\b|\bI\b"), "i"),
    (re.compile(r"\\begin\{[pbv]?matrix\}|\\end\{[pbv]?matrix\}|Matrix\(|(?<=\]\])\)"), ""),
    (re.compile(r"\],\s*\["), ";"),  # a matrix's rows in Python, below in LaTeX
    (re.compile(r"\[\[|\]\]"), ""),
    (re.compile(r"\\\\"), ";"),
    (re.compile(r"(?<=\S)\s*&\s*"), ","),
    (re.compile(r"\\(?:left|right|[!,;: ]|displaystyle|quad)(?![a-zA-Z])|[$\s]"), ""),
    (re.compile(r"\\(?:text|mathrm|mbox|textbf|mathbf|operatorname)\s*\{([^{}]*)\}"), r"\1"),
    (re.compile(r"\\[dt]?frac(\d)(\d)"), r"(\1)/(\2)"),
    (re.compile(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}"), r"(\1)/(\2)"),
    (re.compile(r"Fraction\((-?\d+),(\d+)\)|Rational\((-?\d+),(\d+)\)"), r"\1\3/\2\4"),
    (re.compile(r"\\sqrt\{([^{}]*)\}|\\sqrt(\d)"), r"sqrt(\1\2)"),
    (re.compile(r"\\cdot|\\times"), "*"),
    (re.compile(r"(?<!\*)\*(?!\*)(?!(?<=\d\*)\d)"), ""),
    (re.compile(r"\*\*"), "^"),
    (re.compile(r"\\infty|\boo\b"), "∞"),
    (re.compile(r"\\pi\b|\bpi\b"), "π"),
    (re.compile(r"\\cup"), "∪"),
    (re.compile(r"\^\{([^{}]*)\}"), r"^\1"),
    (re.compile(r"\(([\w.]+)\)(?=/|$)|(?<=/)\(([\w.]+)\)"), r"\1\2"),
    (re.compile(r"\\([{}%])"), r"\1"),
    (re.compile(r"[.,;]+$"), ""),
)
_PAIRS = {"(": ")", "[": "]", "{": "}"}
_LABEL = re.compile(r"^.{0,120}?(?:[:=]|\bis\b|≈|->)\s*(?=\S)")
_UNKNOWN = re.compile(r"=|\\in\b|∈|\\approx\b|≈")
_DECIMAL = re.compile(r"^-?(\d*)(?:\.(\d+))?$")


@lru_cache(maxsize=4096)
def plain(text: str) -> str:
    r"""`text` without what does not change a value: spaces, `\left`, `\text`, `*`; fractions and powers one way."""
    for pattern, replacement in _DRESSING:
        text = pattern.sub(replacement, text)
    return text


def same(value: str, gold: str) -> bool:
    """Whether both are the same but for dressing: as text, as numbers, part by part, or as expressions."""
    if max(len(value), len(gold)) > VALUE_CHARS:
        return False
    if (left := plain(value)) and left == plain(gold):
        return True
    if (left_number := _number(value)) is not None and (right_number := _number(gold)) is not None:
        return math.isclose(left_number, right_number, rel_tol=1e-9, abs_tol=1e-12)
    left_parts, right_parts = parts(value), parts(gold)
    if len(left_parts) == len(right_parts) == 1:
        return _equal_expressions(value, gold)
    if len(left_parts) != len(right_parts) or _bracket(value) != _bracket(gold):
        return False
    if _bracket(gold) in ("", "{"):
        left_parts, right_parts = _sorted(left_parts), _sorted(right_parts)
    return all(map(same, left_parts, right_parts))


def parts(text: str) -> list[str]:
    """The things that a tuple, set or list in `text` holds; a single thing is a list of one."""
    text = _undressed(text)
    if _bracket(text):
        text = text[1:-1]
    found, depth, start = [], 0, 0
    for index, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0 and not re.match(r",\d{3}(?!\d)", text[index:]):
            found.append(text[start:index])
            start = index + 1
    return [part.strip() for part in [*found, text[start:]] if part.strip()]


def shown(output: str) -> Iterator[str]:
    """The values that an output shows: its lines, what is boxed or follows a label there, what a list of one holds.

    The last line's come first.
    """
    for line in reversed(output.splitlines()[-LINES:]):
        line = line.strip()
        if not line or len(line) > VALUE_CHARS:
            continue
        line = last_box(line) or line
        unlabelled = _LABEL.sub("", line)
        if line.endswith(","):  # one of many
            continue
        for text in dict.fromkeys([line, unlabelled, unlabelled.rpartition("=")[2].strip()]):
            yield text
            if _bracket(text) == "{" and all(":" in part for part in parts(text)):
                yield f"({', '.join(part.rpartition(':')[2].strip() for part in parts(text))})"
            inner = text
            while _bracket(inner) in ("[", "{", "(") and len(parts(inner)) == 1:
                inner = parts(inner)[0].rpartition(":")[2].strip()
                yield inner


def elements(output: str) -> Iterator[str]:
    """What the lists and tuples that an output shows hold; the last line's first."""
    for text in shown(output):
        if _bracket(text):
            yield from reversed(parts(text))


# What is forgiven, one thing at a time, to see that an answer is wrong in its form alone.


def rounded(answer: str, gold: str) -> bool:
    """One is a decimal of two places or more, or a number of four digits, to which the other rounds."""
    if len(parts(answer)) > 1 or len(parts(gold)) > 1:
        return _all_parts(lambda a, g: same(a, g) or rounded(a, g), answer, gold)
    left, right = _number(_bare(answer)), _number(_bare(gold))
    if left is None or right is None:
        return False
    digits = [found for text in (answer, gold) if (found := _DECIMAL.match(plain(_bare(text))))]
    places = min(
        (len(found[2] or "") for found in digits if len(found[1]) + len(found[2] or "") > 3 or found[2]), default=0
    )
    enough = places >= 2 or any(not found[2] and len(found[1]) >= 4 for found in digits)
    return enough and abs(left - right) <= 0.51 * 10.0**-places + 1e-9 * abs(right)


def percent(answer: str, gold: str) -> bool:
    """One is a percentage, the other the share."""
    left, right = _number(answer), _number(gold)
    if left is None or right is None or "%" not in answer + gold:
        return False
    return any(math.isclose(100 * a, b, rel_tol=1e-9) for a, b in ((left, right), (right, left)))


def words(answer: str, gold: str) -> bool:
    """Equal without units and words, or in lower case."""
    left, right = _bare(answer), _bare(gold)
    if plain(answer).casefold() == plain(gold).casefold():
        return True
    return bool(re.search(r"\d", left)) and same(left, right)


def name(answer: str, gold: str) -> bool:
    r"""Equal, or rounded, without what is on the left of an equals sign, or in front of `\in`."""
    left = _UNKNOWN.split(answer)[-1].strip()
    right = re.sub(r"^\s*[A-Za-z]\w?(?:\([a-z]\))?\s*(?:=|\\in\b|∈)", "", gold).strip()
    return (left, right) != (answer.strip(), gold.strip()) and (same(left, right) or rounded(left, right))


def brackets(answer: str, gold: str) -> bool:
    """The same things in the same order, in brackets of another kind or in none; half-open intervals apart."""
    if any(_open(text) for text in (answer, gold)) or "∞" in plain(answer) + plain(gold):
        return False
    return _bracket(answer) != _bracket(gold) and _all_parts(same, answer, gold)


def base(answer: str, gold: str) -> bool:
    """Equal without the base of a number."""
    subscript = re.compile(r"_\{?[^{}]*\}?$")
    left, right = (subscript.sub("", text.strip()) for text in (answer, gold))
    return (left, right) != (answer.strip(), gold.strip()) and same(left, right)


RELAXATIONS: dict[str, Callable[[str, str], bool]] = {
    "a decimal for an exact value": rounded,
    "a percentage for a share": percent,
    "units or words": words,
    "the name of the unknown": name,
    "brackets": brackets,
    "the base": base,
}


def relaxation(answer: str, gold: str) -> str | None:
    """What has to be forgiven for `answer` to be `gold`; None if that does not help."""
    if max(len(answer), len(gold)) > VALUE_CHARS:
        return None
    return next((what for what, equal in RELAXATIONS.items() if equal(answer, gold)), None)


@lru_cache(maxsize=4096)
def _number(text: str) -> float | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # of what is no Python, such as "2if"
        value = number(_quotients(text))
    return value if value is not None and math.isfinite(value) else None


def _quotients(text: str) -> str:
    """`text` with the fractions of Python's and sympy's `repr` as quotients."""
    return re.sub(r"(?:Fraction|Rational)\((-?\d+),\s*(\d+)\)", r"(\1/\2)", text)


def _bare(text: str) -> str:
    r"""`text` without units: `\text{...}`, words at its end, the letters of an ordinal."""
    text = re.sub(r"\^\{?(?:\\(?:text|mathrm)\{)?(?:th|st|nd|rd)\}{0,2}", "", text)
    text = re.sub(
        r"(?:\\(?:text|mathrm|mbox)\s*|(?<=\d))\{[A-Za-z /.]*\}(?:\^\{?\d\}?)?|\\\$|\$|\\?%|\^\{?\\circ\}?|°", " ", text
    )
    return re.sub(r"(?:(?<=[\d)}])|\s)\s*[A-Za-z]{2,}(?:[\s/]+[A-Za-z]+)*(?:\^\{?\d\}?)?[.\s]*$", "", text).strip()


def _equal_expressions(left: str, right: str) -> bool:
    """Whether the grader's cheap tiers call two expressions equal. Asked only of those with the same letters."""
    letters = _letters(left)
    return bool(letters) and letters == _letters(right) and _judged(left, right)


def _letters(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[^\W\d_]", re.sub(r"\\?[A-Za-z]{3,}|\\\w+|frac", "", plain(text))))


@lru_cache(maxsize=4096)
def _judged(left: str, right: str) -> bool:
    return judge(left, right, Conventions()).same is True


def _all_parts(equal: Callable[[str, str], bool], answer: str, gold: str) -> bool:
    left, right = parts(answer), parts(gold)
    return len(left) == len(right) and all(map(equal, left, right))


def _sorted(texts: list[str]) -> list[str]:
    return sorted(texts, key=lambda text: (value if (value := _number(text)) is not None else math.inf, plain(text)))


def _undressed(text: str) -> str:
    return re.sub(r"\\(?:left|right|[!;: ])(?![a-zA-Z])|\\(?=[{}])|\$", "", text).strip().rstrip(".").strip()


def _bracket(text: str) -> str:
    """The bracket that holds all of `text`; empty where none does."""
    text = _undressed(text)
    if len(text) < 2 or _PAIRS.get(text[0]) != text[-1]:
        return ""
    depth = 0
    for index, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if depth == 0:
            return text[0] if index == len(text) - 1 else ""
    return ""


def _open(text: str) -> bool:
    """Whether `text` is a half-open interval."""
    text = _undressed(text)
    return text[:1] + text[-1:] in ("(]", "[)")
