"""What the container's root can see of its processes, all of it read from /proc."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

SOCKET_BYTES = 1 << 18
"""About the most that a socket holds unread. How much it does hold, and whose it is, nothing tells."""
MOST_EXPENDABLE = 1000
"""The OOM score that sessions have."""


class Process(NamedTuple):
    """What a look at a process shows."""

    pid: int
    uid: int
    resident: int
    """Bytes of memory, pages that it shares with others included."""
    tables: int
    """Bytes of the tables that say where its memory is."""
    threads: int
    descriptors: int
    """No more than so many are open."""
    spared: bool
    """Whether it has made itself less likely to be killed when memory runs out."""

    @property
    def at_most(self) -> int:
        """Bytes it uses, roughly and never too few."""
        return self.resident + self.tables + self.descriptors * SOCKET_BYTES


def processes_by_user() -> dict[int, list[Process]]:
    """The processes of all users but root."""
    found: dict[int, list[Process]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (process := look(int(name))):
            found.setdefault(process.uid, []).append(process)
    return found


def look(pid: int) -> Process | None:
    """Look at a process; None if it has ended or is root's."""
    with suppress(OSError):
        status = _STATUS.search(_read(f"/proc/{pid}/status"))
        if status is None or status[1] == b"0":  # one that is ending has no memory any more
            return None
        uid, descriptors, anonymous, shared, tables, threads = map(int, status.groups())
        spared = int(_read(f"/proc/{pid}/oom_score_adj")) < MOST_EXPENDABLE
        return Process(pid, uid, anonymous + shared << 10, tables << 10, threads, descriptors, spared)
    return None


_STATUS = re.compile(
    rb"^Uid:\t\d+\t(\d+).*?^FDSize:\t(\d+).*?^RssAnon:\s+(\d+).*?^RssShmem:\s+(\d+).*?^VmPTE:\s+(\d+)"
    rb".*?^Threads:\t(\d+)",
    re.MULTILINE | re.DOTALL,
)


def memory(pid: int) -> tuple[int, int]:
    """Bytes that a process uses, of shared pages its share; and those that it shares with none. Raises `OSError`."""
    sizes = dict(line.split()[:2] for line in _read(f"/proc/{pid}/smaps_rollup").splitlines()[1:])
    private = int(sizes.get(b"Private_Clean:", 0)) + int(sizes.get(b"Private_Dirty:", 0))
    return int(sizes.get(b"Pss:", 0)) << 10, private << 10


def open_sockets(pid: int) -> set[str]:
    """Names of the sockets that a process has open. Raises `OSError`."""
    folder, links = f"/proc/{pid}/fd", set()
    for name in os.listdir(folder):
        with suppress(FileNotFoundError):  # it has been closed meanwhile
            links.add(os.readlink(f"{folder}/{name}"))
    return {link for link in links if link.startswith("socket:")}


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


def exit_status(pid: int) -> int | None:
    """Of a process that is dead and not buried yet; None of another. Only for its own user."""
    with suppress(OSError):
        fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        if fields[0] == b"Z":
            return os.waitstatus_to_exitcode(int(fields[49]))
    return None


def children() -> list[int]:
    """The pids of this process's children."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):  # it has ended
            parent = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid():
                found.append(int(name))
    return found


def oom_kills() -> int:
    """How many processes of this container the Linux kernel has killed for want of memory."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        with suppress(OSError, StopIteration):
            lines = Path(path).read_text().splitlines()
            return int(next(line.split()[1] for line in lines if line.startswith("oom_kill ")))
    return 0


@contextmanager
def acting_as(uid: int, nobody: int) -> Iterator[None]:
    """Have the effective ids of `uid`, and no capability.

    The real ones are nobody's: with root's, a signal to all would reach all of root's processes, too.
    """
    os.setresgid(nobody, uid, 0)
    os.setresuid(nobody, uid, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
