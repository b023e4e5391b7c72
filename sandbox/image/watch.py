"""Sees to it that no session uses more memory or processors than it may."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from processes import SOCKET_BYTES, Process, acting_as, look, memory, open_sockets, processes_by_user
from slot import Slot

KERNEL_MIB = 48
"""What a kernel itself may need beside the code's memory."""
SHARED_MIB = 128
"""What a kernel shares with its fork server, and has for itself once that is gone."""
EXACT_SECONDS, EXACT_SHARE = 0.3, 0.2
"""How long the exact measuring of one session's memory may take, and which part of the time it may take altogether, as
no session is served meanwhile."""
FEW_TASKS = 8
"""Processes and threads of a session up to which it shares the processors as any program does."""
WEIGHT_PER_NICE = 1.25
"""The factor by which a process gets less processor time for each further degree of niceness (sched(7))."""


class Watch:
    """Looks at the sessions' processes now and then. `limits` are a session's; the user `nobody` has no process."""

    def __init__(self, limits: dict[str, Any], nobody: int) -> None:
        self.limits, self.nobody = limits, nobody

    def offenders(self, slots: Iterable[Slot]) -> Iterator[tuple[Slot, str]]:
        """The sessions that must end, and why; the others get their share of the processors."""
        users = processes_by_user()
        for slot in slots:
            processes = users.get(slot.uid, [])
            if slot.dying or not processes:
                continue
            if any(process.spared for process in processes):
                yield slot, "it wanted other sessions to be killed in its place should memory run out"
                continue
            self._share_processors(slot, processes)
            if self._too_large(slot, processes):
                yield slot, f"it used more memory than the limit of {self.limits['memory_mib']} MiB"

    def _too_large(self, slot: Slot, processes: list[Process]) -> bool:
        """Whether processes and files together use more memory than a session may, by a closer look where needed."""
        limit: int = self.limits["memory_mib"] + KERNEL_MIB + (SHARED_MIB if slot.orphaned else 0) << 20
        files = os.statvfs(slot.room)
        used = (files.f_blocks - files.f_bfree) * files.f_frsize
        if sum(process.at_most for process in processes) + used <= limit or time.monotonic() < slot.measure_at:
            return False
        began = time.process_time()
        exact = self._exact(slot, processes)
        slot.measure_at = time.monotonic() + (time.process_time() - began) / EXACT_SHARE
        return exact + used > limit

    def _share_processors(self, slot: Slot, processes: list[Process]) -> None:
        """Have all that a session with many processes starts weigh about as much as one process does.

        The kernel itself stays as it is, since what is made nicer cannot be made less nice again.
        """
        tasks = sum(process.threads for process in processes)
        if tasks <= FEW_TASKS:
            return
        nice = min(19, round(math.log(tasks) / math.log(WEIGHT_PER_NICE)))
        with acting_as(slot.uid, self.nobody):
            for process in processes:
                # One that has ended is passed over.
                with suppress(OSError):
                    for task in map(int, os.listdir(f"/proc/{process.pid}/task")):
                        if task != slot.pid and os.getpriority(os.PRIO_PROCESS, task) < nice:
                            os.setpriority(os.PRIO_PROCESS, task, nice)

    def _exact(self, slot: Slot, processes: list[Process]) -> int:
        """Bytes that the slot's processes use, pages that they share counted once in all.

        What a session of one process shares, it has from the fork server and does not answer for: how large its share
        is depends on how many others there are.
        """
        total, sockets = 0, set[str]()
        until = time.process_time() + EXACT_SECONDS  # not of the clock: others may have the processor meanwhile
        with acting_as(slot.uid, self.nobody):
            for process in processes:
                try:
                    if time.process_time() > until:
                        raise TimeoutError
                    (used, private), found = memory(process.pid), open_sockets(process.pid)
                except OSError:  # it hides them, or it has ended
                    still = look(process.pid)
                    total += still.at_most if still else 0
                    continue
                inherited = min(used - private, SHARED_MIB << 20) if len(processes) == 1 else 0
                total += used - inherited + process.tables
                sockets |= found
        return total + len(sockets) * SOCKET_BYTES
