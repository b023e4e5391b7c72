"""Words, formulas and code as HTML."""

from __future__ import annotations

import re
import time

import pytest

from evals.viewer.code import python
from evals.viewer.prose import formula, prose
from evals.viewer.visible import visible
from tests.evals.hostile import LATEX, TAGS, hostile_texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is $x^2$.", r"It is <math.*<msup><mi>x</mi><mn>2</mn></msup>.*</math>\."),
        (r"\(x\) and \[y\]", r"<math display=\"inline\">.*<math display=\"block\">"),
        ("$$\\frac{1}{2}$$", r"<math display=\"block\">.*<mfrac>"),
        (r"\begin{align*}a&=b\\c&=d\end{align*}", r"<mtable.*<mtr>.*<mtr>"),
        (r"$\boxed{3}$", r"<menclose notation=\"box\">"),
        (r"$2\sin x$", r"<mn>2</mn><mspace.*<mi>sin</mi><mspace.*<mi>x</mi>"),
        (r"$\sin(x)$", r"<mi>sin</mi><mo"),
        (r"$x<y$", r"<mo>&lt;</mo>"),
        (r"It costs $\$$1500 and $x$ more", r"costs \$1500 and <math"),
        (r"so $ \frac{4}{7} $.", r"so <math.*<mfrac>"),
        ("from $5 to $6 and $x$", r"from \$5 to \$6 and <math"),
        ("**bold** and `code`", "<strong>bold</strong> and <code>code</code>"),
        ("# Title", "<h4>Title</h4>"),
        ("1. one\n2. two", "<ol>.*<li>two</li>"),
        (r"a price of \$5 and \$6", r"a price of \$5 and \$6"),
        ("from $5 to $6 each", r"from \$5 to \$6 each"),
        ("$\\frac{$", r'<code class="tex">\\frac\{</code>'),
        ("a_1 and b_2", "a_1 and b_2"),
        ("[asy] draw((0,0)--(1,1)); [/asy]", '<details class="figure-source">.*draw'),
        ("    indented $x$", "<p>indented <math"),
    ],
)
def test_words_and_formulas(text: str, expected: str) -> None:
    assert re.search(expected, prose(text), re.DOTALL), prose(text)


@pytest.mark.parametrize("text", [TAGS, *(f"${latex}$" for latex in LATEX), hostile_texts()])
def test_nothing_that_acts_is_left(text: str) -> None:
    html = prose(text)
    tags = set(re.findall(r"<(\w+)", html))
    assert not tags & {"script", "img", "svg", "iframe", "style", "form", "input", "a", "object", "title", "table"}
    assert not re.search(r"<[^>]*\s(on\w+|style|href|src|srcdoc|class=\"(?!tex|figure-source))", html)


@pytest.mark.parametrize("latex", LATEX)
def test_a_hostile_formula_is_quick(latex: str) -> None:
    begin = time.thread_time()
    assert formula(latex)
    assert time.thread_time() - begin < 2


@pytest.mark.parametrize(
    "text",
    ["$" * 20_000, r"\[" * 10_000, r"\begin{align}" * 2000, "$ =" * 7000, "*" * 20_000, "[" * 20_000, "> " * 9000],
)
def test_unclosed_marks_are_quick(text: str) -> None:
    begin = time.thread_time()
    assert prose(text)
    assert time.thread_time() - begin < 5


def test_acting_characters_are_named() -> None:
    assert visible("a\x1b[31mb\x1b[0m\x1b]0;t\x07c") == "abc"
    assert visible("x\u202ey\x00\x08\r\n\tz") == "x⟦U+202E⟧y␀␈\n\tz"


def test_code_is_coloured_and_escaped() -> None:
    html = python("if x < 1:\n    print('<b>')")
    assert '<span class="k">if</span>' in html
    assert "&lt;b&gt;" in html and "<b>" not in html
