"""Numbers as answers and outputs write them."""

from __future__ import annotations

import math

import pytest

from tora_agent.numbers import number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-3", -3),
        ("1{,}000", 1000),
        (r"\frac{1}{2}", 0.5),
        (r"\dfrac{\sqrt{3}}{2}", math.sqrt(3) / 2),
        (r"\frac12", 0.5),
        (r"2\sqrt{3}", 2 * math.sqrt(3)),
        (r"\frac{7\pi}{4}", 7 * math.pi / 4),
        ("7*pi/4", 7 * math.pi / 4),
        ("2^{10}", 1024),
        (r"90^\circ", 90),
        (r"12\text{ cm}", 12),
        (r"\$5.50", 5.5),
        ("x = 4", 4),
    ],
)
def test_numbers_are_read(text: str, value: float) -> None:
    assert number(text) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "(1,2)",
        "1/0",
        "9**9**9**9",
        "__import__('os')",
        "open('x')",
        "1e999999 and 2",
        "(" * 150,
        "\0",
        "[1]*10",
        r"2^{600}\cdot 3^{400}",  # beyond what a float holds
        r"2^{1000}-2^{1000}\cdot 10^{10}",
    ],
)
def test_what_is_no_number_is_none(text: str) -> None:
    assert number(text) is None
