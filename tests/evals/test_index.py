"""The index of a run, from real files; and `tora query`."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest
from rich.console import Console

from evals.grading import Verdict
from evals.index import Index, IndexFailed
from evals.index.build import layout
from evals.index.filters import Filter
from evals.index.lists import PAGE, choices, neighbours, page_of
from evals.index.query import run_query
from evals.index.summary import summarise
from evals.report import accuracy, samples_of
from evals.runs import Run
from sandbox.result import CellError, CellResult
from tests.evals.making import grade, manifest, trajectory
from tests.evals.running import tora_in
from tests.evals.shown import shown_run
from tora_agent.errors import UsageError
from tora_agent.steps import Code, Output


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with one right sample of four."""
    run = Run.create(tmp_path / "run", manifest())
    run.add(trajectory())
    run.add(grade())
    return run


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Index:
    run = shown_run(tmp_path_factory.mktemp("runs") / "shown")
    run.close()
    return Index.open(run.folder)


def keys(index: Index, **wanted: str) -> list[tuple[str, int]]:
    return [(row["problem_id"], row["sample"]) for row in page_of(index, Filter.of(wanted)).rows]


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_a_growing_log_is_read_on(run: Run) -> None:
    index = Index.open(run.folder)
    run.add(trajectory(sample=1))
    index.update()
    assert keys(index) == [("own/1", 0), ("own/1", 1)]
    assert [row["verdict"] for row in page_of(index, Filter()).rows] == ["correct", None]
    run.add(grade(Verdict.WRONG, sample=1))
    index.update()
    assert keys(index, verdict="wrong") == [("own/1", 1)]
    assert keys(index, cause="none") == [("own/1", 0)]


def test_samples_without_a_subject_are_told_from_all(run: Run) -> None:
    run.add(trajectory(problem_id="own/2").model_copy(update={"subject": "Algebra"}))
    run.add(grade(Verdict.WRONG, problem_id="own/2"))
    index = Index.open(run.folder)
    found = summarise(index)
    assert found.subjects == ["Algebra", None]
    share = found.heat[None, "all"]  # type: ignore[index]  # a sum
    assert (share.right, share.total) == (1, 1)
    assert keys(index, **share.filter.given) == [("own/1", 0)]
    assert choices(index)["subject"] == [("Algebra", 1), ("none", 1)]


def test_the_newest_grade_counts(run: Run) -> None:
    index = Index.open(run.folder)
    run.add(grade(Verdict.WRONG))
    index.update()
    (row,) = page_of(index, Filter()).rows
    assert (row["verdict"], row["diagnosed"]) == ("wrong", 1)
    assert row["cause"]
    run.add(grade(Verdict.CORRECT))
    index.update()
    (row,) = page_of(index, Filter()).rows
    assert (row["verdict"], row["cause"]) == ("correct", None)
    assert index.one("SELECT count(*) FROM grades") == 3


def test_a_grade_before_its_trajectory_waits(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", manifest())
    run.add(grade(Verdict.WRONG))
    index = Index.open(run.folder)
    run.add(trajectory())
    index.update()
    assert keys(index, verdict="wrong") == [("own/1", 0)]


@pytest.mark.parametrize("bad", ["no json", "{}", '{"problem_id": 5}', "[" * 100_000, "\0\0\0", ""])
def test_a_damaged_line_costs_nothing_else(run: Run, bad: str) -> None:
    append(run.folder / "trajectories.jsonl", bad + "\n")
    append(run.folder / "grades.jsonl", bad + "\n")
    run.add(trajectory(sample=1))
    run.add(grade(Verdict.WRONG, sample=1))
    index = Index.open(run.folder)
    assert keys(index) == [("own/1", 0), ("own/1", 1)]
    assert keys(index, verdict="wrong") == [("own/1", 1)]
    damage = index.rows("SELECT file, line, length FROM damage ORDER BY file")
    assert [(row["file"], row["line"]) for row in damage] == [("grades.jsonl", 2), ("trajectories.jsonl", 2)]
    assert {row["length"] for row in damage} == {len(bad) + 1}


def test_half_a_line_is_told_and_read_when_it_ends(run: Run) -> None:
    line = trajectory(sample=1).model_dump_json()
    append(run.folder / "trajectories.jsonl", line[:100])
    index = Index.open(run.folder)
    assert keys(index) == [("own/1", 0)]
    assert index.torn() == {"trajectories.jsonl": 100}
    append(run.folder / "trajectories.jsonl", line[100:] + "\n")
    index.update()
    assert keys(index) == [("own/1", 0), ("own/1", 1)]
    assert index.torn() == {}


def test_half_a_line_that_is_cut_off_leaves_no_trace(run: Run) -> None:
    append(run.folder / "trajectories.jsonl", "half")
    run.close()
    index = Index.open(run.folder)
    resumed = Run.resume(run.folder)
    resumed.add(trajectory(sample=1))
    index.update()
    assert keys(index) == [("own/1", 0), ("own/1", 1)]
    assert index.one("SELECT count(*) FROM damage") == 0


def test_a_second_record_of_a_sample_is_damage(run: Run) -> None:
    run.add(trajectory(answer="5"))
    index = Index.open(run.folder)
    assert [row["answer"] for row in page_of(index, Filter()).rows] == ["2"]
    assert index.rows("SELECT reason FROM damage") == [{"reason": "a second record of the same sample"}]


@pytest.mark.parametrize("change", ["shorter", "other", "same size"])
def test_another_log_is_indexed_anew(run: Run, change: str) -> None:
    index = Index.open(run.folder)
    path = run.folder / "trajectories.jsonl"
    text = path.read_text()
    other = {"shorter": "", "other": text.replace("own/1", "own/2") * 2, "same size": text.replace("own/1", "own/2")}
    path.write_text(other[change])
    os.utime(path, ns=(0, 0))
    index.update()
    assert keys(index) == ([] if change == "shorter" else [("own/2", 0)])


def test_an_index_of_another_layout_is_made_anew(run: Run) -> None:
    index = Index.open(run.folder)
    with sqlite3.connect(index.path) as db:
        db.execute("DELETE FROM trajectories")
        db.execute("PRAGMA user_version = 1")
    again = Index.open(run.folder)
    assert keys(again) == [("own/1", 0)]
    assert again.one("PRAGMA user_version") == layout()


def test_a_file_that_is_no_index_is_told(run: Run) -> None:
    (run.folder / "index.sqlite").write_text("this is not a database, but long enough to look at" * 20)
    with pytest.raises(IndexFailed, match="delete it"):
        Index.open(run.folder)


def test_processes_may_index_at_the_same_time(tmp_path: Path) -> None:
    run = shown_run(tmp_path / "run")
    opened: list[Index] = []
    threads = [threading.Thread(target=lambda: opened.append(Index.open(run.folder))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [index.one("SELECT count(*) FROM trajectories") for index in opened] == [140] * 3
    assert opened[0].one("SELECT count(*) FROM damage") == 0


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A run on a file system that cannot be written."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(place)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a file system, and this root may not")
    run = Run.create(place / "run", manifest())
    run.add(trajectory())
    run.close()
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    yield run.folder
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_run_that_cannot_be_written_is_indexed_in_the_cache(read_only: Path, tmp_path: Path) -> None:
    sql = "SELECT problem_id FROM trajectories"
    done = tora_in(tmp_path, "query", read_only, sql, "--format", "csv", TORA_CACHE=str(tmp_path / "cache"))
    assert done.out.split() == ["problem_id", "own/1"]
    assert len(list((tmp_path / "cache").rglob("*.sqlite"))) == 1


def test_the_summary_is_that_of_the_score_table(shown: Index) -> None:
    summary = summarise(shown)
    said = accuracy(samples_of(Run.read(shown.run.folder)))
    assert summary.mean is not None and summary.error is not None
    total = summary.heat["all", "all"]
    assert f"{100 * summary.mean:.1f} ± {100 * summary.error:.1f} % ({total.right}/{total.total})" == said
    assert sum(count.count for count in summary.verdicts) == summary.samples == 140


def test_every_count_is_the_length_of_its_list(shown: Index) -> None:
    s = summarise(shown)
    counts = [*s.verdicts, *s.causes, *s.rules, *s.tokens, *s.rounds, *s.flips, *s.errors]
    counts += [count for _, right, wrong in s.states for count in (right, wrong)]
    assert {each.label for each in counts} >= {"correct", "NameError", "tried again"}
    assert [(each.label, page_of(shown, each.filter).total) for each in counts] == [(e.label, e.count) for e in counts]
    assert all(page_of(shown, share.filter).total == share.total for share in s.heat.values())
    listed = choices(shown)
    assert listed["verdict"]
    for name, values in listed.items():
        assert [page_of(shown, Filter.of({name: value})).total for value, _ in values] == [n for _, n in values], name


def test_pages_and_neighbours_follow_the_order(shown: Index) -> None:
    wanted = Filter.of({"sort": "tokens"})
    rows = [*page_of(shown, wanted, 1).rows, *page_of(shown, wanted, 2).rows]
    tokens = [row["completion_tokens"] for row in rows]
    assert len(rows) == 140 and len(page_of(shown, wanted, 1).rows) == PAGE
    assert tokens == sorted(tokens, reverse=True)
    assert neighbours(shown, wanted, rows[PAGE]["id"]) == (rows[PAGE - 1], rows[PAGE + 1])
    assert neighbours(shown, wanted, rows[0]["id"])[0] is None
    assert page_of(shown, wanted, 99).rows == page_of(shown, wanted, 2).rows


@pytest.mark.parametrize(
    ("text", "where", "found"),
    [
        ("tau", "", True),
        ("divisor_sigma(28)", "code", True),
        ('"import divisor_sigma"', "code", True),
        ('"divisor_sigma import"', "", False),
        ("divisor_sigma", "output", False),
        ("divis", "", True),
        ("first divisor_sigma", "", True),
        ("first missing", "", False),
        ("56", "output", True),
        ("first", "reasoning", True),
        ('a" OR "b', "", False),
        ("* ^ ( ) NEAR", "", False),
        ("!!!", "", False),
    ],
)
def test_text_is_found_where_it_is(run: Run, text: str, where: str, found: bool) -> None:
    made = trajectory(sample=1)
    result = CellResult(stdout="56\n")
    steps = [
        made.steps[0].model_copy(update={"text": "First, tau."}),
        Code(code="from sympy import divisor_sigma\nprint(divisor_sigma(28))"),
        Output(seconds=0.1, result=result, text="56"),
    ]
    run.add(made.model_copy(update={"steps": steps}))
    index = Index.open(run.folder)
    assert (("own/1", 1) in keys(index, q=text, where=where)) is found


def test_cells_have_their_errors(run: Run) -> None:
    made = trajectory(sample=1)
    failed = CellResult(error=CellError(type="NameError", message="name 'x' is not defined"))
    late = CellResult(timed_out=True, error=CellError(type="TimeoutError", message="30 s"))
    cells = [Code(code="x"), Output(seconds=0.1, result=failed, text=""), Code(code="y")]
    run.add(made.model_copy(update={"steps": [*cells, Output(seconds=30, result=late, text="")]}))
    index = Index.open(run.folder)
    assert index.rows("SELECT code, error FROM cells ORDER BY step") == [
        {"code": "x", "error": "NameError"},
        {"code": "y", "error": "timeout"},
    ]
    for error, expected in (("NameError", 1), ("timeout", 1), ("any", 1), ("none", 1), ("KeyError", 0)):
        assert len(keys(index, error=error)) == expected


@pytest.mark.parametrize("query", [{"rounds": "x"}, {"tokens": "1-2-3"}, {"flip": "x"}, {"sort": "id; DROP"}])
def test_a_filter_that_cannot_be_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        Filter.of(query)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"manifest\.json"):
        Index.open(tmp_path)


def test_query_prints_rows(shown: Index) -> None:
    folder = shown.run.folder.parent
    sql = "SELECT verdict, count(*) AS n FROM trajectories GROUP BY 1 ORDER BY 2 DESC"
    done = tora_in(folder, "query", shown.run.folder, sql, "--format", "json")
    assert [json.loads(line) for line in done.out.splitlines()] == shown.rows(sql)
    assert "correct" in tora_in(folder, "query", shown.run.folder, sql).out
    csv = tora_in(folder, "query", shown.run.folder, sql, "--format", "csv").out.splitlines()
    assert csv[0] == "verdict,n" and len(csv) == 1 + len(shown.rows(sql))
    assert "CREATE TABLE trajectories" in tora_in(folder, "query", shown.run.folder).out


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT nothing",
        "not sql",
        "DELETE FROM trajectories",
        "DROP TABLE steps",
        "ATTACH 'other.sqlite' AS o",
        "PRAGMA query_only = 0",
        "SELECT 1; SELECT 2",
        "",
    ],
)
def test_query_refuses_what_is_no_query(shown: Index, sql: str, tmp_path: Path) -> None:
    with chdir(tmp_path), pytest.raises(UsageError):
        run_query(shown, sql, "table", Console(file=io.StringIO()))
    assert shown.one("SELECT count(*) FROM trajectories") == 140
    assert not list(tmp_path.iterdir())
