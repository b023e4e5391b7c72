"""A Docker Engine of one's own, which may be ended and killed: its socket and all its files are in one directory."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

import docker


class PrivateEngine:
    """A `dockerd` without networks. Needs root, and `dockerd` on this machine."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tora-engine-"))
        self.host = f"unix://{self.folder}/docker.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is not None:
            with suppress(RuntimeError):
                self.start()  # since what a killed engine has left, it ends best itself
        self.stop()
        for pid in self._left():  # a shim may survive the engine that was killed
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for path in sorted(self._mounts(), reverse=True):
            subprocess.run(["umount", "--lazy", path], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, *options: str) -> None:
        """Start it with `options` and wait until it answers. Raises `RuntimeError` with the end of its log."""
        folder = self.folder
        command = [
            "dockerd",
            f"--host={self.host}",
            f"--data-root={folder}/data",
            f"--exec-root={folder}/exec",
            f"--pidfile={folder}/docker.pid",
            # Where the machine has a containerd that all engines share, its containers are not those of the others.
            f"--containerd-namespace=tora-{os.getpid()}",
            f"--containerd-plugins-namespace=tora-{os.getpid()}-plugins",
            *("--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"),
            *options,
        ]
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        until = time.monotonic() + 60
        while time.monotonic() < until and self._process.poll() is None:
            with suppress(docker.errors.DockerException, OSError):
                client = docker.DockerClient(base_url=self.host, timeout=5)
                try:
                    client.ping()
                    return
                finally:
                    client.close()
            time.sleep(0.1)
        raise RuntimeError("dockerd does not start: " + (folder / "log").read_text()[-1000:])

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send it a signal that ends it, and wait for that."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=60)
            (self.folder / "docker.pid").unlink(missing_ok=True)  # which a killed one leaves

    def load(self, client: docker.DockerClient, name: str) -> None:
        """Copy an image from the engine of `client`."""
        own = docker.DockerClient(base_url=self.host, timeout=300)
        own.images.load(client.images.get(name).save(named=name))
        own.close()

    def _left(self) -> list[int]:
        """Processes whose command line names a file in this engine's directory."""
        own, found = f"{self.folder}/".encode(), []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):  # it has ended
                if any(word.startswith(own) for word in path.read_bytes().split(b"\0")):
                    found.append(int(path.parent.name))
        return found

    def _mounts(self) -> list[str]:
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        return [path for path in mounts if Path(path).is_relative_to(self.folder)]
