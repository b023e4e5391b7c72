"""What looks wrong about an answer."""

from __future__ import annotations

import pytest

from tora_agent.doubts import RULES, Evidence, doubts

RAN = {"problem": "Find $x$.", "outputs": ["7"]}
FIRES = {
    "contradicts_output": [
        Evidence(problem="Find $x$.", answer="8", outputs=["7"]),
        Evidence(problem="Find $x$.", answer=r"\frac{1}{2}", outputs=["x is\n3/4"]),
        Evidence(problem="Find $x$.", answer=r"2\sqrt{3}", outputs=["3.0"]),
    ],
    "no_code": [Evidence(problem="Find $x$.", answer="8")],
    "code_failed": [Evidence(problem="Find $x$.", answer="8", outputs=[""], failed=True)],
    "not_an_integer": [
        Evidence(problem="A box has 9 balls. How many are red?", answer="2.5", outputs=["2.5"]),
        Evidence(problem="Find the smallest positive integer $n$ such that it is so.", answer="7/3", outputs=["7/3"]),
    ],
    "not_a_probability": [Evidence(problem="What is the probability that it rains?", answer="3/2", outputs=["3/2"])],
    "invented_output": [Evidence(problem="Find $x$.", answer="7", outputs=["7"], cut=["```output\n7\n```"])],
}
QUIET = [
    Evidence(problem="Find $x$.", answer="7", outputs=["7"]),
    Evidence(problem="Find $x$.", answer=r"\frac{3}{4}", outputs=["0.75"]),
    Evidence(problem="Find $x$.", answer="0.33", outputs=["0.3333333"]),
    Evidence(problem="Find $x$.", answer=r"50\%", outputs=["0.5"]),
    Evidence(problem="Find $x$.", answer="1,234", outputs=["1234"]),
    Evidence(problem="Find $x$.", answer="7", outputs=["7 and 9 are the roots"]),
    Evidence(problem="Find $x$.", answer="9", outputs=["8, 9"]),
    Evidence(problem="Find $x$.", answer="(1,2)", outputs=["7"]),
    Evidence(problem="Find $x$.", answer="x+1", outputs=["7"]),
    Evidence(problem="Find $x$.", answer="8", asked_for_code=False),
    Evidence(problem="How many are there?", answer="3.0", outputs=["3"]),
    Evidence(problem="It is $\\sqrt{a}/b$. Find $a+b$.", answer="12", outputs=["sqrt(10)/2"]),
    Evidence(problem="The probability is $m/n$ in lowest terms. What is $m + n$?", answer="29", outputs=["5/24"]),
    Evidence(problem="Given that the probability is $m/n$, find $m+n$.", answer="29", outputs=["29"]),
    Evidence(problem="What is the probability, in percent?", answer="40", outputs=["40"]),
    Evidence(problem="What is the probability that it rains?", answer=r"40\%", outputs=["0.4"]),
    Evidence(problem="How many miles is it? Give a decimal to the nearest tenth.", answer="1.5", outputs=["1.5"]),
    Evidence(problem="The probability is 1/2. How many tickets were sold?", answer="40", outputs=["40"]),
]


@pytest.mark.parametrize(("rule", "attempt"), [(name, a) for name, found in FIRES.items() for a in found])
def test_a_rule_fires(rule: str, attempt: Evidence) -> None:
    assert list(doubts(attempt)) == [rule]
    assert "\n" not in doubts(attempt)[rule]


def test_every_rule_is_tried_here() -> None:
    assert set(FIRES) == set(RULES)


@pytest.mark.parametrize("attempt", QUIET)
def test_nothing_looks_wrong_about_it(attempt: Evidence) -> None:
    assert doubts(attempt) == {}
