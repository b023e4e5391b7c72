"""Runs inside the container: what takes powers away from a process, for good."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
from pathlib import Path
from typing import Any

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 4, 22, 36, 38
_SECCOMP_MODE_FILTER = 2
_ENOSYS = 38
_KILL_PROCESS, _REFUSE, _UNKNOWN, _ALLOW = 0x80000000, 0x00050001, 0x00050000 | _ENOSYS, 0x7FFF0000
_NEW_NAMESPACES = 0x7E020000
"""The CLONE_NEW* flags."""
_X32 = 0x40000000
_LOAD, _AND, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
# Offsets in the kernel's `struct seccomp_data`, whose arguments have eight bytes each.
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# System calls no session has a use for, by their numbers on x86_64 and aarch64 (None: it has no such call).
# On top of what Docker's own profile refuses, whatever that is on this engine.
REFUSED: dict[str, tuple[int | None, int | None]] = {
    # All sessions of a container share its loopback and its abstract sockets. `socketpair` stays.
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    # io_uring opens sockets past this filter.
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # System V and POSIX messages, semaphores and shared memory, too, are shared by the whole container.
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "semctl": (66, 191),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "mq_timedsend": (242, 182),
    "mq_timedreceive": (243, 183),
    "mq_notify": (244, 184),
    "mq_getsetattr": (245, 185),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # Other processes' memory and descriptors.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    # Memory that belongs to no process, and so to nobody's limit.
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    # Pipes and sockets that keep whole pages of memory alive, whoever has let go of them.
    "vmsplice": (278, 75),
    "splice": (275, 76),
    "tee": (276, 77),
    "sendfile": (40, 71),
    # Namespaces, mounts and roots.
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    # What there is a fixed number of for the whole machine, and what holds up all of its disks.
    "io_setup": (206, 0),
    "sync": (162, 81),
    "syncfs": (306, 267),
    # The favourite doors into the Linux kernel, and the machine's own switches.
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "fanotify_init": (300, 262),
    "modify_ldt": (154, None),
    "personality": (135, 92),
    "quotactl": (179, 60),
    "syslog": (103, 116),
    "acct": (163, 89),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
}
_CLONE, _CLONE3, _MMAP, _SOCKETPAIR, _SETSOCKOPT = (56, 220), (435, 435), (9, 222), (53, 199), (54, 208)
_MAP_KIND, _SHARED_NOT_FILE, _HUGE_PAGES = 0x2F, 0x21, 0x40000
"""The bits MAP_TYPE and MAP_ANONYMOUS, their value where both MAP_SHARED and MAP_ANONYMOUS are set; MAP_HUGETLB."""
_AF_UNIX, _SOCKET_KIND, _STREAM, _SEQPACKET = 1, 0xF, 1, 5
_SOL_SOCKET, _SO_SNDBUF = 1, 7


def refuse_calls() -> None:
    """Let this process and all it will ever start make none of the refused system calls. Raises `OSError`."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    program = _program(platform.machine())
    code = ctypes.create_string_buffer(program)
    # struct sock_fprog: the number of instructions, and where they are.
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.create_string_buffer(header))


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def become(uid: int, home: str, limits: dict[str, Any]) -> None:
    """Turn this process from root into the user `uid`, which has no power left, and live in `home`."""
    mib = 1 << 20
    files = limits["files_mib"] * mib
    for name, value in {
        # Of this user id, which no other session, container or person has.
        resource.RLIMIT_NPROC: limits["processes"],
        resource.RLIMIT_NOFILE: limits["descriptors"],
        resource.RLIMIT_FSIZE: files,
        # What is over it is a MemoryError in the code, which is kinder than the watchdog's end of the whole session.
        resource.RLIMIT_DATA: _data_bytes() + limits["memory_mib"] * mib,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_MEMLOCK: 1 << 16,
    }.items():
        resource.setrlimit(name, (value, value))
    # If memory runs out, a session goes before the fork server does.
    Path("/proc/self/oom_score_adj").write_text("1000")
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    # The change of user has closed /proc/self even to the process itself.
    _prctl(_PR_SET_DUMPABLE, 1)
    # What serves all sessions comes before what any of them runs, were it a thousand processes.
    os.nice(10)
    os.umask(0o077)
    os.chdir(home)
    os.environ.update(HOME=home, TMPDIR=home, MPLCONFIGDIR=f"{home}/.matplotlib")


def _data_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) << 10
    return 0


def _prctl(option: int, *values: Any) -> None:
    arguments = [value if isinstance(value, ctypes.Array) else ctypes.c_ulong(value) for value in values]
    arguments += [ctypes.c_ulong(0)] * (4 - len(arguments))
    if _LIBC.prctl(option, *arguments):
        raise OSError(ctypes.get_errno(), f"prctl {option}: {os.strerror(ctypes.get_errno())}")


def _program(machine: str) -> bytes:
    """The filter in the Berkeley Packet Filter's code: a jump leads over as many instructions as it says."""
    which = list(_ARCHITECTURES).index(machine)
    refuse, allow = _step(_RETURN, _REFUSE), _step(_RETURN, _ALLOW)
    code = [
        _step(_LOAD, _ARCH),
        _step(_IF_EQUAL, _ARCHITECTURES[machine], yes=1),
        _step(_RETURN, _KILL_PROCESS),
        _step(_LOAD, _NUMBER),
    ]
    if machine == "x86_64":
        code += [_step(_IF_AT_LEAST, _X32, no=1), _step(_RETURN, _UNKNOWN)]
    for numbers in REFUSED.values():
        if (number := numbers[which]) is not None:
            code += _case(number, refuse)
    # Its flags are in memory, where no filter sees them. The C library then uses `clone`.
    code += _case(_CLONE3[which], _step(_RETURN, _UNKNOWN))
    code += _case(_CLONE[which], _argument(0), _step(_IF_ANY_BIT, _NEW_NAMESPACES, no=1), refuse, allow)
    # Memory that is shared but is no file belongs to no process, either, and huge pages to the whole machine.
    code += _case(
        _MMAP[which],
        _argument(3),
        _step(_IF_ANY_BIT, _HUGE_PAGES, yes=2),
        _step(_AND, _MAP_KIND),
        _step(_IF_EQUAL, _SHARED_NOT_FILE, no=1),
        refuse,
        allow,
    )
    # Only kinds that stay connected to each other: a datagram socket can be given a name, and be sent to, without any
    # of the refused calls. Other families would have the machine load modules.
    code += _case(
        _SOCKETPAIR[which],
        _argument(0),
        _step(_IF_EQUAL, _AF_UNIX, no=4),
        _argument(1),
        _step(_AND, _SOCKET_KIND),
        _step(_IF_EQUAL, _STREAM, yes=2),
        _step(_IF_EQUAL, _SEQPACKET, yes=1),
        refuse,
        allow,
    )
    # What a socket may hold unread is not to grow: it counts against nobody (see `_watch_memory`).
    code += _case(
        _SETSOCKOPT[which],
        _argument(1),
        _step(_IF_EQUAL, _SOL_SOCKET, no=3),
        _argument(2),
        _step(_IF_EQUAL, _SO_SNDBUF, no=1),
        refuse,
        allow,
    )
    return b"".join([*code, allow])


def _case(number: int, *body: bytes) -> list[bytes]:
    """What to do if the call is of that number; `body` must end in a return."""
    return [_step(_IF_EQUAL, number, no=len(body)), *body]


def _argument(index: int) -> bytes:
    """Load the lower half of an argument, which is all that the kernel looks at in those that are asked for here."""
    return _step(_LOAD, _ARGUMENTS + 8 * index)


def _step(operation: int, operand: int, *, yes: int = 0, no: int = 0) -> bytes:
    """One instruction: a `struct sock_filter`."""
    return struct.pack("=HBBI", operation, yes, no, operand)
