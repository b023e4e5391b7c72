"""The function `check`, which the kernel of a check provides. This file runs there as its first cell, not here."""

from __future__ import annotations

import json

CHECK_MIME = "application/vnd.tora.check"


def check(state: object, reason: object = "") -> None:
    """Say how the check came out: True, False, or None where it cannot be decided. The last call counts.

    Raises what `bool(state)` raises: a relation that sympy cannot decide is not a state.
    """
    from IPython.display import display

    decided = None if state is None else bool(state)
    outcome = json.dumps({"state": decided, "reason": str(reason)[:500]})
    display({"text/plain": f"check: {decided}, {reason}", CHECK_MIME: outcome}, raw=True)  # type: ignore[no-untyped-call]
