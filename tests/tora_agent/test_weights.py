"""Where the embedded model's file is looked for, and that a wrong one is not kept."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.conftest import Tora
from tora_agent.errors import UsageError
from tora_agent.model.weights import CATALOGUE, DEFAULT, find_weights

SMALL = "qwen2.5-coder-0.5b"
CONTENT = b"GGUF, but not the right one"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("TORA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A GGUF file of the user's own."""
    path = tmp_path / "own.gguf"
    path.write_bytes(CONTENT)
    return path


def cached(cache: Path, name: str) -> Path:
    """Put a file into the cache under a name of the catalogue."""
    path = cache / "models" / CATALOGUE[name].file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(CONTENT)
    return path


def test_nothing_is_found_in_an_empty_cache() -> None:
    assert find_weights("") is None
    assert [find_weights(name) for name in CATALOGUE] == [None] * len(CATALOGUE)


def test_a_name_of_the_catalogue_is_looked_up_in_the_cache(cache: Path) -> None:
    path = cached(cache, SMALL)
    assert find_weights(SMALL) == path
    assert find_weights("") is None
    default = cached(cache, DEFAULT)
    assert find_weights("") == default != path


def test_a_path_is_taken_as_it_is(own: Path) -> None:
    assert find_weights(str(own)) == own


def test_the_environment_names_the_model_where_nothing_else_does(own: Path, tora: Tora) -> None:
    for named in ((), (str(own),)):
        done = tora("fetch-model", *named, env={"TORA_LOCAL_MODEL": "missing.gguf" if named else str(own)})
        assert (done.returncode, done.stdout) == (0, "model: own.gguf is ready\n"), done.stderr


def test_a_path_without_a_file_is_refused(tmp_path: Path) -> None:
    for missing in (str(tmp_path / "missing.gguf"), str(tmp_path), "qwen"):
        with pytest.raises(UsageError, match=r"no GGUF file .* qwen2\.5-coder-1\.5b, qwen2\.5-coder-0\.5b") as caught:
            find_weights(missing)
        assert "\n" not in str(caught.value)


@pytest.fixture
def hub() -> Iterator[tuple[str, list[str]]]:
    """A Hugging Face hub that has one file for everything, and what was asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.send_response(200)
            self.send_header("ETag", '"f00d"')
            self.send_header("X-Repo-Commit", CATALOGUE[SMALL].revision)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(CONTENT)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def test_a_download_with_another_hash_is_refused_and_not_kept(
    tora: Tora, cache: Path, hub: tuple[str, list[str]]
) -> None:
    address, asked = hub
    env = {"TORA_CACHE": str(cache), "HF_ENDPOINT": address, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    env |= {"NO_PROXY": "*", "no_proxy": "*"}
    done = tora("fetch-model", SMALL, env=env)
    weights = CATALOGUE[SMALL]
    assert f"GET /{weights.repo}/resolve/{weights.revision}/{weights.file}" in asked
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"tora: {weights.file} does not have its SHA-256")
    assert "Traceback" not in done.stderr
    kept = [path for path in cache.rglob("*") if path.is_file() and path.stat().st_size]
    assert kept == []
    assert find_weights(SMALL) is None


def test_the_help_names_the_catalogue(tora: Tora) -> None:
    told = tora("fetch-model", "--help").stdout
    assert [name for name in CATALOGUE if name not in told] == []
