"""Numbers as answers and outputs write them, in LaTeX or Python. Nothing is evaluated but what stands here."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable

_LATEX = (
    (
        re.compile(
            r"\\(?:left|right|!|,|;|:|displaystyle|text\s*\{[^{}]*\}|mathrm\s*\{[^{}]*\}|%|\$)|[$\s]|\^\\circ|\^\{\\circ\}|°|%"
        ),
        "",
    ),
    (re.compile(r"(?<=\d),(?=\d{3}(?!\d))|\{,\}"), ""),
    (re.compile(r"\\[dt]?frac(\d)(\d)"), r"((\1)/(\2))"),
    (re.compile(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}"), r"((\1)/(\2))"),
    (re.compile(r"\\sqrt\{([^{}]*)\}|\\sqrt(\d)"), r"sqrt(\1\2)"),
    (re.compile(r"\\pi|\bpi\b"), "(pi)"),
    (re.compile(r"\\cdot|\\times"), "*"),
    (re.compile(r"\^\{([^{}]*)\}"), r"**(\1)"),
    (re.compile(r"\^"), "**"),
    (re.compile(r"(?<=[\d)])(?=sqrt|\()"), "*"),
    (re.compile(r"^[a-zA-Z]\w?=|_\{?\d+\}?$"), ""),
)
_OPERATORS: dict[type[ast.AST], Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


def number(text: str) -> float | None:
    r"""The value of a number in LaTeX or Python, such as `-3`, `\frac{1}{2}`, `2\sqrt{3}` or `7*pi/4`; else None."""
    if len(text) > 200:
        return None
    for _ in range(3):  # fractions within fractions
        for pattern, replacement in _LATEX:
            text = pattern.sub(replacement, text)
    try:
        value = _value(ast.parse(text, mode="eval").body)
        return value if math.isfinite(value) else None
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, TypeError, KeyError, MemoryError):
        return None


def _value(node: ast.expr) -> float:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return float(node.value)  # type: ignore[arg-type]  # as the line before says
    if isinstance(node, ast.Name) and node.id == "pi":
        return math.pi
    if isinstance(node, ast.UnaryOp):
        return _OPERATORS[type(node.op)](_value(node.operand))
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Pow):
            return math.pow(left, right)  # of floats: bounded, where integers would grow
        return _OPERATORS[type(node.op)](left, right)
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "sqrt"
        and len(node.args) == 1
    ):
        return math.sqrt(_value(node.args[0]))
    raise ValueError("not a number")
