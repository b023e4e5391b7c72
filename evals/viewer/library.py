"""The runs that are shown, by the names that they have in addresses."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from evals.index import Index
from tora_agent.errors import UsageError


class Library:
    """Open runs by name."""

    def __init__(self, indexes: Iterable[Index]) -> None:
        self.runs: dict[str, Index] = {}
        for index in indexes:
            self.runs[self._name(index.run.folder)] = index

    def __getitem__(self, name: str) -> Index:
        """The run, with what its log has gained. Raises `UsageError`."""
        if name not in self.runs:
            raise UsageError(f"there is no run {name!r} here")
        self.runs[name].look()
        return self.runs[name]

    def parent_of(self, index: Index) -> str | None:
        """The name of the run that `index` was forked from, where that is open, too."""
        parent = index.run.manifest.parent
        if parent is None:
            return None
        folder = Path(parent.run).resolve()
        return next((name for name, each in self.runs.items() if each.run.folder.resolve() == folder), None)

    def forks_of(self, name: str, problem_id: str, sample: int) -> list[tuple[str, int]]:
        """The open runs that go on from a sample of the run `name`, each with the step that it begins at."""
        return [
            (child, parent.step)
            for child, index in self.runs.items()
            if (parent := index.run.manifest.parent) and self.parent_of(index) == name
            if (parent.problem_id, parent.sample) == (problem_id, sample)
        ]

    def _name(self, folder: Path) -> str:
        name = re.sub(r"[^\w.-]", "-", folder.resolve().name).strip(".") or "run"
        number = 1
        while (given := name if number == 1 else f"{name}-{number}") in self.runs:
            number += 1
        return given
