"""What an attack is, what is seen of it, and how that is judged."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from sandbox.result import CellResult

RETURN_SECONDS = 5.0
"""`Session.run` returns within its timeout and so many seconds."""
STEADY = "print(1 + 1)"
"""What a session is asked after an attack."""

PRELUDE = '''
import ctypes, errno, hashlib, os, platform, re, signal, socket, subprocess, sys, threading, time
attempts = 0
def attempt(what, act, *given):
    """Try it. Whatever does not raise, and returns something (0 is something, False is not), is a breach."""
    global attempts
    attempts += 1
    try:
        got = act(*given)
    except BaseException as error:
        print(f"refused: {what}: {type(error).__name__}: {error}"[:200])
    else:
        print(f"BREACH: {what}: {got!r}"[:300] if got or type(got) is int else f"nothing: {what}")
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(*numbers):
    """Make a system call; `numbers` begin with its own. Raises OSError."""
    got = libc.syscall(*(ctypes.c_long(n) if isinstance(n, int) else n for n in numbers))
    if got < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return got
def done():
    print("attempts:", attempts)
def secrets_in(data):
    """Which of the secrets that are sought, and known here by their hashes alone, `data` holds."""
    found = set()
    for run in re.findall(rb"[0-9a-f]{32,}", data):
        digest = hashlib.sha256(run).hexdigest()
        if len(run) == 32 and digest in T["secrets"]:
            found.add(T["secrets"][digest])
    return found
def read(path):
    with open(path, "rb") as file:
        return file.read()
def others():
    """Processes that are not this user's."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{name}").st_uid != os.getuid():
                found.append(int(name))
        except OSError:  # it has ended
            pass
    return found
'''
"""What the code of an attack can use, besides `T`, which says what is on the host and in a neighbouring session."""


@dataclass(frozen=True)
class Verdict:
    """Whether the sandbox held, and a line of evidence."""

    held: bool
    evidence: str
    waited: float = 0.0
    """Seconds that the neighbour waited at most for a trivial cell, meanwhile."""


@dataclass(frozen=True)
class Seen:
    """What was seen of an attack, inside and outside."""

    result: CellResult
    """Of the attack's own cell."""
    after: CellResult
    """Of `STEADY`, asked of the same session afterwards."""
    late: float = 0.0
    """Seconds by which the latest of the session's cells returned after its timeout; negative: before it."""
    neighbour: str = ""
    """What was wrong with the neighbouring session, during the attack or afterwards. Empty: nothing."""
    waited: float = 0.0
    """As in `Verdict`."""
    left: str = ""
    """Processes and files that outlived the session."""
    host: str = ""
    """What reached the host. Empty: nothing."""
    drawn: str = ""
    """What the neighbour printed, given the same code. Only for attacks that ask for it."""


Judge = Callable[[Seen], Verdict]


@dataclass(frozen=True)
class Attack:
    """One thing that code in a session may try."""

    name: str
    tries: str
    """In words."""
    code: str
    """Run in one cell, after `PRELUDE`."""
    judge: Judge = field(default=lambda seen: nothing_worked(seen))
    timeout: float = 120.0
    """Of that cell, in seconds."""
    then: tuple[str, ...] = ()
    """Cells that are run next, a second each."""
    by_neighbour: bool = False
    """Whether the neighbour is given the same code."""

    def cell(self, facts: dict[str, Any]) -> str:
        """The code as it is run, knowing the `facts`."""
        return f"T = {facts!r}\n{PRELUDE}\n{self.code}"

    def verdict(self, seen: Seen) -> Verdict:
        """Whether the sandbox held: whatever was tried, the session answers in time and nobody else notices."""
        wrong = [
            f"the neighbour: {seen.neighbour}" if seen.neighbour else "",
            f"the host was reached: {seen.host}" if seen.host else "",
            f"left behind: {seen.left}" if seen.left else "",
            f"a cell returned {seen.late:.1f} s after its timeout" if seen.late > RETURN_SECONDS else "",
            f"the next cell: {_line(seen.after.text)}" if seen.after.stdout != "2\n" or seen.after.error else "",
        ]
        if any(wrong):
            return Verdict(False, "; ".join(part for part in wrong if part), seen.waited)
        return replace(self.judge(seen), waited=seen.waited)


# Judges


def nothing_worked(seen: Seen) -> Verdict:
    """Every `attempt` was refused or came to nothing, and the code got to its end."""
    lines = seen.result.text.splitlines()
    breaches = [line for line in lines if line.startswith("BREACH")]
    if breaches:
        return Verdict(False, _line(" | ".join(breaches)))
    count = re.search(r"^attempts: ([1-9]\d*)$", seen.result.stdout, re.MULTILINE)
    if count is None or seen.result.error:
        return Verdict(False, f"the attack did not get to its end: {_line(seen.result.text)}")
    example = next((line for line in lines if line.startswith("refused")), "they came to nothing")
    return Verdict(True, _line(f"{count[1]} attempts; {example}"))


def raises(*kinds: str, printed: str = "") -> Judge:
    """The code gets an exception of such a type, and has printed a match of the pattern `printed`; the kernel lives."""

    def judge(seen: Seen) -> Verdict:
        error = seen.result.error
        held = error is not None and error.type in kinds and not seen.result.state_lost
        return Verdict(held and bool(re.search(printed, seen.result.stdout)), _line(seen.result.text))

    return judge


def dies(why: str) -> Judge:
    """The kernel ends, and the reason given matches the pattern `why`."""

    def judge(seen: Seen) -> Verdict:
        error = seen.result.error
        held = error is not None and error.type == "KernelDied" and bool(re.search(why, error.message))
        return Verdict(held and seen.result.state_lost, _line(error.line if error else seen.result.text))

    return judge


def times_out(seen: Seen) -> Verdict:
    """The cell is ended by its time limit."""
    error = seen.result.error
    state = "state lost" if seen.result.state_lost else "state kept"
    return Verdict(seen.result.timed_out, _line(f"{error.line if error else 'no error'} ({state})"))


def prints(pattern: str, *, left: str = "") -> Judge:
    """The code gets to its end, prints a match, and what it left running (a match of `left`) was stopped."""

    def judge(seen: Seen) -> Verdict:
        held = seen.result.error is None and bool(re.search(pattern, seen.result.stdout))
        return Verdict(held and bool(re.search(left, seen.result.left)), _line(f"{seen.result.text}"))

    return judge


def is_cut(seen: Seen) -> Verdict:
    """The output is cut, and what is kept of it is bounded."""
    kept = len(seen.result.text)  # of stdout, stderr, the value and the error's type, message and frames
    return Verdict(seen.result.truncated and kept < 600_000, f"cut to {kept} characters")


def any_end(seen: Seen) -> Verdict:
    """However it ends: all that is asked is asked of every attack. But what it claims to have found is a breach."""
    held = "BREACH" not in seen.result.text
    return Verdict(held, _line(seen.result.error.line if seen.result.error else seen.result.text or "no output"))


def _line(text: str, chars: int = 140) -> str:
    text = " ".join(text.split())
    return text if len(text) <= chars else text[: chars - 3] + "..."
