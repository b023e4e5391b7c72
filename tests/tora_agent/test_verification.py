"""Checks that are executed and can fail, doubts without a check, and what follows from both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from prompts import load_prompt
from sandbox import CellResult, Sandbox
from tests.tora_agent.test_agent import QUESTION, rollout, run
from tora_agent.attempts import doubts_about
from tora_agent.check_function import CHECK_MIME
from tora_agent.steps import Retry, Verification
from tora_agent.verification import read_state

pytestmark = pytest.mark.anyio
WORK = "print(sum(range(4)))"


async def checked(box: Sandbox, check: str, **settings: object) -> Verification:
    """The verification of the answer 6 by the program `check`; a void one is made twice."""
    made = await rollout(box, [run(WORK), r"\boxed{6}"], {"6": check}, max_retries=0, independence=True, **settings)
    last: Verification = made.steps(Verification)[-1]
    return last


@pytest.mark.parametrize(
    ("check", "state", "reason"),
    [
        ("check(1 + 2 + 3 == 6, 'by hand')", "True", "the check says True: by hand"),
        ("check(max(range(5)) == 6)", "False", "the check says False"),
        ("check(None if len('ab') > 1 else True, 'no idea')", "Uncertain", "the check says Uncertain: no idea"),
        ("check(1 + 2 == 3)\ncheck(1 + 2 == 4, 'the last')", "False", "the check says False: the last"),
        ("check(1 + 2 == 4, 'a part')\ncheck(1 + 2 == 3)", "False", "the check says False: a part"),
        ("check(1 + 2 == 3)\ncheck(None, 'the rest')", "Uncertain", "the check says Uncertain: the rest"),
        ("for n in range(60):\n    check(n * n != 59 * 59, n)", "False", "the check says False: 59"),
        ("import sympy\ncheck(sympy.Integer(2) + 4 > 5)", "True", "the check says True"),
        ("import sympy\ncheck(sympy.Symbol('x') > abs(-1))", "Uncertain", "the check raised TypeError"),
        ("import numpy\ncheck(numpy.isclose(0.1 + 0.2, 0.3))", "True", "the check says True"),
        ("check('True' if len('abcdef') == 7 else 'False')", "False", "the check says False"),
        ("check([n for n in range(9) if n == 6])", "Uncertain", "the check raised TypeError"),
        ("check((1 + 2 == 4, 'a pair'))", "Uncertain", "the check raised TypeError"),
        ("check(f'{3 + 3} is right')", "Uncertain", "the check raised TypeError"),
        ("check(1 + 1 == 2)\n1 / 0", "Uncertain", "the check raised ZeroDivisionError"),
        ("check(1 + 1 == 3, 'no')\nexit()", "False", "the check says False: no"),
        (
            "import threading\nt = threading.Thread(target=lambda: check(1 + 1 == 3))\nt.start()\nt.join()",
            "False",
            "the",
        ),
        ("print(len('abcdef') == 6)", "True", "the check printed True"),
    ],
)
async def test_a_check_tells_its_state(box: Sandbox, check: str, state: str, reason: str) -> None:
    made = await checked(box, check)
    assert (made.state, made.reason[: len(reason)], made.void) == (state, reason, None)
    assert made.source == ("none" if "raised" in reason else "printed" if "printed" in reason else "called")


async def test_nothing_of_the_solution_is_in_the_kernel_of_the_check(box: Sandbox) -> None:
    turns = [run("found = 6\nprint(found)"), r"\boxed{6}"]
    made = await rollout(box, turns, {"6": "check('found' in globals())"})
    assert made.steps(Verification)[0].state == "False"


async def test_a_void_check_is_uncertain_unless_independence_is_not_asked_for(box: Sandbox) -> None:
    again = WORK.replace("print(", "total = (") + "\ncheck(total == 6)"
    made = await checked(box, "answer = 6\ncheck(answer == 6)")
    assert (made.state, made.void) == ("Uncertain", "it compares the answer with itself")
    assert made.reason == "the check is void: it compares the answer with itself"
    assert (await checked(box, "check(True)")).void == "it asserts a constant"
    solution = [run("total = sum(range(4))\nprint(total)"), r"\boxed{6}"]
    repeated = await rollout(box, solution, {"6": again}, independence=True)
    assert repeated.steps(Verification)[0].void == "it only repeats the solution's own computation"
    unasked = await rollout(box, solution, {"6": again})
    assert (unasked.trajectory.state, unasked.steps(Verification)[0].void) == ("True", None)


async def test_the_model_is_told_why_its_check_is_void_and_makes_another(box: Sandbox) -> None:
    checks = {"6": ["check(True)", "check(len('abcdef') == 6)"]}
    made = await rollout(box, [run(WORK), r"\boxed{6}"], checks, independence=True)
    first, second = made.steps(Verification)
    assert (first.void, second.void) == ("it asserts a constant", None)
    assert made.outcome == ("6", "True", None)
    *_, refused, told = made.requests[-1]["messages"]
    assert refused["content"] == first.call.raw
    assert told["content"].startswith("That check says nothing about the answer: it asserts a constant.")


async def test_a_void_check_leaves_one_attempt(box: Sandbox) -> None:
    made = await rollout(box, [run(WORK), r"\boxed{6}"], {"6": "check(True)"}, independence=True, doubts=True)
    assert made.kinds[-3:] == ["verification", "verification", "answer"]
    assert made.outcome == ("6", "Uncertain", None)


@pytest.mark.parametrize(
    ("words", "state", "source"),
    [
        ("I counted again.\nVerification: True", "True", "prose"),
        ("So the proposed answer is incorrect.", "False", "prose"),
        ("The answer is **not correct**.", "False", "prose"),
        ("The state is uncertain.", "Uncertain", "prose"),
        ("The answer is right if x is positive.", "Uncertain", "none"),
        ("It is true that six is even.", "Uncertain", "none"),
    ],
)
async def test_a_state_in_words_is_marked_as_such(box: Sandbox, words: str, state: str, source: str) -> None:
    made = await checked(box, words)
    assert (made.state, made.source, made.code) == (state, source, None)


async def test_what_looks_wrong_is_tried_again_with_the_evidence(box: Sandbox) -> None:
    turns = [run(WORK), r"\boxed{7}", run(WORK, before="Again."), r"\boxed{6}"]
    checks = {"7": "check(None if len('a') else True)", "6": "check(len('abcdef') == 6)"}
    made = await rollout(box, turns, checks, doubts=True)
    assert made.outcome == ("6", "True", None)
    first, second = made.steps(Verification)
    evidence = "the last output ends in 6, and the answer is another number"
    assert (first.doubts, second.doubts) == ({"contradicts_output": evidence}, {})
    (retry,) = made.steps(Retry)
    assert retry.reason == "looks_wrong"
    assert retry.text.startswith(f"Something about the answer 7 looks wrong: {evidence}. Look at it again")


async def test_a_true_check_outweighs_a_doubt(box: Sandbox) -> None:
    made = await rollout(box, [run(WORK), r"\boxed{7}"], {"7": "check(len('abcdefg') == 7)"}, doubts=True)
    assert made.outcome == ("7", "True", None)
    assert made.steps(Verification)[0].doubts == {}


async def test_the_model_is_told_that_its_check_was_void(box: Sandbox) -> None:
    made = await rollout(
        box, [r"\boxed{7}", r"\boxed{7}"], {"7": "check(True)"}, doubts=True, independence=True, max_retries=1
    )
    text = made.steps(Retry)[0].text
    assert "no code was run; the check was void: it asserts a constant" in text


async def test_a_restart_leaves_conversation_and_variables_behind(box: Sandbox) -> None:
    turns = [run("print('kept' in globals()); kept = 1"), r"\boxed{5}"]  # each conversation begins with the first
    made = await rollout(box, turns, {"5": "check(len('') == 5)"}, retry="restart", max_retries=1)
    assert made.outcome == ("5", "False", None)
    assert made.outputs == ["False", "False"]
    first, _, again, _ = [asked for asked in made.requests if "Proposed answer" not in str(asked["messages"])]
    assert first["messages"] == again["messages"]
    assert first["messages"][-1]["content"] == QUESTION
    assert again["seed"] > first["seed"] + 1  # which is that of the next sample


async def test_what_an_attempt_did_is_not_held_against_the_next(box: Sandbox) -> None:
    made = await rollout(
        box, [run("1 / 0"), r"\boxed{6}"], {"6": "check(None)"}, doubts=True, retry="restart", max_retries=1
    )
    steps = [step.model_dump(mode="json") for step in made.trajectory.steps]
    steps[0]["cut"] = "```output\n6\n```"  # as a server that knows no stop would let pass
    retry = next(i for i, step in enumerate(steps) if step["kind"] == "retry")

    def fired(steps: list[dict[str, Any]]) -> set[str]:
        return set(doubts_about(QUESTION, "6", steps, load_prompt("csv")))

    assert fired(steps[:retry]) == {"code_failed", "invented_output"}
    assert fired(steps[: retry + 1]) == {"no_code"}
    steps[retry]["reason"] = "asked"  # by a person, as /retry in a chat does
    assert fired(steps[: retry + 1]) == {"no_code"}
    steps[retry]["reason"] = "looks_wrong"
    steps[retry]["restart"] = False  # then the kernel and its last output stay
    assert fired(steps[: retry + 1]) == {"code_failed"}


async def test_a_check_is_not_held_against_code_that_failed(box: Sandbox) -> None:
    check = "total = sum(range(4))\ncheck(total == 6)"
    turns = [run("total = sum(range(4))\nprint(totals)"), run("print(6 * 1)"), r"\boxed{6}"]
    made = await rollout(box, turns, {"6": check}, independence=True)
    assert made.steps(Verification)[0].state == "True"


@pytest.mark.parametrize(
    ("answers", "checks", "best"),
    [
        ("565", {"5": "check(None if [1][0] else 1)", "6": "check(len('') == 6)"}, "5"),  # Uncertain before False
        ("556", {"5": "check(len('') == 5)", "6": "check(len('') == 6)"}, "5"),  # agreed on
        (
            ("0.5", r"\frac{1}{2}", "7"),
            dict.fromkeys(("0.5", r"\frac{1}{2}", "7"), "check(len('') == 9)"),
            r"\frac{1}{2}",
        ),
        ("567", dict.fromkeys("567", "check(len('') == 9)"), "7"),  # the latest
    ],
)
async def test_the_best_attempt_is_the_answer(
    box: Sandbox, answers: Sequence[str], checks: dict[str, str], best: str
) -> None:
    turns = [rf"\boxed{{{answer}}}" for answer in answers]
    made = await rollout(box, turns, checks, max_retries=2)
    assert made.trajectory.answer == best


def _said(outcome: str) -> CellResult:
    return CellResult(displays=({"text/plain": "check", CHECK_MIME: outcome},), stdout="check\n")


async def test_the_state_told_by_a_call_comes_before_a_printed_one() -> None:
    result = _said('{"state": false, "reason": ""}').model_copy(update={"value": "True"})
    assert read_state(result) == ("False", "the check says False", "called")
