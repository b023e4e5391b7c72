"""What model-written code could try against the sandbox: each attack is a row of `tora doctor --attack` and a test.

An attack is code that is run in a session, and a judgement of what came back and of what a neighbouring session and the
host saw meanwhile.
"""

from __future__ import annotations

from sandbox.attacks import exhaustion, neighbours, network, powers, protocol
from sandbox.attacks.attack import Attack, Seen, Verdict

ATTACKS: tuple[Attack, ...] = (
    *network.ATTACKS,
    *neighbours.ATTACKS,
    *powers.ATTACKS,
    *exhaustion.ATTACKS,
    *protocol.ATTACKS,
)

__all__ = ["ATTACKS", "Attack", "Seen", "Verdict"]
