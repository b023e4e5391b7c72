"""`tora doctor --attack`: the sandbox attacks itself and says what held."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import os
import secrets
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from docker.errors import DockerException

from sandbox import container
from sandbox.attacks import ATTACKS, Attack, Seen, Verdict
from sandbox.attacks.attack import STEADY
from sandbox.box import Sandbox
from sandbox.errors import SandboxError
from sandbox.result import CellResult
from sandbox.session import Session
from sandbox.settings import Isolation, Limits

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

LIMITS = Limits(memory_mib=256, processes=32, files_mib=16, descriptors=256)
"""Small, so that attacks on them take little of the machine's."""
AFTER_SECONDS = 10.0
"""Time limit of a cell that does next to nothing, which even a busy sandbox must keep to."""
SETTLE_SECONDS = 60.0
"""How long what a session had may take to be gone, once it is closed."""
_VARIABLE = "TORA_DOCTOR_SECRET"
_SETTLE_IN = """
secret = {secret!r}
with open("secret.txt", "w") as file:
    file.write(secret)
import os
print(os.getpid(), os.getcwd(), get_ipython().kernel.session.key.decode())
"""
_ALIVE = """
with open("secret.txt") as file:
    assert file.read() == secret
with open("probe.txt", "w") as file:
    assert file.write("x" * 100_000)
print(secret)
"""
_LEFT = """
import os, sys
homes, users = {}, {}
for name in os.listdir("/slots"):
    for home in os.listdir("/slots/" + name):
        homes[os.stat("/slots/" + name).st_gid] = "/slots/" + name + "/" + home
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        users.setdefault(os.stat("/proc/" + pid).st_uid, []).append(pid)
    except OSError:
        pass
users.pop(0)
if len(homes) > int(sys.argv[1]):
    print(len(homes), "directories")
for user in homes.keys() - users.keys():
    print("directory", homes[user])
for user, pids in users.items():
    if user not in homes or len(pids) > 1:
        print(len(pids), "processes of user", user)
"""
"""Run in the container: prints what does not belong to the neighbour or to a kernel that is kept ready."""


@dataclass(frozen=True)
class Host:
    """What this process has of the machine."""

    descriptors: int
    threads: int
    containers: int

    def __str__(self) -> str:
        return f"{self.descriptors} descriptors, {self.threads} threads, {self.containers} containers"


class Ground:
    """A sandbox, a session in it that minds its own business, and a host with something to find.

    >>> async with Ground(Isolation.SHARED) as ground:
    ...     verdict = await ground.suffer(ATTACKS[0])
    """

    def __init__(self, isolation: Isolation) -> None:
        self.isolation = isolation
        self.box = Sandbox(LIMITS, isolation=isolation)
        self._visits: list[str] = []

    async def __aenter__(self) -> Self:
        """Start everything. Raises `SandboxError`."""
        self._stack = AsyncExitStack()
        try:
            await self._prepare()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def suffer(self, attack: Attack) -> Verdict:
        """Have a new session attack; return how that went."""
        try:
            return attack.verdict(await self._watch(attack))
        except (SandboxError, DockerException) as error:
            return Verdict(False, f"the sandbox itself failed: {' '.join(str(error).split())}")

    async def _prepare(self) -> None:
        self._secrets = {name: secrets.token_hex(16) for name in ("file", "environment", "neighbour")}
        os.environ[_VARIABLE] = self._secrets["environment"]
        self._stack.callback(os.environ.pop, _VARIABLE, None)
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="tora-doctor-"))
        self._file = _open_to_all(Path(folder), self._secrets["file"])
        server = await asyncio.start_server(self._visited, "127.0.0.1", 0)
        self._stack.push_async_callback(server.wait_closed)
        self._stack.callback(server.close)
        self._port = server.sockets[0].getsockname()[1]
        self._docker = container.connect()
        self._stack.callback(self._docker.close)
        self._foreign = _containers(self._docker)
        await self._stack.enter_async_context(self.box)
        self._neighbour = await self._stack.enter_async_context(self.box.session())
        settled = await self._neighbour.run(_SETTLE_IN.format(secret=self._secrets["neighbour"]))
        pid, self._home, self._secrets["key"] = settled.stdout.split()
        self._facts = LIMITS.model_dump(include={"processes", "memory_mib", "files_mib", "descriptors"}) | {
            "pid": int(pid),
            "home": self._home,
            "port": self._port,
            "file": str(self._file),
            "engine": urlsplit(os.environ.get("DOCKER_HOST", "")).path or "/var/run/docker.sock",
            "secrets": {hashlib.sha256(value.encode()).hexdigest(): name for name, value in self._secrets.items()},
        }

    async def _visited(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._visits.append("a connection to its loopback")
        writer.close()

    async def _watch(self, attack: Attack) -> Seen:
        self._visits.clear()
        code = attack.cell(self._facts)
        neighbour = _Neighbour(self._neighbour, self._secrets["neighbour"])
        late = [0.0]

        async def run(session: Session, code: str, timeout: float) -> CellResult:
            if not session.has_kernel:
                await session.run("")  # its start is not part of a cell's time
            began = time.monotonic()
            result = await session.run(code, timeout)
            late.append(time.monotonic() - began - timeout)
            return result

        async with neighbour.watched():
            async with self.box.session() as session:
                result = await run(session, code, attack.timeout)
                for cell in attack.then:
                    await run(session, cell, 1.0)
                after = await run(session, STEADY, AFTER_SECONDS)
            left = await self._left()
        drawn = await self._neighbour.run(code) if attack.by_neighbour else CellResult()
        if self._file.read_text() != self._secrets["file"]:
            self._visits.append("its file was changed")
        return Seen(
            result=result,
            after=after,
            late=max(late),
            neighbour=neighbour.wrong,
            waited=neighbour.waited,
            left=left,
            host=", ".join(self._visits),
            drawn=drawn.stdout,
        )

    async def _left(self) -> str:
        """What is left of the sessions that are closed, waiting for it to go; empty if nothing is."""
        ends = time.monotonic() + SETTLE_SECONDS
        while left := await asyncio.to_thread(self._look):
            if time.monotonic() > ends:
                break
            await asyncio.sleep(0.1)
        return left

    def _look(self) -> str:
        own = _containers(self._docker) - self._foreign
        if len(own) != 1:
            return f"{len(own) - 1} containers"
        if self.isolation is Isolation.CONTAINER:
            return ""
        look = ["python3", "-I", "-S", "-c", _LEFT, str(1 + self.box.spares)]
        output: Any = self._docker.containers.get(own.pop()).exec_run(look, user="0").output
        return ", ".join(output.decode(errors="replace").splitlines()[:3])


def _open_to_all(folder: Path, text: str) -> Path:
    """Make a file that every user of the host can read."""
    folder.chmod(0o755)
    file = folder / "secret.txt"
    file.write_text(text)
    return file


class _Neighbour:
    """Asks a session over and over whether it is well."""

    def __init__(self, session: Session, secret: str) -> None:
        self._session, self._secret = session, secret
        self.wrong = ""
        self.waited = 0.0

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Ask during the block, and once more at its end."""
        asking = asyncio.create_task(self._ask_on())
        try:
            yield
        finally:
            asking.cancel()
            with suppress(asyncio.CancelledError):
                await asking
        await self._ask()

    async def _ask_on(self) -> None:
        while True:
            # A cell that is cancelled would cost the session its kernel.
            asking = asyncio.ensure_future(self._ask())
            try:
                await asyncio.shield(asking)
            except asyncio.CancelledError:
                await asking
                raise
            await asyncio.sleep(0.05)

    async def _ask(self) -> None:
        began = time.monotonic()
        try:
            result = await self._session.run(_ALIVE, AFTER_SECONDS)
        except SandboxError as error:
            self.wrong = self.wrong or str(error)
            return
        self.waited = max(self.waited, time.monotonic() - began)
        if result.stdout != f"{self._secret}\n" or result.state_lost or result.error:
            self.wrong = self.wrong or " ".join(result.text.split())[:200] or "its state was lost"


def _containers(client: Any) -> set[str]:
    found = client.containers.list(filters={"label": f"{container.LABEL}={container.owner()}"}, ignore_removed=True)
    return {str(each.id) for each in found}


def host(client: Any) -> Host:
    """Count what this process has now."""
    gc.collect()  # what is only garbage may go at any time
    containers = len(_containers(client))  # which opens a connection, and so comes first
    threads = Path("/proc/self/task")  # on Linux; elsewhere, those of Python must do
    return Host(
        descriptors=len(os.listdir("/dev/fd")),
        threads=len(list(threads.iterdir())) if threads.is_dir() else threading.active_count(),
        containers=containers,
    )


async def _settled(client: Any, before: Host) -> Host:
    """What this process has once that is as before, or after a while."""
    ends = time.monotonic() + SETTLE_SECONDS
    while True:
        after = host(client)
        if after == before or time.monotonic() > ends:
            return after
        await asyncio.sleep(0.1)


Told = Callable[[Attack, Verdict], None]
AFTERMATH = Attack("the host process afterwards", "have as many descriptors, threads and containers as before", "")


async def attack_all(isolation: Isolation, told: Told, attacks: Iterable[Attack] = ATTACKS) -> bool:
    """Try all `attacks`, telling of each as it ends; return whether the sandbox held. Raises `SandboxError`."""
    client = container.connect()
    try:
        await asyncio.to_thread(lambda: None)  # the loop's own thread, which stays
        before = host(client)
        held = True
        async with Ground(isolation) as ground:
            for attack in attacks:
                verdict = await ground.suffer(attack)
                held &= verdict.held
                told(attack, verdict)
        after = await _settled(client, before)
    finally:
        client.close()
    told(AFTERMATH, Verdict(after == before, f"before: {before}; after: {after}"))
    return held and after == before


def examine(console: Console, isolation: Isolation, *, as_json: bool = False) -> bool:
    """Attack the sandbox and print what held, as a table or as JSON; return whether all did. Raises `SandboxError`."""
    rows: list[tuple[Attack, Verdict]] = []
    with _progress(console) as progress:
        task = progress.add_task("", total=len(ATTACKS) + 1)

        def told(attack: Attack, verdict: Verdict) -> None:
            rows.append((attack, verdict))
            broken = sum(not verdict.held for _, verdict in rows)
            progress.update(task, advance=1, description=f"{attack.name}{f', {broken} did not hold' * bool(broken)}")

        held = asyncio.run(attack_all(isolation, told))
    if as_json:
        keys = ("attack", "tried", "held", "evidence", "neighbour_waited_s")
        found = [
            dict(zip(keys, (attack.name, attack.tries, v.held, v.evidence, round(v.waited, 3)), strict=True))
            for attack, v in rows
        ]
        print(json.dumps({"isolation": isolation, "held": held, "attacks": found}, indent=2))
    else:
        console.print(_table(rows, isolation))
        console.print(_summary(rows), highlight=False)
    return held


def _progress(console: Console) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _table(rows: list[tuple[Attack, Verdict]], isolation: Isolation) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"The sandbox under attack, isolation: {isolation}", title_justify="left", expand=True)
    for name, ratio in (("attack", 3), ("what was tried", 4), ("", None), ("evidence", 5)):
        table.add_column(name, ratio=ratio, overflow="fold", no_wrap=ratio is None)
    table.add_column("neighbour waited", justify="right", no_wrap=True)
    for attack, verdict in rows:
        mark = Text("held", "green") if verdict.held else Text("NOT HELD", "bold red")
        # As text, since what sessions print is not to be taken for markup.
        waited = f"{verdict.waited:.2f} s" if verdict.waited else ""
        table.add_row(Text(attack.name), Text(attack.tries), mark, Text(verdict.evidence), waited)
    return table


def _summary(rows: list[tuple[Attack, Verdict]]) -> str:
    broken = [attack.name for attack, verdict in rows if not verdict.held]
    if not broken:
        return f"All {len(rows)} held."
    return f"{len(broken)} of {len(rows)} did not hold: {', '.join(broken)}."
