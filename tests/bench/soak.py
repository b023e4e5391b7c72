"""Many sessions, ordinary ones and attacks, while all that they stand on is killed.

usage: python -m tests.bench.soak [--sessions N] [--concurrency C] [--seed S]

On a Docker Engine of its own (as root): sessions of both isolations, and on the way the fork server, the supervisor and
containers are killed, and the engine is ended once and killed twice. The promises: every cell ends, in time, with a
result that is right or with a `SandboxError`, and the latter only about when something was killed; the host process
keeps its size; in the end no container, process or file is left. Prints the figures; exit status 1 if one is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import signal
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import docker
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from sandbox import Limits, Sandbox, SandboxError, container
from sandbox.build import image_name
from sandbox.container import LABEL, owner
from tests.bench.engine import PrivateEngine
from tests.bench.visits import ATTACKS, ORDINARY, Cell, Visit

LIMITS = Limits(memory_mib=192, processes=32, files_mib=8, output_chars=10_000, start_seconds=30)
GRACE = 5.0
"""Seconds after its time limit in which a cell must have a result."""
START_ALLOWANCE = 40.0
"""Seconds more where a kernel is due."""
ALONE = 0.06
"""Share of the sessions that have a container for themselves."""
SHARE_OF_ATTACKS = 0.4
BLAME = 15.0
"""Seconds after a disturbance in which a `SandboxError` is put down to it."""
BREAK = 2.0
"""Seconds that a worker rests after a `SandboxError`, or all sessions would be used up while the engine is down."""
DOWN = 2.0
"""Seconds."""
GROWTH_MB = 30


@dataclass
class Report:
    """What happened."""

    outcomes: Counter[str] = field(default_factory=Counter)
    disturbances: list[float] = field(default_factory=list)
    """When something was killed that sessions stand on, or came back."""
    broken: list[str] = field(default_factory=list)
    over: list[float] = field(default_factory=list)
    """Seconds past their time limits that cells took in which no kernel was started."""
    starts: list[float] = field(default_factory=list)
    """Likewise of cells in which one was."""
    uids: dict[str, range] = field(default_factory=dict)
    """The user ids of each container."""
    sizes: dict[str, dict[str, float]] = field(default_factory=dict)
    """Of the host process, at some moments."""

    def disturbed(self, began: float) -> bool:
        """Whether something was killed since `began`, or a little before."""
        return any(when > began - BLAME for when in self.disturbances)


class Soak:
    """Workers that make sessions, and a hand that breaks things meanwhile."""

    def __init__(self, engine: PrivateEngine, sessions: int, concurrency: int, seed: int) -> None:
        self.engine, self.sessions, self.concurrency = engine, sessions, concurrency
        self.random = random.Random(seed)
        self.report = Report()
        self.client = docker.DockerClient(base_url=engine.host, timeout=20)
        self.done = 0
        self.idle = asyncio.Condition()
        self.working = 0
        self.held = False

    async def run(self, progress: Progress) -> None:
        """All of it."""
        task = progress.add_task("sessions", total=self.sessions)
        visits = iter([self.draw() for _ in range(self.sessions)])
        self.report.sizes["before"] = self.size()
        async with Sandbox(LIMITS) as shared, Sandbox(LIMITS, isolation="container") as alone:

            async def worker() -> None:
                for visit, apart in visits:
                    async with self.idle:
                        await self.idle.wait_for(lambda: not self.held)
                        self.working += 1
                    try:
                        await self.visit(alone if apart else shared, visit, "container" if apart else "shared")
                    finally:
                        async with self.idle:
                            self.working -= 1
                            self.done += 1
                            self.idle.notify_all()
                    progress.advance(task)

            watcher = asyncio.create_task(self.watch())
            async with asyncio.TaskGroup() as group:
                breaker = group.create_task(self.break_things(progress))
                workers = [group.create_task(worker()) for _ in range(self.concurrency)]
                await asyncio.wait(workers)
                await breaker
            watcher.cancel()
            await self.measure("in the end")
        await asyncio.sleep(1)
        self.report.sizes["closed"] = self.size()
        await self.look_for_leftovers()

    def draw(self) -> tuple[Visit, bool]:
        """A session, and whether it has a container for itself."""
        kinds = ATTACKS if self.random.random() < SHARE_OF_ATTACKS else ORDINARY
        (visit,) = self.random.choices(kinds, [visit.weight for visit in kinds])
        return visit, self.random.random() < ALONE

    async def visit(self, box: Sandbox, visit: Visit, isolation: str) -> None:
        """One session; a broken promise is noted, and no reason to stop."""
        began = time.monotonic()
        try:
            ceiling = sum(cell.timeout + GRACE + START_ALLOWANCE for cell in visit.cells)
            async with asyncio.timeout(ceiling):
                async with box.session() as session:
                    due = True
                    for cell in visit.cells:
                        due = await self.cell(session.run, cell, due, f"{visit.name}, {isolation}", began)
        except TimeoutError:
            self.broken(f"{visit.name}, {isolation}: the session hung")
        except SandboxError as error:
            self.count(f"SandboxError: {type(error).__name__}")
            if not self.report.disturbed(began):
                self.broken(f"{visit.name}, {isolation}: {type(error).__name__} for no reason: {error}")
            await asyncio.sleep(BREAK)
        except Exception as error:
            self.broken(f"{visit.name}, {isolation}: {error!r}")

    async def cell(self, run: Callable[..., Awaitable], cell: Cell, due: bool, name: str, since: float) -> bool:
        """One cell; return whether the next needs a new kernel."""
        began = time.monotonic()
        try:
            result = await run(cell.code, timeout=cell.timeout)
        finally:
            over = time.monotonic() - began - cell.timeout
        lost = result.state_lost and not result.timed_out and not (result.error and result.error.type == "KernelDied")
        (self.report.starts if due or lost else self.report.over).append(over)
        if over > GRACE + (START_ALLOWANCE if due or lost else 0):
            self.broken(f"{name}: {over:.1f} s past its time limit of {cell.timeout:g} s")
        if cell.right(result):
            self.count("right result")
        elif (result.state_lost or lost) and self.report.disturbed(since):
            self.count("state lost, and said so")
        else:
            self.broken(f"{name}: {result.text[:300]!r} after {cell.code[:60]!r}, timed out {result.timed_out}")
        return result.state_lost

    def count(self, outcome: str) -> None:
        """One more cell that ended so."""
        self.report.outcomes[outcome] += 1

    def broken(self, what: str) -> None:
        """A promise was."""
        self.count("BROKEN")
        self.report.broken.append(f"session {self.done}: {what}")

    # What is broken on purpose

    async def break_things(self, progress: Progress) -> None:
        """One after the other, evenly over the run. First of all, the size of the host process is taken."""
        deeds: list[Callable[[], Awaitable[str]]] = [
            self.begin,
            self.kill_fork_server,
            self.kill_supervisor,
            self.kill_fork_server,
            self.kill_container,
            self.end_engine,
            self.kill_fork_server,
            self.kill_one_of_alone,
            self.kill_engine,
            self.kill_supervisor,
            self.kill_fork_server,
            self.kill_engine_that_restores,
            self.kill_container,
            self.kill_fork_server,
        ]
        for number, deed in enumerate(deeds, 1):
            due = self.sessions * number / (len(deeds) + 1)
            async with self.idle:
                await self.idle.wait_for(partial(self.reached, due))
            if self.done == self.sessions:
                self.broken("too few sessions to kill all there is to kill")
                return
            try:
                said = await deed()
            except (docker.errors.DockerException, OSError) as error:
                said = f"not done: {error}"
                self.broken(said)
            progress.console.print(f"{self.done:5} sessions: {said}", highlight=False, markup=False)

    def reached(self, number: float) -> bool:
        """Whether so many sessions have ended."""
        return self.done >= number

    async def begin(self) -> str:
        """Nothing is broken yet."""
        await self.measure("warmed up")
        return "measured"

    async def kill_fork_server(self) -> str:
        """The sessions that it has made go on."""
        pid = await self.process("forkserver.py")
        os.kill(pid, signal.SIGKILL)
        return "fork server killed"

    async def kill_supervisor(self) -> str:
        """All sessions of its container fail."""
        pid = await self.process("supervisor.main", skip="docker-init")
        self.disturb()
        os.kill(pid, signal.SIGKILL)
        return "supervisor killed"

    async def kill_container(self) -> str:
        """Likewise."""
        found = await self.container(alone=False)
        self.disturb()
        await asyncio.to_thread(found.kill)
        return "container killed"

    async def kill_one_of_alone(self) -> str:
        """A container that has but one session, as soon as there is one."""
        found = await self.container(alone=True)
        self.disturb()
        await asyncio.to_thread(found.kill)
        return "container of one session killed"

    async def end_engine(self) -> str:
        """As a service manager does."""
        return await self.restart("ended", signal.SIGTERM)

    async def kill_engine(self) -> str:
        """As a crash does. The next one is told to keep containers running while it is away."""
        return await self.restart("killed", signal.SIGKILL, "--live-restore")

    async def kill_engine_that_restores(self) -> str:
        """Likewise; the next one finds containers that have lived on, and whose owner has lost them."""
        return await self.restart("that keeps containers running killed", signal.SIGKILL)

    async def restart(self, how: str, number: signal.Signals, *options: str) -> str:
        self.disturb()
        await asyncio.to_thread(self.engine.stop, number)
        await asyncio.sleep(DOWN)
        await asyncio.to_thread(self.engine.start, *options)
        self.disturb()
        return f"engine {how}, and started again after {DOWN:g} s"

    def disturb(self) -> None:
        """Note that sessions may fail from now on."""
        self.report.disturbances.append(time.monotonic())

    async def container(self, *, alone: bool) -> docker.models.containers.Container:
        """One of our running containers, as soon as there is one: for one session, or for many."""
        for _ in range(600):
            if found := await self.containers(alone=alone):
                return self.random.choice(found)
            await asyncio.sleep(0.1)
        raise OSError("no container runs")

    async def containers(self, *, alone: bool) -> list[docker.models.containers.Container]:
        """All of them."""
        filters = {"label": f"{LABEL}={owner()}"}
        found = await asyncio.to_thread(self.client.containers.list, filters=filters, ignore_removed=True)
        return [one for one in found if (len(_uids(one)) == 2) is alone]

    async def process(self, word: str, skip: str = "\0") -> int:
        """Pid of the first process of a container for many sessions whose command line has `word` and not `skip`."""
        for _ in range(100):
            found = await self.container(alone=False)
            with suppress(docker.errors.APIError):  # it is ending
                for pid, arguments in (await asyncio.to_thread(found.top, ps_args="-eo pid,args"))["Processes"] or []:
                    if word in arguments and skip not in arguments:
                        return int(pid)
            await asyncio.sleep(0.1)
        raise OSError(f"no {word} runs")

    # What is watched

    async def watch(self) -> None:
        """Learn of each container's user ids."""
        while True:
            with suppress(docker.errors.DockerException, OSError):
                for alone in (True, False):
                    for found in await self.containers(alone=alone):
                        self.report.uids[str(found.id)] = _uids(found)
            await asyncio.sleep(0.5)

    async def measure(self, moment: str) -> None:
        """The size of this process while no session is open."""
        async with self.idle:
            self.held = True
            await self.idle.wait_for(lambda: not self.working)
            await asyncio.sleep(2)
            self.report.sizes[moment] = self.size()
            self.held = False
            self.idle.notify_all()

    def size(self) -> dict[str, float]:
        """Of this process, but for our own connections to the engine."""
        self.client.close()
        gc.collect()
        status = Path("/proc/self/status").read_text().splitlines()
        return {
            "memory (RSS), MB": next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) / 1024,
            "descriptors": len(os.listdir("/proc/self/fd")),
            # Those of `to_thread` are our own.
            "threads": sum(not thread.name.startswith("asyncio") for thread in threading.enumerate()),
        }

    async def look_for_leftovers(self) -> None:
        """Containers, processes of the sessions' user ids; the files were in the containers."""
        await asyncio.sleep(1)
        left = await asyncio.to_thread(self.client.containers.list, all=True, filters={"label": LABEL})
        self.report.broken += [f"left: container {found.short_id}, {found.status}" for found in left]
        for pid, uid in _processes():
            if any(uid in uids for uids in self.report.uids.values()):
                self.report.broken.append(f"left: process {pid} of user id {uid}")
        sizes = self.report.sizes
        if sizes["in the end"]["memory (RSS), MB"] > sizes["warmed up"]["memory (RSS), MB"] + GROWTH_MB:
            self.report.broken.append("memory has grown")
        for what in ("descriptors", "threads"):
            if sizes["closed"][what] > sizes["before"][what]:
                self.report.broken.append(f"{what} are left")


def _uids(found: docker.models.containers.Container) -> range:
    config = json.loads(found.attrs["Config"]["Cmd"][-1])
    return range(config["first_uid"], config["first_uid"] + config["slots"] + 1)


def _processes() -> list[tuple[int, int]]:
    """Pids and user ids of all processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found.append((int(path.name), path.stat().st_uid))
    return found


def show(report: Report, seconds: float, console: Console) -> None:
    """Print the figures."""
    table = Table("cells", "count", title=f"{sum(report.outcomes.values())} outcomes in {seconds:.0f} s")
    for outcome, count in report.outcomes.most_common():
        table.add_row(outcome, str(count))
    console.print(table)
    table = Table("of the host process", *report.sizes, title="No session open")
    for what in report.sizes["before"]:
        table.add_row(what, *(f"{size[what]:.0f}" for size in report.sizes.values()))
    console.print(table)
    table = Table("cells with", "number", "most", "99 %", title="Seconds past the time limit (negative: before it)")
    for name, figures in {"no kernel to start": report.over, "a kernel to start": report.starts}.items():
        if len(figures) > 1:
            late = statistics.quantiles(figures, n=100)[-1]
            table.add_row(name, str(len(figures)), f"{max(figures):.2f}", f"{late:.2f}")
    console.print(table)
    console.print(f"{len(report.uids)} containers were seen")
    for line in map(escape, report.broken[:40]):
        console.print(f"[red]broken[/]: {line}", highlight=False, soft_wrap=True)
    console.print("[red]a promise was broken[/]" if report.broken else "[green]every promise held[/]")


def main() -> None:
    """Soak and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("a Docker Engine can only be started by root; run `sudo make soak-sandbox`")
    console = Console()
    with PrivateEngine() as engine:
        console.print(f"a Docker Engine of our own at {engine.host}; copying the image to it")
        engine.load(container.connect(), image_name())
        os.environ["DOCKER_HOST"] = engine.host
        began = time.monotonic()
        soak = Soak(engine, arguments.sessions, arguments.concurrency, arguments.seed)
        with Progress(console=console) as progress:
            asyncio.run(soak.run(progress))
    show(soak.report, time.monotonic() - began, console)
    sys.exit(bool(soak.report.broken))


if __name__ == "__main__":
    main()
