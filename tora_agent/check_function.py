"""The function `check`, which the kernel of a check provides. This file runs there as its first cell, not here."""

from __future__ import annotations

import json

CHECK_MIME = "application/vnd.tora.check"
_standing: list[str] = []


def check(state: object, reason: object = "") -> None:
    """Say how the check came out: True, False, or None where it cannot be decided.

    The last call counts; but False stands, whatever is said after it: of two conditions, both have to hold.
    Raises `TypeError` for what is no state, such as a relation that sympy cannot decide, a list, or a number that is
    neither 0 nor 1: that something is there does not make an answer right.
    """
    from IPython.display import display

    states = {"None": None, "True": True, "False": False, "1": True, "0": False}  # also as numpy and sympy have them
    if str(state) not in states:
        raise TypeError(f"the state of a check is True, False or None, not {state!r:.100}")
    decided = states[str(state)]
    outcome = json.dumps({"state": decided, "reason": str(reason)[:500]})
    if decided is False:
        _standing.append(outcome)
    outcome = (_standing or [outcome])[0]
    display({"text/plain": f"check: {decided}, {reason}", CHECK_MIME: outcome}, raw=True)  # type: ignore[no-untyped-call]
