"""A Docker Engine that is not on this machine: over TCP, and over TLS."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import docker
import pytest

from sandbox import Sandbox

ENGINE = "/var/run/docker.sock"
Wrap = Callable[[socket.socket], socket.socket]


@pytest.fixture
def forward(engine: docker.DockerClient) -> Iterator[Callable[[Wrap], int]]:
    """Listens on a port for connections to the engine, each wrapped; returns the port."""
    if not Path(ENGINE).is_socket():
        pytest.skip(f"the Docker Engine is not at {ENGINE}")
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def start(wrap: Wrap) -> int:
            threading.Thread(target=_serve, args=(server, wrap), daemon=True).start()
            port: int = server.getsockname()[1]
            return port

        yield start
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)  # closing alone would not wake `accept`


def _serve(server: socket.socket, wrap: Wrap) -> None:
    with suppress(OSError):
        while True:
            near, _ = server.accept()
            far = socket.socket(socket.AF_UNIX)
            far.connect(ENGINE)
            near = wrap(near)
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=_copy, args=(source, target), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


async def _use() -> None:
    async with Sandbox() as box, box.session() as one, box.session() as two:
        assert (await one.run("x = 6 * 7")).error is None
        assert (await one.run("x")).value == "42"
        assert len((await two.run("print('a' * 90_000)")).stdout) == 90_001
        assert (await two.run("while True: pass", timeout=0.5)).timed_out


@pytest.mark.anyio
async def test_over_tcp(forward: Callable[[Wrap], int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{forward(lambda plain: plain)}")
    await _use()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A directory with a certificate of this machine's own, its key, and itself as the authority."""
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -keyout key.pem -out cert.pem"
    names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    try:
        subprocess.run([*command.split(), *names], cwd=tmp_path, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no openssl to make a certificate with")
    (tmp_path / "ca.pem").write_bytes((tmp_path / "cert.pem").read_bytes())
    return tmp_path


@pytest.mark.anyio
async def test_over_tls(forward: Callable[[Wrap], int], monkeypatch: pytest.MonkeyPatch, certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{forward(lambda s: context.wrap_socket(s, server_side=True))}")
    for bundle in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # which `requests` would prefer to the engine's own
        monkeypatch.delenv(bundle, raising=False)
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(certificate))
    await _use()
