"""Runs inside the container: an IPython kernel whose channels are one socket, and which can be forked when it is ready.

`ipykernel` gives everything but the transport: its messages would travel over eleven ZeroMQ sockets and four threads,
which neither survive a fork nor may be had by a session, as all sessions of a container share one network. Here they go
to the supervisor over a pair of sockets (see `frames.py`), which is also the faster way.
"""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import gc
import logging
import os
import random
import select
import signal
import sys
import threading
import time
import uuid
import warnings
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy.random
import sympy
import sympy.abc
import sympy.core.random
import zmq
from frames import CHUNK, Blocks, Channel, pack_message, read_message
from ipykernel.eventloops import enable_gui
from ipykernel.ipkernel import IPythonKernel
from ipykernel.jsonutil import json_clean
from ipykernel.zmqshell import ZMQInteractiveShell
from IPython.core.compilerop import CachingCompiler
from IPython.core.profiledir import ProfileDir
from IPython.external.pickleshare import PickleShareDB
from jupyter_client.session import Session
from lockdown import adopt_orphans
from output import CappedStream, pack
from traitlets import Any as AnyTrait
from traitlets.config import Config

PROFILE = Path("/opt/tora/ipython/profile_default")
WHERE_SIGNAL = signal.SIGRTMIN + 3
MAX_MESSAGE = 64 << 20
STUBBORN = 87
"""Exit status of a kernel that had to end because a thread of the code would not."""
GRACE = 0.05
"""Seconds that threads get to end in."""
_OWN_MODULES = ("cut", "forkserver", "frames", "kernel", "lockdown", "output")
"""Names that the code may have modules of its own by."""
_SET_ASYNC_EXC = ctypes.pythonapi.PyThreadState_SetAsyncExc


_X = sympy.Symbol("x")
_REHEARSAL = "print((lambda s: s.factor(s.Symbol('x') ** 2 - 1))(__import__('sympy')))"
WARMER: tuple[Callable[[], Any], ...] = (
    lambda: sympy.solve(_X**2 - 2, _X),
    lambda: sympy.simplify(sympy.sin(_X) ** 2 + sympy.cos(_X) ** 2),
    lambda: sympy.integrate(_X * sympy.exp(_X), _X),
    lambda: import_module("scipy.optimize"),
    lambda: import_module("matplotlib.figure"),
    lambda: import_module("matplotlib.pyplot"),
    lambda: gc.collect() or gc.freeze(),
)
"""What the fork server does while it has nothing else to do, for the kernels to come: a fraction of a second each."""


class Line:
    """The kernel's end of the socket: messages in, messages out."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._lock = threading.Lock()
        self._blocks = Blocks(MAX_MESSAGE)
        self.arrived: deque[tuple[Channel, list[bytes]]] = deque()

    def send(self, channel: Channel, parts: list[bytes]) -> None:
        """Send a message whole, however long that takes."""
        data = memoryview(pack_message(channel, parts))
        with self._lock:
            while data:
                data = data[os.write(self.descriptor, data) :]

    def readable(self) -> bool:
        """Whether `read` would return at once."""
        return bool(select.select([self.descriptor], [], [], 0)[0])

    def read(self) -> None:
        """Wait for more bytes, and put the messages they complete into `arrived`. Raises `EOFError`."""
        data = os.read(self.descriptor, CHUNK)
        if not data:
            raise EOFError
        self.arrived.extend(map(read_message, self._blocks.feed(data)))


class Outlet:
    """One channel of the line, in the shape of the ZeroMQ socket that `ipykernel` would send to."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.line: Line | None = None
        self.io_loop: Any = None

    def send_multipart(self, parts: list[Any], *_: Any, **__: Any) -> None:
        """Send a message, once there is a line."""
        if self.line is not None:
            self.line.send(self.channel, [bytes(part) for part in parts])

    def flush(self, *_: Any) -> None:
        """Nothing is ever held back."""


class Stopped(SystemExit):
    """Raised inside a thread that the code has left running. Remembers who got it."""

    received: ClassVar[set[int]] = set()

    def __init__(self, *_: Any) -> None:
        super().__init__()
        self.received.add(threading.get_ident())


class SandboxShell(ZMQInteractiveShell):  # type: ignore[misc]
    """A shell that takes the image's profile as it is, where IPython would look for one that it can write to."""

    def init_ipython_dir(self, _: Any) -> None:
        """Where the profile is."""
        self.ipython_dir = str(PROFILE.parent)

    def init_profile_dir(self, _: Any) -> None:
        """The profile."""
        self.profile_dir = ProfileDir.find_profile_dir(str(PROFILE))

    def enable_gui(self, gui: Any = None) -> None:
        """What `%matplotlib` does, which would look for an application that has a kernel."""
        enable_gui(gui, self.kernel)
        self.active_eventloop = gui

    @property
    def db(self) -> Any:
        """What `%cd` and `%store` keep, where it can be written."""
        if self._db is None:
            self._db = PickleShareDB(os.path.join(os.environ["HOME"], ".ipython", "db"))
        return self._db


class SandboxKernel(IPythonKernel):  # type: ignore[misc]
    """An `IPythonKernel` over a `Line`. One request is handled at a time, whatever its channel."""

    shell_class = SandboxShell
    # It names cells <ipython-input-N-hash>, where ipykernel's own names files that do not exist.
    compiler_class = CachingCompiler
    shell_stream = AnyTrait()
    control_stream = AnyTrait()
    # Asked for by top-level `await`, and otherwise by what `_supports_kernel_subshells` turns off.
    shell_channel_thread = type("Thread", (), {"parent_thread": threading.main_thread()})()
    _supports_kernel_subshells = False
    _execute_sleep = 0.0
    line: Line | None = None

    @classmethod
    def prepared(cls, output_chars: int) -> SandboxKernel:
        """A kernel with all its modules loaded and nothing of a process of its own yet: no line, loop or thread."""
        warnings.filterwarnings("ignore", "To exit: use")
        config = Config()
        config.InteractiveShell.colors = "nocolor"
        config.InteractiveShell.xmode = "Plain"
        config.HistoryManager.enabled = False
        config.IPythonKernel.help_links = []
        outlets = {channel: Outlet(channel) for channel in Channel}
        # To be there when the kernel looks for the streams it is to flush.
        sys.stdout, sys.stderr = CappedStream("stdout", output_chars), CappedStream("stderr", output_chars)
        kernel = cls.instance(  # the one that comms look for
            config=config,
            session=Session(key=b"", pack=partial(pack, output_chars)),
            shell_stream=outlets[Channel.SHELL],
            control_stream=outlets[Channel.CONTROL],
            stdin_socket=outlets[Channel.STDIN],
            iopub_socket=outlets[Channel.IOPUB],
            user_ns={},
            log=_silent(),
        )
        kernel.outlets = outlets
        kernel.streams = (sys.stdout, sys.stderr)
        kernel.shell.ask_exit = kernel._leave_cell
        kernel._warm_up()
        return kernel

    def _warm_up(self) -> None:
        """Do once what every session would do first: import what is imported late, and fill sympy's caches."""
        for code in (_REHEARSAL, "1 + 1\n{}['a']"):
            asyncio.run(self._rehearse(code))
        self.shell.reset(new_session=False)
        for name in ("last_exc", "last_type", "last_value", "last_traceback"):
            vars(sys).pop(name, None)  # of the rehearsed error, which `%debug` would show
        self.shell.execution_count = 1

    async def _rehearse(self, code: str) -> None:
        """Handle a request as if it came from the host, while nothing goes out yet."""
        self.io_loop = _Loop(asyncio.get_running_loop())
        content = {"code": code, "silent": True, "store_history": False, "stop_on_error": False}
        await self.dispatch_shell(_frames(self.session.serialize(self.session.msg("execute_request", content))))

    def live(self, descriptor: int, stack: int) -> int:
        """Be a kernel in this process, which was forked from the prepared one, to its end; return an exit status.

        `descriptor` is its end of the line, `stack` the pipe for the stack that `WHERE_SIGNAL` asks for.
        """
        adopt_orphans()  # so that a cell's descendants, daemons too, are this process's children in the end
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # but while a cell runs
        faulthandler.register(WHERE_SIGNAL, file=stack, all_threads=False)
        # All forks would draw the same numbers. What draws through `random` or numpy's global state is in this, too.
        for seed in (random.seed, numpy.random.seed, sympy.core.random.rng.seed):
            seed()
        # Every fork would number its messages like every other, too.
        self.session.pid, self.session.session = os.getpid(), uuid.uuid4().hex
        say = threading.excepthook
        threading.excepthook = lambda failure: None if failure.exc_type is Stopped else say(failure)
        self.line = Line(descriptor)
        for stream, number in zip(self.streams, (1, 2), strict=True):
            stream.begin(self.session, self.outlets[Channel.IOPUB], number)
        CappedStream.pump_in_thread(self.streams)
        sys.path[0] = ""
        for module in _OWN_MODULES:
            sys.modules.pop(module, None)
        self.own_threads = {thread.ident for thread in threading.enumerate()}
        self.shell.events.register("pre_run_cell", self._begin_cell)
        self.shell.events.register("post_run_cell", self._end_cell)
        self.left: dict[str, int] = {}
        self.waited: list[tuple[Channel, list[bytes]]] = []
        if not self.line.readable():
            # Nobody waits: make this process's own copies of the memory that a first cell would change.
            asyncio.run(self._rehearse(_REHEARSAL))
        for outlet in self.outlets.values():
            outlet.line = self.line
        return asyncio.run(self._serve())

    async def _serve(self) -> int:
        loop = asyncio.get_running_loop()
        self.io_loop = _Loop(loop)
        for outlet in self.outlets.values():
            outlet.io_loop = self.io_loop
        self._control_lock = asyncio.Lock()
        more = asyncio.Event()
        loop.add_reader(self.line.descriptor, more.set)
        try:
            setup = None
            while True:
                while not self.line.arrived:
                    await more.wait()
                    more.clear()
                    if self.line.readable():  # or background tasks would wait, too
                        self.line.read()
                channel, parts = self.line.arrived.popleft()
                if setup is None:
                    setup = self.session.unpack(parts[0])
                    self.session.key = setup["key"].encode()
                    self.session.signature_scheme = setup.get("signature_scheme", "hmac-sha256")
                    self.stops_leftovers = setup["stop_leftovers"]
                    self._publish_status("starting", "shell")
                    continue
                if channel is Channel.CONTROL:
                    await self.dispatch_control(_frames(parts))
                elif channel is Channel.SHELL:
                    await self.dispatch_shell(_frames(parts))
                if self._shutdown_message is not None:
                    return 0
                if self.stubborn:
                    return STUBBORN
        except EOFError:
            return 0

    # What a cell leaves behind

    stubborn = False
    stops_leftovers = False

    def _begin_cell(self, *_: Any) -> None:
        for stream in self.streams:
            stream.start_cell()

    def _end_cell(self, *_: Any) -> None:
        if self.stops_leftovers:
            self.left = self._stop_leftovers()
        for stream in self.streams:
            stream.end_cell()
        # What a cell put in their place, and perhaps failed to take away, would silence every later cell.
        sys.stdout, sys.stderr = self.streams

    def _stop_leftovers(self) -> dict[str, int]:
        """Stop the threads and processes that the cell has left running; return how many there were of each."""
        threads = [
            t for t in threading.enumerate() if t.ident not in self.own_threads and t is not threading.current_thread()
        ]
        doomed = [t for t in threads if getattr(t, "_doomed", False)]
        new = [t for t in threads if t not in doomed]
        Stopped.received.difference_update(thread.ident for thread in new)  # whoever had their numbers has ended
        for thread in threads:
            thread._doomed = True  # type: ignore[attr-defined]
            for stream in self.streams:
                stream.keep_thread_apart(thread)
            _SET_ASYNC_EXC(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Stopped))
        for thread in threads:
            thread.join(GRACE / len(threads))
        # One that sleeps in C code gets it when it wakes. One that has got it may need longer to end on a busy machine.
        until = time.monotonic() + GRACE * 10
        told = [thread for thread in threads if thread.ident in Stopped.received]
        for thread in told:
            thread.join(max(0.0, until - time.monotonic()))
        # One that still goes on will not be told.
        self.stubborn = any(thread.is_alive() for thread in told)
        processes = 0
        with suppress(ChildProcessError):  # there is none
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            with suppress(ProcessLookupError):
                os.kill(-1, signal.SIGSTOP)  # or one could fork and exit while they are counted, and be missed
            processes = _count_processes()
            until = time.monotonic() + GRACE * 10
            while processes and time.monotonic() < until:
                os.kill(-1, signal.SIGKILL)  # every process of this user but this one
                if not os.waitpid(-1, os.WNOHANG)[0]:
                    time.sleep(0.001)
        left = {"threads": len(new), "processes": processes, "stubborn": int(self.stubborn)}
        return {what: count for what, count in left.items() if count}

    def finish_metadata(self, parent: Any, metadata: Any, reply_content: Any) -> Any:
        """Say in the reply what the cell had left running."""
        metadata = super().finish_metadata(parent, metadata, reply_content)
        metadata["left"], self.left = self.left, {}
        if reply_content["status"] == "error" and self.line is not None:
            # What comes later may be sent by a front end that has seen the reply, and is not to be aborted.
            while self.line.readable():
                self.line.read()
            self.waited = [item for item in self.line.arrived if item[0] is Channel.SHELL]
        return metadata

    # What `ipykernel` does over ZeroMQ

    def _leave_cell(self) -> None:
        """What `exit(status)` does: end the cell as it ends a script, where IPython ends the kernel a little later."""
        sys.exit(self.shell.keepkernel_on_exit or None)  # which is the status, as IPython knows of none

    def _abort_queues(self, subshell_id: str | None = None) -> None:
        """After an error, let the execute requests that waited already be answered as aborted."""
        waited, self.waited = self.waited, []
        for _, parts in waited:
            idents, rest = self.session.feed_identities(parts)
            # A second look at a whole message would be taken for a replay: so others than these get none here.
            if self.session.unpack(rest[1])["msg_type"] == "execute_request":
                message = self.session.deserialize(rest)
                self.line.arrived.remove((Channel.SHELL, parts))
                self._publish_status("busy", "shell", message)
                self._send_abort_reply(self.shell_stream, message, idents)
                self._publish_status("idle", "shell", message)

    def _input_request(self, prompt: str, ident: Any, parent: Any, password: bool = False) -> str:
        """Ask the front end, which has said that it can be asked, for a line."""
        for stream in self.streams:
            stream.flush()
        while self.line.readable():
            self.line.read()
        for late in [item for item in self.line.arrived if item[0] is Channel.STDIN]:
            self.line.arrived.remove(late)  # the answer to a question that was interrupted
        content = json_clean({"prompt": prompt, "password": password})
        self.session.send(self.stdin_socket, "input_request", content, parent, ident=ident)
        while True:
            self.line.read()
            for item in list(self.line.arrived):
                if item[0] is Channel.STDIN:
                    self.line.arrived.remove(item)
                    _, rest = self.session.feed_identities(item[1])
                    value = str(self.session.deserialize(rest)["content"].get("value", ""))
                    if value == "\x04":
                        raise EOFError
                    return value


class _Loop:
    """The little of tornado's loop that `ipykernel` asks of `io_loop`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.asyncio_loop = loop

    def add_callback(self, callback: Any, *arguments: Any) -> None:
        self.asyncio_loop.call_soon_threadsafe(partial(callback, *arguments))

    def call_later(self, seconds: float, callback: Any, *arguments: Any) -> None:
        self.asyncio_loop.call_later(seconds, partial(callback, *arguments))

    def stop(self) -> None:
        """`_serve` sees for itself when to stop."""


def _frames(parts: list[bytes]) -> list[zmq.Frame]:
    return [zmq.Frame(part) for part in parts]


def _silent() -> logging.Logger:
    """A logger that keeps the kernel's own remarks out of the output of cells."""
    logger = logging.getLogger("tora")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger


def _count_processes() -> int:
    """How many processes of this user there are besides this one, the dead not counted."""
    own, count = os.getuid(), 0
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            with suppress(OSError):
                path = f"/proc/{name}"
                if os.stat(path).st_uid == own:
                    count += Path(path, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return count
