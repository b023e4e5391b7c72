"""The sandbox's kernel for every Jupyter front end: `jupyter run`, nbclient, papermill, JupyterLab.

They start a kernel through a *provisioner*, which this is; `kernelspec/kernel.json` names it. A front end runs it in
its own process and speaks ZeroMQ to sockets in a directory that only its user can enter. docs/jupyter.md says how to
use it and what is different.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import zmq.asyncio
from jupyter_client.provisioning import KernelProvisionerBase
from pydantic import ValidationError
from traitlets import Bool, Float, Int, Unicode

from sandbox.box import Sandbox
from sandbox.channels import ServedKernel, Sockets
from sandbox.errors import SandboxError
from sandbox.settings import Isolation, Limits

_PREFIX = "tora-jupyter-"
_LONGEST = 60
"""Characters of the directory that the sockets' directory is made in: a socket's path has 107 at most."""
_YOUNG_SECONDS = 60.0
_STANDARD = Limits()
T = TypeVar("T")


class SandboxProvisioner(KernelProvisionerBase):  # type: ignore[misc]
    """Starts a kernel in the sandbox, and serves it to the front end's kernel manager.

    The settings stand in kernel.json under `metadata.kernel_provisioner.config`, or in a Jupyter configuration file
    as `c.SandboxProvisioner.memory_mib = 2048`.
    """

    memory_mib = Int(_STANDARD.memory_mib, config=True, help="Memory of the kernel, its processes and its files, MiB.")
    processes = Int(_STANDARD.processes, config=True, help="Processes and threads.")
    cpus = Float(_STANDARD.cpus, config=True, help="Processor cores of a container of its own.")
    files_mib = Int(_STANDARD.files_mib, config=True, help="Size of /tmp, the only writable directory, MiB.")
    descriptors = Int(_STANDARD.descriptors, config=True, help="Open files of each process.")
    output_chars = Int(_STANDARD.output_chars, config=True, help="Characters kept of each of a cell's outputs.")
    message_mib = Int(64, min=1, config=True, help="What the kernel may send for one request, MiB; more ends it.")
    isolation = Unicode("shared", config=True, help="'shared': the front end's kernels share a container; 'container'.")
    active_outputs = Bool(
        False, config=True, help="Let through HTML, SVG, JavaScript and widgets, which a browser runs."
    )

    def __init__(self, **settings: Any) -> None:
        """Raises `SandboxError` on a setting that there is none of."""
        if unknown := sorted(set(settings) - set(self.class_trait_names())):
            raise SandboxError(f"kernel.json: no such setting: {', '.join(unknown)}; see docs/jupyter.md")
        super().__init__(**settings)
        self._host: Host | None = None
        self._folder: Folder | None = None
        self._sockets: Sockets | None = None
        self._kernel: ServedKernel | None = None

    @property
    def has_process(self) -> bool:
        """Whether there is a kernel, alive or just dead."""
        return self._kernel is not None

    async def poll(self) -> int | None:
        """None while the kernel lives, then its exit status (negative: the signal that killed it)."""
        if self._kernel is None:
            return 0
        return self._kernel.ended.result() if self._kernel.ended.done() else None

    async def wait(self) -> int | None:
        """Wait for the kernel's end; return its exit status."""
        await _until(lambda: self._kernel is None or self._kernel.ended.done())
        status = await self.poll()
        if self._kernel is not None and self._kernel.why:
            self.log.warning("tora-sandbox: the kernel ended: %s", self._kernel.why)
        self._kernel = None
        return status

    async def send_signal(self, signum: int) -> None:
        """Interrupt or kill the kernel; other signals do not reach it."""
        if self._kernel is not None:
            if signum == signal.SIGINT:
                self._kernel.interrupt()
            elif signum in (signal.SIGTERM, signal.SIGKILL):
                self._kernel.close()

    async def kill(self, restart: bool = False) -> None:
        """Begin to end the kernel and all it has started."""
        await self.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:
        """The same: a kernel that would have ended by itself has been asked to before."""
        await self.send_signal(signal.SIGTERM)

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Have the front end use sockets in a private directory, in the place of ports that any user can reach."""
        manager = self.parent
        if self._folder is None:
            self._folder = Folder()
            manager.transport, manager.ip = "ipc", str(self._folder.path / "k")
        manager.write_connection_file()
        self.connection_info = manager.get_connection_info()
        return await super().pre_launch(cmd=[], **kwargs)  # type: ignore[no-any-return]

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> dict[str, Any]:
        """Start a kernel; return the connection information. Raises `SandboxError`."""
        try:
            await self.wait()  # for the end of the last one
            if self._host is None:
                self._host = Host.join(*self._settings())
            self._kernel = await self._host.call(self._start)
        except BaseException:
            await self.cleanup()
            self.parent.cleanup_connection_file()
            raise
        return dict(self.connection_info)

    async def _start(self, host: Host) -> ServedKernel:
        if self._sockets is None:
            self._sockets = Sockets(host.context, self.connection_info)
        kernel = ServedKernel(self._sockets, active=self.active_outputs, most_bytes=self.message_mib << 20)
        return await kernel.start(host.box)

    async def _close(self, _: Host) -> None:
        if self._sockets is not None:
            self._sockets.close()
            self._sockets = None

    async def cleanup(self, restart: bool = False) -> None:
        """Leave nothing behind."""
        await self.kill()
        await self.wait()
        if not restart:
            host, self._host = self._host, None
            if host is not None:
                if self._sockets is not None:
                    await host.call(self._close)
                await host.leave()
            folder, self._folder = self._folder, None
            if folder is not None:
                folder.remove()

    def _settings(self) -> tuple[Limits, Isolation]:
        try:
            values = {name: getattr(self, name) for name in Limits.model_fields if self.has_trait(name)}
            return Limits(**values), Isolation(self.isolation)
        except ValidationError as error:
            first = error.errors()[0]
            raise SandboxError(f"kernel.json: {first['loc'][0]}: {first['msg']}; see docs/jupyter.md") from error
        except ValueError as error:
            raise SandboxError(f"kernel.json: isolation: {error}; see docs/jupyter.md") from error


class Host:
    """A thread with a sandbox in it, for all kernels of this process that have the same limits.

    A front end calls its provisioners from several threads and loops; what belongs to one loop is here alone.
    """

    _all: ClassVar[dict[tuple[Limits, Isolation], Host]] = {}
    _guard: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, limits: Limits, isolation: Isolation) -> None:
        self._key = limits, isolation
        self._users = 0
        self._up: Future[None] = Future()
        self._stop: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="tora-jupyter", daemon=True)
        self._thread.start()

    @classmethod
    def join(cls, limits: Limits, isolation: Isolation) -> Host:
        """The host of these settings, to be left once it is no longer needed."""
        with cls._guard:
            host = cls._all.get((limits, isolation)) or cls(limits, isolation)
            cls._all[limits, isolation] = host
            host._users += 1
            return host

    async def call(self, work: Callable[[Host], Coroutine[Any, Any, T]]) -> T:
        """The result of `work` in this thread. Raises `SandboxError` if there is no sandbox."""
        await _until(self._up.done)
        self._up.result()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(self), self._loop))

    async def leave(self) -> None:
        """Return, to the last one who leaves, when thread and containers are gone."""
        with self._guard:
            self._users -= 1
            if self._users:
                return
            self._forget()
        self._stop.set_result(None)
        await _until(lambda: not self._thread.is_alive())

    def _forget(self) -> None:
        if self._all.get(self._key) is self:
            del self._all[self._key]

    async def _run(self) -> None:
        limits, isolation = self._key
        self._loop = asyncio.get_running_loop()
        self.context = zmq.asyncio.Context()
        try:
            async with Sandbox(limits, isolation=isolation, spares=1) as self.box:
                self._up.set_result(None)
                await asyncio.wrap_future(self._stop)
        except BaseException as error:
            with self._guard:
                self._forget()
            if self._up.done():
                raise
            self._up.set_exception(error)
        finally:
            self.context.term()


os.register_at_fork(after_in_child=Host._all.clear)  # whose threads a fork does not have


class Folder:
    """A directory for sockets. It goes with this process, or when another one finds that nobody holds it any more."""

    def __init__(self) -> None:
        parent = tempfile.gettempdir()
        parent = parent if len(parent) <= _LONGEST else "/tmp"
        self._made = tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent, ignore_cleanup_errors=True)
        self.path = Path(self._made.name)
        self._held = os.open(self.path, os.O_RDONLY)
        fcntl.flock(self._held, fcntl.LOCK_EX)
        for old in self.path.parent.glob(f"{_PREFIX}*"):
            _sweep(old)

    def remove(self) -> None:
        """Delete it."""
        self._made.cleanup()
        os.close(self._held)


def _sweep(folder: Path) -> None:
    """Delete a directory of this user whose process is gone."""
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        found = os.fstat(held)
        if found.st_uid == os.getuid() and time.time() - found.st_mtime > _YOUNG_SECONDS:
            with suppress(BlockingIOError):
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(held)


async def _until(done: Callable[[], bool]) -> None:
    """Wait without anything that belongs to a loop, since the next call may come from another one."""
    while not done():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
