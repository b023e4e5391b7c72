"""Load a benchmark's problems, and know exactly which ones they were."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import zip_longest
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tora_agent.errors import UsageError
from tora_agent.problem import Problem

NAMES = ("sample", "math500")
Row = dict[str, Any]


@dataclass(frozen=True)
class Benchmark:
    """The problems of a benchmark, in the order of its source."""

    name: str
    source: str
    """Where the rows came from, in words."""
    problems: list[Problem]
    sha256: str
    """Hash of the rows' content, independent of file format and field order."""
    expected: int | None = None
    """How many problems the whole benchmark has, where that is known."""
    file: Path | None = None
    """The jsonl file that the rows were read from, if it is not the bundled one."""

    @property
    def warning(self) -> str | None:
        """What is odd about the data; None if nothing is."""
        if self.expected in (None, len(self.problems)):
            return None
        return f"{self.name} has {self.expected} problems, but {self.source} has {len(self.problems)}"

    def choose(self, limit: int | None, spread: int | None) -> list[Problem]:
        """The first `limit` problems; with `spread`, a seed, as many drawn evenly from all subjects and levels."""
        if spread is None:
            return self.problems[:limit]
        draw = random.Random(spread)
        groups: dict[tuple[str, int | None], list[Problem]] = {}
        for problem in draw.sample(self.problems, len(self.problems)):
            groups.setdefault((problem.subject, problem.level), []).append(problem)
        rounds = zip_longest(*draw.sample(list(groups.values()), len(groups)))
        drawn = [problem.unique_id for each in rounds for problem in each if problem]
        chosen = set(drawn[:limit])
        return [problem for problem in self.problems if problem.unique_id in chosen]

    def problem(self, unique_id: str) -> Problem:
        """The problem of that id. Raises `UsageError`."""
        for problem in self.problems:
            if problem.unique_id == unique_id:
                return problem
        near = self.problems[0].unique_id
        raise UsageError(f"{self.name} has no problem {unique_id!r}; ids look like {near!r}")


def load_benchmark(name: str, data: Path | None = None) -> Benchmark:
    """Load the benchmark `name`, from the jsonl file `data` if given.

    A name that ends in .jsonl is a file of problems, a benchmark of one's own that is named after the file. Raises
    `UsageError`, of a bad row with its file and line.
    """
    if file := _own_file(name, data):
        return _benchmark(file.stem, file.name, read_jsonl(file), math_problem, file=file)
    if name not in NAMES:
        raise UsageError(f"unknown benchmark {name!r}; there are {', '.join(NAMES)}, or name a .jsonl file of problems")
    module = import_module(f"evals.benchmarks.{name}")
    source, rows = (data.name, read_jsonl(data)) if data else module.rows()
    return _benchmark(name, source, rows, module.problem, module.EXPECTED, data)


def _own_file(name: str, data: Path | None) -> Path | None:
    """The file of a benchmark of one's own: its name, or, as manifests have it, `data` whose stem is its name."""
    if not name.endswith(".jsonl"):
        return data if data and name not in NAMES and name == data.stem else None
    if data not in (None, Path(name)):
        raise UsageError(f"{name} holds the problems itself; name it without --data {data}")
    if Path(name).stem in NAMES:
        stem = Path(name).stem
        raise UsageError(f"{name} is named like the benchmark {stem}: give it as {stem} --data {name}, or rename it")
    return Path(name)


def _benchmark(
    name: str,
    source: str,
    rows: Iterable[tuple[str, Row]],
    row_to_problem: Callable[[Row], Problem],
    expected: int | None = None,
    file: Path | None = None,
) -> Benchmark:
    problems, seen = [], set()
    for place, row in rows:
        problem = _problem(row_to_problem, row, place)
        if problem.unique_id in seen:
            raise UsageError(f"{place}: the id {problem.unique_id!r} stands there a second time")
        seen.add(problem.unique_id)
        problems.append(problem)
    if not problems:
        raise UsageError(f"{source} holds no problems")
    return Benchmark(name, source, problems, rows_sha256(problems), expected, file)


def read_jsonl(path: Path) -> Iterator[tuple[str, Row]]:
    """Yield each row with its place, "file:line". Raises `UsageError`."""
    try:
        with path.open("rb") as file:
            yield from parse_jsonl(path.name, file)
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {path}; give one with a JSON object on each line") from error
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}; give a file with a JSON object on each line"
        ) from error


def parse_jsonl(name: str, lines: Iterable[bytes]) -> Iterator[tuple[str, Row]]:
    """Yield each row of `lines` with its place. Raises `UsageError`."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise UsageError(f"{name}:{number}: not UTF-8 ({error})") from error
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{name}:{number}: not JSON ({error}); one JSON object per line is expected") from error
        if not isinstance(row, dict):
            raise UsageError(f"{name}:{number}: not a JSON object but {type(row).__name__}")
        yield f"{name}:{number}", row


def math_problem(row: Row) -> Problem:
    """A row with the fields of MATH-500, labels and solution where there are any. Raises `KeyError`."""
    return Problem(
        problem=row["problem"],
        unique_id=row["unique_id"],
        subject=row.get("subject", ""),
        level=row.get("level"),
        answer=row["answer"],
        solution=row.get("solution", ""),
    )


def _problem(convert: Callable[[Row], Problem], row: Row, place: str) -> Problem:
    try:
        problem = convert(row)
    except KeyError as error:
        raise UsageError(f"{place}: the field {error} is missing") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{place}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    for field in ("problem", "answer", "unique_id"):
        if not getattr(problem, field).strip():
            raise UsageError(f"{place}: the field {field!r} is empty")
    for field, value in problem:
        if isinstance(value, str) and re.search("[\ud800-\udfff]", value):
            raise UsageError(f"{place}: the field {field!r} has half a character (a lone surrogate)")
    return problem


def rows_sha256(problems: list[Problem]) -> str:
    """Hash of the problems' content, independent of the file format they came in."""
    text = "\n".join(json.dumps(p.model_dump(), sort_keys=True) for p in problems)
    return hashlib.sha256(text.encode()).hexdigest()
