"""The bundled `sample` benchmark: its layout, and every answer computed again from the problem's data."""

import json
import math
from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import combinations, permutations, product
from pathlib import Path
from typing import Any

import pytest
import sympy as sp
from math_verify import parse, verify
from sympy.abc import a, b, c, h, k, r, x

PATH = Path(__file__).resolve().parents[2] / "evals" / "benchmarks" / "sample.jsonl"
ROWS: list[dict[str, Any]] = [json.loads(line) for line in PATH.read_text(encoding="utf-8").splitlines()]
SLUGS = {
    "Algebra": "algebra",
    "Counting & Probability": "counting_and_probability",
    "Geometry": "geometry",
    "Intermediate Algebra": "intermediate_algebra",
    "Number Theory": "number_theory",
    "Prealgebra": "prealgebra",
    "Precalculus": "precalculus",
}


def last_boxed(text: str) -> str:
    r"""The content of the last \boxed{...}, braces balanced."""
    marker = "\\boxed{"
    start = text.rindex(marker) + len(marker)
    depth = 1
    for end in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if depth == 0:
            return text[start:end]
    raise ValueError("unbalanced braces")


def squeeze(latex: str) -> str:
    r"""LaTeX without spaces, \left and \right."""
    return "".join(latex.replace("\\left", "").replace("\\right", "").split())


def as_text(value: sp.Basic) -> str:
    """A sympy value as squeezed LaTeX, for an exact comparison."""
    return squeeze(sp.latex(value, mat_str="pmatrix", mat_delim="", order="old"))


def as_tuple(values: Iterable[sp.Expr]) -> str:
    """An ordered pair or triple as squeezed LaTeX."""
    return f"({','.join(as_text(value) for value in values)})"


# Each function computes an answer from the problem's data. A number or an expression is compared by
# math_verify; a string is compared exactly, spaces aside.


def algebra_1() -> sp.Expr:
    def f(t: sp.Expr) -> sp.Expr:
        return 3 * t - k

    (value,) = sp.solve(f(f(sp.Integer(2))) - 3, k)
    return value


def algebra_2() -> sp.Expr:
    p = 2 * x - 3
    return sp.expand(p**2 - p.subs(x, x**2))


def algebra_3() -> str:
    real = sp.Symbol("x", real=True)
    return as_text(sp.solveset(abs(real - 3) <= abs(real - 9) / 2, real, sp.S.Reals))


def algebra_4() -> str:
    curve = a * x**2 + b * x + c
    axis = sp.diff(curve, x).subs(x, 2)
    touch = sp.discriminant(curve - (2 * x - 8), x)
    found = [s for s in sp.solve([axis, curve.subs(x, 1) + 2, touch], [a, b, c]) if s[0] != 0]
    assert len(found) == 1
    return as_tuple(found[0])


def algebra_5() -> str:
    found = sp.solve([a - 7 * (1 - r), a**3 - 784 * (1 - r**3)], [a, r])
    real = [s for s in found if s[1].is_real and abs(s[1]) < 1]
    assert len(real) == 1
    return as_tuple(real[0])


def counting_1() -> Fraction:
    good = [n for n in range(1, 21) if n % 3 == 0 or math.isqrt(n) ** 2 == n]
    return Fraction(len(good), 20)


def counting_2() -> int:
    return len({p for p in permutations("112358") if int(p[-1]) % 2 == 0})


def counting_3() -> int:
    quartets = combinations("vvvvvcccc", 4)
    return sum(q.count("v") for q in quartets if "v" in q and "c" in q)


def counting_4() -> Fraction:
    rows = list(permutations(range(1, 8)))
    places = [(p.index(2), p.index(4), p.index(6)) for p in rows]
    return Fraction(sum(i + 1 < j and j + 1 < m for i, j, m in places), len(rows))


def counting_5() -> Fraction:
    lines = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8)]
    grids = list(product((False, True), repeat=9))
    return Fraction(sum(not any(all(g[i] for i in line) for line in lines) for g in grids), len(grids))


def geometry_1() -> str:
    (smallest,) = sp.solve(sum(x + 18 * i for i in range(5)) - 360, x)
    return f"{smallest + 18 * 4}^\\circ"


def geometry_2() -> sp.Expr:
    side = sp.Point(10, 0).distance(sp.Point(0, 24))
    return sp.Circle(sp.Point(0, 0), side / 2).area


def geometry_3() -> sp.Expr:
    top, left, right = sp.Point(6, 6 * sp.sqrt(3)), sp.Point(0, 0), sp.Point(12, 0)
    on_side = top + (left - top) * sp.Rational(4, 12)
    return on_side.distance(left.midpoint(right))


def geometry_4() -> sp.Expr:
    ((left, height),) = [
        s for s in sp.solve([x**2 + h**2 - 13**2, (22 - x - 8) ** 2 + h**2 - 15**2], [x, h]) if s[1] > 0
    ]
    p_a, p_b, p_c, p_d = map(sp.Point, [(0, 0), (22, 0), (left + 8, height), (left, height)])
    (meet,) = sp.Line(p_a, p_c).intersection(sp.Line(p_b, p_d))
    return abs(sp.Triangle(p_a, p_b, meet).area)


def geometry_5() -> sp.Expr:
    p_a, p_b = sp.Point(0, 0), sp.Point(5, 0)
    triangle = sp.Triangle(p_a, p_b, sp.Point(3, 0).rotate(2 * sp.pi / 3))
    centre = triangle.incenter
    (far,) = [p for p in triangle.circumcircle.intersection(sp.Line(p_a, centre)) if p != p_a]
    return sp.nsimplify(sp.simplify(abs(sp.Triangle(centre, p_b, far).area)))


def intermediate_1() -> str:
    z = 3 - 2 * sp.I
    return as_text(sp.expand(z**2 + 4 * sp.conjugate(z)))


def intermediate_2() -> int:
    return sum(math.log2(n - 3) + math.log2(n + 4) <= 5 for n in range(4, 1000))


def intermediate_3() -> str:
    low, high = sp.solve(x + 9 / x - k, x)
    distinct = sp.solveset(sp.discriminant(x**2 - k * x + 9, x) > 0, k, sp.S.Reals)
    return as_text(distinct & sp.solveset(sp.Max(low, high) < 5, k, sp.S.Reals))


def intermediate_4() -> sp.Expr:
    roots = sp.Poly(x**3 - 4 * x**2 + x + 7, x).nroots(n=30)
    found = sp.Poly(sp.prod(x - (sum(roots) - 2 * root) for root in roots), x)
    return sp.Poly([round(sp.re(coefficient)) for coefficient in found.all_coeffs()], x).as_expr()


def intermediate_5() -> str:
    def f(t: sp.Expr) -> sp.Expr:
        return t**2 - 5 * t + 7

    roots = sp.real_roots(sp.expand(f(f(x)) - x))
    ordered = sorted(roots, key=lambda root: (not root.is_rational, root))
    return ",".join(as_text(root) for root in ordered)


def number_1() -> int:
    return sum(d for d in range(7, 197, 7) if 196 % d == 0)


def number_2() -> str:
    digits = [d for d in range(10) if int(f"7{d}5{d}") % 6 == 0]
    return "\\{" + ",".join(map(str, digits)) + "\\}"


def number_3() -> str:
    n = int("1000", 6) + 1
    while n % int("35", 6):
        n += 1
    return "".join(map(str, sp.ntheory.digits(n, 6)[1:])) + "_6"


def number_4() -> int:
    return sum(math.gcd(n, 600) in {m * m for m in range(2, 25)} for n in range(1, 601))


def number_5() -> int:
    return sum(n * pow(2, n, 101) for n in range(1, 101)) % 101


def prealgebra_1() -> sp.Expr:
    return sp.Rational("7.5") % sp.Rational("0.6")


def prealgebra_2() -> int:
    change = 500 - 335
    (coins,) = [2 * q + 3 for q in range(change) if 25 * q + 5 * (q + 3) == change]
    return coins


def prealgebra_3() -> str:
    cycle = ["green"] * 40 + ["yellow"] * 5 + ["red"] * 32  # the color of each second
    return f"\\text{{{cycle[60 * 60 % len(cycle)]}}}"


def prealgebra_4() -> Fraction:
    wide, deep = 630 // 30, 420 // 30
    tiles = list(product(range(wide), range(deep)))
    return Fraction(sum(i in (0, wide - 1) or j in (0, deep - 1) for i, j in tiles), len(tiles))


def prealgebra_5() -> Fraction:
    length = Fraction(1)
    stage = (length - length / 3) / (3 + 6)  # hours spent in each of the two later stages
    return length / (length / 3 / 4 + 2 * stage)


def precalculus_1() -> sp.Expr:
    height = 12 + 4 * sp.cos(5 * x / 3)
    still = sp.solveset(sp.diff(height, x), x, sp.Interval(0, sp.periodicity(height, x)))
    return min(still, key=lambda t: (height.subs(x, t), t))


def precalculus_2() -> str:
    vector = sp.Matrix([2, -3, 6])
    return as_text(-21 * vector / vector.norm())


def precalculus_3() -> sp.Expr:
    cos_double = sp.expand_trig(sp.cos(2 * x)).subs(sp.cos(x), sp.sqrt(1 - r**2))
    (value,) = [s for s in sp.solve(cos_double - 2 * r, r) if 0 < s < 1]
    return value


def precalculus_4() -> str:
    mirror = sp.Line(sp.Point(0, 0), sp.Point(1, 2))
    images = [sp.Point(*e).rotate(sp.pi / 2).reflect(mirror) for e in [(1, 0), (0, 1)]]
    return as_text(sp.Matrix([list(image.args) for image in images]).T)


def precalculus_5() -> int:
    omega = [complex(math.cos(2 * math.pi * n / 7), math.sin(2 * math.pi * n / 7)) for n in range(7)]
    value = math.prod(omega[2 * n % 7] + omega[n] - 6 for n in range(1, 7))
    assert abs(value - round(value.real)) < 1e-6
    return round(value.real)


CHECKS: dict[str, Callable[[], sp.Expr | Fraction | int | str]] = {
    f"sample/{slug}/{level}": function
    for slug, functions in {
        "algebra": [algebra_1, algebra_2, algebra_3, algebra_4, algebra_5],
        "counting_and_probability": [counting_1, counting_2, counting_3, counting_4, counting_5],
        "geometry": [geometry_1, geometry_2, geometry_3, geometry_4, geometry_5],
        "intermediate_algebra": [
            intermediate_1,
            intermediate_2,
            intermediate_3,
            intermediate_4,
            intermediate_5,
        ],
        "number_theory": [number_1, number_2, number_3, number_4, number_5],
        "prealgebra": [prealgebra_1, prealgebra_2, prealgebra_3, prealgebra_4, prealgebra_5],
        "precalculus": [precalculus_1, precalculus_2, precalculus_3, precalculus_4, precalculus_5],
    }.items()
    for level, function in enumerate(functions, start=1)
}


def test_covers_every_subject_and_level_once() -> None:
    cells = [(row["subject"], row["level"]) for row in ROWS]
    assert sorted(cells) == sorted(product(SLUGS, range(1, 6)))
    assert {row["unique_id"] for row in ROWS} == set(CHECKS)


def test_opens_with_five_subjects_of_rising_level() -> None:
    assert len({row["subject"] for row in ROWS[:5]}) == 5
    assert [row["level"] for row in ROWS[:5]] == [1, 1, 2, 2, 3]


def test_every_seven_lines_hold_every_subject() -> None:
    for start in range(0, len(ROWS), 7):
        assert {row["subject"] for row in ROWS[start : start + 7]} == set(SLUGS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["unique_id"])
def test_fields(row: dict[str, Any]) -> None:
    assert list(row) == ["problem", "solution", "answer", "subject", "level", "unique_id"]
    assert type(row["level"]) is int
    assert all(isinstance(row[key], str) and row[key] for key in row if key != "level")
    assert row["unique_id"] == f"sample/{SLUGS[row['subject']]}/{row['level']}"
    for key in ("problem", "solution"):
        assert row[key].replace("\\$", "").count("$") % 2 == 0
    assert last_boxed(row["solution"]) == row["answer"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["unique_id"])
def test_answer(row: dict[str, Any]) -> None:
    value = CHECKS[row["unique_id"]]()
    if isinstance(value, str):
        assert squeeze(row["answer"]) == value
        return
    gold = parse("\\boxed{" + row["answer"] + "}", parsing_timeout=None)
    found = parse("\\boxed{" + sp.latex(sp.sympify(value)) + "}", parsing_timeout=None)
    assert gold
    assert found
    assert verify(gold, found, timeout_seconds=None), f"{row['answer']} is not {value}"
