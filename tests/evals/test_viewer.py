"""The viewer over HTTP: who is let in, and what each address answers."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import quote

import nbformat
import pytest

from evals.grading import Verdict
from evals.runs import Run
from evals.runs.run import Parent
from tests.evals.making import grade, manifest, trajectory
from tests.evals.running import PATIENCE, tora_in
from tests.evals.shown import shown_run
from tests.evals.viewing import Served, viewing

SAMPLE = "id=sample/algebra/1&sample=0"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("runs")
    shown_run(folder / "one").close()
    with viewing(folder, folder / "one") as server:
        yield server


def ask(served: Served, path: str, method: str = "GET", **headers: str) -> HTTPResponse:
    """Ask without a cookie."""
    host, _, port = served.base.removeprefix("http://").partition(":")
    connection = HTTPConnection(host, int(port), timeout=PATIENCE)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    return connection.getresponse()


def get(served: Served, path: str) -> tuple[int, str]:
    """Ask as who has been let in."""
    cookie = ask(served, f"/?token={served.token}").headers["Set-Cookie"].partition(";")[0]
    answer = ask(served, path, Cookie=cookie)
    return answer.status, answer.read().decode()


@pytest.mark.parametrize("path", ["/", "/run/one", "/run/one/list", f"/run/one/trajectory?{SAMPLE}", "/static/app.js"])
def test_nobody_is_let_in_without_the_token(served: Served, path: str) -> None:
    for headers in ({}, {"Cookie": "tora-view=x"}):
        answer = ask(served, path, **headers)
        assert answer.status == 403
        assert "algebra" not in answer.read().decode()
    assert ask(served, f"{path}{'&' if '?' in path else '?'}token=wrong").status == 403


def test_the_token_becomes_a_cookie(served: Served) -> None:
    answer = ask(served, f"/run/one/list?verdict=wrong&token={served.token}")
    assert (answer.status, answer.headers["Location"]) == (303, "/run/one/list?verdict=wrong")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie
    away = ask(served, f"//evil.example/?token={served.token}")
    assert away.headers["Location"].startswith("/evil.example")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "10.0.0.1:7420"])
def test_no_other_name_is_answered(served: Served, host: str) -> None:
    assert ask(served, f"/?token={served.token}", Host=host).status == 403


@pytest.mark.parametrize("host", ["localhost:9999", "127.0.0.1:1", "[::1]:5", "LOCALHOST"])
def test_a_tunnel_may_have_another_port(served: Served, host: str) -> None:
    assert ask(served, f"/?token={served.token}", Host=host).status == 303


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(served: Served, method: str) -> None:
    assert ask(served, f"/run/one?token={served.token}", method).status == 405


def test_answers_may_do_nothing_but_show(served: Served) -> None:
    for path in (f"/?token={served.token}", "/", "/nowhere"):
        headers = ask(served, path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "server" not in headers


def test_only_loopback_is_listened_on(served: Served) -> None:
    port = int(served.base.rpartition(":")[2])
    with socket.socket() as other:  # another loopback address than the one that is served
        assert other.connect_ex(("127.0.0.2", port)) != 0


def test_pages_hold_no_script_or_style_of_their_own(served: Served) -> None:
    for path in ("/run/one", "/run/one/list", f"/run/one/trajectory?{SAMPLE}"):
        status, text = get(served, path)
        assert status == 200
        assert not re.search(r"<script(?! src=\"/static/)|<style|\sstyle=|\son\w+=|https?://", text)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/run/other", "there is no run"),
        ("/run/one/trajectory?id=x&sample=0", "no finished sample"),
        ("/run/one/trajectory?id=sample/algebra/1&sample=-1", "no finished sample"),
        ("/run/one/list?rounds=x", "no range"),
        ("/run/one/list?sort=x", "use one of"),
        (f"/run/one/whole?{SAMPLE}&step=99", "there is no step"),
        (f"/run/one/beside?{SAMPLE}&other=99", "no finished sample"),
        ("/compare?a=one&b=other", "there is no run"),
        ("/no/such/page", "no such page"),
        ("/static/../app.py", "no such page"),
        ("/run/one/trajectory?id=%ff&sample=0", "no finished sample"),
    ],
)
def test_what_is_not_there_is_told(served: Served, path: str, says: str) -> None:
    status, text = get(served, path)
    assert status == 404
    assert says in text


def test_a_page_number_beyond_the_end_is_the_last(served: Served) -> None:
    assert "page 2 of 2" in get(served, "/run/one/list?page=99")[1]
    assert "page 1 of 2" in get(served, "/run/one/list?page=x")[1]


def test_a_sample_is_a_notebook(served: Served) -> None:
    status, text = get(served, f"/run/one/notebook?{SAMPLE}")
    assert status == 200
    book = nbformat.reads(text, as_version=4)
    nbformat.validate(book)
    assert any(cell.cell_type == "code" and cell.outputs for cell in book.cells)


def test_a_page_that_is_older_than_the_log_has_another_version(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "growing", manifest())
    versions = set()
    with viewing(tmp_path, run.folder) as served:
        for sample in (0, 1):
            run.add(trajectory(sample=sample))
            page = get(served, "/run/growing")[1]
            version = json.loads(get(served, "/run/growing/version")[1])["version"]
            assert (f"{sample + 1} of 4 samples are there" in page) == (f'data-version="{version}"' in page)
            versions.add(version)
    assert len(versions) == 2


def test_runs_of_one_name_have_two(tmp_path: Path) -> None:
    for parent in ("a", "b"):
        (tmp_path / parent).mkdir()
        shown_run(tmp_path / parent / "same", samples=1).close()
    with viewing(tmp_path, tmp_path / "a" / "same", tmp_path / "b" / "same") as served:
        text = get(served, "/")[1]
        assert quote("/run/same-2") in text


def test_a_fork_and_its_parent_lead_to_each_other(tmp_path: Path) -> None:
    parent = Run.create(tmp_path / "parent", manifest())
    parent.add(trajectory())
    origin = Parent(run=str(parent.folder), problem_id="own/1", sample=0, step=1)
    fork = Run.create(tmp_path / "fork", manifest(problem_ids=["own/1"], samples=1, parent=origin.model_dump()))
    fork.add(trajectory(answer="3"))
    with viewing(tmp_path, parent.folder, fork.folder) as served:
        assert 'href="/run/parent/trajectory?id=own%2F1&amp;sample=0#step-1"' in get(served, "/run/fork")[1]
        page = get(served, "/run/parent/trajectory?id=own/1&sample=0")[1]
        address = "/run/parent/beside?id=own%2F1&amp;sample=0&amp;other=0&amp;run=fork"
        assert f'href="{address}"' in page
        assert get(served, address.replace("&amp;", "&"))[0] == 200


def test_compared_runs_have_the_same_golds(tmp_path: Path) -> None:
    golds = {"first": ("2", "2", "2"), "second": ("2", "2", "3"), "other": ("2", "3", "4")}
    for name, of_run in golds.items():
        ids = [f"own/{number}" for number in range(3)]
        run = Run.create(tmp_path / name, manifest(problem_ids=ids, samples=1, model=f"of-{name}"))
        for id_, gold in zip(ids, of_run, strict=True):
            run.add(trajectory(problem_id=id_))
            verdict = Verdict.CORRECT if gold == "2" else Verdict.WRONG
            run.add(grade(verdict, problem_id=id_).model_copy(update={"gold": gold}))
    with viewing(tmp_path, *(tmp_path / name for name in golds)) as served:
        status, text = get(served, "/compare?a=first&b=second")
        assert status == 200
        assert '<th scope="row">model</th><td>of-first</td><td>of-second</td>' in text
        assert "The golds of 1 problems differ" in text
        assert "<dt>better</dt><dd>0</dd>" in text and "<dt>worse</dt><dd>1</dd>" in text
        status, text = get(served, "/compare?a=first&b=other")
        assert status == 404
        assert "other golds, such as own/1" in text


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["view", "nowhere"], "there is no run"),
        (["view", "."], "manifest.json"),
        (["report", "nowhere"], "there is no run"),
        (["query", "nowhere", "SELECT 1"], "there is no run"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, args: list[str], says: str) -> None:
    done = tora_in(tmp_path, *args)
    assert (done.status, len(done.err.splitlines())) == (2, 1)
    assert says in done.err


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    shown_run(tmp_path / "run", samples=1).close()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = tora_in(tmp_path, "view", "run", "--port", taken.getsockname()[1])
    assert (done.status, len(done.err.splitlines())) == (2, 1)
    assert "--port" in done.err


def test_a_report_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    shown_run(tmp_path / "run", samples=1).close()
    done = tora_in(tmp_path, "report", "run", "-o", "no/such/folder/r.html")
    assert (done.status, len(done.err.splitlines())) == (2, 1)
    assert "-o" in done.err
