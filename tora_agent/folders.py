"""Where a run or a chat is written, and how it is found again."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path

from tora_agent.errors import UsageError

LONGEST = 80


def new_folder(log_dir: Path, *parts: str) -> Path:
    """A directory that is not there yet, named by the time (UTC) and by `parts`."""
    words = re.sub(r"[^\w.-]+", "-", "-".join(filter(None, parts)))[-LONGEST:].strip("-.")
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{words}".rstrip("-")
    folder, number = log_dir / name, 2
    while folder.exists():
        folder, number = log_dir / f"{name}-{number}", number + 1
    return folder


def find_folder(name: str, log_dir: Path, *, holds: str, what: str, command: str) -> Path:
    """The folder `name`: a path, a name under `log_dir`, or "last" for the newest that holds the file `holds`.

    That file is JSON and says when the folder was `created`, or last `opened`; it may itself have been written again
    since. Raises
    `UsageError`, which calls a folder a `what` and says that `command` makes one.
    """
    if name == "last":
        found = list(log_dir.glob(f"*/{holds}"))
        if not found:
            raise UsageError(f"there are no {what}s under {log_dir}; make one with `{command}`")
        return max(found, key=_age).parent
    for folder in (Path(name), log_dir / name):
        if os.path.isdir(folder):  # Path.is_dir raises for a name that is too long
            return folder
    raise UsageError(f"there is no {what} {name!r}, neither as a path nor under {log_dir}")


def _age(path: Path) -> tuple[str, float]:
    try:
        said = json.loads(path.read_bytes())
        return str(said.get("opened") or said["created"]), path.stat().st_mtime
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return "", 0.0
