"""Attacks on what keeps a session an unprivileged user: system calls, users, capabilities, namespaces."""

from __future__ import annotations

from sandbox.attacks.attack import Attack, dies
from sandbox.image.lockdown import REFUSED

ATTACKS = [
    Attack(
        "becoming root",
        "change users and groups, raise limits, get capabilities from the kernel and from set-user-id programs",
        """
calls = {"setuid": [0], "setgid": [0], "setegid": [0], "setreuid": [0, 0], "setresuid": [0, 0, 0], "setgroups": [[0]],
         "chown": [".", 0, 0], "chroot": ["."], "nice": [-1]}
for name, given in calls.items():
    attempt(name, lambda: getattr(os, name)(*given) or True)
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
attempt("capset", lambda: libc.capset(header, (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6)) == 0)
import resource
for limit in (resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE, resource.RLIMIT_DATA, resource.RLIMIT_FSIZE):
    attempt(f"limit {limit}", lambda: resource.setrlimit(limit, (resource.RLIM_INFINITY,) * 2) or True)
status = read("/proc/self/status").decode()
for field in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
    attempt(field, lambda: int(re.search(rf"{field}:\\s*([0-9a-f]+)", status)[1], 16) or None)
attempt("new privileges", lambda: re.search(r"NoNewPrivs:\\s*0", status))
def runs_as_other(program):
    asleep = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.02)
        text = read(f"/proc/{asleep.pid}/status").decode()
        ids = set(re.search(r"Uid:(.*)", text)[1].split()) | set(re.search(r"Gid:(.*)", text)[1].split())
        return ids != {str(os.getuid())} or (re.search(r"CapEff:\\s*0*[1-9a-f]", text))
    finally:
        asleep.kill()
        asleep.wait()
for folder in ("/bin", "/sbin", "/usr/bin", "/usr/sbin"):
    for name in os.listdir(folder):
        if os.path.isfile(f"{folder}/{name}") and os.stat(f"{folder}/{name}").st_mode & 0o6000:
            attempt(f"run {name}", runs_as_other, f"{folder}/{name}")
done()
""",
    ),
    Attack(
        "refused system calls",
        "make each of them by its number: mount, unshare, ptrace, io_uring, keyctl, bpf, userfaultfd, ...",
        f"""
numbers = {REFUSED!r}
which = ["x86_64", "aarch64"].index(platform.machine())
def refused(number):
    # With arguments that get another error from a call that is let through.
    try:
        call(number, -1, -1, -1, -1, -1, -1)
    except OSError as error:
        return None if error.errno in (errno.EPERM, errno.ENOSYS) else f"let through: {{error}}"
    return "let through"
for name, pair in numbers.items():
    if pair[which] is not None:
        attempt(name, refused, pair[which])
done()
""",
    ),
    Attack(
        "namespaces by clone",
        "get a user or network namespace of one's own from clone, clone3 and unshare",
        """
clone, clone3 = {"x86_64": (56, 435), "aarch64": (220, 435)}[platform.machine()]
for flag in (0x10000000, 0x40000000, 0x00020000, 0x20000000, 0x04000000, 0x08000000, 0x02000000):
    attempt(f"clone {flag:#x}", lambda: call(clone, flag | 17, 0, 0, 0, 0) or os._exit(0) or True)
arguments = (ctypes.c_uint64 * 11)(0x10000000, 0, 0, 0, 17)
attempt("clone3", lambda: call(clone3, ctypes.byref(arguments), 88) or os._exit(0) or True)
attempt("unshare", lambda: subprocess.run(["unshare", "-Ur", "true"], capture_output=True).returncode == 0)
attempt("mount", lambda: subprocess.run(["mount", "-t", "tmpfs", "x", "."], capture_output=True).returncode == 0)
done()
""",
    ),
    Attack(
        "other numbers of calls",
        "get past the filter by the numbers of 32-bit and x32 programs",
        """
attempt("x32", call, 0x40000000 + 41, 1, 1, 0)
attempt("x32, old", call, 512 + 0x40000000, 0, 0, 0)
def by_interrupt(number):
    # mov eax, number; mov ebx, 1; mov ecx, 1; xor edx, edx; int 0x80; ret
    code = b"\\xb8" + number.to_bytes(4, "little") + b"\\xbb\\1\\0\\0\\0\\xb9\\1\\0\\0\\0\\x31\\xd2\\xcd\\x80\\xc3"
    import mmap
    page = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=7)
    page.write(code)
    child = os.fork()
    if not child:
        got = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
        os._exit(0 if got >= 0 else 1)
    return os.waitpid(child, 0)[1] == 0
if platform.machine() == "x86_64":
    for number in (359, 102, 26, 20):
        attempt(f"int 0x80, {number}", by_interrupt, number)
done()
""",
    ),
    Attack(
        "the order of death",
        "lower the score by which the Linux kernel chooses whom to kill when memory runs out",
        """
with open("/proc/self/oom_score_adj", "w") as file:
    file.write("500")
time.sleep(60)
print("BREACH: it lives on")
""",
        dies("wanted other sessions"),
    ),
]
