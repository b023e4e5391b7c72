"""What a cell brings back, and that no code can hang a session, flood it or outlive it."""

from __future__ import annotations

import asyncio
import base64
import gc
import os
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import docker
import pytest

from sandbox import CellResult, Isolation, Limits, Sandbox, Session
from tests.conftest import PATIENCE
from tests.sandbox.conftest import containers, fine

KEPT = Limits().output_chars
GRACE = 5.0
"""Seconds after its timeout by which `run` has returned, whatever the code does."""
NEVER_ENDS = "print('begun', flush=True)\nwhile True:\n    pass"
NOTE = re.compile(r"\n\.\.\. \[(\d+) characters cut\] \.\.\.\n")

pytestmark = pytest.mark.anyio


def check_cut(text: str, whole: str) -> None:
    """`text` must be the head and the tail of `whole`, and state how much is missing between them."""
    head, missing, tail = NOTE.split(text)
    assert whole.startswith(head)
    assert whole.endswith(tail)
    assert min(len(head), len(tail)) >= KEPT // 2
    assert len(text) <= KEPT + 200
    assert int(missing) == len(whole) - len(head) - len(tail)


# What comes back


async def test_variables_live_from_cell_to_cell(session: Session) -> None:
    await fine(session, "seen = [1]")
    await fine(session, "seen.append(2)")
    assert (await fine(session, "seen")).value == "[1, 2]"


async def test_a_kernel_can_start_before_its_first_cell(box: Sandbox) -> None:
    async with box.session() as session:
        await session.start()
        await session.start()  # the same one
        await asyncio.sleep(0.5)  # whatever it says before a cell is within its limits
        first, second = await session.run("x = 1"), await session.run("x")
    assert (first.state_lost, second.state_lost, second.value) == (False, False, "1")


async def test_a_kernel_that_never_had_a_cell_has_no_state_to_lose(box: Sandbox) -> None:
    async with box.session() as session:
        starting = asyncio.create_task(session.start())
        await asyncio.sleep(0)
        starting.cancel()
        await asyncio.wait([starting])
        assert not (await session.run("1")).state_lost


async def test_value_stdout_and_stderr_are_told_apart(session: Session) -> None:
    result = await fine(session, "import sys\nprint('out')\nprint('err', file=sys.stderr)\n'value'")
    assert (result.stdout, result.stderr, result.value) == ("out\n", "err\n", "'value'")
    assert result.text == "out\nerr\n'value'"
    assert not (result.truncated or result.timed_out or result.state_lost)
    assert 0 < result.seconds < 20


@pytest.mark.parametrize("code", ["", "  \n", "# nothing", "x = 1", "None", "1;"])
async def test_without_a_last_expression_there_is_no_value(session: Session, code: str) -> None:
    assert (await fine(session, code)).text == ""


async def test_an_exception_shows_the_frames_of_the_user_alone(session: Session) -> None:
    result = await session.run(
        "import sympy\ndef root(x):\n    return sympy.sqrt(x)\nprint(1)\nroot('1/0x')", timeout=PATIENCE
    )
    assert result.error is not None
    assert result.error.type == "SympifyError"
    assert "1/0x" in result.error.message
    assert "line 5\n    root('1/0x')" in result.error.traceback
    assert "line 3 in root\n    return sympy.sqrt(x)" in result.error.traceback
    assert result.error.traceback.count("Cell In[") == 2
    assert "sympify" not in result.error.traceback  # the library's frames
    assert result.stdout == "1\n"
    assert result.text.endswith(result.error.line)


async def test_the_traceback_of_a_deep_recursion_is_short(session: Session) -> None:
    result = await session.run("def f(n):\n    return f(n + 1)\nf(0)", timeout=PATIENCE)
    assert result.error is not None
    assert result.error.type == "RecursionError"
    assert result.error.traceback.lstrip().startswith("Cell In[")
    assert "f(0)" in result.error.traceback
    assert result.error.traceback.endswith("return f(n + 1)")
    assert len(result.error.traceback) < 2500


async def test_a_syntax_error_shows_its_line(session: Session) -> None:
    result = await session.run("x = 1\ndef f(:\n    pass", timeout=PATIENCE)
    assert result.error is not None
    assert result.error.type == "SyntaxError"
    assert "def f(:\n          ^" in result.error.traceback


async def test_input_fails_at_once(session: Session) -> None:
    result = await session.run("input('name?')", timeout=PATIENCE)
    assert result.error is not None
    assert result.error.type == "StdinNotImplementedError"
    assert not result.timed_out


@pytest.mark.parametrize("leave", ["exit()", "quit()", "exit(0)", "exit", "import sys; sys.exit()", "raise SystemExit"])
async def test_leaving_ends_the_cell_alone(session: Session, leave: str) -> None:
    await fine(session, "kept = 1")
    left = await fine(
        session, f"print('before')\nif True:\n    {leave if '(' in leave else leave + '()'}\nprint('after')"
    )
    assert left.text == "before"
    later = await fine(session, "import time; time.sleep(0.2); kept")  # IPython would end the kernel after 0.1 s
    assert (later.value, later.state_lost) == ("1", False)


async def test_leaving_with_a_status_is_an_error(session: Session) -> None:
    for leave in ("exit(3)", "import sys; sys.exit(3)"):
        result = await session.run(leave, timeout=PATIENCE)
        assert result.error is not None, leave
        assert result.text == "SystemExit: 3", leave


async def test_two_cells_at_once_take_turns(session: Session) -> None:
    slow, quick = "import time; time.sleep(0.3); turn = 'slow'; print(1)", "print(turn)"
    first, second = await asyncio.gather(fine(session, slow), fine(session, quick))
    assert (first.stdout, second.stdout) == ("1\n", "slow\n")


# Output by other ways than print


@pytest.mark.parametrize("descriptor", [1, 2])
async def test_output_past_python_is_seen(session: Session, descriptor: int) -> None:
    result = await fine(session, f"import os\n_ = os.write({descriptor}, 'raw \u00e9\\n'.encode())")
    assert (result.stdout, result.stderr)[descriptor - 1] == "raw \u00e9\n"


async def test_output_of_subprocesses_is_whole_and_in_order(session: Session) -> None:
    code = "import subprocess\nprint('first')\n_ = subprocess.run(['seq', '10000'])\nprint('last')"
    numbers = "".join(f"{n}\n" for n in range(1, 10001))  # nearly what a pipe holds
    for attempt in range(20):
        result = await fine(session, code)
        assert result.stdout == f"first\n{numbers}last\n", f"attempt {attempt}"


async def test_what_a_fork_prints_is_seen(session: Session) -> None:
    fork = "import os\nif os.fork() == 0:\n    print('child', flush=True)\n    os._exit(0)\n_ = os.wait()"
    assert "child" in (await fine(session, f"print('a' * 60_000)\n{fork}")).stdout


async def test_displayed_objects_go_to_stdout_and_can_be_cleared(session: Session) -> None:
    code = "from IPython.display import clear_output, display\ndisplay(1)\nclear_output()\ndisplay([2])"
    assert (await fine(session, code)).stdout == "1\n[2]\n"


@pytest.mark.parametrize("stdout", ["None", "open('/dev/null', 'w')", "__import__('io').StringIO()"])
async def test_replacing_stdout_does_not_silence_later_cells(session: Session, stdout: str) -> None:
    replaced = await fine(session, f"import sys\nprint('a' * {KEPT} + 'tail')\nsys.stdout = {stdout}")
    check_cut(replaced.stdout, "a" * KEPT + "tail\n")
    assert (await fine(session, "print(1)\n2")).text == "1\n2"


async def test_closing_stdout_does_not_silence_later_cells(session: Session) -> None:
    await session.run("import sys\nsys.stdout.close()", timeout=PATIENCE)
    assert (await fine(session, "print(1)\n2")).text == "1\n2"


# Floods and odd characters

NUMBERS = "".join(f"{n}\n" for n in range(200_000))
FLOODS = [
    ("print('a' * 50_000_000)", "stdout", "a" * 50_000_000 + "\n"),
    ("for n in range(200_000):\n    print(n)", "stdout", NUMBERS),
    (
        "import sys\nfor n in range(30_000):\n    print(n, file=sys.stderr)",
        "stderr",
        NUMBERS[: NUMBERS.index("30000\n")],
    ),
    ("import subprocess\n_ = subprocess.run(['seq', '0', '199999'])", "stdout", NUMBERS),
    ("for n in range(200_000):\n    print('.', end='', flush=True)", "stdout", "." * 200_000),
    ("import os\nfor n in range(3000):\n    os.write(1, b'r' * 100)", "stdout", "r" * 300_000),
    ("'b' * 10_000_000", "value", repr("b" * 10_000_000)),
    ("raise ValueError('head' + 'm' * 50_000_000 + 'tail')", "message", "head" + "m" * 50_000_000 + "tail"),
    ("from IPython.display import display\nfor n in range(20):\n    display('z' * 90_000)", "stdout", None),
]


@pytest.mark.parametrize(("code", "part", "whole"), FLOODS, ids=lambda value: str(value)[:24])
async def test_of_a_flood_the_head_and_the_tail_are_kept(
    session: Session, code: str, part: str, whole: str | None
) -> None:
    result = await session.run(code, timeout=PATIENCE)
    assert not result.timed_out
    text = result.error.message if part == "message" and result.error else getattr(result, part)
    check_cut(text, (repr("z" * 90_000) + "\n") * 20 if whole is None else whole)
    assert result.truncated


async def test_what_fits_is_not_cut(session: Session) -> None:
    result = await fine(session, f"print('a' * {KEPT - 1})\n'b' * {KEPT - 2}")
    assert result.stdout == "a" * (KEPT - 1) + "\n"
    assert result.value == repr("b" * (KEPT - 2))
    assert not result.truncated


async def test_each_cell_has_the_whole_limit(session: Session) -> None:
    for _ in range(2):
        assert not (await fine(session, f"print('a' * {KEPT - 1})")).truncated


async def test_a_cut_is_stated_even_where_little_is_left(session: Session) -> None:
    result = await fine(session, f"print('\\x1b[31m' * {KEPT})")
    assert NOTE.search(result.stdout)
    assert result.truncated


@pytest.mark.parametrize("character", [r"\ud800", r"\0"])
@pytest.mark.parametrize(
    "code", ["print('a{}b')", "raise ValueError('a{}b')", "R = type('R', (), {{'__repr__': lambda s: 'a{}b'}})\nR()"]
)
async def test_what_cannot_be_stored_is_replaced(session: Session, code: str, character: str) -> None:
    result = await session.run(code.format(character), timeout=PATIENCE)
    assert (result.error is not None) == code.startswith("raise")
    assert re.search("a[?␀]b$", result.text.strip())
    assert CellResult.model_validate_json(result.model_dump_json()) == result


async def test_odd_characters_in_the_code_are_no_failure_of_the_sandbox(session: Session) -> None:
    assert (await session.run("print('a\ud800b')", timeout=PATIENCE)).stdout == "a?b\n"
    null = await session.run("print('a\0b')", timeout=PATIENCE)
    assert null.error is not None
    assert "null bytes" in null.error.message


ESCAPES = [
    "\x1b[31m",
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x1b]8;;http://x\x1b\\",
    "\x1bc",
    "\x1b(B",
    "\x1bP1$q\x1b\\",
    "\x9b31m",
]


@pytest.mark.parametrize("escape", ESCAPES, ids=ascii)
async def test_terminal_escapes_are_taken_out(session: Session, escape: str) -> None:
    printed = await fine(session, f"print('a' + {escape!a} + 'b')")
    failed = await session.run(f"raise ValueError('a' + {escape!a} + 'b')", timeout=PATIENCE)
    assert printed.stdout == "ab\n"
    assert failed.error is not None
    assert failed.error.message == "ab"


# Code that does not end, and code that ends its kernel


async def test_a_timeout_interrupts_and_keeps_the_state(session: Session) -> None:
    await fine(session, "kept = 7")
    result = await session.run(NEVER_ENDS, timeout=0.5)
    assert (result.timed_out, result.state_lost) == (True, False)
    assert result.stdout == "begun\n"
    assert result.error is not None
    assert result.error.type == "TimeoutError"
    assert "0.5 s and was interrupted" in result.error.message
    assert re.search(r"line [23]\n", result.error.traceback)  # where it was
    later = await fine(session, "kept")
    assert (later.value, later.timed_out) == ("7", False)


async def test_the_default_timeout_is_that_of_the_limits(engine: docker.DockerClient) -> None:
    async with Sandbox(Limits(cell_seconds=0.3)) as box, box.session() as session:
        result = await session.run(NEVER_ENDS)
    assert result.timed_out
    assert "0.3 s" in result.text


HANGS = [
    ("1\nimport time\ntime.sleep(60)", "interrupted: line 3 `time.sleep(60)`"),
    ("def f(n):\n    while True: n += 1\nf(0)", "interrupted: line 2 `while True: n += 1`"),
    (
        "import sympy\np = sympy.nextprime(10**32 + 10**20)\nprint(p)\nsympy.factorint(p * sympy.nextprime(10**30))",
        "interrupted: line 4 `sympy.factorint(p * sympy.nextprime(10**30))`, in sympy.",
    ),
    ("import re\nre.match('(a*)*b', 'a' * 40)", "interrupted: line 2 `re.match('(a*)*b', 'a' * 40)`, in re.match"),
    ("1\nsum(range(10**12))", "killed: line 2 `sum(range(10**12))`"),
]


@pytest.mark.parametrize(("code", "message"), HANGS)
async def test_a_timeout_names_the_line_and_the_library(session: Session, code: str, message: str) -> None:
    result = await session.run(code, timeout=1)
    assert result.error is not None
    assert message in result.error.message


async def test_a_timeout_in_a_function_of_an_earlier_cell_names_its_line(session: Session) -> None:
    await fine(session, "def hang():\n    while True:\n        pass")
    result = await session.run("print('begun')\n\nhang()", timeout=0.5)
    assert result.error is not None
    assert re.search(r"interrupted: line [23] `(while True:|pass)`$", result.error.message)


STUBBORN = {
    "a loop in C": "sum(range(10**12))",
    "SIGINT ignored": f"import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n{NEVER_ENDS}",
    "KeyboardInterrupt caught": "import time\nwhile True:\n    try: time.sleep(60)\n    except KeyboardInterrupt: pass",
    "no answer can be read": "get_ipython().kernel.session.key = b'another'",
}


@pytest.mark.parametrize("code", STUBBORN.values(), ids=STUBBORN)
async def test_what_cannot_be_interrupted_is_killed_in_time(session: Session, code: str) -> None:
    await fine(session, "kept = 7")
    began = time.monotonic()
    result = await session.run(code, timeout=0.5)
    assert time.monotonic() - began < 0.5 + GRACE
    assert (result.timed_out, result.state_lost) == (True, True)
    assert result.error is not None
    assert result.error.type == "TimeoutError"
    assert "0.5 s and was killed" in result.error.message
    later = await fine(session, "'kept' in globals()")
    assert (later.value, later.state_lost) == ("False", False)  # told once


DEADLY = {
    "exit": ("import os\nos._exit(3)", "it exited with status 3"),
    "segfault": ("import ctypes\nctypes.string_at(0)", "it was killed by SIGSEGV"),
    "its own end": ("import os\nos.kill(os.getpid(), 9)", "it was killed by SIGKILL"),
    "memory of its children": (
        "import subprocess, sys\n"
        "hog = [sys.executable, '-c', 'import time; hog = bytearray(100 << 20); time.sleep(600)']\n"
        "children = [subprocess.Popen(hog) for _ in range(3)]\n"
        "print(children[0].wait())",
        "it used more memory than the limit of 128 MiB",
    ),
    "memory of its files": (
        "block = bytes(1 << 20)\n"
        "for n in range(63):\n    open(f'{n}', 'wb').write(block)\n"
        "import time\nhog = bytearray(110 << 20)\ntime.sleep(600)",
        "it used more memory than the limit of 128 MiB",
    ),
}


@pytest.fixture(scope="module")
async def small(engine: docker.DockerClient, isolation: Isolation) -> AsyncIterator[Session]:
    """A kernel with little memory."""
    async with Sandbox(Limits(memory_mib=128), isolation=isolation) as box, box.session() as session:
        yield session


@pytest.mark.parametrize(("code", "reason"), DEADLY.values(), ids=DEADLY)
async def test_a_dead_kernel_is_told_with_the_reason_and_replaced(small: Session, code: str, reason: str) -> None:
    await fine(small, "kept = 7")
    result = await small.run(f"print('begun')\n{code}", timeout=PATIENCE)
    assert (result.state_lost, result.lost_before, result.timed_out) == (True, False, False)
    assert result.error is not None
    assert result.error.type == "KernelDied"
    assert result.error.message.endswith(reason)
    assert result.stdout == "begun\n"
    later = await fine(small, "'kept' in globals()")
    assert (later.value, later.state_lost) == ("False", False)


async def test_memory_over_the_limit_is_an_error_of_the_code_that_keeps_its_state(small: Session) -> None:
    await fine(small, "kept = 7")
    result = await small.run("hog = []\nwhile True:\n    hog.append(bytearray(1 << 20))", timeout=PATIENCE)
    assert result.error is not None
    assert result.error.type == "MemoryError"
    assert not result.state_lost
    assert (await fine(small, "hog.clear(); kept")).value == "7"


async def test_a_kernel_that_dies_between_cells_is_told_with_the_next(small: Session) -> None:
    await fine(small, "import asyncio, os\n_ = asyncio.get_running_loop().call_later(0.2, os._exit, 1)")
    assert small._line is not None
    await asyncio.wait({small._line.ended}, timeout=PATIENCE)
    assert [(await fine(small, "1")).state_lost for _ in range(2)] == [True, False]


async def test_garbage_on_the_sockets_is_not_a_message(session: Session) -> None:
    garbage = "kernel = get_ipython().kernel\nkernel.iopub_socket.send_multipart([b'garbage'])\n"
    signed = "kernel.session.send(kernel.iopub_socket, 'error', {'traceback': 1}, parent=kernel.get_parent())\n"
    result = await fine(session, f"{garbage}{signed}print('whole')")
    assert result.stdout == "whole\n"


# What a cell leaves running

FOREVER = """
import threading, time
begun = threading.Event()
def tick():
    while True:
        time.sleep(0.01)
        print('tick')
        begun.set()
"""
UNSTOPPABLE = """
import threading, time
begun = threading.Event()
def tick():
    while True:
        try:
            begun.set()
            sum(range(999))
        except BaseException:
            pass
"""
START = "threading.Thread(target=tick).start()\n_ = begun.wait()"


async def test_a_thread_left_running_is_stopped_and_its_output_stays_its_own(session: Session) -> None:
    began = await fine(session, FOREVER + START)
    assert "tick" in began.stdout
    assert began.left == "still running when the cell ended: 1 thread; stopped"
    assert began.text.endswith("[still running when the cell ended: 1 thread; stopped]")
    later = await fine(session, "time.sleep(0.1); [t.name for t in threading.enumerate() if 'tick' in t.name]")
    assert (later.stdout, later.value, later.left) == ("", "[]", "")


async def test_a_later_thread_is_not_taken_for_one_that_was_stopped(session: Session) -> None:
    """Though it mostly has its number."""
    await fine(session, FOREVER + START)
    printing = "thread = threading.Thread(target=print, args=['later'])\nthread.start()\nthread.join()"
    assert (await fine(session, printing)).stdout == "later\n"
    sleeping = await fine(session, "threading.Thread(target=time.sleep, args=[0.5]).start()")
    assert sleeping.left == "still running when the cell ended: 1 thread; stopped"
    assert not (await fine(session, "time.sleep(0.6)")).lost_before


async def test_a_thread_that_will_not_stop_ends_the_kernel(session: Session) -> None:
    result = await fine(session, UNSTOPPABLE + START)
    assert result.left == "still running when the cell ended: 1 thread; one of them would not stop, and the kernel ends"
    later = await fine(session, "'tick' in globals()")
    assert (later.value, later.state_lost, later.lost_before) == ("False", True, True)


async def test_a_thread_that_sleeps_stops_when_it_wakes(session: Session) -> None:
    sleeper = "import threading, time\ndef nap():\n    time.sleep(0.5)\n    print('awake')\n"
    assert "1 thread" in (await fine(session, f"{sleeper}threading.Thread(target=nap).start()")).left
    later = await fine(session, "time.sleep(0.8)")
    assert (later.stdout, later.late) == ("", "")


async def test_processes_left_running_are_stopped_daemons_too(session: Session) -> None:
    daemon = (
        "import os, subprocess, time\n"
        "out, into = os.pipe()\n"
        "subprocess.Popen(['sleep', '1000'])\n"
        "if os.fork() == 0:\n    os.setsid()\n    os.fork()\n    os.write(into, b'1')\n    time.sleep(1000)\n"
        "_ = os.read(out, 1) + os.read(out, 1)"  # from both, which are there then
    )
    result = await fine(session, daemon)
    assert result.left == "still running when the cell ended: 3 processes; stopped"
    others = (
        "[name for name in os.listdir('/proc') if name.isdigit() and os.stat('/proc/' + name).st_uid == os.getuid()]"
    )
    assert (await fine(session, f"len({others})")).value == "1"


async def test_what_a_task_prints_after_its_cell_is_told_apart(session: Session) -> None:
    task = "import asyncio\nasync def late():\n    await asyncio.sleep(0.2)\n    print('late')\n"
    await fine(session, f"{task}task = asyncio.ensure_future(late())\nprint('now')")
    async with asyncio.timeout(PATIENCE):
        while not str(session._late):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    result = await fine(session, "print('next')")
    assert (result.stdout, result.late) == ("next\n", "late\n")
    assert (await fine(session, "1")).late == ""


# Rich output, live output


async def test_a_figure_is_a_png(session: Session) -> None:
    result = await fine(session, "import matplotlib.pyplot as plt\n_ = plt.plot([1, 3])\nplt.show()")
    (figure,) = result.displays
    assert base64.b64decode(figure["image/png"]).startswith(b"\x89PNG")
    assert result.stdout == "<Figure size 640x480 with 1 Axes>\n"
    assert not result.truncated


async def test_a_display_has_all_its_types(session: Session) -> None:
    result = await fine(session, "import sympy\nfrom IPython.display import Latex\nLatex('$x$')")
    assert result.displays == ({"text/plain": "<IPython.core.display.Latex object>", "text/latex": "$x$"},)


async def test_too_much_that_is_displayed_is_dropped(session: Session) -> None:
    code = "from IPython.display import HTML, display\nfor n in range(60):\n    display(HTML(str(n)))"
    result = await fine(session, code)
    numbers = [int(display["text/html"]) for display in result.displays]
    assert (numbers[:-1], numbers[-1]) == (list(range(50)), 59)
    assert result.truncated


async def test_what_is_printed_can_be_watched_as_it_comes(session: Session) -> None:
    """The cell goes on only once its first line has been seen."""
    seen: dict[str, str] = {}

    def watch(name: str, text: str) -> None:
        seen[name] = seen.get(name, "") + text
        if seen == {"stdout": "one\n"}:
            assert session._line is not None
            session._line.interrupt()

    wait = "try:\n    print('one')\n    time.sleep(1000)\nexcept KeyboardInterrupt:\n    pass\n"
    code = f"import sys, time\n{wait}print('two', file=sys.stderr)\nprint(3, end='')"
    result = await session.run(code, timeout=PATIENCE, watch=watch)
    assert (seen, result.error) == ({"stdout": "one\n3", "stderr": "two\n"}, None)


async def test_code_that_is_too_long_is_refused(session: Session) -> None:
    with pytest.raises(ValueError, match="4000000 is the most"):
        await session.run("#" * 4_000_001)
    assert (await fine(session, "# " + "a" * 3_999_990 + "\n1")).value == "1"


# What is left behind


async def test_two_sessions_share_neither_state_nor_files(box: Sandbox) -> None:
    read = "import os\n(x, open('/tmp/x').read(), sorted(name for name in os.listdir('/tmp') if name[0] != '.'))"
    async with box.session() as one, box.session() as two:
        for name, session in (("one", one), ("two", two)):
            await fine(session, f"x = {name!r}\nwith open('/tmp/x', 'w') as file:\n    _ = file.write(x)")
        await fine(one, "open('/tmp/one', 'w').close()")
        first, second = await asyncio.gather(fine(one, read), fine(two, read))
    assert first.value == "('one', 'one', ['one', 'x'])"
    assert second.value == "('two', 'two', ['x'])"


async def test_an_unused_session_starts_nothing(engine: docker.DockerClient, box: Sandbox) -> None:
    before = containers(engine)
    async with box.session():
        assert containers(engine) <= before


async def test_nothing_is_left_of_a_sandbox(engine: docker.DockerClient, isolation: Isolation) -> None:
    before = containers(engine)
    async with Sandbox(isolation=isolation) as box, box.session() as session:
        await fine(session, "import subprocess\nchild = subprocess.Popen(['sleep', '1000'])")
        assert len(containers(engine) - before) == 1
        await session.run("import os\nos._exit(1)", timeout=PATIENCE)
        await fine(session, "1")
    assert containers(engine) <= before


async def test_a_session_can_be_closed_twice_and_used_again(box: Sandbox) -> None:
    async with box.session() as session:
        await fine(session, "kept = 1\nopen('kept', 'w').close()")
        await session.close()
        await session.close()
        assert (await fine(session, "import os\n'kept' in globals(), os.path.exists('kept')")).value == "(False, False)"


@pytest.mark.parametrize("after", [0.0, 0.05, 0.3, 2.0])
async def test_nothing_is_left_of_a_cancelled_cell(
    engine: docker.DockerClient, isolation: Isolation, after: float
) -> None:
    """Cancelled before, while and after its kernel starts."""
    before = containers(engine)

    async def solve() -> None:
        async with box.session() as session:
            await session.run(NEVER_ENDS, timeout=60)

    async with Sandbox(isolation=isolation) as box:
        task = asyncio.create_task(solve())
        await asyncio.sleep(after)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert containers(engine) <= before


async def test_a_cancelled_cell_does_not_meet_the_next(session: Session) -> None:
    await fine(session, "kept = 7")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(session.run(NEVER_ENDS, timeout=60), 0.3)
    later = await fine(session, "'kept' in globals()")
    assert (later.value, later.state_lost, later.lost_before) == ("False", True, True)


async def test_descriptors_do_not_grow(box: Sandbox) -> None:
    async def use() -> int:
        async with box.session() as session:
            await fine(session, "1")
        gc.collect()
        return _descriptors()

    first, *_, last = [await use() for _ in range(5)]
    assert last <= first


def _descriptors() -> int:
    """How many this process has, but for the Docker client's: it keeps a connection for each of its last 25 URLs."""
    links = {number: os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")}
    return sum("socket:" not in link or "docker" not in _peer(int(number)) for number, link in links.items())


def _peer(descriptor: int) -> str:
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as copy:
        return str(copy.getpeername())
    return ""


async def test_a_kernel_that_shares_its_modules_with_no_other_has_as_much_memory(engine: docker.DockerClient) -> None:
    async with Sandbox(Limits(memory_mib=128), spares=0) as box, box.session() as session:
        await asyncio.sleep(6)  # in which the fork server imports what it imports while it has nothing to do
        result = await session.run("hog = []\nwhile True:\n    hog.append(bytearray(1 << 20))", timeout=PATIENCE)
        assert result.error is not None
        assert result.error.type == "MemoryError"
        assert (await fine(session, "import time; time.sleep(1); len(hog) > 100")).value == "True"
