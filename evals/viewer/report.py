"""A run as one self-contained HTML file: the same figures, list and trajectories, without a server."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import track

from evals.index import Index
from evals.index.lists import Row
from evals.index.progress import open_with_progress
from evals.viewer import pages
from evals.viewer.links import ReportLinks
from evals.viewer.rendering import templates
from tora_agent.errors import UsageError

LISTED = 5000
"""Rows of the list at most."""
_WORST_FIRST = "SELECT * FROM trajectories ORDER BY verdict = 'correct', place, sample LIMIT ?"
_STATIC = Path(__file__).with_name("static")


def write_report(folder: Path, file: Path, limit: int, console: Console) -> None:
    """Write the report of the run in `folder` to `file`, with `limit` whole trajectories. Raises `UsageError`."""
    index = open_with_progress(folder, console)
    fresh = file.with_name(file.name + ".new")
    try:
        with fresh.open("wb") as out:
            for piece in report(index, limit, console):
                out.write(piece)
        fresh.replace(file)
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}; name another file (-o)") from error
    finally:
        fresh.unlink(missing_ok=True)
    console.print(f"report: {file} ({file.stat().st_size / 1e6:.1f} MB)", soft_wrap=True, highlight=False, markup=False)


def report(index: Index, limit: int, console: Console) -> Iterator[bytes]:
    """The file's pieces, UTF-8. What is not correct comes first, as far as there is room."""
    listed = index.rows(_WORST_FIRST, [LISTED])
    included = listed[:limit]
    links = ReportLinks({row["id"] for row in included})
    style, script = ((_STATIC / name).read_text() for name in ("style.css", "report.js"))
    bar = track(included, "writing", console=console, transient=True, disable=not console.is_terminal)
    page = pages.run_page(index, links) | {
        "parent": None,
        "style": style,
        "script": script,
        "policy": _policy(style, script),
        "listed": [(row, _labels(index, row)) for row in listed],
        "stories": (pages.story(index, row) for row in bar),
        "included": len(included),
    }
    stream = templates().get_template("report.html").stream(page)
    stream.enable_buffering(50)
    return (piece.encode(errors="replace") for piece in stream)


def _labels(index: Index, row: Row) -> dict[str, str]:
    """What the script filters a row of the list by: a filter's name, and the values that it lets through."""
    rules = index.rows("SELECT DISTINCT rule AS name FROM tags WHERE trajectory = ?", [row["id"]])
    sql = "SELECT DISTINCT error AS name FROM cells WHERE trajectory = ? AND error NOT NULL"
    errors = [each["name"] for each in index.rows(sql, [row["id"]])]
    verdict, right = row["verdict"] or "none", row["verdict"] == "correct"
    return {
        "verdict": verdict if right or not row["verdict"] else f"{verdict}|not_correct",
        "cause": row["cause"] or "",
        "rule": "|".join(each["name"] for each in rules),
        "error": "|".join([*errors, "any"]) if errors else "none",
        "subject": row["subject"] or "none",
        "level": "none" if row["level"] is None else str(row["level"]),
        "state": row["state"] or "none",
        "rounds": str(row["rounds"]),
        "tokens": str(row["completion_tokens"]),
        "flip": _flip(row["first_verdict"], right),
    }


def _flip(first: str | None, right: bool) -> str:
    if first is None:
        return ""
    if (first == "correct") == right:
        return "retried"
    return "retried|to_right" if right else "retried|to_wrong"


def _policy(style: str, script: str) -> str:
    """Only this style and this script, nothing from anywhere."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; base-uri 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
