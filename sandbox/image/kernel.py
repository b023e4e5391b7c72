"""Runs inside the container: start one IPython kernel and watch over it.

The first line of standard input is JSON: {"connection": {...}, "output_chars": N}. After that, the end of standard
input means that the owner on the host is gone, however it ended, and the container ends too.
"""

from __future__ import annotations

import json
import os
import select
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any

CONNECTION_FILE = Path("/tmp/.kernel.json")


def start_kernel(setup: dict[str, Any]) -> None:
    """Serve the kernel in this process until it is shut down."""
    from ipykernel.kernelapp import IPKernelApp
    from output import cap_outputs
    from traitlets.config import Config

    warnings.filterwarnings("ignore", "To exit: use")
    config = Config()
    config.IPKernelApp.connection_file = str(CONNECTION_FILE)
    config.IPKernelApp.outstream_class = "output.CappedStream"
    config.Session.packer = "output.pack"
    config.InteractiveShell.colors = "nocolor"
    config.InteractiveShell.xmode = "Plain"
    config.HistoryManager.enabled = False
    # The owner on the host, another user, connects to the sockets; nobody else can reach them.
    os.umask(0)
    app = IPKernelApp.instance(config=config)
    app.initialize([])
    app.shell.ask_exit = partial(leave_cell, app.shell)
    cap_outputs(app.shell, setup["output_chars"])
    app.start()


def leave_cell(shell: Any) -> None:
    """What `exit(status)` does: end the cell as it ends a script, where IPython ends the kernel a little later."""
    sys.exit(shell.keepkernel_on_exit or None)  # which is the status, as IPython knows of none


def watch(kernel: int) -> int:
    """Wait for the end of the kernel or of standard input; return the exit status to leave with."""
    ended = os.pidfd_open(kernel)
    poller = select.poll()
    poller.register(0, select.POLLIN)
    poller.register(ended, select.POLLIN)
    while True:
        for descriptor, _ in poller.poll():
            if descriptor == 0 and not os.read(0, 4096):
                return 0
            if descriptor == ended:
                status = os.waitstatus_to_exitcode(os.waitpid(kernel, 0)[1])
                return 128 - status if status < 0 else status


def main() -> None:
    """Fork the kernel, which gets no standard input, and watch it."""
    setup = json.loads(sys.stdin.buffer.readline())
    CONNECTION_FILE.touch(mode=0o600)
    CONNECTION_FILE.write_text(json.dumps(setup["connection"]))
    kernel = os.fork()
    if kernel:
        os._exit(watch(kernel))
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    start_kernel(setup)


if __name__ == "__main__":
    main()
