"""A cassette: a directory with one file for each reply or refusal, named by the hash of the request it came to."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from tora_agent.errors import ContextFull, ModelError, UsageError
from tora_agent.steps import ModelCall


class Refusal(BaseModel):
    """That the endpoint rejected a request, which is part of what happened: the context was full, or no tools there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    refused: str
    context_full: bool = False

    @property
    def error(self) -> ModelError:
        """The error that it was."""
        return (ContextFull if self.context_full else ModelError)(self.refused)


_KEPT: TypeAdapter[ModelCall | Refusal] = TypeAdapter(ModelCall | Refusal)


class Cassette:
    """Keeps replies under `folder`. A reply is written whole or not at all; several processes may share a cassette."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, request: dict[str, Any]) -> ModelCall | Refusal | None:
        """What came to `request`, as it was. Raises `UsageError` if the file is damaged."""
        path = self._path(request)
        try:
            return _KEPT.validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise UsageError(f"{path} is no reply of a cassette: {str(error).splitlines()[0]}; remove it") from error

    def keep(self, request: dict[str, Any], came: ModelCall | Refusal) -> None:
        """Store what came to `request`. Raises `UsageError` if the directory cannot be written."""
        self._write(self._path(request), came.model_dump_json())

    def served(self, where: str) -> str | None:
        """The model that the endpoint `where` served."""
        return self._all_served().get(where)

    def note_served(self, where: str, model: str) -> None:
        """Remember the model of `where`."""
        served = self._all_served()
        if served.get(where) != model:
            self._write(self.folder / "served.json", json.dumps(served | {where: model}))

    def _all_served(self) -> dict[str, str]:
        try:
            return dict(json.loads((self.folder / "served.json").read_bytes()))
        except (OSError, ValueError, TypeError):
            return {}

    def _path(self, request: dict[str, Any]) -> Path:
        name = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
        return self.folder / name[:2] / f"{name}.json"

    def _write(self, path: Path, text: str) -> None:
        fresh = path.with_suffix(f".{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(text + "\n")
            fresh.replace(path)
        except OSError as error:
            raise UsageError(f"cannot write the cassette {self.folder}: {error.strerror}; give another") from error
