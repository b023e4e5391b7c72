"""Attacks on other sessions and on what starts and watches them."""

from __future__ import annotations

from sandbox.attacks.attack import Attack, Seen, Verdict, any_end


def _differ(seen: Seen) -> Verdict:
    mine, theirs = seen.result.stdout.split(), seen.drawn.split()
    held = len(mine) == len(theirs) >= 5 and not set(mine) & set(theirs)
    return Verdict(held, f"{mine[0] if mine else 'nothing'} here, {theirs[0] if theirs else 'nothing'} there")


ATTACKS = [
    Attack(
        "other sessions' files",
        "list, read, write and replace what is in other sessions' directories",
        """
homes = {f"/slots/{name}/home" for name in os.listdir("/slots")} | {T["home"]}
homes = sorted(home for home in homes if home != os.getcwd())
for home in homes[:300]:
    attempt(f"list {home}", os.listdir, home)
# In a container of one's own, the neighbour's directory and process go by the names of one's own.
links = [f"/proc/{pid}/{name}" for pid in others() for name in ("cwd", "root" + T["home"])]
for home in (T["home"], os.path.dirname(T["home"]), *links):
    if home not in (os.getcwd(), os.path.dirname(os.getcwd())):
        attempt(f"read in {home}", lambda: read(f"{home}/secret.txt"))
        attempt(f"write in {home}", lambda: open(f"{home}/sympy.py", "w"))
        attempt(f"link into {home}", lambda: os.symlink("/etc/passwd", f"{home}/link") or True)
attempt("list /slots", lambda: os.access("/slots", os.W_OK))
attempt("open one's own room", lambda: os.chmod(os.path.dirname(os.getcwd()), 0o777) or True)
done()
""",
    ),
    Attack(
        "places to meet",
        "find a place that all sessions can write to",
        """
own, open_to_all = os.getcwd(), {"null", "zero", "full", "random", "urandom", "tty", "ptmx"}
def writable():
    for folder, folders, names in os.walk("/"):
        if folder in ("/proc", "/sys") or folder == own:
            folders.clear()
            continue
        for path in (f"{folder}/{name}" for name in [*names, *folders]):
            known = folder.startswith("/dev") and os.path.basename(path) in open_to_all
            if path != own and not known and not os.path.islink(path) and os.access(path, os.W_OK):
                return path
attempt("a file or directory", writable)
attempt("/dev/shm", lambda: os.path.exists("/dev/shm") and os.stat("/dev/shm/.").st_dev != os.stat(own).st_dev)
attempt("/tmp", lambda: os.stat("/tmp/.").st_dev != os.stat(own).st_dev)
attempt("/dev/mqueue", os.listdir, "/dev/mqueue")
done()
""",
    ),
    Attack(
        "other processes",
        "signal, stop, slow down and limit processes of other sessions, the fork server and the supervisor",
        """
import resource
for pid in others():
    for number in (0, signal.SIGSTOP, signal.SIGTERM, signal.SIGKILL):
        attempt(f"signal {number} to {pid}", lambda: os.kill(pid, number) or True)
    # A group of 1 or less would be this user's own processes.
    attempt(f"group of {pid}", lambda: os.getpgid(pid) > 1 and (os.killpg(os.getpgid(pid), 9) or True))
    attempt(f"pidfd of {pid}", lambda: signal.pidfd_send_signal(os.pidfd_open(pid), 9) or True)
    attempt(f"priority of {pid}", lambda: os.setpriority(os.PRIO_PROCESS, pid, 19) or True)
    attempt(f"processors of {pid}", lambda: os.sched_setaffinity(pid, {0}) or True)
    attempt(f"limits of {pid}", lambda: resource.prlimit(pid, resource.RLIMIT_CPU, (1, 1)) or True)
done()
""",
    ),
    Attack(
        "other processes' memory",
        "read and change the memory, environment and files of other processes; trace them",
        """
names = ("mem", "environ", "maps", "smaps", "auxv", "stack", "syscall", "io", "pagemap", "personality")
trace, copy, compare = {"x86_64": (101, 310, 312), "aarch64": (117, 270, 272)}[platform.machine()]
for pid in others():
    for name in names:
        attempt(f"/proc/{pid}/{name}", lambda: read(f"/proc/{pid}/{name}")[:20])
    for name in ("exe", "cwd", "root"):
        attempt(f"/proc/{pid}/{name}", os.readlink, f"/proc/{pid}/{name}")
    attempt(f"trace {pid}", lambda: call(trace, 16, pid, 0, 0) == 0)
    attempt(f"seize {pid}", lambda: call(trace, 0x4206, pid, 0, 0) == 0)
    attempt(f"copy from {pid}", lambda: call(copy, pid, 0, 0, 0, 0, 0) == 0)
    attempt(f"compare with {pid}", lambda: call(compare, os.getpid(), pid, 0, 0, 0) >= 0)
done()
""",
    ),
    Attack(
        "other processes' descriptors",
        "take descriptors of the supervisor and of other sessions",
        """
take = 438
for pid in others():
    attempt(f"/proc/{pid}/fd", os.listdir, f"/proc/{pid}/fd")
    for number in range(9):
        attempt(f"open {number} of {pid}", os.open, f"/proc/{pid}/fd/{number}", os.O_RDONLY | os.O_NONBLOCK)
        attempt(f"take {number} of {pid}", lambda: call(take, os.pidfd_open(pid), number, 0))
for number in os.listdir("/proc/self/fd"):  # what the session was born with
    path = f"/proc/self/fd/{number}"
    if os.path.lexists(path) and os.path.exists(path):
        kind = os.readlink(path)
        attempt(f"descriptor {number}", lambda: None if kind == "/dev/null" or re.match(
            r"(pipe|socket|anon_inode):|/proc/", kind) else kind)
done()
""",
    ),
    Attack(
        "sockets",
        "make, name and connect sockets of any family, paired ones included",
        """
families = {name: getattr(socket, name) for name in dir(socket) if name.startswith("AF_") and name != "AF_UNSPEC"}
for name, family in families.items():
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
        attempt(f"{name}, {kind.name}", socket.socket, family, kind)
for name in ("AF_INET", "AF_TIPC"):
    attempt(f"a pair of {name}", socket.socketpair, families[name], socket.SOCK_STREAM)
attempt("a pair that can be named", socket.socketpair, socket.AF_UNIX, socket.SOCK_DGRAM)
for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
    one, _ = socket.socketpair(socket.AF_UNIX, kind)
    for act in ("bind", "connect"):
        attempt(f"{act} {kind.name}", lambda: getattr(one, act)(chr(0) + "meet") or True)
    attempt(f"listen {kind.name}", lambda: one.listen() or True)
    larger = (socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    attempt(f"a larger buffer {kind.name}", lambda: one.setsockopt(*larger) or True)
done()
""",
    ),
    Attack(
        "memory of nobody",
        "get memory that belongs to no process: System V and POSIX segments, memfd, shared mappings, pages in pipes",
        """
import mmap
attempt("memfd", os.memfd_create, "x")
attempt("shared mapping", mmap.mmap, -1, 4096)
attempt("shared mapping of /dev/zero", lambda: mmap.mmap(os.open("/dev/zero", os.O_RDWR), 4096))
attempt("huge pages", lambda: mmap.mmap(-1, 1 << 21, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000))
libc.shmget.restype = libc.semget.restype = libc.msgget.restype = ctypes.c_int
attempt("shmget", lambda: libc.shmget(0x746F, 4096, 0o1666) >= 0)
attempt("semget", lambda: libc.semget(0x746F, 1, 0o1666) >= 0)
attempt("msgget", lambda: libc.msgget(0x746F, 0o1666) >= 0)
attempt("mq_open", lambda: libc.mq_open(b"/tora", os.O_CREAT | os.O_RDWR, 0o666, None) >= 0)
out, into = os.pipe()
attempt("splice", lambda: os.splice(os.open("/etc/passwd", os.O_RDONLY), into, 10))
attempt("sendfile", lambda: os.sendfile(into, os.open("/etc/passwd", os.O_RDONLY), 0, 10))
done()
""",
    ),
    Attack(
        "secrets in memory",
        "search one's memory for a neighbour's secret and key, which a fork might inherit; look for connection files",
        """
def search():
    found = {}
    own = get_ipython().kernel.session.key
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        for line in read("/proc/self/maps").decode().splitlines():
            start, end = (int(edge, 16) for edge in line.split()[0].split("-"))
            if "/" in line or line.split()[1][0] != "r" or "[v" in line or end - start > 1 << 30:
                continue  # a file of the image, say
            for at in range(start, end, 1 << 24):
                memory.seek(at)
                try:
                    data = memory.read(min(1 << 24, end - at))
                except OSError:
                    continue
                found["own"] = found.get("own", False) or own in data
                found.update(dict.fromkeys(secrets_in(data), True))
    assert found.pop("own"), "the search does not even find the session's own key"
    return found
attempt("memory", search)
import glob
for pattern in ("/*/kernel-*.json", "/root/**/kernel-*.json", "/run/**/*.json", "/slots/*/home/**/*.json"):
    attempt(pattern, glob.glob, pattern)
done()
""",
    ),
    Attack(
        "kill -9 -1",
        "kill everything that can be killed",
        "os.kill(-1, signal.SIGKILL)\nos.kill(os.getpid(), signal.SIGKILL)",
        any_end,
    ),
    Attack(
        "the same random numbers",
        "draw what a neighbour draws: random, numpy, sympy, uuid, secrets",
        """
import random, secrets, uuid, numpy, sympy.core.random, tempfile
print(random.random(), numpy.random.rand(), sympy.core.random.random(), uuid.uuid4(), secrets.token_hex(),
      numpy.random.default_rng().random(), tempfile.mktemp(dir=""))
""",
        _differ,
        by_neighbour=True,
    ),
]
