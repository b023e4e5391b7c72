"""A run directory: written, read, torn, locked, full and found again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evals.grading import Verdict
from evals.runs import Run
from evals.runs.run import LogError, find_run
from tests.conftest import PATIENCE
from tests.evals.making import grade, manifest, trajectory
from tora_agent.errors import UsageError

MANIFEST = manifest().model_dump(mode="json")
FILES = ("trajectories.jsonl", "grades.jsonl")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A new run, open for writing."""
    return Run.create(tmp_path / "runs" / "one", manifest())


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `code` in another process; `folder` is its first argument."""
    command = [sys.executable, "-c", code, str(folder)]
    root = Path(__file__).parents[2]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=PATIENCE)


# Write and read


def test_what_is_written_is_read_back(run: Run) -> None:
    first, second = trajectory(), trajectory(None, sample=1, failure="truncated")
    for record in (first, grade(), second):
        run.add(record)
    again = Run.read(run.folder)
    assert again.manifest == manifest()
    assert list(again.trajectories()) == [first, second]
    assert again.grades() == {("own/1", 0): grade()}
    assert again.samples() == [("own/1", 0), ("own/1", 1), ("own/2", 0), ("own/2", 1)]


def test_line_is_in_the_file_as_soon_as_it_is_added(run: Run) -> None:
    for number in (1, 2):
        run.add(trajectory())
        assert (run.folder / "trajectories.jsonl").read_bytes().count(b"\n") == number


def test_resumed_run_goes_on_where_it_was(run: Run) -> None:
    run.add(trajectory(sample=0))
    run.close()
    resumed = Run.resume(run.folder)
    resumed.add(trajectory(sample=1))
    assert [record.sample for record in Run.read(run.folder).trajectories()] == [0, 1]


def test_changed_manifest_replaces_the_old_one_whole(run: Run) -> None:
    run.manifest.model_reported = "scripted-2"
    run.save_manifest()
    assert Run.read(run.folder).manifest.model_reported == "scripted-2"
    assert sorted(path.name for path in run.folder.iterdir()) == ["grades.jsonl", "lock", "manifest.json", FILES[0]]


def test_newest_grade_of_a_sample_counts(run: Run) -> None:
    for verdict in (Verdict.GRADER_TIMEOUT, Verdict.WRONG, Verdict.CORRECT):
        run.add(grade(verdict))
    run.add(grade(Verdict.WRONG, sample=1))
    verdicts = {key: each.verdict for key, each in Run.read(run.folder).grades().items()}
    assert verdicts == {("own/1", 0): Verdict.CORRECT, ("own/1", 1): Verdict.WRONG}


# Torn by a kill


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kept", [1, 40, -1])
def test_torn_last_line_is_no_record(run: Run, name: str, kept: int) -> None:
    for sample in (0, 1):
        run.add(trajectory(sample=sample))
        run.add(grade(sample=sample))
    run.close()
    path = run.folder / name
    whole = path.read_bytes()
    path.write_bytes(whole + whole.splitlines()[0][:kept])
    again = Run.read(run.folder)
    assert len(list(again.trajectories())) == len(again.grades()) == 2
    assert path.read_bytes() != whole, "reading changed the file"
    Run.resume(run.folder).close()
    assert path.read_bytes() == whole


def test_only_line_torn_leaves_an_empty_file(run: Run) -> None:
    run.close()
    (run.folder / "trajectories.jsonl").write_bytes(b'{"format_ver')
    assert list(Run.resume(run.folder).trajectories()) == []
    assert (run.folder / "trajectories.jsonl").read_bytes() == b""


@pytest.mark.parametrize("line", ["{}", "nonsense", '{"format_version": 99}'])
def test_line_of_another_shape_is_named(run: Run, line: str) -> None:
    run.add(trajectory())
    with (run.folder / "trajectories.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UsageError, match=r"one/trajectories\.jsonl:2: not a record of this version"):
        list(run.trajectories())


# One writer

WRITE = """
import sys
from pathlib import Path
from evals.runs import Run
from tora_agent.errors import UsageError
try:
    Run.resume(Path(sys.argv[1]))
except UsageError as error:
    sys.exit(str(error))
"""
READ = """
import sys
from pathlib import Path
from evals.runs import Run
print(len(list(Run.read(Path(sys.argv[1])).trajectories())))
"""


def test_second_process_can_read_but_not_write(run: Run) -> None:
    run.add(trajectory())
    refused = python(WRITE, run.folder)
    assert refused.returncode == 1
    assert refused.stderr == f"another process is writing to {run.folder}; wait for it or end it\n"
    assert python(READ, run.folder).stdout == "1\n"
    run.close()
    assert python(WRITE, run.folder).returncode == 0


def test_resumed_run_is_locked_too(run: Run) -> None:
    run.close()
    resumed = Run.resume(run.folder)
    assert "another process is writing" in python(WRITE, resumed.folder).stderr
    resumed.close()


# No room, no right

FILL = """
import resource, sys
from pathlib import Path
from evals.runs import Run
from evals.runs.run import LogError
from tests.evals.making import trajectory
run = Run.resume(Path(sys.argv[1]))
path = run.folder / "trajectories.jsonl"
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
before = b""
try:
    while True:
        run.add(trajectory())
        before = path.read_bytes()
except LogError as error:
    assert before and path.read_bytes() == before, "the file is not as it was"
    sys.exit(str(error))
"""


def test_record_that_does_not_fit_leaves_the_file_as_it_was(run: Run) -> None:
    run.close()
    done = python(FILL, run.folder)
    assert done.stderr.startswith(f"cannot write the log in {run.folder}/trajectories.jsonl: ")
    assert done.stderr.count("\n") == 1
    assert (run.folder / "trajectories.jsonl").read_bytes().endswith(b"}\n")


def add_many(run: Run) -> None:
    for _ in range(100):
        run.add(trajectory())


def test_full_disk_is_said_and_nothing_is_lost(tiny_disk: Path) -> None:
    run = Run.create(tiny_disk / "one", manifest())
    path, filler = run.folder / "trajectories.jsonl", tiny_disk / "filler"
    run.add(trajectory())
    before = path.read_bytes(), (run.folder / "manifest.json").read_bytes()
    filler.write_bytes(b"\0" * (os.statvfs(tiny_disk).f_bavail * os.statvfs(tiny_disk).f_frsize))
    with pytest.raises(LogError, match=r"^cannot write the log in .*No space left on device; free some space"):
        add_many(run)
    run.manifest.model_reported = "scripted-2"
    with pytest.raises(LogError, match=r"manifest\.json: No space left on device; free some space"):
        run.save_manifest()
    assert path.read_bytes().startswith(before[0])
    assert all(line == trajectory() for line in run.trajectories())
    assert (run.folder / "manifest.json").read_bytes() == before[1]
    filler.unlink()
    run.add(trajectory("3"))
    run.save_manifest()
    assert list(run.trajectories())[-1].answer == "3"


def test_run_that_does_not_fit_is_not_begun(tiny_disk: Path) -> None:
    with pytest.raises(LogError, match="No space left on device"):
        Run.create(tiny_disk / "one", manifest(problem_ids=["x" * 100] * 200))
    assert list(tiny_disk.iterdir()) == []


def test_existing_run_is_not_written_over(run: Run) -> None:
    run.add(trajectory())
    with pytest.raises(LogError, match=r"cannot write the log in .*File exists"):
        Run.create(run.folder, manifest())
    assert list(Run.read(run.folder).trajectories()) == [trajectory()]


def test_file_in_the_place_of_the_log_directory_is_said(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("not a directory")
    with pytest.raises(LogError, match=r"Not a directory; give another --log-dir, or make this one writable$"):
        Run.create(tmp_path / "runs" / "one", manifest())


# What is no run


def test_empty_directory_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is not a run: it has no manifest\.json"):
        Run.read(tmp_path)


def test_file_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is not a run"):
        Run.read(tmp_path / "file")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it: Invalid JSON"),
        ("[]", "it: "),
        ('{"created": 1}', "created: "),
        (json.dumps(MANIFEST | {"samples": "many"}), "samples: Input should be a valid integer"),
        (json.dumps(MANIFEST | {"more": 1}), "more: Extra inputs are not permitted"),
        ("\udcff", "it: Invalid JSON"),
    ],
)
def test_manifest_of_another_shape_is_named(run: Run, text: str, said: str) -> None:
    (run.folder / "manifest.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UsageError) as caught:
        Run.read(run.folder)
    assert str(caught.value).startswith(f"{run.folder}/manifest.json is not a manifest of this version: {said}")


# Throw away and find


def test_discard_removes_an_empty_run_only(tmp_path: Path) -> None:
    empty, used = (Run.create(tmp_path / name, manifest()) for name in ("empty", "used"))
    used.add(trajectory())
    empty.discard()
    used.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["used"]
    Run.resume(used.folder).close()


def test_run_is_found_by_path_by_name_and_as_the_last(tmp_path: Path) -> None:
    for hour, name in enumerate(("b", "a", "c")):
        created = f"2026-01-01T{3 - hour:02}:00:00+00:00"
        Run.create(tmp_path / name, manifest().model_copy(update={"created": created})).close()
    assert find_run(str(tmp_path / "a"), Path("elsewhere")) == tmp_path / "a"
    assert find_run("a", tmp_path) == tmp_path / "a"
    assert find_run("last", tmp_path) == tmp_path / "b"


@pytest.mark.parametrize("name", ["none", "n" * 300, "n\0", "manifest.json"])
def test_run_that_is_not_there_is_said(run: Run, name: str) -> None:
    with pytest.raises(UsageError, match="there is no run"):
        find_run(name, run.folder)


def test_no_last_run_without_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are no runs under"):
        find_run("last", tmp_path / "runs")
