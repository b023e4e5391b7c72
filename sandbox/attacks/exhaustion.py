"""Attacks on what there is only so much of: processes, memory, disk, descriptors, processor time."""

from __future__ import annotations

from sandbox.attacks.attack import Attack, any_end, dies, prints, raises, times_out

ATTACKS = [
    Attack(
        "fork bomb",
        "start as many processes as possible, all of which wait",
        """
count = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        count += 1
except BlockingIOError as error:
    print("BREACH" if count > T["processes"] else "refused", f"after {count}: {error}")
""",
        prints(r"^refused after [1-9]", left="processes"),
    ),
    Attack(
        "fork bomb that multiplies",
        "start processes that start processes, all of which are busy",
        """
while True:
    try:
        os.fork()
    except OSError:
        pass
""",
        lambda seen: times_out(seen) if seen.result.timed_out else dies("memory")(seen),
        timeout=3,
    ),
    Attack(
        "thread bomb",
        "start as many threads as possible",
        """
threading.stack_size(1 << 16)
event, count = threading.Event(), 0
try:
    while True:
        threading.Thread(target=event.wait, daemon=True).start()
        count += 1
finally:
    print("BREACH" if count > T["processes"] else "refused", f"after {count}")
    event.set()
""",
        raises("RuntimeError", printed=r"^refused after [1-9]"),
    ),
    Attack(
        "memory bomb",
        "fill memory in one process",
        "kept = []\nwhile True:\n    kept.append(bytearray(16 << 20))",
        raises("MemoryError"),
    ),
    Attack(
        "memory bomb of many processes",
        "fill memory in several processes, each of which stays below the limit",
        """
for _ in range(12):
    if os.fork() == 0:
        block = bytearray(T["memory_mib"] // 4 << 20)
        time.sleep(60)
time.sleep(60)
print("BREACH: it all fits")
""",
        dies("memory"),
    ),
    Attack(
        "memory hidden from the watchdog",
        "the same, in processes that let nobody look at them",
        """
for _ in range(12):
    if os.fork() == 0:
        libc.prctl(4, 0, 0, 0, 0)
        block = bytearray(T["memory_mib"] // 4 << 20)
        time.sleep(60)
libc.prctl(4, 0, 0, 0, 0)
time.sleep(60)
print("BREACH: it all fits")
""",
        dies("memory"),
    ),
    Attack(
        "memory in the stack",
        "fill memory that is not counted as data",
        """
import resource
resource.setrlimit(resource.RLIMIT_STACK, (resource.RLIM_INFINITY,) * 2)
import mmap
kept = []
for _ in range(64):
    kept.append(mmap.mmap(-1, 16 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x100))  # which grows downwards
    kept[-1].write(bytes(16 << 20))
time.sleep(60)
print("BREACH: it all fits")
""",
        lambda seen: dies("memory")(seen) if seen.result.state_lost else raises("OSError", "MemoryError")(seen),
    ),
    Attack(
        "memory in page tables",
        "read from a terabyte of addresses, which have no memory but for the tables that say so",
        """
import mmap
space = mmap.mmap(-1, 1 << 40, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, prot=mmap.PROT_READ)
for at in range(0, 1 << 40, 1 << 21):
    space[at]
tables = int(re.search(r"VmPTE:\\s*(\\d+)", read("/proc/self/status").decode())[1]) >> 10
if tables > T["memory_mib"]:
    time.sleep(60)
print("BREACH" if tables > T["memory_mib"] else "small", f"tables of {tables} MiB")
""",
        lambda seen: dies("memory")(seen) if seen.result.state_lost else prints("^small")(seen),
    ),
    Attack(
        "memory in sockets",
        "leave data unread in as many socket pairs as possible",
        """
for _ in range(20):
    if os.fork() == 0:
        pairs = []
        try:
            while True:
                pairs.append(socket.socketpair())
                for one in pairs[-1]:
                    one.setblocking(False)
                    try:
                        while True:
                            one.send(bytes(1 << 16))
                    except BlockingIOError:
                        pass
        except OSError:
            time.sleep(60)
time.sleep(60)
print("BREACH: it all fits")
""",
        dies("memory"),
    ),
    Attack(
        "disk exhaustion",
        "fill the only writable directory",
        """
import itertools
size = 0
try:
    for number in itertools.count():
        with open(f"file{number}", "wb", buffering=0) as file:
            for _ in range(8):
                size += file.write(bytes(1 << 20))
finally:
    print("BREACH" if size > T["files_mib"] << 20 else "full", f"at {size >> 20} MiB")
""",
        raises("OSError", printed=r"^full at [1-9]"),
    ),
    Attack(
        "inode exhaustion",
        "make as many empty files as possible",
        """
count = 0
try:
    while count < 100_000:
        os.close(os.open(f"file{count}", os.O_CREAT))
        count += 1
finally:
    print("full at", count)
""",
        raises("OSError", printed=r"^full at [1-9]\d{0,4}$"),
    ),
    Attack(
        "descriptor exhaustion",
        "open as many files as possible, and keep them",
        """
kept = []
try:
    while True:
        kept.append(os.open("/dev/null", os.O_RDONLY))
finally:
    print("BREACH" if len(kept) > T["descriptors"] else "refused", "after", len(kept))
""",
        raises("OSError", printed=r"^refused after [1-9]"),
    ),
    Attack(
        "directories that resist deletion",
        "nest 10,000 directories, take all rights away, keep the modes and access lists of the session's directory",
        """
import struct
deep = os.getcwd()
for level in range(10_000):
    os.mkdir("d")
    os.chdir("d")
os.chdir(deep)
for number in range(3000):
    os.mkdir(f"dir{number}")
    open(f"dir{number}/\\n-rf *{number}", "w").close()
    os.chmod(f"dir{number}", 0)
os.mkdir(b"\\xff\\xfe")
os.mkfifo("fifo")
nobody = 0xFFFFFFFF
entries = ((1, 7, nobody), (2, 7, 65534), (4, 7, nobody), (16, 7, nobody), (32, 7, nobody))
everyone = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
for name in ("system.posix_acl_access", "system.posix_acl_default", "user.x"):
    try:
        os.setxattr(".", name, everyone)
    except OSError:
        pass
os.chmod(".", 0)
print("made")
""",
        prints("^made$"),
    ),
    Attack(
        "an endless loop in Python",
        "never end",
        "while True:\n    pass",
        times_out,
        timeout=1,
    ),
    Attack(
        "an endless loop in C",
        "never come back to Python: 10**10**9",
        "10**10**9",
        times_out,
        timeout=1,
    ),
    Attack(
        "endless backtracking",
        "never come back from a regular expression",
        're.match(r"(?:a+)+$", "a" * 60 + "b")',
        times_out,
        timeout=1,
    ),
    Attack(
        "all signals blocked",
        "never end, with every signal blocked",
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nsum(range(10**12))",
        times_out,
        timeout=1,
    ),
    Attack(
        "SIGINT ignored",
        "never end, deaf to the interrupt",
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True:\n    pass",
        times_out,
        timeout=1,
    ),
    Attack(
        "KeyboardInterrupt swallowed",
        "never end, whatever is raised",
        """
while True:
    try:
        while True:
            time.sleep(0.01)
    except BaseException:
        pass
""",
        times_out,
        timeout=1,
    ),
    Attack(
        "a stopped kernel",
        "stop the kernel by SIGSTOP, so that it hears nothing",
        "os.kill(os.getpid(), signal.SIGSTOP)",
        times_out,
        timeout=1,
    ),
    Attack(
        "daemons",
        "start double-forked processes in sessions of their own",
        """
for _ in range(5):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in range(1, 65):
                try:
                    signal.signal(number, signal.SIG_IGN)
                except (OSError, ValueError):
                    pass
            while True:
                time.sleep(1)
        os._exit(0)
time.sleep(0.3)
print("started")
""",
        prints("^started$", left="processes; stopped"),
    ),
    Attack(
        "threads that go on",
        "leave threads that print for ever and swallow every exception",
        """
def stubborn():
    while True:
        try:
            time.sleep(0.001)
            print("still there")
        except BaseException:
            pass
for _ in range(5):
    threading.Thread(target=stubborn, daemon=True).start()
sys.stdout.flush()
""",
        prints("", left="5 threads"),
    ),
    Attack(
        "another program in the kernel's place",
        "replace the kernel by a program that is busy for ever",
        'os.execv("/usr/bin/yes", ["yes"])',
        dies(""),
    ),
    Attack(
        "an abrupt end",
        "end the process by a segmentation fault",
        "ctypes.string_at(0)",
        dies("SIGSEGV"),
    ),
    Attack(
        "no descriptors",
        "close every descriptor of the kernel",
        "os.closerange(0, 512)\ntime.sleep(60)",
        any_end,
        timeout=3,
    ),
]
