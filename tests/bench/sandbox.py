"""How fast the sandbox is, beside a plain local Jupyter kernel and containers with nothing but Python in them.

usage: python -m tests.bench.sandbox [--quick] [--profile]

All is measured in this one run, ours and the comparisons by turns, so that whatever else the machine does meets both
alike. A target that is missed is said to be; the exit status is 1 only if something fails. `--profile` shows instead
where the time of a cell goes.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import docker
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from sandbox import Sandbox, Session, container
from sandbox.container import LABEL, owner
from tests.bench import profiling
from tests.bench.comparisons import Pipe, PlainKernel, bare_python

FACTOR = "import sympy; from sympy.abc import x; print(sympy.factor(x**2-1))"
FACTORED = "(x - 1)*(x + 1)\n"
WARM = "print(1+1)"
PAUSE = 0.25
"""Seconds between two sessions, in which a spare kernel is made."""
SPARES = 2


@dataclass
class Way:
    """One way to do a thing, and the figures it got: seconds, MB or things a second."""

    name: str
    unit: str = "s"
    most: float | None = None
    """Of ours: the median that is the target. Of a comparison with "/s": the least."""
    ratio: float | None = None
    """Of a comparison: how many times better than it ours should be; below 1, how much worse it may be."""
    figures: list[float] = field(default_factory=list)

    def p(self, share: float) -> float:
        """The figure that `share` of all do not exceed."""
        return sorted(self.figures)[min(len(self.figures) - 1, int(share * len(self.figures)))]

    @property
    def median(self) -> float:
        """The middle figure."""
        return statistics.median(self.figures)


@dataclass
class Row:
    """A thing that was measured: our way to do it, and others."""

    what: str
    ours: Way
    beside: list[Way]

    def add_to(self, table: Table) -> None:
        """Show all of it."""
        faster = self.ours.unit == "/s"
        target = verdict = ""
        if self.ours.most is not None:
            target = f"{'>=' if faster else '<='} {_show(self.ours.most, self.ours.unit)}"
            verdict = _verdict(self.ours.median >= self.ours.most if faster else self.ours.median <= self.ours.most)
        table.add_row(self.what, self.ours.name, *self._figures(self.ours), "", target, verdict)
        for way in self.beside:
            ratio = self.ours.median / way.median if faster else way.median / self.ours.median
            target = verdict = ""
            if way.ratio is not None:
                target = f">= {way.ratio:g}x" if way.ratio >= 1 else f"<= {1 / way.ratio:.3g} times its time"
                verdict = _verdict(ratio >= way.ratio)
            table.add_row("", way.name, *self._figures(way), f"{ratio:.3g}x", target, verdict)
        table.add_section()

    @staticmethod
    def _figures(way: Way) -> tuple[str, str]:
        return _show(way.median, way.unit), _show(way.p(0.95), way.unit) if len(way.figures) > 1 else ""


def _verdict(met: bool) -> str:
    return "[green]met[/]" if met else "[red]missed[/]"


def _show(figure: float, unit: str) -> str:
    if unit == "s":
        return f"{figure:.2f} s" if figure >= 1 else f"{1000 * figure:.3g} ms"
    return f"{figure:.3g} {unit}"


class Bench:
    """The measurements. Each method is one row of the table."""

    def __init__(self, client: docker.DockerClient, progress: Progress, quick: bool) -> None:
        self.client, self.progress, self.quick = client, progress, quick
        self.image = container.require_image(client)

    async def by_turns(self, what: str, times: int, *ways: tuple[Way, Callable[[], Awaitable[float]]]) -> None:
        """Do each of `ways`, which return seconds, `times` times, the one after the other."""
        task = self.progress.add_task(what, total=times)
        for _ in range(times):
            for way, measured in ways:
                way.figures.append(await measured())
            self.progress.advance(task)

    async def fresh_sessions(self) -> list[Row]:
        """The time from asking for a session to the result of its first cell."""
        spare = Row("fresh session, a spare ready", Way("tora", most=0.015), [plain := Way("plain kernel", ratio=50)])
        none = Row(
            "fresh session, no spare",
            Way("tora", most=0.060),
            [Way("plain kernel", ratio=12, figures=plain.figures), alone := Way("a container per session")],
        )
        async with (
            Sandbox(spares=SPARES) as ready,
            Sandbox(spares=0) as unready,
            Sandbox(isolation="container") as apart,
        ):
            for box in (ready, unready):
                await asyncio.sleep(PAUSE + await fresh(box))
            await asyncio.sleep(3)  # in which the fork servers warm up
            await self.by_turns(
                "fresh sessions",
                5 if self.quick else 20,
                (plain, fresh_plain),
                (spare.ours, partial(fresh, ready)),
                (none.ours, partial(fresh, unready)),
                (spare.ours, partial(fresh, ready)),
                (none.ours, partial(fresh, unready)),
                (alone, partial(fresh, apart)),
            )
        return [spare, none]

    async def first_session(self) -> list[Row]:
        """From nothing running to a first result."""
        row = Row("first session ever, container start included", Way("tora", most=1.2), [bare := Way("bare python")])
        bare.name = "docker run of a bare python"
        await self.by_turns(
            "first sessions", 3 if self.quick else 10, (row.ours, first), (bare, self.first_bare_python)
        )
        return [row]

    async def warm_cells(self) -> list[Row]:
        """One more cell in a session that has had some."""
        pipe = await asyncio.to_thread(Pipe.of_a_loop, self.client, self.image)
        plain, floor = Way("plain kernel", ratio=1 / 1.2), Way("raw pipe into a container")
        row = Row("warm cell " + WARM, Way("tora", most=0.004), [plain, floor])

        async def through_the_pipe(line: str) -> str:
            return pipe.run(line)

        async with Sandbox() as box, box.session() as session, PlainKernel.session() as kernel:
            ways = (
                (row.ours, partial(cell, partial(printed, session))),
                (plain, partial(cell, kernel.run)),
                (floor, partial(cell, through_the_pipe)),
            )
            for _, measured in ways * 20:
                await measured()
            await asyncio.sleep(1)
            await self.by_turns("warm cells", 100 if self.quick else 500, *ways)
        pipe.remove()
        return [row]

    async def many_sessions(self) -> list[Row]:
        """Whole sessions (open, import sympy, one cell, close), four at a time."""
        row = Row(
            "sessions one after the other, 4 at a time",
            Way("tora", "/s", most=20),
            [plain := Way("plain kernel", "/s", ratio=8)],
        )
        async with Sandbox() as box:
            await fresh(box)
            await asyncio.sleep(3)
            # In three parts, with the plain kernels between them.
            for _ in range(3):
                row.ours.figures.append(await self.rate(20 if self.quick else 67, partial(fresh, box, pause=0)))
                plain.figures.append(await self.rate(4, fresh_plain))
        return [row]

    async def at_once(self) -> list[Row]:
        """Two hundred sessions open at the same time; and what memory each further one takes."""
        count = 50 if self.quick else 200
        answer = Row(f"{count} sessions open at once, all answer", Way("tora", "s"), [])
        memory = Row("memory per further idle session (PSS)", Way("tora", "MB", most=20), [])
        task = self.progress.add_task(answer.what, total=count)
        async with Sandbox() as box, AsyncExitStack() as stack:
            began = time.perf_counter()
            sessions = [await stack.enter_async_context(box.session()) for _ in range(count)]
            first_few, rest = sessions[: count // 4], sessions[count // 4 :]
            for part in (first_few, rest):
                for done in asyncio.as_completed([printed(session, FACTOR) for session in part]):
                    assert await done == FACTORED
                    self.progress.advance(task)
                memory.ours.figures.append(self.memory())
            answer.ours.figures.append(time.perf_counter() - began)
            results = await asyncio.gather(*(printed(session, "print(sympy.factor(x**2-1))") for session in sessions))
            assert set(results) == {FACTORED}
        if not all(memory.ours.figures):
            return [answer]
        low, high = memory.ours.figures
        memory.ours.figures = [(high - low) / len(rest)]
        memory.beside = [Way("plain kernel", "MB", figures=await self.plain_memory())]
        return [answer, memory]

    def memory(self) -> float:
        """MB of all the processes of our container, shared pages counted once; 0 where that is not to be seen."""
        gc.collect()
        (found,) = self.client.containers.list(filters={"label": f"{LABEL}={owner()}", "status": "running"})
        pids = [int(words[0]) for words in self.client.api.top(found.id, ps_args="-eo pid")["Processes"]]
        return sum(map(_pss, pids))

    async def plain_memory(self) -> list[float]:
        """MB of each of a few plain kernels."""
        async with AsyncExitStack() as stack:
            kernels = [await stack.enter_async_context(PlainKernel.session()) for _ in range(3)]
            for kernel in kernels:
                assert await kernel.run(FACTOR) == FACTORED
            return [_pss(kernel.pid) for kernel in kernels]

    async def rate(self, count: int, session: Callable[[], Awaitable[Any]]) -> float:
        """Sessions a second, four at a time."""
        task = self.progress.add_task("sessions", total=count)
        left = iter(range(count))

        async def worker() -> None:
            for _ in left:
                await session()
                self.progress.advance(task)

        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(worker())
        return count / (time.perf_counter() - began)

    async def first_bare_python(self) -> float:
        """Seconds of what `docker run` does, to the first output."""
        began = time.perf_counter()
        pipe = await bare_python(self.client, self.image)
        took = time.perf_counter() - began
        pipe.remove()
        return took


async def fresh(box: Sandbox, pause: float = PAUSE) -> float:
    """Seconds of a new session up to the result of its first cell. Waits afterwards until a spare is there again."""
    began = time.perf_counter()
    async with box.session() as session:
        assert await printed(session, FACTOR) == FACTORED
        took = time.perf_counter() - began
    await asyncio.sleep(pause)
    return took


async def fresh_plain() -> float:
    """The same of a plain kernel."""
    began = time.perf_counter()
    async with PlainKernel.session() as kernel:
        assert await kernel.run(FACTOR) == FACTORED
        return time.perf_counter() - began


async def first() -> float:
    """Seconds from nothing to the result of the first cell."""
    began = time.perf_counter()
    async with Sandbox() as box, box.session() as session:
        assert await printed(session, FACTOR) == FACTORED
        return time.perf_counter() - began


async def printed(session: Session, code: str) -> str:
    """What a cell prints that must succeed."""
    result = await session.run(code, timeout=30)
    assert result.error is None, result.text
    return result.stdout


async def cell(run: Callable[[str], Awaitable[str]]) -> float:
    """Seconds of a warm cell."""
    began = time.perf_counter()
    assert await run(WARM) == "2\n"
    return time.perf_counter() - began


def _pss(pid: int) -> float:
    """MB of a process, of shared pages its share; 0 where it may not be looked at, or is on another machine."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6


def header() -> str:
    """The machine, and how busy it is."""
    load = ", ".join(f"{figure:.2f}" for figure in os.getloadavg())
    return f"{os.cpu_count()} cores, load average {load}, Python {sys.version.split()[0]}"


async def measure(quick: bool, console: Console) -> Table:
    """All rows."""
    table = Table(title=header(), title_justify="left")
    for name in ("what", "how", "p50", "p95", "ratio", "target", ""):
        table.add_column(name, justify="right" if name in ("p50", "p95", "ratio") else "left")
    with Progress(console=console, transient=True) as progress:
        bench = Bench(container.connect(), progress, quick)
        for measured in (
            bench.fresh_sessions,
            bench.first_session,
            bench.warm_cells,
            bench.many_sessions,
            bench.at_once,
        ):
            for row in await measured():
                row.add_to(table)
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--profile", action="store_true", help="show where the time of a cell goes")
    arguments = parser.parse_args()
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    if arguments.profile:
        console.print(header())
        asyncio.run(profiling.show(console))
    else:
        console.print(asyncio.run(measure(arguments.quick, console)))


if __name__ == "__main__":
    main()
