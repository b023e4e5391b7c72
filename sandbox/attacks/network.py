"""Attacks on what is outside the container: the network, the host, its files and secrets."""

from __future__ import annotations

from sandbox.attacks.attack import Attack

ATTACKS = [
    Attack(
        "outbound TCP",
        "connect to addresses outside, from Python and from a shell",
        """
for address in (("1.1.1.1", 443), ("172.17.0.1", 22), ("2606:4700:4700::1111", 443)):
    attempt(f"connect {address[0]}", socket.create_connection, address, 2)
def shell():
    command = ["bash", "-c", "exec 3<>/dev/tcp/1.1.1.1/443"]
    return subprocess.run(command, capture_output=True, timeout=5).returncode == 0
attempt("bash /dev/tcp", shell)
done()
""",
    ),
    Attack(
        "outbound UDP",
        "send a datagram to addresses outside",
        """
def send(family, address):
    return socket.socket(family, socket.SOCK_DGRAM).sendto(b"x", address)
attempt("IPv4", send, socket.AF_INET, ("8.8.8.8", 53))
attempt("IPv6", send, socket.AF_INET6, ("2001:4860:4860::8888", 53))
done()
""",
    ),
    Attack(
        "DNS",
        "look a name up",
        """
attempt("getaddrinfo", socket.getaddrinfo, "example.com", 443)
attempt("gethostbyname", socket.gethostbyname, "example.com")
attempt("getent", lambda: subprocess.run(["getent", "hosts", "example.com"], capture_output=True, timeout=9).stdout)
done()
""",
    ),
    Attack(
        "the host's loopback",
        "reach a listener on 127.0.0.1 of the host",
        """
for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "172.17.0.1", "host.docker.internal"):
    attempt(f"connect {host}", socket.create_connection, (host, T["port"]), 2)
done()
""",
    ),
    Attack(
        "Docker's socket",
        "find and use the sockets of container engines",
        """
for path in {"/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", T["engine"]}:
    attempt(f"find {path}", lambda: os.path.exists(path))
    attempt(f"connect {path}", lambda: socket.socket(socket.AF_UNIX).connect(path) or True)
done()
""",
    ),
    Attack(
        "host files",
        "read and write a file of the host, find mounts of the host",
        """
for path in (prefix + T["file"] for prefix in ("", "/proc/1/root", "/proc/1/cwd", f"/proc/{os.getppid()}/root")):
    attempt(f"read {path}", lambda: read(path))
    attempt(f"write {path}", lambda: open(path, "a"))
given = {"/etc/resolv.conf", "/etc/hostname", "/etc/hosts"}
virtual = {"overlay", "proc", "tmpfs", "devpts", "sysfs", "cgroup", "cgroup2", "mqueue", "fuse.lxcfs"}
for line in read("/proc/self/mountinfo").decode().splitlines():
    fields, (kind, *_) = line.split(), line.partition(" - ")[2].split()
    if kind not in virtual and fields[4] not in given and not fields[4].endswith("/docker-init"):
        attempt(f"a mount of {kind}", lambda: fields[4])
for path in sorted(given):
    attempt(f"write {path}", lambda: open(path, "r+"))
done()
""",
    ),
    Attack(
        "environment secrets",
        "look for a secret of the host's environment, in the environment and arguments of every process",
        """
attempt("os.environ", lambda: secrets_in(repr(dict(os.environ)).encode()))
for pid in [*others(), "self"]:
    for name in ("environ", "cmdline"):
        attempt(f"/proc/{pid}/{name}", lambda: secrets_in(read(f"/proc/{pid}/{name}")))
done()
""",
    ),
    Attack(
        "writes to /proc and /sys",
        "open any of the Linux kernel's settings, control groups and triggers for writing",
        """
count = 0
def openable(top):
    global count
    for folder, _, names in os.walk(top):
        for name in names:
            count += 1
            try:
                os.close(os.open(f"{folder}/{name}", os.O_WRONLY | os.O_NONBLOCK))
            except OSError:
                continue
            return f"{folder}/{name}"
for top in ("/proc/sys", "/proc/bus", "/proc/irq", "/sys/fs", "/sys/kernel", "/sys/module", "/sys/power"):
    attempt(top, openable, top)
for name in ("sysrq-trigger", "1/oom_score_adj", "1/clear_refs", "kcore", "kmsg", "mtrr", "timer_list", "acpi"):
    path = f"/proc/{name}"  # some of which Docker hides behind /dev/null
    if not (os.path.exists(path) and os.path.samefile(path, "/dev/null")):
        attempt(f"write {name}", os.open, path, os.O_WRONLY)
assert count > 100
done()
""",
    ),
    Attack(
        "raw devices",
        "open or make devices of disks and memory",
        """
import stat
for name in ("mem", "kmem", "port", "kmsg", "kvm", "fuse", "sda", "vda", "nvme0n1", "loop0", "loop-control", "net/tun"):
    attempt(f"open {name}", os.open, f"/dev/{name}", os.O_RDONLY)
for folder in (".", "/dev", "/tmp"):
    for kind, numbers in ((stat.S_IFBLK, (8, 0)), (stat.S_IFBLK, (253, 0)), (stat.S_IFCHR, (1, 1))):
        attempt(f"mknod in {folder}", lambda: os.mknod(f"{folder}/d", kind | 0o600, os.makedev(*numbers)) or True)
done()
""",
    ),
]
