"""What the sandbox is measured beside: a plain local Jupyter kernel, and containers with nothing but Python in them."""

from __future__ import annotations

import asyncio
import struct
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import docker
from docker.types import LogConfig
from jupyter_client.manager import AsyncKernelManager

LABEL = "tora.bench"
_HEADER = struct.Struct("!B3xI")
_EVALUATE = "import sys\nfor line in sys.stdin:\n    exec(line)\n    sys.stdout.flush()"


class PlainKernel:
    """An `ipykernel` on this machine, used as the documentation of `jupyter_client` says. No isolation at all."""

    def __init__(self) -> None:
        self._manager = AsyncKernelManager(kernel_name="python3")

    @classmethod
    @asynccontextmanager
    async def session(cls) -> AsyncIterator[PlainKernel]:
        """A kernel, ended with the block."""
        kernel = cls()
        await kernel._manager.start_kernel(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        kernel._client = kernel._manager.client()
        kernel._client.start_channels()
        try:
            await kernel._client.wait_for_ready(timeout=60)
            yield kernel
        finally:
            kernel._client.stop_channels()
            await kernel._manager.shutdown_kernel(now=True)

    @property
    def pid(self) -> int:
        """Of the kernel's process."""
        return int(self._manager.provisioner.process.pid)

    async def run(self, code: str) -> str:
        """What `code` prints. Raises `RuntimeError` with its error, if it has one."""
        request = self._client.execute(code)
        printed = ""
        while True:
            message = await self._client.get_iopub_msg(timeout=60)
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != request:
                continue
            if kind == "stream":
                printed += content["text"]
            elif kind == "error":
                raise RuntimeError(f"{content['ename']}: {content['evalue']}")
            elif kind == "status" and content["execution_state"] == "idle":
                return printed


class Pipe:
    """Standard input and output of a container without network. Its methods block."""

    def __init__(self, client: docker.DockerClient, image: str, command: list[str]) -> None:
        self._client = client
        config = client.api.create_host_config(
            network_mode="none", init=True, auto_remove=True, log_config=LogConfig(type="none")
        )
        created = client.api.create_container(
            image, command, stdin_open=True, user="65534:65534", labels={LABEL: "1"}, host_config=config
        )
        self._id = str(created["Id"])
        attached = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        self._stream: Any = client.api.attach_socket(self._id, params=attached)
        self._stream = getattr(self._stream, "_sock", self._stream)
        client.api.start(self._id)

    @classmethod
    def of_a_loop(cls, client: docker.DockerClient, image: str) -> Pipe:
        """A Python that executes each line it gets: the least that running code in a container costs."""
        return cls(client, image, ["python3", "-I", "-c", _EVALUATE])

    def run(self, line: str) -> str:
        """Send a line of Python that prints one; return what it prints."""
        self._stream.sendall(line.encode() + b"\n")
        return self.read()

    def read(self) -> str:
        """The next piece of output."""
        _, length = _HEADER.unpack(self._exactly(_HEADER.size))
        return self._exactly(length).decode()

    def remove(self) -> None:
        """End the container."""
        self._stream.close()
        with suppress(docker.errors.APIError):  # it is gone, or going
            self._client.api.remove_container(self._id, force=True)

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            if not (more := self._stream.recv(count - len(data))):
                raise RuntimeError("the container ended")
            data += more
        return data


async def bare_python(client: docker.DockerClient, image: str) -> Pipe:
    """A container for one `print(2)`, as of `docker run`, once that is printed. Take care to `remove` it."""

    def start() -> Pipe:
        pipe = Pipe(client, image, ["python3", "-c", "print(2)"])
        assert pipe.read() == "2\n"
        return pipe

    return await asyncio.to_thread(start)
