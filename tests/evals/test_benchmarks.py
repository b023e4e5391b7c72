"""Loading a benchmark: which problems they are, what is wrong with a file, and the hub."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from evals.benchmarks import load_benchmark
from tests.conftest import OWN_VARIABLES, Tora
from tests.evals.making import jsonl, row
from tora_agent.errors import UsageError


def refusal(path: Path) -> str:
    """What is said of a data file that cannot be used."""
    with pytest.raises(UsageError) as caught:
        load_benchmark("math500", path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What is loaded


def test_sample_has_its_35_problems() -> None:
    benchmark = load_benchmark("sample")
    assert len(benchmark.problems) == 35
    assert benchmark.warning is None
    assert all(problem.answer and problem.level and problem.subject for problem in benchmark.problems)


def test_math500_is_whole(shared: Path) -> None:
    benchmark = load_benchmark("math500", shared / "benchmarks" / "math500.jsonl")
    assert len({problem.unique_id for problem in benchmark.problems}) == 500
    assert benchmark.warning is None


def test_data_file_stands_in_for_the_hub(tmp_path: Path) -> None:
    benchmark = load_benchmark("math500", jsonl(tmp_path / "own.jsonl", row(7), row(3, level=5)))
    assert [problem.unique_id for problem in benchmark.problems] == ["own/7", "own/3"]
    assert benchmark.problems[1].model_dump() == row(3, level=5)
    assert benchmark.source == "own.jsonl"


def test_other_than_500_problems_is_said(tmp_path: Path) -> None:
    benchmark = load_benchmark("math500", jsonl(tmp_path / "own.jsonl", row(1), row(2)))
    assert benchmark.warning == "math500 has 500 problems, but own.jsonl has 2"


def test_unknown_benchmark_names_the_known_ones() -> None:
    said = "unknown benchmark 'math'; there are sample, math500, or name a .jsonl file of problems"
    with pytest.raises(UsageError, match=said):
        load_benchmark("math")


def test_file_of_ones_own_is_a_benchmark(tmp_path: Path) -> None:
    bare = {"problem": "What is 1 + 0?", "answer": "1", "unique_id": "own/1"}
    file = jsonl(tmp_path / "mine.jsonl", bare, row(2))
    benchmark = load_benchmark(str(file))
    assert (benchmark.name, benchmark.source, benchmark.warning) == ("mine", "mine.jsonl", None)
    assert [problem.level for problem in benchmark.problems] == [None, 1]
    assert load_benchmark("mine", benchmark.file) == benchmark
    with pytest.raises(UsageError, match="is named like the benchmark sample: give it as sample --data"):
        load_benchmark(str(jsonl(tmp_path / "sample.jsonl", row(1))))
    with pytest.raises(UsageError, match="holds the problems itself; name it without --data"):
        load_benchmark(str(file), tmp_path / "own.jsonl")
    with pytest.raises(UsageError, match="unknown benchmark 'other'"):
        load_benchmark("other", file)


def test_problem_is_found_by_its_id_alone() -> None:
    benchmark = load_benchmark("sample")
    assert benchmark.problem("sample/algebra/3").unique_id == "sample/algebra/3"
    with pytest.raises(UsageError, match=r"no problem 'algebra'.*ids look like 'sample/"):
        benchmark.problem("algebra")


# The hash


def hash_of(path: Path) -> str:
    return load_benchmark("math500", path).sha256


def test_hash_is_that_of_the_content(tmp_path: Path) -> None:
    plain = jsonl(tmp_path / "a.jsonl", row(1), row(2))
    backwards = jsonl(tmp_path / "b.jsonl", *(dict(reversed(row(n).items())) for n in (1, 2)))
    spaced = tmp_path / "c.jsonl"
    spaced.write_text("\n\n".join(json.dumps(row(n), separators=(" ,", " : ")) for n in (1, 2)))
    marked = tmp_path / "d.jsonl"
    marked.write_bytes(b"\xef\xbb\xbf" + plain.read_bytes().replace(b"\n", b"\r\n"))
    assert len({hash_of(path) for path in (plain, backwards, spaced, marked)}) == 1


@pytest.mark.parametrize(
    "other",
    [
        [row(2), row(1)],
        [row(1)],
        [row(1), row(2, answer="3")],
        [row(1), row(2, problem="What is 2 + 0 ?")],
        [row(1), row(2, level=2)],
        [row(1), row(2, unique_id="own/3")],
    ],
)
def test_hash_changes_with_the_content(tmp_path: Path, other: list[dict[str, Any]]) -> None:
    plain = jsonl(tmp_path / "a.jsonl", row(1), row(2))
    assert hash_of(plain) != hash_of(jsonl(tmp_path / "b.jsonl", *other))


# Bad files


NEEDED = ("problem", "answer", "unique_id")


def without(field: str) -> dict[str, Any]:
    return {key: value for key, value in row(2).items() if key != field}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"problem": ', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1, 2]", "not a JSON object but list"),
        (b'"text"', "not a JSON object but str"),
        (b'{"problem": "\xff"}', "not UTF-8"),
        *((json.dumps(without(field)).encode(), f"the field '{field}' is missing") for field in NEEDED),
        (json.dumps(row(2, level="Level 2")).encode(), "level: Input should be a valid integer"),
        (json.dumps(row(2, level=1.5)).encode(), "level: Input should be a valid integer"),
        (json.dumps(row(2, level=[1])).encode(), "level: Input should be a valid integer"),
        (json.dumps(row(2, answer=2)).encode(), "answer: Input should be a valid string"),
        (json.dumps(row(2, problem=None)).encode(), "problem: Input should be a valid string"),
        (json.dumps(row(2, problem="")).encode(), "the field 'problem' is empty"),
        (json.dumps(row(2, answer=" \n")).encode(), "the field 'answer' is empty"),
        (json.dumps(row(2, unique_id="")).encode(), "the field 'unique_id' is empty"),
        (json.dumps(row(2, answer="\ud800")).encode(), "the field 'answer' has half a character"),
        (json.dumps(row(2, unique_id="own/1")).encode(), "the id 'own/1' stands there a second time"),
    ],
)  # fmt: skip
def test_bad_row_is_named_by_file_and_line(tmp_path: Path, line: bytes, said: str) -> None:
    path = tmp_path / "own.jsonl"
    path.write_bytes(json.dumps(row(1)).encode() + b"\n\n" + line + b"\n" + json.dumps(row(4)).encode())
    assert refusal(path).startswith(f"own.jsonl:3: {said}")


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_file_without_rows_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "own.jsonl").write_text(content)
    assert refusal(tmp_path / "own.jsonl") == "own.jsonl holds no problems"


def test_missing_file_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.jsonl").startswith(f"there is no file {tmp_path}/none.jsonl")


def test_directory_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path).startswith(f"{tmp_path} cannot be read: Is a directory")


# The hub

REPO, COMMIT = "HuggingFaceH4/MATH-500", "a" * 40


class FakeHub(ThreadingHTTPServer):
    """The routes of the Hugging Face hub that loading `REPO` asks for, with the rows given."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        super().__init__(("127.0.0.1", 0), _Hub)
        text = "".join(json.dumps(each) + "\n" for each in rows)
        self.files = {"README.md": b"---\nlanguage:\n- en\n---\n# MATH-500\n", "test.jsonl": text.encode()}
        self.asked: list[str] = []
        self.is_down = self.hangs_up = False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Hub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeHub

    def do_GET(self) -> None:
        where = self.path.partition("?")[0]
        self.server.asked.append(where)
        if self.server.is_down or (self.server.hangs_up and where != "/"):
            self.close_connection = True
        elif where.startswith(f"/datasets/{REPO}/resolve/"):
            body = self.server.files.get(where.rpartition("/")[2])
            self._reply(body, {"ETag": f'"{_etag(body or b"")}"', "X-Repo-Commit": COMMIT})
        elif where == f"/api/datasets/{REPO}/revision/{COMMIT}":
            siblings = [{"rfilename": name} for name in self.server.files]
            self._reply(json.dumps({"id": REPO, "sha": COMMIT, "siblings": siblings}).encode())
        elif where.startswith(f"/api/datasets/{REPO}/tree/"):
            files = self.server.files.items()
            listing = [{"type": "file", "path": name, "size": len(b), "oid": _etag(b)} for name, b in files]
            self._reply(json.dumps(listing).encode())
        else:
            self._reply(None)

    do_HEAD = do_GET

    def _reply(self, body: bytes | None, headers: dict[str, str] | None = None) -> None:
        self.send_response(200 if body is not None else 404)
        for name, value in ({"Content-Length": str(len(body or b""))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if body and self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _etag(body: bytes) -> str:
    return hashlib.sha1(body).hexdigest()


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    server = FakeHub(row(1), row(2))
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which nothing listens, nor will: its port is taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


LOAD = """
import json
from evals.benchmarks import load_benchmark
benchmark = load_benchmark("math500")
problems = [problem.model_dump() for problem in benchmark.problems]
print(json.dumps([benchmark.source, benchmark.sha256, problems]))
"""


def around(folder: Path, address: str) -> dict[str, str]:
    """An environment with a hub at `address` and a cache of its own in `folder`, whatever this machine has set."""
    home = folder / "hub"
    caches = {"HF_HOME": home, "HF_HUB_CACHE": home / "hub", "HF_DATASETS_CACHE": home / "datasets"}
    near = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    return {"HF_ENDPOINT": address, **near, **{name: str(path) for name, path in caches.items()}}


def load_from_hub(folder: Path, address: str) -> list[Any]:
    """Load math500 in a process of its own, since the hub's libraries read the environment once."""
    clean = {key: value for key, value in os.environ.items() if key not in OWN_VARIABLES}
    command = [sys.executable, "-c", LOAD]
    done = subprocess.run(command, env=clean | around(folder, address), capture_output=True, text=True, check=True)
    loaded: list[Any] = json.loads(done.stdout)
    return loaded


def test_hub_is_asked_once_and_then_its_cache_does(tmp_path: Path, hub: FakeHub, nobody: str) -> None:
    source, sha256, problems = load_from_hub(tmp_path, hub.address)
    assert problems == [row(1), row(2)]
    assert source == "HuggingFaceH4/MATH-500 on the Hugging Face hub"
    assert sha256 == hash_of(jsonl(tmp_path / "own.jsonl", row(1), row(2)))
    assert load_from_hub(tmp_path, nobody) == [source, sha256, problems]


def test_without_hub_and_cache_one_line_says_so_without_waiting(tmp_path: Path, tora: Tora, hub: FakeHub) -> None:
    hub.is_down = True
    done = tora("eval", "math500", env=around(tmp_path, hub.address))
    assert_refused(done, "HuggingFaceH4/MATH-500 cannot be had from the Hugging Face hub")
    assert hub.asked == ["/"]  # its own client would have asked again and again for 23 s


def test_hub_that_hangs_up_is_said_in_one_line(tmp_path: Path, tora: Tora, hub: FakeHub) -> None:
    hub.hangs_up = True
    done = tora("eval", "math500", env=around(tmp_path, hub.address))
    assert_refused(done, "HuggingFaceH4/MATH-500 cannot be had from the Hugging Face hub")


def test_bad_row_on_the_hub_is_named(tmp_path: Path, tora: Tora, hub: FakeHub) -> None:
    hub.files["test.jsonl"] += json.dumps(without("answer")).encode() + b"\n"
    done = tora("eval", "math500", env=around(tmp_path, hub.address))
    assert_refused(done, "HuggingFaceH4/MATH-500 row 3: answer: ")


def assert_refused(done: subprocess.CompletedProcess[str], said: str) -> None:
    assert done.returncode == 2
    assert done.stderr.startswith(f"tora: {said}")
    assert done.stderr.count("\n") == 1
