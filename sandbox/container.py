"""The container of the sessions: how it is locked down, started and removed. Every call here blocks."""

from __future__ import annotations

import json
import os
import secrets
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import requests
from docker.types import LogConfig, Ulimit

from sandbox.build import find_image, image_name
from sandbox.errors import DockerUnavailable, ImageMissing, KernelFailed, SandboxError
from sandbox.settings import Limits

LABEL = "tora.owner"
CAPABILITIES = ["SETUID", "SETGID", "KILL", "CHOWN"]
_MIB = 1 << 20
_SERVER_MIB = 512
"""What the supervisor and the fork server need beside the sessions."""
_SUPERVISE = "import sys; sys.path.insert(0, '/opt/tora'); import supervisor; supervisor.main()"
_INLINE = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
"""Has matplotlib send its figures to the kernel's front end."""
_FIRST_UIDS = range(1_900_000_000, 2_100_000_000, 1024)
"""Above the ranges that systemd, useradd and container managers give away; a container takes one block of them."""


def connect() -> docker.DockerClient:
    """Return a client of the Docker Engine. Raises `DockerUnavailable`."""
    try:
        return docker.from_env(max_pool_size=64, timeout=60)
    except docker.errors.DockerException as error:
        raise _unavailable(error) from error


def require_image(client: docker.DockerClient) -> str:
    """Return the sandbox image's id. Raises `ImageMissing`; never pulls."""
    image = find_image(client)
    if image is None:
        raise ImageMissing(f"the sandbox image {image_name()} is missing; build it with `tora sandbox build`")
    return image


def owner() -> str:
    """This process as it stands in labels: its pid and start time, since pids are used again, and its realm."""
    return f"{os.getpid()}.{_started(os.getpid())}.{_realm()}"


@dataclass(frozen=True)
class Size:
    """How many sessions a container holds, and what they may use together."""

    slots: int
    spares: int
    """Kernels forked ahead."""
    memory_mib: int
    processes: int
    cpus: float


def size_for(client: docker.DockerClient, limits: Limits, *, alone: bool, spares: int) -> Size:
    """The size of a container for one session (`alone`) or for many, on the machine of the Docker Engine.

    Raises `DockerUnavailable` or `KernelFailed`.
    """
    if alone:
        return Size(1, 1, limits.memory_mib + _SERVER_MIB, limits.processes + 32, limits.cpus)
    try:
        machine = client.info()
    except (docker.errors.DockerException, OSError) as error:
        raise _not_started(error) from error
    memory = max(limits.memory_mib + _SERVER_MIB, machine["MemTotal"] // _MIB * 3 // 4)
    return Size(256, spares, memory, min(256 * limits.processes, 8192), machine["NCPU"])


def options(limits: Limits, size: Size) -> dict[str, Any]:
    """Every hardening option of the container, with its reason."""
    files = limits.files_mib
    return {
        # No interface but loopback: nothing to call home to. All that crosses is standard input and output.
        "network_mode": "none",
        # Nothing of the image can be changed, so that nothing outlives a session.
        "read_only": True,
        # The only writable places, in memory. One for each session, so that none can fill another's; without device
        # files or set-user-id programs, and with an end to the number of files, too. matplotlib, which the fork server
        # imports, wants one as well.
        "tmpfs": {
            "/opt/tora/matplotlib": "rw,nosuid,nodev,noexec,size=1m,mode=0755",
            **{
                f"/slots/{slot}": f"rw,nosuid,nodev,size={files}m,nr_inodes=16k,mode=0700" for slot in range(size.slots)
            },
        },
        # Only the fork server is root, and this is all it can do as root: turn into a session's user (SETUID, SETGID),
        # give the session its directory (CHOWN) and end it (KILL). No session has any of them.
        "cap_drop": ["ALL"],
        "cap_add": CAPABILITIES,
        # They cannot be had back through set-user-id programs. Docker's own seccomp profile stays on; the supervisor
        # adds a filter of its own (`image/lockdown.py`).
        "security_opt": ["no-new-privileges:true"],
        # The sessions together cannot starve the host: memory without swap, processes, processor time. The limits of
        # each session are set as it starts, and watched over by the supervisor.
        "mem_limit": size.memory_mib * _MIB,
        "memswap_limit": size.memory_mib * _MIB,
        "pids_limit": size.processes + 32,
        "nano_cpus": int(size.cpus * 1e9),
        "ulimits": [
            # Two for each session in the supervisor; a session itself gets fewer.
            Ulimit(name="nofile", soft=4096, hard=4096),
            Ulimit(name="fsize", soft=files * _MIB, hard=files * _MIB),
            Ulimit(name="core", soft=0, hard=0),
        ],
        # If the host itself runs out of memory, the sandbox goes first.
        "oom_score_adj": 500,
        # An init that reaps zombies and passes signals on: without it every stop takes ten seconds.
        "init": True,
        # What comes out is read as it comes; a log would fill the host's disk.
        "log_config": LogConfig(type="none"),
        # No memory shared with other containers, and no /dev/shm that the sessions would share.
        "ipc_mode": "none",
        # When it has ended, as it does when its owner is gone, nothing is left of it.
        "auto_remove": True,
    }


@dataclass
class Container:
    """A running container and the stream that tells each side when the other is gone."""

    client: docker.DockerClient
    id: str
    stream: Any

    @classmethod
    def start(cls, client: docker.DockerClient, image: str, limits: Limits, size: Size) -> Container:
        """Start a container. Raises `DockerUnavailable` or `KernelFailed`."""
        container_id = ""
        try:
            container_id = _create(client, image, limits, size)
            attached = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            stream = _own(client.api.attach_socket(container_id, params=attached))
            client.api.start(container_id)
            stream.settimeout(None)
            return cls(client, container_id, stream)
        except BaseException as error:
            if container_id:
                with suppress(docker.errors.DockerException, OSError):
                    _remove(client, container_id)
            if isinstance(error, (docker.errors.DockerException, OSError)):
                raise _not_started(error) from error
            raise

    def remove(self) -> None:
        """Kill the container. Safe to call twice."""
        # An engine that is gone has taken the container with it, or the next `cleanup` removes it.
        with suppress(docker.errors.DockerException, OSError):
            _remove(self.client, self.id)


def _own(attached: Any) -> Any:
    """The socket behind what the Docker client returns, in a cycle that would keep it open after it is closed."""
    stream = getattr(attached, "_sock", attached)
    if type(stream) is not socket.socket:  # over TLS or SSH
        return stream
    own = stream.dup()
    stream.close()
    attached.close()
    return own


def cleanup(client: docker.DockerClient) -> int:
    """Remove the containers whose owner process no longer lives; return how many there were."""
    found = client.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
    gone = [container for container in found if not _lives(container.labels[LABEL])]
    for container in gone:
        _remove(client, str(container.id))
    return len(gone)


def _create(client: docker.DockerClient, image: str, limits: Limits, size: Size) -> str:
    config = {
        "slots": size.slots,
        "spares": size.spares,
        # Limits on processes count per user id, over all containers of the host: so these are nobody else's.
        "first_uid": secrets.choice(_FIRST_UIDS),
        "limits": limits.model_dump(include={"memory_mib", "processes", "descriptors", "files_mib", "output_chars"}),
    }
    threads = str(max(1, round(limits.cpus)))  # else one for each of the host's processors, which `processes` forbids
    created = client.api.create_container(
        image,
        ["python3", "-I", "-S", "-c", _SUPERVISE, json.dumps(config)],
        # `stdin_open` without `detach` makes Docker close the container's input when our end of the stream closes.
        stdin_open=True,
        detach=False,
        user="0:0",
        working_dir="/",
        environment={"PYTHONUNBUFFERED": "1", "OPENBLAS_NUM_THREADS": threads, **_INLINE},
        labels={LABEL: owner()},
        host_config=client.api.create_host_config(**options(limits, size)),
    )
    return str(created["Id"])


def _remove(client: docker.DockerClient, container_id: str) -> None:
    try:
        client.api.remove_container(container_id, force=True, v=True)
    except docker.errors.APIError as error:
        if error.status_code == 409:  # going, as it does by itself when its input has ended
            with suppress(docker.errors.DockerException, OSError):
                client.api.wait(container_id, timeout=60, condition="removed")
        elif error.status_code != 404:  # gone
            raise


def _lives(owner_label: str) -> bool:
    """Whether the owner lives, as far as can be seen from here: of another machine's owners, nothing can."""
    pid, started, realm = [*owner_label.split("."), "", ""][:3]
    return realm not in ("", _realm()) or (pid.isdigit() and _started(int(pid)) == started)


def _realm() -> str:
    """What pids can be seen from here: this machine, since it was started last, and this namespace of pids."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}-{Path('/proc/self/ns/pid').readlink()}"
    return ""


def _started(pid: int) -> str:
    """Start time of a process in clock ticks since boot; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _not_started(error: Exception) -> SandboxError:
    if isinstance(error, requests.ConnectionError):
        return _unavailable(error)
    return KernelFailed(f"the sandbox container did not start: {_short(error)}; try `tora doctor`")


def _unavailable(error: Exception) -> DockerUnavailable:
    return DockerUnavailable(
        "no Docker Engine answers; start it (`sudo systemctl start docker`, or `make docker`), "
        f"or set DOCKER_HOST ({_short(error)})"
    )


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
