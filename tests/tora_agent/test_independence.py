"""Which checks say nothing about the answer they check."""

from __future__ import annotations

import pytest

from prompts import load_prompt
from tora_agent.dialects.fences import read_reply
from tora_agent.independence import void

SOLUTION = """
from sympy import symbols, solve
x = symbols('x')
roots = solve(x**2 - 5*x + 6, x)
total = sum(r**2 for r in roots)
print(total)
"""
VOID = {
    "a constant": ("check(True, 'obvious')", "it asserts a constant"),
    "a constant that is printed": ("x = 3\nprint(True)", "it asserts a constant"),
    "an undecided constant": ("check(None)", "it asserts a constant"),
    "itself": ("answer = 13\ncheck(answer == 13)", "it compares the answer with itself"),
    "itself in other words": ("answer = 13\nexpected = int('13')\ncheck(answer == expected)", "it compares the answer"),
    "itself, behind work for nothing": (
        "n = sum(range(9))\nanswer = 13\nproposed = 13\ncheck(proposed == answer)",
        "it compares the answer with itself",
    ),
    "the solution again": (SOLUTION.replace("print(total)", "check(total == 13)"), "it only repeats"),
    "the solution again, renamed": (
        "from sympy import symbols, solve\nt = symbols('x')\nzeros = solve(t**2 - 5*t + 6, t)\n"
        "squares = sum(z**2 for z in zeros)\ncheck(squares == 13)",
        "it only repeats",
    ),
}
INDEPENDENT = {
    "brute force": "check(sum(n*n for n in range(-99, 99) if n*n - 5*n + 6 == 0) == 13)",
    "substitution": "x = 3\ncheck(2*x + 1 == 7)",
    "another method": SOLUTION.replace("print(total)", "check(5**2 - 2*6 == 13 and total == 13)").replace(
        "total = sum(r**2 for r in roots)", "total = (roots[0] + roots[1])**2 - 2*roots[0]*roots[1]"
    ),
    "a decision": "n = len([k for k in range(9) if k % 2])\nif n == 4:\n    check(True)\nelse:\n    check(False)",
    "a function": "def holds(n):\n    return all(n % k for k in range(2, n))\ncheck(holds(13))",
    "code that is not Python": "check(",
    "nothing said": "x = 1",
}


@pytest.mark.parametrize(("check", "why"), VOID.values(), ids=VOID)
def test_a_void_check_is_found(check: str, why: str) -> None:
    assert (void(check, [SOLUTION]) or "").startswith(why)


@pytest.mark.parametrize("check", INDEPENDENT.values(), ids=INDEPENDENT)
def test_an_independent_check_is_not_void(check: str) -> None:
    assert void(check, [SOLUTION]) is None


def test_a_docstring_and_a_function_name_make_no_difference() -> None:
    first = "def f(n):\n    'Count.'\n    return n*(n + 1)/2\nprint(f(4))"
    second = "def g(k):\n    return k*(k + 1)/2\ncheck(g(4) == 10)"
    assert void(second, [first]) == "it only repeats the solution's own computation"


def test_the_checks_that_the_prompt_shows_are_independent() -> None:
    for example in load_prompt("check").examples:
        (reply,) = [text for turn in example.turns for kind, text in turn.items() if kind == "assistant"]
        code = read_reply(reply).code
        assert code is not None
        assert void(code, []) is None
