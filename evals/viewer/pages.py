"""What is on each page, for the templates."""

from __future__ import annotations

from typing import Any

from evals.index import Index
from evals.index.filters import SORTS, Filter
from evals.index.lines import read_at
from evals.index.lists import Row, choices, find, neighbours, page_of, rows_of_problem, tags_of
from evals.index.summary import summarise
from evals.viewer.links import Links
from evals.viewer.step_texts import essence
from tora_agent.errors import UsageError
from tora_agent.steps import Step

DAMAGE_SHOWN = 50
"""Damaged lines on a run's page."""
Page = dict[str, Any]


def run_page(index: Index, links: Links) -> Page:
    """A run in figures."""
    damage = index.rows("SELECT * FROM damage ORDER BY file, line LIMIT ?", [DAMAGE_SHOWN])
    for row in damage:
        begin = read_at(index.run.folder / row["file"], row["offset"], min(row["length"], 300))
        row["begin"] = begin.decode(errors="replace")
    return {
        "title": index.run.folder.name,
        "run": index.run,
        "links": links,
        "figures": summarise(index),
        "damage": damage,
        "damaged": index.one("SELECT count(*) FROM damage"),
        "torn": index.torn(),
    }


def list_page(index: Index, links: Links, wanted: Filter, number: int) -> Page:
    """Trajectories, a hundred at a time."""
    return {
        "title": f"{index.run.folder.name}: list",
        "run": index.run,
        "links": links,
        "wanted": wanted,
        "page": page_of(index, wanted, number),
        "choices": choices(index),
        "sorts": list(SORTS),
    }


def trajectory_page(index: Index, links: Links, row: Row, wanted: Filter) -> Page:
    """One trajectory, and the ways from it to others."""
    before, after = neighbours(index, wanted, row["id"])
    samples = rows_of_problem(index, row["problem_id"])
    others = [each for each in samples if each["sample"] != row["sample"]]
    other = next((each for each in others if each["verdict"] != row["verdict"]), others[0] if others else None)
    return story(index, row) | {
        "title": f"{row['problem_id']} #{row['sample']}",
        "run": index.run,
        "links": links,
        "wanted": wanted,
        "before": before,
        "after": after,
        "samples": samples,
        "other": other,
    }


def story(index: Index, row: Row) -> Page:
    """A trajectory with its grade and the rules that fired."""
    tags = tags_of(index, row["id"])
    by_step: dict[int, list[Row]] = {}
    for tag in tags:
        if tag["step"] is not None:
            by_step.setdefault(tag["step"], []).append(tag)
    return {"row": row, "trajectory": index.trajectory(row), "tags": tags, "tags_by_step": by_step}


def beside_page(indexes: tuple[Index, Index], links: tuple[Links, Links], rows: tuple[Row, Row]) -> Page:
    """Two samples of one problem, with the first step where they part."""
    sides = [story(index, row) | {"links": link} for index, row, link in zip(indexes, rows, links, strict=True)]
    first, second = (side["trajectory"].steps for side in sides)
    return {
        "title": f"{rows[0]['problem_id']}: side by side",
        "run": indexes[0].run,
        "links": links[0],
        "sides": sides,
        "names": [index.run.folder.name for index in indexes],
        "part": parting(first, second),
    }


def parting(first: list[Step], second: list[Step]) -> int:
    """The number of the first step in which two trajectories differ; times do not count."""
    same = 0
    for one, other in zip(first, second, strict=False):
        if essence(one) != essence(other):
            break
        same += 1
    return same


def row_of(index: Index, problem_id: str, sample: str) -> Row:
    """The row of a sample. Raises `UsageError`."""
    row = find(index, problem_id, int(sample)) if sample.isascii() and sample.isdigit() and len(sample) < 10 else None
    if row is None:
        raise UsageError(f"there is no finished sample {sample} of {problem_id}")
    return row
