"""Whether a check of an answer is independent of the solution it checks, told from the code alone.

A check is void if it could not have come out otherwise whatever the answer, or if it only does again what the solution
did: then a mistake of the solution is repeated, and True means nothing. (CSV, arXiv:2308.07921, leaves this open.)
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

REPEATED = 0.8
"""Share of a check's work that must stand in the solution for the check to count as a repetition."""
_WRAPPERS = {"bool", "str", "int", "float", "abs", "round", "sympify", "Rational", "Integer", "S", "Fraction"}
"""Functions that only write a constant in another way."""


def void(check: str, cells: Iterable[str]) -> str | None:
    """Why `check` (a program that ends in a call of `check`, or prints its state) says nothing; None if it may.

    `cells` is the code of the solution. Code that cannot be parsed is not judged.
    """
    program = _parsed(check)
    if program is None:
        return None
    state = _state_of(program)
    if state is not None and not _depends_on_work(state, program):
        names = {node.id for node in ast.walk(state) if isinstance(node, ast.Name)}
        if names or isinstance(state, ast.Compare):
            return "it compares the answer with itself"
        return "it asserts a constant"
    work = [_shape(part) for part in _work(program)]
    done = {_shape(part) for cell in cells if (solution := _parsed(cell)) for part in _work(solution)}
    if work and sum(part in done for part in work) >= REPEATED * len(work):
        return "it only repeats the solution's own computation"
    return None


def _parsed(code: str) -> ast.Module | None:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _state_of(program: ast.Module) -> ast.expr | None:
    """The expression that decides the state: the first argument of the last `check(...)` or `print(...)`."""
    calls = [node for node in ast.walk(program) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    for name in ("check", "print"):
        named = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == name and call.args]
        if named:
            return max(named, key=lambda call: (call.lineno, call.col_offset)).args[0]
    return None


def _depends_on_work(expression: ast.expr, program: ast.Module) -> bool:
    """Whether something is computed on the way to `expression`: arithmetic, a call, a loop, a condition."""
    assigned: dict[str, list[ast.AST]] = {}
    for node in ast.walk(program):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                for name in _names(target):
                    assigned.setdefault(name, []).append(node.value)
        elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.NamedExpr):
            for name in _names(node.target):
                assigned.setdefault(name, []).append(node if isinstance(node, ast.AugAssign) else node.value or node)
        elif isinstance(node, ast.For | ast.comprehension):
            for name in _names(node.target):
                assigned.setdefault(name, []).append(node)
        elif isinstance(node, ast.If | ast.While | ast.Try) and any(
            isinstance(inner, ast.Call) and _called(inner) == "check" for inner in ast.walk(node)
        ):
            return True  # which of several calls is made is decided by what was computed
    seen: set[str] = set()
    waiting: list[ast.AST] = [expression]
    while waiting:
        for node in ast.walk(waiting.pop()):
            if isinstance(node, ast.Call) and (_called(node) not in _WRAPPERS or len(node.args) > 1):
                return True
            if isinstance(
                node, ast.BinOp | ast.For | ast.comprehension | ast.AugAssign | ast.Subscript | ast.Attribute
            ):
                return True
            if isinstance(node, ast.Name) and node.id not in seen:
                seen.add(node.id)
                waiting += assigned.get(node.id, [])
    return False


def _work(program: ast.Module) -> Iterator[ast.stmt]:
    """The statements that compute something; without imports, constants, outputs and the final comparison."""
    for statement in program.body:
        if isinstance(statement, ast.Import | ast.ImportFrom | ast.Assert):
            continue
        if isinstance(statement, ast.Expr):
            value = statement.value
            if isinstance(value, ast.Constant | ast.Name | ast.Compare):
                continue
            if isinstance(value, ast.Call) and _called(value) in ("check", "print"):
                continue
        if isinstance(statement, ast.Assign | ast.AnnAssign) and (
            statement.value is None or not any(isinstance(n, ast.Call | ast.BinOp) for n in ast.walk(statement.value))
        ):
            continue
        if isinstance(statement, ast.FunctionDef) and ast.get_docstring(statement, clean=False) is not None:
            statement.body = statement.body[1:] or [ast.Pass()]
        yield statement


def _shape(statement: ast.stmt) -> str:
    """`statement` with its own names numbered in order of appearance, so that renaming makes no difference."""
    numbers: dict[str, str] = {}
    copy = ast.parse(ast.unparse(statement))
    called = {id(node.func) for node in ast.walk(copy) if isinstance(node, ast.Call)}
    for node in ast.walk(copy):
        if isinstance(node, ast.Name) and id(node) not in called:
            node.id = numbers.setdefault(node.id, f"v{len(numbers)}")
        elif isinstance(node, ast.arg):
            node.arg = numbers.setdefault(node.arg, f"v{len(numbers)}")
        elif isinstance(node, ast.FunctionDef):
            node.name = "f"
    return ast.dump(copy)


def _called(call: ast.Call) -> str:
    """Name of the function or method that is called."""
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _names(target: ast.AST) -> Iterator[str]:
    for node in ast.walk(target):
        if isinstance(node, ast.Name):
            yield node.id
