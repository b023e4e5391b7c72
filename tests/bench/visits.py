"""What the sessions of the soak do: ordinary work, and attacks. Each is a few cells and what must come of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandbox import CellResult

Check = Callable[[CellResult], bool]


@dataclass(frozen=True)
class Cell:
    """Code, its time limit in seconds, and whether a result is what it should be."""

    code: str
    right: Check
    timeout: float = 20.0


@dataclass(frozen=True)
class Visit:
    """A session: its cells, the last of which shows that the session still works, and how often there is one."""

    name: str
    cells: tuple[Cell, ...]
    weight: int = 1


def _prints(text: str) -> Check:
    return lambda result: result.error is None and result.stdout.strip() == text


def _raises(*kinds: str) -> Check:
    return lambda result: result.error is not None and result.error.type in kinds


def _any(_: CellResult) -> bool:
    return True


READY = Cell("pass", _prints(""))
ALIVE = Cell("print(6 * 7)", _prints("42"))


def _attack(name: str, code: str, right: Check = _any, timeout: float = 20.0) -> Visit:
    return Visit(name, (READY, Cell(code, right, timeout), ALIVE))


FORK_BOMB = """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
GREEDY_CHILDREN = """
import os, time
for _ in range(4):
    if not os.fork():
        hog = bytearray(b"x") * (100 << 20)
        time.sleep(60)
time.sleep(60)
"""
DAEMON = """
import os, time
if not os.fork():
    os.setsid()
    if not os.fork():
        while True:
            time.sleep(1)
    os._exit(0)
"""
THREADS = """
import threading, time
def go_on():
    while True:
        try:
            time.sleep(0.01)
        except BaseException:
            pass
for _ in range(3):
    threading.Thread(target=go_on).start()
"""
DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
ORDINARY = (
    Visit("state", (Cell("x = 20", _prints("")), Cell("print(x + 1)", _prints("21"))), 8),
    Visit("sympy", (Cell("import sympy; print(sympy.factorint(1001))", _prints("{7: 1, 11: 1, 13: 1}")),), 8),
    Visit("numpy", (Cell("import numpy; print(numpy.arange(10).sum())", _prints("45")),), 4),
    Visit("prints", (Cell("for i in range(3000): print(i)", lambda r: "2999" in r.stdout), ALIVE), 4),
    Visit("an error", (Cell("1 / 0", _raises("ZeroDivisionError")), ALIVE), 4),
    Visit(
        "a figure",
        (
            Cell(
                "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()",
                lambda r: any("image/png" in shown for shown in r.displays),
            ),
        ),
        2,
    ),
    Visit("too slow", (Cell("kept = 1\nwhile True: pass", lambda r: r.timed_out, 0.3), ALIVE), 2),
)
ATTACKS = (
    _attack("fork bomb", FORK_BOMB, timeout=0.5),
    _attack(
        "memory bomb", "a = []\nwhile True: a.append(bytearray(1 << 24))", _raises("MemoryError", "KernelDied"), 15.0
    ),
    _attack("memory of children", GREEDY_CHILDREN, _raises("KernelDied"), 30.0),
    _attack("output flood", "while True: print('x' * 1000)", lambda r: r.timed_out and len(r.stdout) < 20_000, 0.5),
    _attack("os._exit", "import os; os._exit(3)", _raises("KernelDied")),
    _attack("segfault", "import ctypes; ctypes.string_at(0)", _raises("KernelDied")),
    _attack("ignores SIGINT", DEAF, lambda r: r.timed_out, 0.3),
    _attack("never yields", "10**10**9", lambda r: r.timed_out or r.error is not None, 0.3),
    _attack("daemon", DAEMON, lambda r: "process" in r.left),
    _attack("threads that go on", THREADS, lambda r: "3 threads" in r.left),
    _attack("garbage on the line", "import os; os.write(3, b'\\0\\0\\0\\x05garbage' * 9)", _raises("KernelDied")),
    _attack("a huge block on the line", "import os; os.write(3, b'\\xff' * 99)", _raises("KernelDied")),
    _attack("closes the line", "import os; os.closerange(3, 99)"),
    _attack(
        "disk full", "with open('/tmp/full', 'wb') as f:\n    while True: f.write(bytes(1 << 20))", _raises("OSError")
    ),
    _attack("inodes", "for i in range(10**6): open(f'/tmp/{i}', 'w').close()", _raises("OSError"), 25.0),
    _attack("kill -9 -1", "import os; os.kill(-1, 9)"),
    _attack("stops itself", "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)", lambda r: r.timed_out, 0.3),
)
