"""What is known about a value from the code that makes it: `Value`s, and how they are joined."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field, replace
from fractions import Fraction
from hashlib import sha256

WRITTEN, ARITHMETIC, COMPUTED = range(3)
"""The effort behind a value: constants as they stand; arithmetic with them, as answers are written; more than that."""
MOST_COMPARISONS = 100
"""More than that are one value that decides."""
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True)
class Value:
    """What is known about a value. Two are equal if they are computed alike."""

    key: str
    effort: int = WRITTEN
    comparisons: tuple[tuple[Value, ...], ...] = field(default=(), compare=False)
    """For what is true or false: the operands of each comparison that decides it."""
    sides: tuple[Value, ...] = field(default=(), compare=False)
    """For a difference: what is subtracted from what."""
    function: Function | None = field(default=None, compare=False)
    display: bool = field(default=False, compare=False)
    """Whether it is a list, tuple or dictionary as it is written."""

    @property
    def deciding(self) -> tuple[tuple[Value, ...], ...]:
        """Its comparisons; where there is none, the value itself decides."""
        return self.comparisons or ((self,),)


NOTHING, MODULE, SYMBOL = Value("@nothing"), Value("@module"), Value("@symbol")


def made_of(kind: str, *parts: Value | str, effort: int = WRITTEN) -> Value:
    """The value that is made of `parts` in the way that `kind` names."""
    text = "\0".join([kind, *(part.key if isinstance(part, Value) else part for part in parts)])
    efforts = [part.effort for part in parts if isinstance(part, Value)]
    return Value(sha256(text.encode("utf-8", "replace")).hexdigest(), max([effort, *efforts]))


def constant_value(constant: object) -> Value:
    """A constant as it stands in the code: a number by its value, so that 0.5 and 1/2 are one."""
    try:
        exact = Fraction(repr(constant)) if type(constant) in (int, float) else None
    except ValueError:  # infinite
        exact = None
    return Value(repr(constant) if exact is None else str(exact))


def negative(value: Value) -> Value | None:
    """The number that a minus before a number makes; None where that is no number."""
    try:
        return replace(value, key=str(-Fraction(value.key)))
    except (ValueError, ZeroDivisionError):
        return None


def fraction(over: ast.expr, under: ast.expr) -> Value | None:
    """The number that two integers stand for, written above and below each other in lowest terms; None for others.

    480 / 30 is a computation, and so is a quotient of what has names. As a number it is the same as its decimal, and to
    compare it with another one is arithmetic.
    """
    try:
        key = f"{ast.literal_eval(over)}/{ast.literal_eval(under)}"
        return Value(key, ARITHMETIC) if str(Fraction(key)) == key else None
    except (ValueError, ZeroDivisionError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def either(test: Value, one: Value, other: Value) -> Value:
    """`one` or `other`, as `test` decides."""
    if one.key == other.key:
        return one
    joined = made_of("if", test, one, other)
    if any(value.effort and not value.comparisons for value in (one, other)):
        return joined
    return _decided(joined, test.deciding + one.comparisons + other.comparisons)


def comparison(kind: str, operands: list[Value]) -> Value:
    """A comparison; that of a difference with zero, or with a tolerance, is one of the two that are subtracted."""
    compared = operands
    if len(operands) == 2:
        for difference, bound in (operands, operands[::-1]):
            if difference.sides and _is_small(bound):
                compared = list(difference.sides)
    return replace(made_of(kind, *operands), comparisons=(tuple(compared),))


def _is_small(bound: Value) -> bool:
    try:
        return abs(Fraction(bound.key)) < Fraction(1, 10)
    except (ValueError, ZeroDivisionError):
        return False


def bool_op(op: ast.boolop, values: list[Value]) -> Value:
    """`values` joined by `and` or `or`."""
    absorbing = "True" if isinstance(op, ast.Or) else "False"
    if constant := next((value for value in values if value.key == absorbing), None):
        return constant
    deciding = tuple(operands for value in values for operands in value.deciding)
    return _decided(made_of(type(op).__name__, *values), deciding)


def _decided(value: Value, comparisons: tuple[tuple[Value, ...], ...]) -> Value:
    distinct = tuple(dict.fromkeys(comparisons))
    return replace(value, comparisons=distinct) if len(distinct) <= MOST_COMPARISONS else value
