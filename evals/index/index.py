"""The index of a run: sqlite tables beside the log, from which the log never has to be loaded whole."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from evals.index.build import LOGS, Progress, bring_up_to_date, read_trajectory
from evals.index.lines import Mark, unended
from evals.runs import Run
from sandbox.build import cache_dir
from tora_agent.errors import ToraError, UsageError
from tora_agent.steps import Trajectory

Made = TypeVar("Made")
FILE = "index.sqlite"
FRESH_SECONDS = 1.0
"""How long the log is not looked at again."""
BUSY_SECONDS = 120.0


class IndexFailed(ToraError):
    """The index cannot be written or read."""


class Index:
    """The index of `run`. Any thread may use it; other processes may index the same run at the same time."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.path = _place(run.folder)
        self._updating = threading.Lock()
        self._looked = 0.0
        self._stamp: tuple[int, ...] = ()
        self._remembered: dict[str, Any] = {}

    @classmethod
    def open(cls, folder: Path, progress: Progress = lambda phase, done, total: None) -> Self:
        """The index of the run in `folder`, up to date. Raises `UsageError` if that is no run, and `IndexFailed`."""
        index = cls(Run.read(folder))
        index.update(progress)
        return index

    def update(self, progress: Progress = lambda phase, done, total: None) -> None:
        """Take in what the log has gained. Costs nothing where it has not changed."""
        with self._updating:
            self._update(progress)

    def look(self) -> None:
        """`update`, at most once in `FRESH_SECONDS`, and not while another thread is at it."""
        if time.monotonic() - self._looked < FRESH_SECONDS or not self._updating.acquire(blocking=False):
            return
        try:
            self._looked = time.monotonic()
            self._update(lambda phase, done, total: None)
        finally:
            self._updating.release()

    def _update(self, progress: Progress) -> None:
        stamp = self._files_now()
        if stamp == self._stamp:
            return
        try:
            with _Connection(self.path, "rwc") as db:
                bring_up_to_date(db, self.run, progress)
        except (sqlite3.Error, OSError) as error:
            raise IndexFailed(f"the index {self.path} failed: {error}; delete it and try again") from error
        self._remembered = {}
        self._stamp = stamp
        self.run = Run.read(self.run.folder)

    @property
    def expected(self) -> int:
        """How many samples the finished run has."""
        manifest = self.run.manifest
        if manifest.imported:
            return int(self.one("SELECT count(*) FROM trajectories"))
        return len(manifest.problem_ids) * manifest.samples

    @property
    def version(self) -> str:
        """Changes whenever the log does."""
        return _version(self._files_now())

    @property
    def known(self) -> str:
        """The `version` up to which the log is indexed, at least."""
        return _version(self._stamp)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The rows of a query."""
        with self.reading() as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute(sql, values)]

    def one(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """The first value of a query's only row."""
        with self.reading() as db:
            return db.execute(sql, values).fetchone()[0]

    def remember(self, name: str, make: Callable[[], Made]) -> Made:
        """What `make` makes, made once for each state of the log."""
        remembered = self._remembered
        if name not in remembered:
            remembered[name] = make()
        made: Made = remembered[name]
        return made

    def reading(self) -> _Connection:
        """A connection that cannot change anything, as a context manager."""
        return _Connection(self.path, "ro")

    def trajectory(self, row: dict[str, Any]) -> Trajectory:
        """The whole trajectory of a row of `trajectories`."""
        return read_trajectory(self.run, row["offset"], row["length"])

    def torn(self) -> dict[str, int]:
        """Bytes at the end of each log file that are no whole line yet."""
        marks = {row.pop("file"): Mark(**row) for row in self.rows("SELECT * FROM files")}
        ends = {name: unended(self.run.folder / name, marks.get(name, Mark())) for name in LOGS}
        return {name: size for name, size in ends.items() if size}

    def _files_now(self) -> tuple[int, ...]:
        try:
            found = [(self.run.folder / name).stat() for name in LOGS]
        except OSError as error:
            raise UsageError(
                f"{error.filename} cannot be read: {error.strerror}; is {self.run.folder} a run?"
            ) from error
        return tuple(number for status in found for number in (status.st_size, status.st_mtime_ns))


def _version(stamp: tuple[int, ...]) -> str:
    return "-".join(map(str, stamp))


class _Connection:
    """An open database; closed at the end."""

    def __init__(self, path: Path, mode: str) -> None:
        self.path, self.mode = path, mode

    def __enter__(self) -> sqlite3.Connection:
        uri = f"{self.path.resolve().as_uri()}?mode={self.mode}"
        self.db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=False)
        if self.mode == "ro":
            self.db.execute("PRAGMA query_only = 1")
        else:
            self.db.execute("PRAGMA journal_mode = WAL")
            self.db.execute("PRAGMA synchronous = OFF")  # it can be made again from the log
            self.db.execute("PRAGMA cache_size = -65536")
        return self.db

    def __exit__(self, *_: object) -> None:
        self.db.close()


def _place(folder: Path) -> Path:
    """In the run's directory; where that cannot be written, in the user's cache."""
    if os.access(folder, os.W_OK):
        return folder / FILE
    cache = cache_dir() / "indexes"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise IndexFailed(f"cannot make {cache}: {error.strerror}; set XDG_CACHE_HOME to a writable place") from error
    return cache / f"{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:24]}.sqlite"
