"""Runs inside the container as root with four capabilities: opens sessions, carries their bytes, cleans up after them.

Standard input and output carry the frames of `frames.py`. The end of standard input means that the owner on the host
is gone, however it ended: this process then ends, and with it the container. It sees the sessions' bytes but runs none
of their code; the fork server, which makes the kernels, never sees their bytes. So no session inherits another's.
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from frames import CHUNK, Blocks, Kind, pack_frame, read_frame
from lockdown import adopt_orphans, refuse_calls
from processes import acting_as, children, exit_status, oom_kills
from slot import Slot
from watch import Watch

WHERE_SIGNAL = signal.SIGRTMIN + 3
"""On which `faulthandler` writes the stack of a kernel's main thread. `kernel.py` knows it, too."""
FORK_SERVER = ["/usr/bin/env", "python3", "-I", "/opt/tora/forkserver.py"]
MAX_FRAME = 64 << 20
HIGH_WATER = 1 << 20
"""While more bytes than this wait for the host, no session is listened to."""
REFILL = 0.05
"""Seconds that a session which has just been opened gets before a fork in the place of its kernel takes a processor."""
TICK, WATCH = 0.005, 0.2
CLEAN_TRIES = 3
_EMPTY = "chmod -R u+rwX . 2>/dev/null; find . -mindepth 1 -delete"
PIPE_BYTES = 1 << 20
"""The most that a pipe holds, once its user has made it larger."""
LAST_READS = 16
"""Pieces of `CHUNK` bytes that are read after a kernel's end: more than its line can hold."""


class Supervisor:
    """One container's sessions. `config` is described in `sandbox/container.py`, which writes it."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.limits: dict[str, Any] = config["limits"]
        self.spares_wanted: int = config["spares"]
        base = _first_uid(config["first_uid"], config["slots"] + 1)
        self.nobody = base + config["slots"]
        self.free = deque(Slot(i, base + i) for i in range(config["slots"]))
        self.spares: deque[Slot] = deque()
        self.open: dict[int, Slot] = {}
        self.dying: set[Slot] = set()
        self.by_pid: dict[int, Slot] = {}
        self.cleaners: dict[int, Slot] = {}
        self.forking: dict[int, Slot] = {}
        self.outbox = bytearray()
        self.ooms = oom_kills()
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.watch = Watch(self.limits, self.nobody)
        self.watched = self.refill_at = 0.0
        self.failures = 0
        self.all, self.host = selectors.DefaultSelector(), selectors.DefaultSelector()

    def run(self) -> None:
        """Serve until standard input ends."""
        self.input = Blocks(MAX_FRAME)
        for descriptor in (0, 1):
            os.set_blocking(descriptor, False)
        for selector in (self.all, self.host):
            selector.register(0, selectors.EVENT_READ, self._from_host)
        child, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        self.all.register(child, selectors.EVENT_READ, lambda _: os.read(child, CHUNK))
        self._start_fork_server()
        while True:
            selector = self.all if len(self.outbox) < HIGH_WATER else self.host
            for key, events in selector.select(self._patience()):
                key.data(events)
            now = time.monotonic()
            for timer in [timer for timer in self.timers if timer[0] <= now]:
                self.timers.remove(timer)
                timer[1]()
            self._reap()
            for slot in list(self.dying):
                self._settle(slot)
            if self.open and now - self.watched > WATCH:
                for slot, why in self.watch.offenders(list(self.open.values())):
                    self._end(slot, why)
                self.watched = now
            while now > self.refill_at and self.free and len(self.spares) < self.spares_wanted:
                self.spares.append(self._fork())

    def _patience(self) -> float | None:
        if self.dying:
            return TICK
        if self.timers:
            return max(0.0, min(timer[0] for timer in self.timers) - time.monotonic())
        return WATCH if self.open else None

    # The host's side

    def _from_host(self, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._write()
        if events & selectors.EVENT_READ:
            try:
                data = os.read(0, CHUNK)
            except BlockingIOError:
                return
            if not data:
                os._exit(0)  # the owner is gone
            for block in self.input.feed(data):
                self._obey(*read_frame(block))

    def _obey(self, kind: Kind, session: int, payload: bytes) -> None:
        slot = self.open.get(session)
        if kind is Kind.OPEN:
            self._open(session, payload)
        elif slot is None:
            if kind is Kind.CLOSE:
                self._say(Kind.CLOSED, session)
        elif kind is Kind.DATA:
            self._to_session(slot, payload)
        elif kind is Kind.CLOSE:
            self._end(slot)
        elif kind is Kind.INTERRUPT:
            self._signal(slot, signal.SIGINT)
        elif kind is Kind.WHERE:
            self._where(slot)

    def _say(self, kind: Kind, session: int = 0, payload: bytes = b"") -> None:
        self.outbox += pack_frame(kind, session, payload)
        self._write()

    def _write(self) -> None:
        with suppress(BlockingIOError):
            while self.outbox:
                del self.outbox[: os.write(1, self.outbox[:CHUNK])]
        for selector in (self.all, self.host):
            _want(selector, 1, selectors.EVENT_WRITE if self.outbox else 0, lambda _: self._write())

    # Sessions

    def _open(self, session: int, setup: bytes) -> None:
        if not (self.spares or self.free):
            self._say(Kind.FAILED, session, b"every slot of the container is taken")
            return
        slot = self.spares.popleft() if self.spares else self._fork()
        slot.session = session
        self.open[session] = slot
        self.refill_at = time.monotonic() + REFILL
        self.timers.append((self.refill_at, lambda: None))
        self._to_session(slot, setup)
        if slot.status is not None:  # a spare that has died meanwhile
            self._ended(slot, slot.status)

    def _fork(self) -> Slot:
        """Ask the fork server for a kernel; what is written to it before it is there will wait for it."""
        slot = self.free.popleft()
        if not slot.used:
            # What leads there is not the session's to open to others.
            os.chown(slot.room, 0, slot.uid)
            os.chmod(slot.room, 0o710)
            slot.used = True
        os.mkdir(slot.home, 0o700)
        os.chown(slot.home, slot.uid, slot.uid)
        slot.line, end = socket.socketpair()
        slot.line.setblocking(False)
        slot.stack, stack_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        slot.kernels_ends = [end.detach(), stack_end]
        self.all.register(slot.line, selectors.EVENT_READ, partial(self._from_session, slot))
        self.forking[slot.index] = slot
        self._request(slot)
        return slot

    def _request(self, slot: Slot) -> None:
        request = {"slot": slot.index, "uid": slot.uid, "home": slot.home}
        # A fork server that is gone is started anew, and asked again.
        with suppress(OSError):
            socket.send_fds(self.fork_server, [json.dumps(request).encode()], slot.kernels_ends)

    def _to_session(self, slot: Slot, data: bytes) -> None:
        slot.outbox += data
        if len(slot.outbox) > MAX_FRAME:
            self._end(slot, "it did not read what it was sent")
        self._write_session(slot)

    def _write_session(self, slot: Slot) -> None:
        if slot.line is None:
            return
        try:
            while slot.outbox:
                del slot.outbox[: slot.line.send(slot.outbox[:CHUNK])]
        except BlockingIOError:
            pass
        except OSError:
            slot.outbox.clear()
        if slot.line in self.all.get_map():
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if slot.outbox else 0)
            _want(self.all, slot.line, events, partial(self._from_session, slot))

    def _from_session(self, slot: Slot, events: int) -> None:
        if slot.line is None:
            return
        if events & selectors.EVENT_WRITE:
            self._write_session(slot)
        if events & selectors.EVENT_READ:
            self._read_session(slot)

    def _read_session(self, slot: Slot) -> bool:
        """Pass on a piece of what the session has said; return whether there was any."""
        if slot.line is None:
            return False
        try:
            data = slot.line.recv(CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if data and slot.session is not None:
            self._say(Kind.DATA, slot.session, data)
        elif not data:  # every process of the session has closed its end, by dying as a rule
            _want(self.all, slot.line, 0)
            for seconds, last in ((0.02, False), (0.2, False), (1, True)):
                self.timers.append((time.monotonic() + seconds, partial(self._disconnected, slot, slot.session, last)))
        return bool(data)

    def _disconnected(self, slot: Slot, session: int | None, last: bool) -> None:
        if slot.session != session or slot.status is not None:
            return
        # The fork server, whose child it is, may be busy for seconds before it buries it.
        with acting_as(slot.uid, self.nobody):
            status = exit_status(slot.pid)
        if status is not None:
            self._kernel_ended(slot.pid, status)
        elif last:
            self._end(slot, "it closed the line to its owner")

    def _where(self, slot: Slot) -> None:
        # What an earlier stack, or the code, has left there: once, since the code may go on writing for ever.
        with suppress(BlockingIOError):
            os.read(slot.stack, PIPE_BYTES)
        session = slot.session
        self._signal(slot, WHERE_SIGNAL)

        def look(last: bool) -> None:
            if slot.session != session or slot.stack < 0 or session in answered:
                return
            stack = b""
            with suppress(BlockingIOError):
                stack = os.read(slot.stack, CHUNK)
            if stack or last:
                answered.add(session)
                self._say(Kind.TRACE, session, stack)

        answered: set[int | None] = set()
        for seconds, last in ((0.02, False), (0.1, False), (0.3, False), (0.7, True)):
            self.timers.append((time.monotonic() + seconds, partial(look, last)))

    def _signal(self, slot: Slot, number: int) -> None:
        with suppress(ProcessLookupError):
            if slot.pid and slot.status is None:
                os.kill(slot.pid, number)

    # Ends

    def _end(self, slot: Slot, why: str = "") -> None:
        """Kill every process of the slot; `_settle` does the rest."""
        slot.why = slot.why or why
        slot.dying = True
        self.dying.add(slot)
        if slot in self.spares:
            self.spares.remove(slot)
        self._kill(slot)

    def _kill(self, slot: Slot) -> bool:
        """Send SIGKILL to every process of the slot's user at one go; return whether there is any, dead ones included.

        With the user's effective id, `kill(-1)` reaches all of the user's processes and none else, and none of them
        can be forking meanwhile. They cannot strike back: this process's other ids are not theirs.
        """
        with acting_as(slot.uid, self.nobody), suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        try:
            os.getpriority(os.PRIO_USER, slot.uid)
        except ProcessLookupError:
            return False
        return True

    def _kernel_ended(self, pid: int, status: int) -> None:
        slot = self.by_pid.pop(pid, None)
        if slot is not None:
            self._ended(slot, status)

    def _ended(self, slot: Slot, status: int) -> None:
        slot.status = status
        ooms = oom_kills()
        if status == -signal.SIGKILL and not slot.why and ooms > self.ooms:
            slot.why = "the container ran out of memory"
        self.ooms = ooms
        if slot.session is not None:
            self._kill(slot)  # or a child of the kernel's could make its last words endless
            for _ in range(0 if slot.dying else LAST_READS):
                if not self._read_session(slot):
                    break
            self._say(Kind.ENDED, slot.session, json.dumps({"status": status, "why": slot.why}).encode())
        self._end(slot)

    def _settle(self, slot: Slot) -> None:
        """Take a step towards a slot that is free again: no process, then no file."""
        if slot.index in self.forking or slot.cleaning or self._kill(slot) or (slot.pid and slot.status is None):
            return
        if slot.line is not None:
            _want(self.all, slot.line, 0)
            slot.line.close()
            os.close(slot.stack)
            slot.line, slot.stack = None, -1
        empty = True
        try:
            os.rmdir(slot.home)
        except OSError:
            empty = False
        if not empty and slot.tries < CLEAN_TRIES:
            slot.tries += 1
            slot.cleaning = self._clean(slot)
            self.cleaners[slot.cleaning] = slot
            return
        self.dying.discard(slot)
        if slot.session is not None:
            del self.open[slot.session]
            self._say(Kind.CLOSED, slot.session)
        slot.reset()
        if empty:  # else its files stay, for nobody
            self.free.append(slot)

    def _clean(self, slot: Slot) -> int:
        """Start a process that deletes the session's files, as the session's user; return its pid."""
        pid = os.fork()
        if pid:
            return pid
        try:
            os.setgroups([])
            os.setresgid(slot.uid, slot.uid, slot.uid)
            os.setresuid(slot.uid, slot.uid, slot.uid)
            os.chmod(slot.home, 0o700)
            os.chdir(slot.home)
            for descriptor in range(3):
                os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
            os.execv("/bin/sh", ["sh", "-c", _EMPTY])
        finally:
            os._exit(1)

    # The fork server

    def _start_fork_server(self) -> None:
        self.fork_server, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.fork_server.setblocking(False)
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, 2, 1),
            (os.POSIX_SPAWN_DUP2, theirs.fileno(), 3),
        ]
        command = [*FORK_SERVER, json.dumps(self.limits)]
        self.fork_server_pid = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
        theirs.close()
        self.all.register(self.fork_server, selectors.EVENT_READ, lambda _: self._from_fork_server())
        for slot in self.forking.values():
            self._request(slot)

    def _from_fork_server(self) -> None:
        try:
            data = self.fork_server.recv(CHUNK)
        except OSError:  # nothing yet; or it died before it read all, which hides once what it had still said
            return
        if not data:
            self._restart_fork_server()
            return
        said = json.loads(data)
        if said["said"] == "ready":
            self.failures = 0
            self._say(Kind.READY)
        elif said["said"] == "forked":
            self._forked(self.forking[said["slot"]], said["pid"])
        elif said["said"] == "ended":
            self._kernel_ended(said["pid"], said["status"])

    def _forked(self, slot: Slot, pid: int) -> None:
        """The slot has its kernel."""
        del self.forking[slot.index]
        slot.pid = pid
        self.by_pid[pid] = slot
        for end in slot.kernels_ends:
            os.close(end)
        slot.kernels_ends = []
        if slot.dying:
            self._kill(slot)

    def _restart_fork_server(self) -> None:
        """The kernels it has made live on; what it was asked for meanwhile, its successor is asked for again."""
        self.all.unregister(self.fork_server)
        self.fork_server.close()
        with suppress(ProcessLookupError):
            os.kill(self.fork_server_pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self.fork_server_pid, 0)  # whose children are this process's then
        self._make_up_for_the_untold()
        for slot in self.by_pid.values():
            slot.orphaned = True
        self.failures += 1
        if self.failures > CLEAN_TRIES:
            os.set_blocking(1, True)
            self._say(Kind.FAILED, 0, b"the fork server does not start")
            os._exit(1)
        self._start_fork_server()

    def _make_up_for_the_untold(self) -> None:
        """Of a fork server that died before it told of them: kernels that have ended, and kernels it has made."""
        for pid in list(self.by_pid):
            if not os.path.exists(f"/proc/{pid}"):
                self._kernel_ended(pid, -signal.SIGKILL)
        forking = {slot.uid: slot for slot in self.forking.values()}
        for pid in children():
            if pid in self.by_pid or pid in self.cleaners:
                continue
            with suppress(OSError):  # it has ended
                if slot := forking.get(os.stat(f"/proc/{pid}").st_uid):
                    self._forked(slot, pid)
                else:  # it is not any session's yet, and will be made again
                    os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        """Bury the dead whose parent this is: the fork server, cleaners, and orphans of all sessions."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                if slot := self.cleaners.pop(pid, None):
                    slot.cleaning = 0
                else:
                    self._kernel_ended(pid, os.waitstatus_to_exitcode(status))


def _want(selector: selectors.BaseSelector, file: Any, events: int, callback: Any = None) -> None:
    """Have `selector` wait for just these events of `file`."""
    known = selector.get_map().get(file)
    if known is None:
        if events:
            selector.register(file, events, callback)
    elif not events:
        selector.unregister(file)
    elif known.events != events:
        selector.modify(file, events, known.data)


def _first_uid(wanted: int, slots: int) -> int:
    """`wanted`, or the last block of user ids that this container has, where it has fewer (rootless Docker)."""
    ranges = [[int(number) for number in line.split()] for line in Path("/proc/self/uid_map").read_text().splitlines()]
    if any(start <= wanted and wanted + slots <= start + count for start, _, count in ranges):
        return wanted
    start, _, count = max(ranges, key=lambda r: r[2])
    return start + count - slots


def close_doors() -> None:
    """What all sessions of a container would share, they share no more."""
    with suppress(OSError):
        os.chmod("/dev/mqueue", 0o700)
    # Opened for writing, it can be mapped as memory that is shared and belongs to no process.
    with suppress(OSError):
        os.chmod("/dev/zero", 0o444)
    # Python's multiprocessing wants files there: each process now finds its own directory in its place. Both may be
    # missing, in which case nothing is shared either.
    with suppress(OSError):
        os.symlink("/proc/self/cwd", "/dev/shm")


def main() -> None:
    """Serve with the configuration given as JSON on the command line."""
    refuse_calls()
    adopt_orphans()
    close_doors()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    Supervisor(json.loads(sys.argv[1])).run()


if __name__ == "__main__":
    main()
