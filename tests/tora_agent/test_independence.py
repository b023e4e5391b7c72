"""Which checks say nothing about the answer they check."""

from __future__ import annotations

import re
import time

import pytest

from prompts import load_prompt
from tora_agent.dialects.fences import read_reply
from tora_agent.independence import REPEATED
from tora_agent.independence import void as beside

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
    "itself, by a decision": (
        "answer = 13\nif answer == 13:\n    check(True)\nelse:\n    check(False)",
        "it compares the answer with itself",
    ),
    "itself, within a tolerance": (
        "answer = 13\nexpected = 13.0\ndifference = abs(answer - expected)\ncheck(difference < 1e-9)",
        "it compares the answer with itself",
    ),
    "itself, exactly": (
        "from sympy import sqrt, simplify\nanswer = sqrt(5)/2\nexpected = sqrt(5)/2\n"
        "check(simplify(answer - expected) == 0)",
        "it compares the answer with itself",
    ),
    "itself, after work": ("found = sum(range(9))\nanswer = found\ncheck(answer == found)", "it compares the answer"),
    "itself, by a function": (
        "def verify(answer):\n    if answer == 13:\n        return True\n    return False\ncheck(verify(13))",
        "it compares the answer with itself",
    ),
    "itself, where an error is caught": (
        "try:\n    answer = float('2.5')\n    check(answer == 2.5)\nexcept ValueError:\n    check(False)",
        "it compares the answer with itself",
    ),
    "itself, asserted": ("answer = 13\nassert answer == 13\ncheck(True)", "it compares the answer with itself"),
    "the solution, rounded": (SOLUTION.replace("print(total)", "check(round(total, 2) == 13.0)"), "it only repeats"),
    "the same whatever comes out": (
        "n = sum(range(4))\nif n == 6:\n    check(True)\nelse:\n    check(True)",
        "it asserts a constant",
    ),
    "the same whatever is raised": (
        "try:\n    n = sum(range(4))\n    check(True)\nexcept Exception:\n    check(True)",
        "it asserts a constant",
    ),
    "false in any case": ("if sum(range(4)) != 6:\n    check(True)\ncheck(False)", "it asserts"),
    "two notations of a number": ("answer = 3/4\ncheck(answer == 0.75)", "it compares the answer with itself"),
    "a difference of two notations": (
        "from sympy import Rational\ncheck(abs(Rational(-3, 4) - -3/4) < 1e-9 or Rational(-3, 4) == -0.75)",
        "it compares the answer with itself",
    ),
    "two notations, nearly": ("import math\ncheck(math.isclose(0.75, 3/4))", "it compares the answer with itself"),
    "an item of what is written": ("answers = [13]\ncheck(answers[0] == 13)", "it compares the answer with itself"),
    "an entry of what is written": ("d = {'x': 13}\ncheck(d['x'] == 13)", "it compares the answer with itself"),
    "written in order": ("check(sorted([2, 1]) == [1, 2])", "it compares the answer with itself"),
    "written in other letters": ("a = ' B '\ncheck(a.strip().lower() == 'b')", "it compares the answer with itself"),
    "its type": ("answer = 13\ncheck(type(answer) == int)", "it compares the answer with itself"),
    "true in any case": ("check(sum(range(9)) == 3 or True)", "it asserts a constant"),
    "a constant with a name": ("ok = True\ncheck(ok)", "it asserts a constant"),
    "a constant in a loop": ("for _ in range(3):\n    check(True)", "it asserts a constant"),
    "a constant in a function": ("def main():\n    check(True)\nmain()", "it asserts a constant"),
    "the solution in one line": (
        "from sympy import symbols, solve\nx = symbols('x')\ncheck(sum(r**2 for r in solve(x**2 - 5*x + 6, x)) == 13)",
        "it only repeats",
    ),
    "the solution in a function": (
        "import sympy as sp\ndef main():\n    t = sp.Symbol('t')\n    zeros = sp.solve(t**2 - 5*t + 6, t)\n"
        "    return sum(z**2 for z in zeros)\nresult = main()\nprint(result)\n"
        "if result == 13:\n    check(True)\nelse:\n    check(False, f'{result} was found')",
        "it only repeats",
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
    "the answer put into the equation": (
        "from sympy import symbols\nx = symbols('x')\ncheck(all((x**2 - 5*x + 6).subs(x, r) == 0 for r in (2, 3)))"
    ),
    "a flag": "prime = True\nfor d in range(2, 13):\n    if 13 % d == 0:\n        prime = False\ncheck(prime)",
    "a flag without a loop": "ok = False\nif 13 % 4 == 1:\n    ok = True\ncheck(ok)",
    "a list that is filled": (
        "found = []\nfor n in range(50):\n    if n % 7 == 6 and n % 5 == 3:\n        found.append(n)\n"
        "check(found == [13, 48])"
    ),
    "an assertion": "assert sum(n*n for n in (2, 3)) == 13\ncheck(True)",
    "another order": "s = [n * n % 7 for n in range(9)]\ncheck(sorted(s, reverse=True)[0] == sorted(s)[-1])",
    "two conditions": "if sum(n*n for n in (2, 3)) != 13:\n    check(False)\ncheck(True)",
    "two conditions, one written": "check(sum(n*n for n in (2, 3)) == 13)\ncheck(13 == 13)",
    "an error": "if sum(n*n for n in (2, 3)) != 13:\n    raise ValueError\ncheck(True)",
    "an error in a function": (
        "def need(holds):\n    if not holds:\n        raise ValueError\nneed(2**3 + 5 == 13)\ncheck(True)"
    ),
    "an early return": (
        "def main():\n    for d in range(2, 13):\n        if 13 % d == 0:\n            check(False)\n"
        "            return\n    check(True)\nmain()"
    ),
    "the end of a search": "for d in range(2, 13):\n    if 13 % d == 0:\n        break\nelse:\n    check(True)",
    "a function named check": "def check(n):\n    return n % 7 == 6\nprint(check(13))",
    "a whole number": "from math import sqrt\nx = sqrt(2**4 * 9)\ncheck(round(x) == x)",
    "numerals": "check(int('2451', 6) == int('758', 9))",
    "arithmetic by hand": "check(4 + 9 == 13)",
    "a division by hand": "from sympy import Rational\ncheck(480 / 30 == 16 and Rational(6, 8) == 0.75)",
    "a division of what has names": "total = 9\nhalf = total / 2\ncheck(half == 4.5)",
    "sizes of fractions": "check(3/8 < 2/5 and not 3/7 == 2/5)",
    "a fraction and a rounded decimal": "from sympy import Rational\ncheck(Rational(57, 160) == 0.3562)",
    "a rounded fraction": "check(round(2/3, 2) == 0.67)",
    "a table looked up twice": "f = {3: 15, 15: 2}\ncheck(f[f[3]] == 2)",
    "a median": "values = sorted([3, 9, 4, 11, 7])\ncheck(values[2] == 7)",
    "a palindrome": "s = str(12321)\ncheck(s == s[::-1])",
    "other slices": "a = f()\ncheck(a[1:] == a[:1])",
    "a division by a fraction": "from sympy import Rational\ncheck(834 / Rational(2, 3) == 1251)",
    "a global count": "n = 0\ndef add():\n    global n\n    n += 1\nfor _ in range(13):\n    add()\ncheck(n == 13)",
    "code that is not Python": "check(",
    "nothing said": "x = 1",
}


def void(check: str, cells: list[str]) -> str | None:
    """Beside cells that ran to their end."""
    return beside(check, [(code, True) for code in cells])


@pytest.mark.parametrize(("check", "why"), VOID.values(), ids=VOID)
def test_a_void_check_is_found(check: str, why: str) -> None:
    assert (void(check, [SOLUTION]) or "").startswith(why)


@pytest.mark.parametrize("check", INDEPENDENT.values(), ids=INDEPENDENT)
def test_an_independent_check_is_not_void(check: str) -> None:
    assert void(check, [SOLUTION]) is None


def test_of_a_cell_that_failed_the_names_are_known_and_no_results() -> None:
    failed = ("n = sum(k**2 for k in range(10))\nprint(m)", False)
    again = "check(sum(j**2 for j in range(10)) == 285)"
    assert beside(again, [failed]) is None
    assert beside(again, [failed, ("print(n)", True)]) == REPEATED


def test_a_sign_that_alternates_is_not_one_that_is_set() -> None:
    loop = "total, sign = 0, 1\nfor k in range(9):\n    sign = {}\n    total += sign*k\n"
    assert void(loop.format("-1") + "check(total == 4)", [loop.format("-sign") + "print(total)"]) is None
    assert void(loop.format("-sign") + "check(total == 4)", [loop.format("-sign") + "print(total)"]) == REPEATED


def test_the_same_set_up_is_no_repetition() -> None:
    set_up = "from sympy import symbols\nx, y = symbols('x y')\nfirst = x + y - 5\nsecond = x - y - 1\n"
    solution = [set_up + "from sympy import solve", "print(solve([first, second], [x, y]))"]
    values = "at = {x: 3, y: 2}\n"
    assert void(set_up + values + "check(first.subs(at) == 0 and second.subs(at) == 0)", solution) is None
    again = "import sympy as sp\nu, v = sp.symbols('u v')\nfound = sp.solve([u + v - 5, u - v - 1], [u, v])\n"
    assert void(again + "check(found == {u: 3, v: 2})", solution) == REPEATED


def test_a_loop_with_other_bounds_or_another_condition_is_no_repetition() -> None:
    loop = "n = 0\nfor k in range(1, 1000):\n    if k % 7 != 0 and k % 11 != 0:\n        n += 1\n"
    renamed = re.sub(r"\bk\b", "number", re.sub(r"\bn\b", "count", loop))
    assert void(renamed + "check(count == 779)", [loop + "print(n)"]) == REPEATED
    for other in (loop.replace("1000", "1001"), loop.replace("and", "or"), loop.replace("+= 1", "+= k")):
        assert void(other + "check(n == 779)", [loop + "print(n)"]) is None


@pytest.mark.parametrize(
    "code",
    [
        "x = f()\n" + "x = x - x + x*x\n" * 5000 + "check(x == 1)",
        "b = f() == 1\n" + "b = b and b or b\n" * 100 + "check(b)",
        "".join(f"b{i} = f({i}) == {i}\n" for i in range(500)) + f"check({' and '.join(f'b{i}' for i in range(500))})",
        "def f0(n):\n    return n + n\n"
        + "".join(f"def f{i}(n):\n    return f{i - 1}(n) + f{i - 1}(n)\n" for i in range(1, 40))
        + "check(f39(1) == 2)",
        "def f(n):\n    return g(n)\ndef g(n):\n    return f(n)\ncheck(f(1) == 1)",
        "check(" + "-" * 5000 + "1 == 1)",
        "check(" + " + ".join(["1"] * 5000) + " == 1)",
        "def f(a, b=1, *rest, c, **more):\n    return a\ncheck(f(*[1, 2], **{'c': 3}) == f(1, 2, 3, 4, c=5, d=6))",
        "(a, *b), c[0], d.e = f()\nfor a, (b, *c) in []:\n    check(a)",
        "check('\ud800' == '\0')",
        "check(0x" + "f" * 9999 + " == 1e308)",
    ],
    ids=range(11),
)
def test_odd_code_is_judged_in_no_time(code: str) -> None:
    began = time.process_time()
    void(code, [code])
    assert time.process_time() - began < 5


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
