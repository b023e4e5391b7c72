"""Whether a check of an answer is independent of the solution it checks, told from the code alone.

A check is void if it could not have come out otherwise whatever the answer, or if it only does again what the solution
did: then a mistake of the solution is repeated, and True means nothing. (CSV, arXiv:2308.07921, leaves this open.)
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from tora_agent.dataflow import TooLong, Trace
from tora_agent.values import ARITHMETIC, WRITTEN, Value

CONSTANT = "it asserts a constant"
ITSELF = "it compares the answer with itself"
REPEATED = "it only repeats the solution's own computation"


def void(check: str, cells: Iterable[tuple[str, bool]]) -> str | None:
    """Why `check` (a program that ends in a call of `check`, or prints its state) says nothing; None if it may.

    `cells` is the code of the solution, and whether each ran to its end. Void is a check that compares nothing but what
    is void for itself: constants, a value with itself, or with the answer as written what the solution has computed in
    the same way. Code that cannot be parsed, or is very long, is not judged.
    """
    program = _parsed(check)
    if program is None:
        return None
    try:
        state = Trace([program]).state
        parsed = [(cell, ended) for code, ended in cells if (cell := _parsed(code))]
        solution = Trace([cell for cell, _ in parsed], [ended for _, ended in parsed]).results
    except (TooLong, RecursionError, ValueError):
        return None
    if state is None:
        return None
    found = [_why_void(operands, solution) for operands in state.deciding]
    return None if None in found else next(why for why in (REPEATED, ITSELF, CONSTANT) if why in found)


def _why_void(operands: tuple[Value, ...], solution: set[str]) -> str | None:
    """Why a comparison of `operands` says nothing, where `solution` are the results of the solution."""
    if all(value.effort == WRITTEN for value in operands):
        return ITSELF if len(operands) > 1 else CONSTANT
    if len(operands) > 1 and len({value.key for value in operands}) == 1:
        return ITSELF
    others = [value for value in operands if value.key not in solution]
    return REPEATED if len(others) < len(operands) and all(each.effort <= ARITHMETIC for each in others) else None


def _parsed(code: str) -> ast.Module | None:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
