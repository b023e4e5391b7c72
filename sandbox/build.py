"""Build the sandbox image: packages from the Python index, Python from a container registry or from Debian.

Whatever needs the network runs on the host and is kept in a cache; the image build itself has no network.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import io
import os
import platform
import queue
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import Any

import docker
from docker.errors import DockerException, ImageNotFound
from requests import RequestException

from sandbox.errors import SandboxError

Say = Callable[[str], None]

OFFICIAL_BASE = "python:3.11-slim"
SUITE, INCLUDE = "bookworm", "python3"  # the Debian release whose Python is 3.11
# A pull must show within the first that a registry answers, and may then take as long as it needs.
FIRST_EVENT_S, IDLE_S = 12.0, 300.0
_PACKAGES = ("Dockerfile.site", "requirements.txt")
"""What the image of all packages is made of, on which an image with other code of ours is a matter of seconds."""
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# Folders of a Debian system that are of no use in a container, or that Docker fills itself.
_EMPTIED = {"dev", "proc", "sys", "run", "tmp", "var/log", "var/cache/apt", "var/lib/apt/lists"}
_EMPTIED |= {f"usr/share/{name}" for name in ("doc", "info", "locale", "man")}
_HOSTS_OWN = {"etc/hostname", "etc/resolv.conf"}


class BuildError(SandboxError):
    """The image could not be built. The message is one line and says what to do."""


def image_name(folder: Traversable | None = None) -> str:
    """Return `tora-sandbox:<hash>`, which stands for `folder` (the package's own) and this architecture."""
    return _name(_inputs(folder))


def find_image(client: docker.DockerClient, folder: Traversable | None = None) -> str | None:
    """Return the image's id, or None where it is not built. Raises `docker.errors.DockerException`."""
    return _image_id(client, image_name(folder))


def cache_dir() -> Path:
    """Where downloads are kept: $TORA_CACHE, else $XDG_CACHE_HOME/tora-agent, else ~/.cache/tora-agent."""
    if own := os.environ.get("TORA_CACHE"):
        return Path(own).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tora-agent"


def build(client: docker.DockerClient, *, say: Say, folder: Traversable | None = None) -> str:
    """Return the image's id, building it first if it is missing; `say` gets lines of progress.

    Free where the image is there. Safe to interrupt and to run several times at once. Raises `BuildError`.
    """
    inputs = _inputs(folder)
    name = _name(inputs)
    try:
        if found := _image_id(client, name):
            return found
        with _lock(say):  # another build may have made the image while this one waited
            return _image_id(client, name) or _build(client, name, inputs, say)
    except (DockerException, RequestException) as error:
        raise BuildError(f"Docker failed: {_line(str(error))}; check `docker info`, build again") from error
    except OSError as error:
        raise BuildError(f"{error}; free some disk, or set TORA_CACHE to a writable folder") from error


def _build(client: docker.DockerClient, name: str, inputs: dict[str, bytes], say: Say) -> str:
    began = time.monotonic()
    packages = {file: inputs[file] for file in _PACKAGES}
    site_image = _name(packages, "tora-site")
    with _scratch("wheelhouse") as scratch:
        if not _image_id(client, site_image):
            wheels = _wheelhouse(inputs["requirements.txt"], say)
            base = _base(client, say)
            say(f"image: installing the packages on {base}")
            site = scratch / "site"
            _pip("install", wheels, f"--target={site}", "--no-compile", "--no-index", f"--find-links={wheels}")
            _bake(client, _packed(scratch, packages, site), "Dockerfile.site", site_image, base)
        say(f"image: building on {site_image}")
        _bake(client, _packed(scratch, inputs), "Dockerfile", name, site_image)
    say(f"image: {name} built in {time.monotonic() - began:.0f} s")
    return str(client.images.get(name).id)


def _inputs(folder: Traversable | None) -> dict[str, bytes]:
    found = (folder or files("sandbox") / "image").iterdir()
    return {file.name: file.read_bytes() for file in sorted(found, key=lambda f: f.name) if file.is_file()}


def _name(inputs: dict[str, bytes], repository: str = "tora-sandbox") -> str:
    # Sizes and names go in as well, or moving bytes from one file to the next would not show.
    parts = [f"{name}\0{len(data)}\0".encode() + data for name, data in inputs.items()]
    return f"{repository}:{_hash(*parts)}"


def _hash(*parts: bytes) -> str:
    """What is kept is kept per architecture: a home directory may be shared by unlike machines."""
    return hashlib.sha256(b"".join(parts) + _machine().encode()).hexdigest()[:12]


def _machine() -> str:
    machine = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)


def _image_id(client: docker.DockerClient, name: str) -> str | None:
    try:
        return str(client.images.get(name).id)
    except ImageNotFound:
        return None


def _line(text: str, last: int = 2) -> str:
    """The last lines of an output as one."""
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-last:])[-600:] or "no output"


def _run(command: list[str], what: str, advice: str) -> None:
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"  # which not every root shell has
    env = {**os.environ, "PATH": path, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"{what} failed: {_line(done.stdout + done.stderr)}; {advice}, then build again")


@contextlib.contextmanager
def _lock(say: Say) -> Iterator[None]:
    """Let one build at a time use the cache, and clear away what killed ones left in it."""
    cache = cache_dir()
    for name in ("wheelhouse", "base"):
        (cache / name).mkdir(parents=True, exist_ok=True)
    with (cache / "build.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("image: waiting for another build")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for stale in cache.glob("*/tmp-*"):
            shutil.rmtree(stale, ignore_errors=True)
        yield


@contextlib.contextmanager
def _scratch(name: str) -> Iterator[Path]:
    scratch = Path(tempfile.mkdtemp(prefix="tmp-", dir=cache_dir() / name))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _wheelhouse(requirements: bytes, say: Say) -> Path:
    """Return the folder of all wheels; it is there only if it is whole."""
    house = cache_dir() / "wheelhouse" / _hash(requirements)
    if not house.is_dir():
        say("packages: downloading wheels")
        with _scratch("wheelhouse") as scratch:
            wheels = scratch / "wheels"
            wheels.mkdir()
            (wheels / "requirements.txt").write_bytes(requirements)
            _pip("download", wheels, f"--dest={wheels}")
            wheels.rename(house)
    say(f"packages: {len(list(house.glob('*.whl')))} wheels")
    return house


def _pip(verb: str, wheels: Path, *options: str) -> None:
    if importlib.util.find_spec("pip") is None:
        raise BuildError(f"pip is missing; run `{sys.executable} -m ensurepip`, then build again")
    # For the image's Python and Debian 12's C library, whatever this interpreter and this machine have.
    target = ["--python-version=3.11", "--implementation=cp", "--only-binary=:all:", "--no-deps"]
    target += [f"--platform=manylinux_2_{minor}_{_machine()}" for minor in range(36, 4, -1)]
    pip = [sys.executable, "-m", "pip", verb, "--quiet", "--no-input", "--disable-pip-version-check"]
    advice = "check the network" if verb == "download" else f"delete {wheels}"
    _run([*pip, *target, *options, "-r", str(wheels / "requirements.txt")], f"pip {verb}", advice)


def _base(client: docker.DockerClient, say: Say) -> str:
    """Return the name of an image with Python 3.11, making it if there is none."""
    own = f"tora-base:{_hash(SUITE.encode(), b' ', INCLUDE.encode())}"
    for name in (OFFICIAL_BASE, own):
        if _image_id(client, name):
            return name
    if _pull(client, say):
        return OFFICIAL_BASE
    say(f"base: {OFFICIAL_BASE} cannot be pulled here")
    _need_debootstrap(say)
    _debootstrap(client, own, say)
    return own


def _pull(client: docker.DockerClient, say: Say) -> bool:
    say(f"base: pulling {OFFICIAL_BASE}")
    alive: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def pull() -> None:
        with contextlib.suppress(DockerException, RequestException):
            for _ in client.api.pull(OFFICIAL_BASE, stream=True, decode=True):
                alive.put(True)
        alive.put(False)

    # In a thread, since the engine says nothing at all while it waits for a registry that does not answer.
    threading.Thread(target=pull, daemon=True).start()
    limit = FIRST_EVENT_S
    with contextlib.suppress(queue.Empty):
        while alive.get(timeout=limit):
            limit = IDLE_S
    return _image_id(client, OFFICIAL_BASE) is not None


def _need_debootstrap(say: Say) -> None:
    pull = f"run `docker pull {OFFICIAL_BASE}` where a registry answers"
    if os.geteuid() != 0:
        raise BuildError(f"no image to build on; {pull}, or build once as root on Debian or Ubuntu")
    found = shutil.which("debootstrap", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin")
    missing = ([] if found else ["debootstrap"]) + ([] if _KEYRING.exists() else ["debian-archive-keyring"])
    if missing and not shutil.which("apt-get"):
        raise BuildError(f"no image to build on; {pull}, or install {' and '.join(missing)}")
    if missing:
        say(f"base: installing {' '.join(missing)}")
        _run(["apt-get", "update", "-qq"], "apt-get update", "check the network")
        install = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "install", "-qq", "--no-install-recommends", *missing]
        _run(install, "apt-get install", f"install {' and '.join(missing)}")


def _debootstrap(client: docker.DockerClient, name: str, say: Say) -> None:
    say(f"base: debootstrap {SUITE}, about a minute")
    # It ends with this process, and in namespaces of its own no process and no mount of it is left behind.
    alone = ["setpriv", "--pdeathsig", "KILL", "unshare", "-mpf", "--kill-child", "debootstrap"]
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(_machine(), _machine())
    options = [f"--arch={arch}", "--variant=minbase", f"--include={INCLUDE}", "--force-check-gpg", SUITE]
    mirror = os.environ.get("TORA_DEBIAN_MIRROR")
    with _scratch("base") as scratch:
        root, archive = scratch / "root", scratch / "root.tar"
        command = [*alone, *options, str(root), *([mirror] if mirror else [])]
        _run(command, "debootstrap", f"set TORA_DEBIAN_MIRROR if need be, or `docker pull {OFFICIAL_BASE}`")
        with tarfile.open(archive, "w") as tar:
            tar.add(root, ".", filter=_slim_system)
        client.api.import_image_from_file(str(archive), *name.split(":"))


def _slim_system(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    path = PurePosixPath(entry.name)  # tarfile gives "./a/b", which this makes "a/b"
    return None if str(path.parent) in _EMPTIED or str(path) in _HOSTS_OWN else entry


def _packed(scratch: Path, inputs: dict[str, bytes], site: Path | None = None) -> Path:
    context = scratch / "context.tar"
    with tarfile.open(context, "w") as tar:
        for name, data in inputs.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        if site:
            tar.add(site, "site", filter=_slim_package)
    return context


def _slim_package(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    path = PurePosixPath(entry.name)
    script = path.parts[:2] in {("site", "bin"), ("site", "share")}  # which name this machine's interpreter
    # `numpy.testing`, which more than tests import, needs `_natype`.
    if script or (path.parent.name == "tests" and path.name not in {"__init__.py", "_natype.py"}):
        return None
    # Neither the owner nor a strict umask of the host may keep the session's user from reading.
    entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, "", ""
    entry.mode = 0o755 if entry.isdir() else 0o644
    return entry


def _bake(client: docker.DockerClient, context: Path, dockerfile: str, name: str, base: str) -> None:
    labels = {"tora.image": name.partition(":")[2]}
    options: dict[str, Any] = {"custom_context": True, "network_mode": "none", "rm": True, "forcerm": True}
    options["dockerfile"] = dockerfile
    output = ""
    with context.open("rb") as file:
        for event in client.api.build(
            fileobj=file, tag=name, labels=labels, buildargs={"BASE": base}, decode=True, **options
        ):
            output += event.get("stream", "")
            if "error" in event:
                said = _line(f"{output}\n{event['error']}", last=4)
                # Only a step that ran and failed has a code; all else, such as a full disk, is the engine's.
                stepped = (event.get("errorDetail") or {}).get("code")
                advice = "mend sandbox/image" if stepped else "check the Docker Engine's disk and `docker info`"
                raise BuildError(f"image build failed: {said}; {advice}, then build again")
