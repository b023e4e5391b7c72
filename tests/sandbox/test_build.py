"""Build the sandbox image with the real engine, and look at what is in it."""

from __future__ import annotations

import queue
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from sandbox import build as builder
from sandbox.build import BuildError, build, find_image, image_name
from tests.conftest import PATIENCE

IMAGE_FOLDER = Path(builder.__file__).parent / "image"
LOCKED: dict[str, Any] = {
    "network_mode": "none",
    "read_only": True,
    "user": "10001:10001",
    "cap_drop": ["ALL"],
    "remove": True,
}
COMPILED = """
import importlib.util, pathlib, sysconfig
bad = []
for top in "/opt/tora", sysconfig.get_path("stdlib"):
    for source in pathlib.Path(top).rglob("*.py"):
        pyc = pathlib.Path(importlib.util.cache_from_source(source))
        head = pyc.read_bytes()[:16] if pyc.exists() else b""
        unchecked = head[4:8] == b"\\x01\\0\\0\\0"
        dated = head[4:8] == bytes(4) and int.from_bytes(head[8:12], "little") == int(source.stat().st_mtime)
        if head[:4] != importlib.util.MAGIC_NUMBER or not (unchecked or dated):
            bad.append(str(source))
print(len(bad), bad[:5])
"""


def _said(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    try:
        engine = docker.from_env(timeout=PATIENCE)
    except docker.errors.DockerException as error:
        pytest.skip(f"no Docker Engine answers: {error}")
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def image(client: Any) -> str:
    return build(client, say=print)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = tmp_path / "image"
    shutil.copytree(IMAGE_FOLDER, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture
def small(image: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose image needs one wheel, from the wheelhouse of the real one, and a cache of its own."""
    with builder._lock(_said):
        house = builder._wheelhouse((folder / "requirements.txt").read_bytes(), _said)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(house))
    monkeypatch.setenv("TORA_CACHE", str(tmp_path / "cache"))
    (folder / "requirements.txt").write_text("mpmath==1.3.0\n")
    return folder


def _python(client: Any, image: str, code: str, *options: str) -> str:
    output: bytes = client.containers.run(image, ["python3", *options, "-c", code], **LOCKED)
    return output.decode().strip()


def test_image_name_is_stable(folder: Path) -> None:
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "kernel.cpython-311.pyc").write_bytes(b"x")
    assert image_name(folder) == image_name(folder) == image_name()
    assert image_name().startswith("tora-sandbox:")
    assert len(image_name()) == len("tora-sandbox:") + 12


@pytest.mark.parametrize("change", ["content", "name", "new"])
def test_image_name_follows_every_input(folder: Path, change: str) -> None:
    pins = folder / "requirements.txt"
    if change == "content":
        pins.write_text(pins.read_text() + "\n")
    elif change == "name":
        pins.rename(folder / "pins.txt")
    else:
        (folder / "new.py").touch()
    assert image_name(folder) != image_name()


def test_image_name_follows_the_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    elsewhere = image_name()
    monkeypatch.undo()
    assert elsewhere != image_name()


def test_cache_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TORA_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert builder.cache_dir() == tmp_path / "tora-agent"
    monkeypatch.setenv("TORA_CACHE", str(tmp_path / "own"))
    assert builder.cache_dir() == tmp_path / "own"


def test_second_build_is_free(client: Any, image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TORA_CACHE", str(tmp_path / "file"))  # where nothing can be kept, nor waited for
    lines: list[str] = []
    assert build(client, say=lines.append) == image
    assert lines == []
    assert find_image(client) == image
    assert client.images.get(image).labels["tora.image"] == image_name().partition(":")[2]


def _error(client: Any, folder: Path) -> str:
    with pytest.raises(BuildError) as caught:
        build(client, say=_said, folder=folder)
    assert "\n" not in str(caught.value)
    assert find_image(client, folder) is None
    return str(caught.value)


def test_bad_pin(client: Any, small: Path) -> None:
    houses = builder.cache_dir() / "wheelhouse"
    (houses / "tmp-killed").mkdir(parents=True)
    (small / "requirements.txt").write_text("mpmath==0.0.0.1\n")
    error = _error(client, small)
    assert error.startswith("pip download failed: ")
    assert "mpmath==0.0.0.1" in error
    assert error.endswith("then build again")
    assert list(houses.iterdir()) == []  # neither its own remains nor a killed build's


def test_bad_build_step(client: Any, small: Path) -> None:
    (small / "Dockerfile.site").write_text("ARG BASE\nFROM ${BASE}\nRUN ls /sys/class/net && exit 3\n")
    error = _error(client, small)
    assert "returned a non-zero code: 3" in error
    assert error.endswith("then build again")
    assert "| lo |" in error
    assert "eth" not in error  # a step has no network
    assert len(list((builder.cache_dir() / "wheelhouse").iterdir())) == 1  # whole wheels are kept


def test_damaged_wheelhouse(client: Any, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (small / "Dockerfile.site").write_text("ARG BASE\nFROM ${BASE}\nRUN exit 3\n")
    _error(client, small)
    next(builder.cache_dir().glob("wheelhouse/*/*.whl")).unlink()
    monkeypatch.delenv("PIP_FIND_LINKS")
    assert "delete " in _error(client, small)


def test_no_pip(client: Any, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert "-m ensurepip" in _error(client, small)


def test_unusable_cache(client: Any, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORA_CACHE", str(small / "Dockerfile" / "cache"))
    assert "TORA_CACHE" in _error(client, small)


def test_engine_gone(small: Path) -> None:
    gone = docker.DockerClient(base_url="unix:///nowhere.sock", version="1.41")
    with pytest.raises(BuildError, match="docker info"):
        build(gone, say=_said, folder=small)


def test_two_builds_at_once(client: Any, image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORA_CACHE", str(tmp_path))
    seen = iter([None, image])  # missing at first, there once the lock is had
    monkeypatch.setattr(builder, "_image_id", lambda *_: next(seen))
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    with builder._lock(_said):
        second = threading.Thread(target=build, args=(client,), kwargs={"say": lines.put})
        second.start()
        assert lines.get(timeout=PATIENCE) == "image: waiting for another build"
        second.join(timeout=0.2)
        assert second.is_alive()
    second.join(timeout=PATIENCE)
    assert not second.is_alive()
    assert lines.empty()
    assert list(seen) == []


class _Registry:
    """An engine whose registry first answers at an event, and then takes `slow_s`."""

    def __init__(self, slow_s: float = 0) -> None:
        self.api = self.images = self
        self.answers, self.slow_s, self.pulled = threading.Event(), slow_s, False

    def pull(self, *_: Any, **__: Any) -> Iterator[dict[str, str]]:
        self.answers.wait(PATIENCE)
        yield {"status": "Pulling from library/python"}
        time.sleep(self.slow_s)
        self.pulled = True

    def get(self, name: str) -> Any:
        if not self.pulled:
            raise docker.errors.ImageNotFound(name)
        return type("Image", (), {"id": "sha256:0"})


def test_a_mute_registry_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "FIRST_EVENT_S", 0.2)
    registry: Any = _Registry()
    assert not builder._pull(registry, _said)
    registry.answers.set()


def test_a_slow_pull_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "FIRST_EVENT_S", 1.0)
    registry: Any = _Registry(slow_s=1.5)
    registry.answers.set()
    assert builder._pull(registry, _said)


def test_without_root_or_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(BuildError, match="docker pull"):
        builder._need_debootstrap(_said)


@pytest.mark.parametrize("options", [(), ("-I",)])
def test_imports_in_a_locked_down_container(client: Any, image: str, options: tuple[str, ...]) -> None:
    code = "import numpy, scipy, sympy, mpmath, networkx, ipykernel.kernelapp; print(sympy.__file__)"
    assert _python(client, image, code, *options) == "/opt/tora/site/sympy/__init__.py"


def test_pins_are_what_is_there_and_complete(client: Any, image: str) -> None:
    code = """
import importlib.metadata as m, re
have = {re.sub("[-_.]+", "-", d.name).lower(): d for d in m.distributions(path=["/opt/tora/site"])}
needs = {re.match("[A-Za-z0-9._-]+", r)[0] for d in have.values() for r in d.requires or () if ";" not in r}
print(sorted({re.sub("[-_.]+", "-", n).lower() for n in needs} - set(have)), *sorted(have))
"""
    lacking, *have = _python(client, image, code).split()
    lines = (IMAGE_FOLDER / "requirements.txt").read_text().splitlines()
    pins = [line.partition("==")[0].replace("_", "-") for line in lines if line and line[0] != "#"]
    assert lacking == "['debugpy']"  # a debugger, which ipykernel does without where there is none
    assert have == sorted(pins)


def test_everything_is_byte_compiled(client: Any, image: str) -> None:
    assert _python(client, image, COMPILED) == "0 []"


def test_nothing_of_the_host_is_inside(client: Any, image: str) -> None:
    code = """
import pathlib
top = pathlib.Path("/opt/tora")
print(sorted(p.name for p in top.iterdir()))
print([str(p) for p in top.rglob("*") if p.is_file() and b"/wheelhouse/" in p.read_bytes()])
"""
    files = sorted([*(p.name for p in IMAGE_FOLDER.glob("*.py")), "requirements.txt", "site", "__pycache__"])
    files = sorted([*files, "ipython", "matplotlib"])
    assert _python(client, image, code).splitlines() == [str(files), "[]"]
