"""Write and read a run directory. Records are only ever appended, each flushed as its sample ends."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from evals.grading import Grade
from evals.voting.votes import Vote, Weights
from tora_agent.errors import ToraError, UsageError
from tora_agent.folders import find_folder
from tora_agent.settings import AgentSettings
from tora_agent.steps import FORMAT_VERSION, Trajectory, Usage

Record = TypeVar("Record", bound=BaseModel)
Key = tuple[str, int]
"""(problem id, sample)"""


class LogError(ToraError):
    """The log cannot be written: the disk is full, or the directory is not writable."""


class Imported(BaseModel):
    """Where an imported run comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    """Name of the file, without its folder."""
    format: str
    """One of `evals.importing.formats.NAMES`."""
    sha256: str
    """Of the file."""
    benchmark_label: str = ""
    """The benchmark's name as the file gives it."""
    golds_from: str = ""
    """The benchmark that filled in what the file lacks; empty for none."""
    settings: dict[str, Any] = {}
    """How the file says that its first sample was made."""


class Parent(BaseModel):
    """The sample that a fork goes on from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    """The run's directory, as given."""
    problem_id: str
    sample: int
    step: int
    """The first step that was made anew: an index into the steps of both."""


class Grading(BaseModel):
    """One time that a run was graded again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    grade_set: int
    """From 1; 0 is the set that was made with the run."""
    created: str
    """ISO 8601, UTC."""
    versions: dict[str, str]


class Manifest(BaseModel):
    """Everything that decides a run's number. `manifest.json`."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    format_version: int = FORMAT_VERSION
    created: str
    """ISO 8601, UTC."""
    versions: dict[str, str]
    """Of this program, Python, and the libraries that matter."""
    benchmark: str
    data_source: str
    data_sha256: str
    """Of the whole benchmark's rows."""
    data_file: str | None
    """The file of problems as given, by --data or in the place of a benchmark, for --resume."""
    limit: int | None
    spread: int | None = None
    """The seed by which problems were drawn from all subjects and levels; None for the first ones."""
    problem_ids: list[str]
    """The problems of this run, in order."""
    samples: int
    """Samples per problem."""
    vote: Vote | None = None
    """How their answer is chosen; None for no vote."""
    weights: Weights = Weights()
    """What a sample counts in a `verified` vote."""
    stop_early: bool = False
    """Whether a problem gets no more samples once its vote is decided."""
    settings: AgentSettings
    prompt_sha256: str
    prompt_text: dict[str, Any]
    """The whole prompt set, its check's included."""
    model: str
    """The model as asked for; "local:..." for the embedded one ("local" in runs of before, which means the default)."""
    endpoint: str
    """The endpoint in words, without a key."""
    base_url: str | None
    """Its address without a password, for --resume; None for OpenAI's own and for the embedded model."""
    dialect: str = "turns"
    """How code crossed between model and kernel, and why that way."""
    dialect_reason: str = ""
    spent: Usage = Usage()
    """By all calls, those of unfinished samples included."""
    model_reported: str = ""
    """The model's id as the server's replies give it."""
    fingerprint: str = ""
    image_id: str
    """The sandbox image."""
    image_name: str
    limits: dict[str, Any]
    """The sandbox's limits of a session."""
    gradings: list[Grading] = []
    """The times that `tora score` has graded the run again."""
    imported: Imported | None = None
    """Set where another program made the trajectories; of `settings`, only `prompt` then says anything."""
    parent: Parent | None = None
    """Set in a fork."""


class Run:
    """A run directory, open for writing (`create`, `resume`, `reopened`) or read-only (`read`)."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest
        self._lock: Any = None

    @classmethod
    def create(cls, folder: Path, manifest: Manifest) -> Self:
        """Make the directory. Raises `LogError`, also where there is one already."""
        run = cls(folder, manifest)
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise _log_error(folder, error) from error
        try:
            run._take()
            for name in ("trajectories.jsonl", "grades.jsonl"):
                (folder / name).touch()
            run._write_manifest()
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise _log_error(folder, error) from error
        return run

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Open for reading. Raises `UsageError` if that is no run."""
        path = folder / "manifest.json"
        try:
            return cls(folder, Manifest.model_validate_json(path.read_bytes()))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UsageError(f"{folder} is not a run: it has no manifest.json; see the folders under runs/") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "it"
            raise UsageError(f"{path} is not a manifest of this version: {where}: {first['msg']}") from error
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from error

    @classmethod
    def resume(cls, folder: Path) -> Self:
        """Open for writing, and cut off the torn last line that a killed process may have left.

        Raises `UsageError` if that is no run, or if another process writes to it.
        """
        run = cls.read(folder)
        if run.manifest.imported:
            raise UsageError(f"{folder} was imported; only a run that `tora eval` has made can be resumed")
        if run.manifest.parent:
            raise UsageError(f"{folder} is a fork, which is never resumed; make another with `tora fork`")
        return run.reopened()

    def reopened(self) -> Self:
        """Take the lock of a run that was opened for reading, to append to it. Raises as `resume` does."""
        folder = self.folder
        try:
            self._take()
            for name in ("trajectories.jsonl", "grades.jsonl"):
                _drop_torn_line(folder / name)
        except OSError as error:
            raise _log_error(folder, error) from error
        return self

    def close(self) -> None:
        """Let other processes write."""
        if self._lock:
            self._lock.close()

    def discard(self) -> None:
        """Delete a run in which no sample ended and nothing was spent."""
        self.close()
        if not self.manifest.spent.calls and not (self.folder / "trajectories.jsonl").stat().st_size:
            shutil.rmtree(self.folder)

    def save_manifest(self) -> None:
        """Write the manifest, whole or not at all. Raises `LogError`."""
        try:
            self._write_manifest()
        except OSError as error:
            raise _log_error(self.folder / "manifest.json", error) from error

    def add(self, record: Trajectory | Grade) -> None:
        """Append a finished sample, or its grade. Raises `LogError`, and then the file is as it was before."""
        name = "trajectories.jsonl" if isinstance(record, Trajectory) else "grades.jsonl"
        path = self.folder / name
        line = json.dumps(record.model_dump(mode="json")).encode() + b"\n"
        size = path.stat().st_size
        try:
            with path.open("ab", buffering=0) as file:
                if file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            os.truncate(path, size)
            raise _log_error(path, error) from error

    def trajectories(self) -> Iterator[Trajectory]:
        """All finished samples, in the order in which they ended."""
        return self._records("trajectories.jsonl", Trajectory)

    def grades(self) -> dict[Key, Grade]:
        """The newest grade of each sample."""
        return {(grade.problem_id, grade.sample): grade for grade in self._records("grades.jsonl", Grade)}

    def grade_sets(self) -> dict[int, dict[Key, Grade]]:
        """The grades of each grading, from the one made with the run (0) to the newest."""
        sets: dict[int, dict[Key, Grade]] = {}
        for grade in self._records("grades.jsonl", Grade):
            sets.setdefault(grade.grade_set, {})[grade.problem_id, grade.sample] = grade
        return sets

    def samples(self) -> list[Key]:
        """All samples that the finished run has, in order; with `stop_early`, or imported, it may have fewer."""
        return [(id_, sample) for id_ in self.manifest.problem_ids for sample in range(self.manifest.samples)]

    def planned(self) -> int:
        """How many samples the finished run has at most.

        Of an imported run those that there are: its problems may have been sampled a different number of times.
        """
        if not self.manifest.imported:
            return len(self.samples())
        with (self.folder / "trajectories.jsonl").open("rb") as file:
            return sum(line.endswith(b"\n") for line in file)

    def save_classes(self, classes: dict[str, dict[int, int | None]]) -> None:
        """Write the class of equal answers of each sample, by problem id and sample. Raises `LogError`."""
        try:
            self._replace("classes.json", json.dumps(classes))
        except OSError as error:
            raise _log_error(self.folder / "classes.json", error) from error

    def classes(self) -> dict[str, dict[int, int | None]]:
        """What `save_classes` wrote; empty before the run was voted on."""
        path = self.folder / "classes.json"
        if not path.exists():
            return {}
        read: dict[str, dict[str, int | None]] = json.loads(path.read_bytes())
        return {id_: {int(sample): group for sample, group in each.items()} for id_, each in read.items()}

    def _records(self, name: str, kind: type[Record]) -> Iterator[Record]:
        path = self.folder / name
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return  # torn by a kill: that sample has not ended
                try:
                    yield kind.model_validate_json(line)
                except ValidationError as error:
                    first = error.errors()[0]
                    where = ".".join(map(str, first["loc"]))
                    raise UsageError(
                        f"{path}:{number}: not a record of this version: {where}: {first['msg']}"
                    ) from error

    def _write_manifest(self) -> None:
        self._replace("manifest.json", json.dumps(self.manifest.model_dump(mode="json"), indent=2))

    def _replace(self, name: str, text: str) -> None:
        """Write a file whole or not at all."""
        path = self.folder / name
        fresh = path.with_suffix(".new")
        try:
            fresh.write_text(text + "\n")
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)

    def _take(self) -> None:
        self._lock = (self.folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"another process is writing to {self.folder}; wait for it or end it") from error


def find_run(name: str, log_dir: Path) -> Path:
    """The directory of the run `name`: a path, a name under `log_dir`, or "last". Raises `UsageError`."""
    return find_folder(name, log_dir, holds="manifest.json", what="run", command="tora eval")


def _drop_torn_line(path: Path) -> None:
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)


def _log_error(path: Path, error: OSError) -> LogError:
    full = error.errno == errno.ENOSPC
    advice = "free some space, then try again" if full else "give another --log-dir, or make this one writable"
    return LogError(f"cannot write the log in {path}: {error.strerror}; {advice}")
