"""What a session gets for its time, and the next one after it."""

from __future__ import annotations

import socket


class Slot:
    """A user id, a directory in memory, and at times a session that has both."""

    def __init__(self, index: int, uid: int) -> None:
        self.index, self.uid = index, uid
        self.room = f"/slots/{index}"
        # Made anew for each session: modes, access lists and descriptors of the last one's lead nowhere.
        self.home = f"{self.room}/home"
        self.used = False
        self.reset()

    def reset(self) -> None:
        """Forget the last session."""
        self.session: int | None = None
        self.pid = 0
        self.status: int | None = None
        self.why = ""
        self.dying = False
        self.orphaned = False
        self.cleaning = 0
        self.tries = 0
        self.measure_at = 0.0
        self.outbox = bytearray()
        self.line: socket.socket | None = None
        self.kernels_ends: list[int] = []
        self.stack = -1
