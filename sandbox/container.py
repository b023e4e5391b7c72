"""The container of a session: how it is locked down, started, looked at and removed. Every call here blocks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.types import LogConfig, Mount, Ulimit

from sandbox.build import find_image, image_name
from sandbox.errors import DockerUnavailable, ImageMissing, KernelFailed
from sandbox.settings import Limits

LABEL = "tora.owner"
SOCKETS = "/run/tora"
USER = "10001:10001"
"""User and group inside. Not the host user's own, or a session could take back the directory of its sockets."""
FOLDERS = Path("/tmp")
"""On the host. Short: the path of a socket must stay under 107 characters."""
_MIB = 1 << 20


def connect() -> docker.DockerClient:
    """Return a client of the Docker Engine. Raises `DockerUnavailable`."""
    try:
        return docker.from_env(max_pool_size=64, timeout=60)
    except docker.errors.DockerException as error:
        raise DockerUnavailable(
            "no Docker Engine answers; start it (`sudo systemctl start docker`, or `make docker`), "
            f"or set DOCKER_HOST ({_short(error)})"
        ) from error


def require_image(client: docker.DockerClient) -> str:
    """Return the sandbox image's id. Raises `ImageMissing`; never pulls."""
    image = find_image(client)
    if image is None:
        raise ImageMissing(f"the sandbox image {image_name()} is missing; build it with `tora sandbox build`")
    return image


def owner() -> str:
    """This process as it stands in labels and directory names: its pid and start time, since pids are used again."""
    return f"{os.getpid()}.{_started(os.getpid())}"


def options(limits: Limits, sockets: Path) -> dict[str, Any]:
    """Every hardening option of the container, with its reason."""
    files = limits.files_mib
    return {
        # No interface but loopback: nothing to call home to. The kernel is reached through unix sockets.
        "network_mode": "none",
        # Nothing of the image can be changed, so that nothing outlives a cell but what is in /tmp.
        "read_only": True,
        # The only writable place, in memory, sized, and without device files or set-user-id programs.
        "tmpfs": {
            "/tmp": f"rw,nosuid,nodev,size={files}m,mode=1777",
            "/dev/shm": "rw,nosuid,nodev,noexec,size=16m",
        },
        "mounts": [Mount(SOCKETS, str(sockets), type="bind")],
        # Root's powers are of no use to mathematics, and cannot be had back through set-user-id programs.
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        # One session cannot starve the host: memory without swap, processes, processor time, descriptors, file size.
        "mem_limit": limits.memory_mib * _MIB,
        "memswap_limit": limits.memory_mib * _MIB,
        "pids_limit": limits.processes,
        "nano_cpus": int(limits.cpus * 1e9),
        "ulimits": [
            Ulimit(name="nofile", soft=512, hard=512),
            Ulimit(name="fsize", soft=files * _MIB, hard=files * _MIB),
            Ulimit(name="core", soft=0, hard=0),
        ],
        # If the host itself runs out of memory, sessions go first.
        "oom_score_adj": 500,
        # An init that reaps zombies and passes signals on: without it every stop takes ten seconds.
        "init": True,
        # What a session prints past its kernel would otherwise fill the host's disk.
        "log_config": LogConfig(type="none"),
        "ipc_mode": "private",
    }


@dataclass
class Container:
    """A running container and the stream that tells each side when the other is gone."""

    client: docker.DockerClient
    id: str
    folder: Path
    """A directory of the host that only its owner can enter; `folder/s` holds the kernel's sockets."""
    stream: socket.socket

    @classmethod
    def start(cls, client: docker.DockerClient, image: str, limits: Limits, setup: dict[str, Any]) -> Container:
        """Start a kernel container with `setup` (see `image/kernel.py`). Raises `KernelFailed`."""
        folder = Path(tempfile.mkdtemp(prefix=f"tora-{owner()}-", dir=FOLDERS))
        container_id = ""
        try:
            sockets = folder / "s"
            sockets.mkdir()
            sockets.chmod(0o777)  # within a directory that no other user of the host can enter
            container_id = _create(client, image, limits, sockets)
            attached = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            stream = client.api.attach_socket(container_id, params=attached)._sock
            client.api.start(container_id)
            stream.sendall(json.dumps(setup).encode() + b"\n")
            stream.setblocking(False)
            return cls(client, container_id, folder, stream)
        except BaseException as error:
            if container_id:
                _remove(client, container_id)
            _delete(folder)
            if isinstance(error, (docker.errors.DockerException, OSError)):
                raise KernelFailed(
                    f"the sandbox container did not start: {_short(error)}; try `tora doctor`"
                ) from error
            raise

    def seal(self) -> None:
        """Once the kernel's sockets are bound: take the directory, which is on the host's disk, from the session."""
        (self.folder / "s").chmod(0o555)

    def why_ended(self) -> str:
        """One line on how the container ended. Raises `KernelFailed` if not the code, but something outside took it."""
        try:
            state = self.client.api.inspect_container(self.id)["State"]
        except (docker.errors.DockerException, OSError) as error:
            raise KernelFailed(
                f"the sandbox container was taken away: {_short(error)}; check the Docker Engine"
            ) from error
        if state["OOMKilled"] and state["ExitCode"] == 128 + signal.SIGKILL:  # and not only a process it had started
            return "it was killed for using more memory than the limit"
        if state["ExitCode"] > 128:
            return f"it was killed by signal {state['ExitCode'] - 128}"
        return f"it exited with status {state['ExitCode']}"

    def remove(self) -> None:
        """Kill the container and delete its directory. Safe to call twice."""
        self.stream.close()
        # An engine that is gone has taken the container with it, or the next `cleanup` removes it.
        with suppress(docker.errors.DockerException, OSError):
            _remove(self.client, self.id)
        _delete(self.folder)


def cleanup(client: docker.DockerClient) -> int:
    """Remove the containers whose owner process no longer lives, and their directories; return how many there were."""
    found = client.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
    gone = [container for container in found if not _lives(container.labels[LABEL])]
    for container in gone:
        _remove(client, str(container.id))
    for folder in FOLDERS.glob("tora-*.*-*"):
        with suppress(OSError):  # another process may be removing it, too
            if folder.lstat().st_uid == os.getuid() and not _lives(folder.name.split("-")[1]):
                _delete(folder)
    return len(gone)


def _create(client: docker.DockerClient, image: str, limits: Limits, sockets: Path) -> str:
    threads = str(max(1, round(limits.cpus)))  # else one for each of the host's processors, which `processes` forbids
    created = client.api.create_container(
        image,
        ["python3", "/opt/tora/kernel.py"],
        # `stdin_open` without `detach` makes Docker close the container's input when our end of the stream closes.
        stdin_open=True,
        detach=False,
        user=USER,
        working_dir="/tmp",
        environment={"HOME": "/tmp", "MPLBACKEND": "Agg", "PYTHONUNBUFFERED": "1", "OPENBLAS_NUM_THREADS": threads},
        labels={LABEL: owner()},
        host_config=client.api.create_host_config(**options(limits, sockets)),
    )
    return str(created["Id"])


def _remove(client: docker.DockerClient, container_id: str) -> None:
    try:
        client.api.remove_container(container_id, force=True, v=True)
    except docker.errors.APIError as error:
        if error.status_code not in (404, 409):  # gone, or going
            raise


def _delete(folder: Path) -> None:
    """Delete the directory of a session, whether sealed or not."""
    with suppress(OSError):
        (folder / "s").chmod(0o700)  # which `seal` has taken even from its owner, unless that is root
    shutil.rmtree(folder, ignore_errors=True)


def _lives(owner_label: str) -> bool:
    pid, _, started = owner_label.partition(".")
    return pid.isdigit() and _started(int(pid)) == started


def _started(pid: int) -> str:
    """Start time of a process in clock ticks since boot; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
