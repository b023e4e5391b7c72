"""Run the code cells of recorded trajectories through the sandbox and count the outputs that come out again.

usage: python -m tests.bench.replay FILE [--limit N] [--concurrency C] [--differences OUT.jsonl]

FILE is jsonl; each row has "turns", a list of {"role": "code" | "output" | ..., "content"}. A cell is reproduced if its
output is the recorded one but for white space and colours, or if both raised the same exception. Every trajectory has
a session of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.progress import Progress

from sandbox import CellResult, Limits, Sandbox

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
ERROR = re.compile(r"(?:^|\s)([A-Z]\w*(?:Error|Exception|Interrupt|Warning|Exit)): |^-{20,}\s*(\w+)\s+Traceback")


def cells(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The code cells of a trajectory with their recorded outputs."""
    for code, output in zip(row["turns"], row["turns"][1:], strict=False):
        if (code["role"], output["role"]) == ("code", "output"):
            yield code["content"], output["content"]


def outcome(recorded: str, result: CellResult) -> str:
    """How a cell's result compares with what was recorded."""
    recorded = COLOURS.sub("", recorded)
    raised = [first or second for first, second in ERROR.findall(recorded)] if "Traceback" in recorded else []
    if result.error or raised:
        same = result.error is not None and result.error.type in raised
        return "same exception" if same else f"{'/'.join(raised[:1]) or 'no'} error recorded, {_raised(result)} now"
    recorded = "" if recorded.strip() == "<empty_execution>" else recorded
    shown = "\n".join(part for part in (result.stdout, result.value) if part)
    return "same output" if "".join(recorded.split()) == "".join(shown.split()) else "another output"


def _raised(result: CellResult) -> str:
    return result.error.type if result.error else "none"


async def replay(rows: list[dict[str, Any]], concurrency: int, differences: Path | None) -> Counter[str]:
    """Run every cell; write those that come out otherwise to `differences`, one JSON object per line."""
    counts: Counter[str] = Counter()
    gate = asyncio.Semaphore(concurrency)

    async def one(row: dict[str, Any]) -> None:
        async with gate, box.session() as session:
            for code, recorded in cells(row):
                result = await session.run(code)
                found = outcome(recorded, result)
                counts[found] += 1
                if differences and not found.startswith("same"):
                    different = {
                        "id": row["id"],
                        "found": found,
                        "code": code,
                        "recorded": recorded,
                        "now": result.text,
                    }
                    with differences.open("a") as file:
                        file.write(json.dumps(different) + "\n")
            progress.advance(task)

    with Progress() as progress:
        task = progress.add_task("sessions", total=len(rows))
        async with Sandbox(Limits(cell_seconds=10)) as box, asyncio.TaskGroup() as group:
            for row in rows:
                group.create_task(one(row))
    return counts


def main() -> None:
    """Replay and print the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--differences", type=Path)
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in arguments.file.read_text().splitlines()][: arguments.limit]
    started = time.monotonic()
    counts = asyncio.run(replay(rows, arguments.concurrency, arguments.differences))
    total = counts.total()
    same = counts["same output"] + counts["same exception"]
    for found, count in counts.most_common():
        print(f"{count:6}  {found}")
    print(f"{same} of {total} cells reproduced ({100 * same / total:.1f} %), {len(rows)} sessions, ", end="")
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
