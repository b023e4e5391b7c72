"""Bring an index up to date with its run's log. Each batch is one transaction: it can stop and go on anywhere."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import Any

from pydantic import BaseModel, ValidationError

from evals.failures import diagnose
from evals.grading import Grade
from evals.index.lines import Line, Mark, lines_after, mark_at, read_at, still_holds
from evals.index.rows import cell_rows, searched_text, step_rows, trajectory_row
from evals.runs import Run
from tora_agent.steps import Trajectory

BATCH = 500
"""Records per transaction."""
Progress = Callable[[str, int, int], None]
"""Takes the name of a phase, how far it is, and its total."""
LOGS = ("grades.jsonl", "trajectories.jsonl")
_GRADE = ("problem_id", "sample", "verdict", "first_verdict", "answer", "gold", "tier", "reason", "grade_set")
"""Columns of `grades`."""
_TAKEN = ("verdict", "first_verdict", "gold", "tier", "reason")
"""Those that a trajectory takes from its grade."""


def bring_up_to_date(db: sqlite3.Connection, run: Run, progress: Progress = lambda phase, done, total: None) -> None:
    """Read what the log holds beyond what the index has; all of it where the log is not the same any more."""
    builder = _Builder(db, run)
    with builder.transaction():
        builder.check()
    for name in LOGS:
        total = (run.folder / name).stat().st_size
        while (done := builder.read_batch(name)) is not None:
            progress(f"reading {name}", done, total)
    builder.grade()
    total = builder.undiagnosed()
    for done in builder.diagnose_batches():
        progress("finding causes", done, total)


@cache
def layout() -> int:
    """Version of the tables and of the rules that fill them, by their text; an index of another one is made anew."""
    sources = [files("evals.index") / "tables.sql"]
    for room in ("evals.index", "evals.failures"):
        sources += sorted((each for each in files(room).iterdir() if each.name.endswith(".py")), key=lambda f: f.name)
    return zlib.crc32(b"".join(source.read_bytes() for source in sources)) & 0x7FFFFFFF


def read_trajectory(run: Run, offset: int, length: int) -> Trajectory:
    """The trajectory at that place of the log."""
    return Trajectory.model_validate_json(read_at(run.folder / "trajectories.jsonl", offset, length))


class _Builder:
    def __init__(self, db: sqlite3.Connection, run: Run) -> None:
        self.db, self.run = db, run
        self.places = {id_: place for place, id_ in enumerate(run.manifest.problem_ids)}

    def transaction(self) -> _Transaction:
        return _Transaction(self.db)

    def check(self) -> None:
        """Make the tables, anew if they are of another layout or another log."""
        (found,) = self.db.execute("PRAGMA user_version").fetchone()
        if found == layout() and all(still_holds(self.run.folder / name, self.mark(name)) for name in LOGS):
            return
        tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'words_%'"
        for (name,) in self.db.execute(tables).fetchall():
            self.db.execute(f'DROP TABLE "{name}"')
        for statement in _statements((files("evals.index") / "tables.sql").read_text()):
            self.db.execute(statement)
        self.db.execute(f"PRAGMA user_version = {layout()}")

    def mark(self, name: str) -> Mark:
        """How far the file has been read."""
        found = self.db.execute(
            "SELECT bytes, lines, head, tail, modified FROM files WHERE file = ?", [name]
        ).fetchone()
        return Mark(*found) if found else Mark()

    def read_batch(self, name: str) -> int | None:
        """Read the next lines of the file; return how many bytes of it are read, None if there was nothing new."""
        path = self.run.folder / name
        with self.transaction():
            mark = self.mark(name)
            last = None
            for line in islice(lines_after(path, mark), BATCH):
                last = line
                self._add(name, line)
            if last is None:
                return None
            mark = mark_at(path, last.offset + last.length, last.number)
            self._insert("files", [{"file": name, **asdict(mark)}], "OR REPLACE")
        return mark.bytes

    def grade(self) -> None:
        """Give each trajectory the newest grade of its sample."""
        with self.transaction():
            self.db.execute(
                """UPDATE trajectories AS t SET grade = g.id, verdict = g.verdict, first_verdict = g.first_verdict,
                       gold = g.gold, tier = g.tier, reason = g.reason, diagnosed = 0
                   FROM (SELECT max(id) AS id FROM grades GROUP BY problem_id, sample) AS newest
                   JOIN grades AS g ON g.id = newest.id
                   WHERE t.problem_id = g.problem_id AND t.sample = g.sample AND t.grade IS NOT g.id"""
            )
            self.db.execute(
                """UPDATE problems AS p SET gold = t.gold FROM trajectories AS t
                   WHERE t.problem_id = p.problem_id AND p.gold IS NULL AND t.gold IS NOT NULL"""
            )

    def undiagnosed(self) -> int:
        """How many graded trajectories have no diagnosis yet."""
        (count,) = self.db.execute(
            "SELECT count(*) FROM trajectories WHERE diagnosed = 0 AND verdict NOT NULL"
        ).fetchone()
        return int(count)

    def diagnose_batches(self) -> Iterator[int]:
        """Diagnose all that are graded; yields how many are done."""
        done = 0
        while True:
            with self.transaction():
                rows = self.db.execute(
                    """SELECT id, grade, offset, length FROM trajectories
                       WHERE diagnosed = 0 AND verdict NOT NULL LIMIT ?""",
                    [BATCH],
                ).fetchall()
                for row in rows:
                    self._diagnose(*row)
            if not rows:
                return
            done += len(rows)
            yield done

    def _diagnose(self, id_: int, grade_id: int, offset: int, length: int) -> None:
        fields = ", ".join(_GRADE)
        found = self.db.execute(f"SELECT {fields} FROM grades WHERE id = ?", [grade_id]).fetchone()
        self._explain(id_, read_trajectory(self.run, offset, length), dict(zip(_GRADE, found, strict=True)))

    def _explain(self, id_: int, trajectory: Trajectory, graded: dict[str, Any]) -> None:
        """Store why the trajectory got the grade that it has."""
        grade = Grade(**{name: value for name, value in graded.items() if name in Grade.model_fields})
        diagnosis = diagnose(trajectory, grade, grade.gold, self.run.manifest.prompt_text)
        self.db.execute("DELETE FROM tags WHERE trajectory = ?", [id_])
        tags = [{"rule": tag.rule, "step": tag.step, "evidence": tag.evidence} for tag in diagnosis.tags]
        self._insert("tags", [{"trajectory": id_} | tag for tag in tags])
        self.db.execute("UPDATE trajectories SET cause = ?, diagnosed = 1 WHERE id = ?", [diagnosis.cause, id_])

    def _add(self, name: str, line: Line) -> None:
        kind: type[BaseModel] = Trajectory if name.startswith("trajectories") else Grade
        try:
            if line.text is None:
                raise ValueError("the line is too long")
            record = kind.model_validate_json(line.text)
            if isinstance(record, Trajectory):
                self._add_trajectory(record, line)
            else:
                self._add_grade(record.model_dump(mode="json"))
        except (ValueError, sqlite3.IntegrityError) as error:
            row = {"file": name, "line": line.number, "offset": line.offset, "length": line.length}
            self._insert("damage", [row | {"reason": _in_words(error)}])

    def _add_trajectory(self, trajectory: Trajectory, line: Line) -> None:
        cells = cell_rows(trajectory)
        place = self.places.get(trajectory.problem_id, len(self.places))
        where = {"line": line.number, "offset": line.offset, "length": line.length, "place": place}
        id_ = self._insert("trajectories", [trajectory_row(trajectory, cells) | where])
        problem = {"problem_id": trajectory.problem_id, "place": place, "text": trajectory.problem}
        labels = {"subject": trajectory.subject or None, "level": trajectory.level}
        self._insert("problems", [problem | labels], "OR IGNORE")
        self._insert("steps", [{"trajectory": id_} | row for row in step_rows(trajectory)])
        self._insert("cells", [{"trajectory": id_} | row for row in cells])
        text = dict(zip(("problem", "reasoning", "code", "output"), searched_text(trajectory), strict=True))
        self._insert("words", [{"rowid": id_} | text])
        self._take_grade(id_, trajectory)

    def _take_grade(self, id_: int, trajectory: Trajectory) -> None:
        """Where its grade has been read already, diagnose the trajectory while it is at hand."""
        columns = ", ".join(("id", *_GRADE))
        newest = f"SELECT {columns} FROM grades WHERE problem_id = ? AND sample = ? ORDER BY id DESC LIMIT 1"
        found = self.db.execute(newest, [trajectory.problem_id, trajectory.sample]).fetchone()
        if found is None:
            return
        grade = dict(zip(_GRADE, found[1:], strict=True))
        taken = {"grade": found[0]} | {name: grade[name] for name in _TAKEN}
        changes = ", ".join(f"{name} = ?" for name in taken)
        self.db.execute(f"UPDATE trajectories SET {changes} WHERE id = ?", [*taken.values(), id_])
        self._explain(id_, trajectory, grade)

    def _add_grade(self, grade: dict[str, Any]) -> None:
        self._insert("grades", [{name: grade.get(name) for name in _GRADE}])

    def _insert(self, table: str, rows: list[dict[str, Any]], conflict: str = "") -> int:
        """Insert `rows`, all with the same columns; return the id of a single one."""
        if not rows:
            return 0
        names, marks = ", ".join(rows[0]), ", ".join("?" * len(rows[0]))
        statement = f"INSERT {conflict} INTO {table} ({names}) VALUES ({marks})"
        if len(rows) == 1:
            return self.db.execute(statement, list(rows[0].values())).lastrowid or 0
        self.db.executemany(statement, [list(row.values()) for row in rows])
        return 0


class _Transaction:
    """Holds the index for writing from its first moment, so that two processes take turns."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    def __enter__(self) -> None:
        self.db.execute("BEGIN IMMEDIATE")

    def __exit__(self, failed: object, *_: object) -> None:
        self.db.execute("ROLLBACK" if failed else "COMMIT")


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _in_words(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'not a record'}: {first['msg']}"
    if isinstance(error, sqlite3.IntegrityError):
        return "a second record of the same sample"
    return str(error)
