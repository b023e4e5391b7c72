"""Where the time of a cell goes: which process works, at what moment, and in whose code."""

from __future__ import annotations

import asyncio
import cProfile
import json
import os
import pstats
import re
import statistics
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sandbox import Sandbox, Session, container
from sandbox.container import LABEL, owner

WARM = "print(1+1)"
CELLS = 400
SESSIONS = 15
FACTOR = "import sympy; from sympy.abc import x; print(sympy.factor(x**2-1))"
# The clock is that of the host. No module is imported, so that the code's own time is in no other's.
STAMPED = "_began = __import__('time').monotonic(); {}; print(_began, __import__('time').monotonic())"
START = "import cProfile, time; _profile = cProfile.Profile(time.thread_time); _profile.enable()"
STOP = """_profile.disable()
import json, pstats
_found = [item for item in pstats.Stats(_profile).stats.items() if item[1][2] > 1e-3]
_found = [[where[0], seen[2], [[by[0], part[2]] for by, part in seen[4].items()]] for where, seen in _found]
print(json.dumps(_found))"""
Seen = Iterable[tuple[str, float, list[tuple[str, float]]]]
"""Functions: the file of each, its own seconds, and of these those by caller, who is given by its file."""
_PACKAGE = re.compile(r".*/(?:site-packages|site|python3\.\d+)/(?P<name>[^/]+?)(?:\.py|/.*)$")


async def show(console: Console) -> None:
    """Print the tables."""
    async with Sandbox() as box, box.session() as session:
        await asyncio.sleep(3)  # in which the fork server warms up
        for _ in range(20):
            await session.run(WARM)
        console.print(await work_by_process(session))
        console.print(await work_by_package(session))
    table = Table("session", "to the code's first line", "the code", "from its last line to the result", "all")
    table.title = "The course of a cell, medians in ms"
    for name, spares in (("fresh, a spare ready", 2), ("fresh, no spare", 0)):
        async with Sandbox(spares=spares) as box:
            table.add_row(name, *await course_of_fresh(box))
            if spares:
                async with box.session() as session:
                    await session.run(FACTOR)
                    table.add_row("warm", *_medians([await stamped(session, WARM) for _ in range(50)]))
    console.print(table)


async def work_by_process(session: Session) -> Table:
    """Processor time of a warm cell, and the time from its begin to its end."""
    processes = our_processes()
    before = {name: sum(map(processor_seconds, pids)) for name, pids in processes.items()}
    began = time.perf_counter()
    for _ in range(CELLS):
        await session.run(WARM)
    wall = time.perf_counter() - began
    table = Table("process", "ms of processor time a cell", title=f"A warm cell: {1000 * wall / CELLS:.2f} ms")
    for name, pids in processes.items():
        used = sum(map(processor_seconds, pids)) - before[name]
        table.add_row(name, f"{1000 * used / CELLS:.2f}")
    return table


def our_processes() -> dict[str, list[int]]:
    """The pids of all that have a part in a cell, by what they are. What cannot be seen from here is missing."""
    client = container.connect()
    (found,) = client.containers.list(filters={"label": f"{LABEL}={owner()}", "status": "running"})
    shown = client.api.top(found.id, ps_args="-eo pid,ppid,args")["Processes"]
    pids = {"host (this process)": [os.getpid()], "dockerd": [], "containerd-shim": []}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().decode(errors="replace").split("\0")
            name = Path(words[0]).name
            if name == "dockerd" or (name.startswith("containerd-shim") and found.id in words):
                pids["dockerd" if name == "dockerd" else "containerd-shim"].append(int(path.parent.name))
    server = [pid for pid, _, arguments in shown if "forkserver.py" in arguments]
    parents = {pid: parent for pid, parent, _ in shown}
    pids["supervisor"] = [int(pid) for pid, parent, _ in shown if any(parents[s] == pid for s in server)]
    pids["kernel (and its spares)"] = [int(pid) for pid in server if parents[pid] in server]
    return {name: found for name, found in pids.items() if found}


def processor_seconds(pid: int) -> float:
    """Used by a process so far; 0 if it cannot be seen."""
    nanoseconds = 0
    with suppress(OSError):
        for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            nanoseconds += int(path.read_text().split()[0])
    return nanoseconds / 1e9


async def work_by_package(session: Session) -> Table:
    """Processor time of warm cells in the kernel and on the host, by the package whose code it is spent in."""
    profile = cProfile.Profile(time.thread_time)
    await session.run(START)
    profile.enable()
    for _ in range(CELLS):
        await session.run(WARM)
    profile.disable()
    stopped = await session.run(STOP)
    assert stopped.error is None, stopped.text
    found = pstats.Stats(profile).stats.items()  # type: ignore[attr-defined]
    ours = [(where[0], seen[2], [(by[0], part[2]) for by, part in seen[4].items()]) for where, seen in found]
    shares = {"in the kernel": by_package(json.loads(stopped.stdout)), "on the host": by_package(ours)}
    table = Table("package", *shares, title="A warm cell under the profiler, share of the processor time")
    for name, _ in sum(shares.values(), Counter[str]()).most_common(14):
        table.add_row(name, *(f"{100 * share[name] / share.total():.0f} %" for share in shares.values()))
    return table


def by_package(functions: Seen) -> Counter[str]:
    """Seconds by package. Those of a function in C are its callers'."""
    found: Counter[str] = Counter()
    for file, seconds, callers in functions:
        for where, part in callers if file == "~" else [(file, seconds)]:
            found[_package(where)] += part
    return found


def _package(file: str) -> str:
    if (file.startswith("/opt/tora/") and "/site/" not in file) or "/sandbox/" in file:
        return "tora's own code"
    package = _PACKAGE.match(file)
    return package["name"] if package else "the cell and the rest"


async def course_of_fresh(box: Sandbox) -> tuple[str, ...]:
    """The medians over some new sessions."""
    async with box.session() as session:
        await session.run(FACTOR)
    await asyncio.sleep(3)
    courses = []
    for _ in range(SESSIONS):
        await asyncio.sleep(0.25)
        async with box.session() as session:
            courses.append(await stamped(session, FACTOR))
    return _medians(courses)


async def stamped(session: Session, code: str) -> tuple[float, ...]:
    """Seconds up to the code, in it, after it, and in all."""
    began = time.monotonic()
    result = await session.run(STAMPED.format(code))
    ended = time.monotonic()
    first, last = map(float, result.stdout.split()[-2:])
    return first - began, last - first, ended - last, ended - began


def _medians(courses: list[tuple[float, ...]]) -> tuple[str, ...]:
    return tuple(f"{1000 * statistics.median(column):.2f}" for column in zip(*courses, strict=True))
