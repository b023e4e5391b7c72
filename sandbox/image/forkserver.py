"""Runs inside the container: imports once what every kernel needs, and forks a kernel for each slot it is asked for.

Descriptor 3 is the line to the supervisor. What crosses it are slots and pids, never anything of a session.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any

sys.path.insert(0, "/opt/tora")

import lockdown
from kernel import WARMER, SandboxKernel


def serve(line: socket.socket, kernel: SandboxKernel, limits: dict[str, Any]) -> None:
    """Fork kernels on request, and tell of their ends, until the supervisor is gone."""
    child, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    poller = select.poll()
    poller.register(line, select.POLLIN)
    poller.register(child, select.POLLIN)
    _tell(line, said="ready")
    warmer = iter(WARMER)
    more: Callable[[], Any] | None = next(warmer)
    while True:
        events = poller.poll(None if more is None else 0)
        if more is not None and not events:
            try:
                more()
            except Exception:  # without it, kernels are slower and no worse
                traceback.print_exc(file=sys.__stderr__)
            more = next(warmer, None)
        for descriptor, _ in events:
            if descriptor == child:
                os.read(child, 4096)
                _bury(line)
                continue
            data, ends, _, _ = socket.recv_fds(line, 4096, 2)
            if not data:
                return
            request = json.loads(data)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                live(kernel, request, ends, limits)
            for end in ends:
                os.close(end)
            _tell(line, said="forked", slot=request["slot"], pid=pid)


def live(kernel: SandboxKernel, request: dict[str, Any], ends: list[int], limits: dict[str, Any]) -> None:
    """The whole life of a kernel's process, which has just been forked."""
    status = 1
    try:
        os.setsid()
        # In two steps, since an end may have one of the numbers that it is to get.
        line, stack = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 5) for end in ends)
        for number, descriptor in enumerate((line, stack), 3):
            os.dup2(descriptor, number, inheritable=False)
        os.closerange(5, limits["descriptors"] + 1000)
        lockdown.become(request["uid"], request["home"], limits)
        status = kernel.live(3, 4)
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(status)


def _bury(line: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        _tell(line, said="ended", pid=pid, status=os.waitstatus_to_exitcode(status))


def _tell(line: socket.socket, **what: Any) -> None:
    line.send(json.dumps(what).encode())


def main() -> None:
    """Serve with the limits of a session given as JSON on the command line."""
    limits = json.loads(sys.argv[1])
    line = socket.socket(fileno=3)
    line.set_inheritable(False)
    kernel = SandboxKernel.prepared(limits["output_chars"])
    gc.collect()
    gc.freeze()  # or the first collection in each kernel would copy every page
    serve(line, kernel, limits)


if __name__ == "__main__":
    try:
        main()
    except BaseException:  # which the kernel's streams would not let through
        traceback.print_exc(file=sys.__stderr__)
        sys.exit(1)
