"""How often each rule of `tora_agent.doubts` is right, on recorded trajectories: `make bench-doubts FILE=...`.

Precision: of the answers that a rule doubts, the share that are wrong; to be seen beside the share of all answers that
are wrong. Recall: of the wrong answers, the share that it doubts. Both with 95 % intervals (Wilson). Such a file does
not tell what was cut off the replies, so that `invented_output` cannot fire; `tests.bench.verification` has it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from evals.grading import Verdict
from evals.grading.grader import Grader
from tests.bench.shares import share
from tora_agent.doubts import RULES, Evidence, doubts

FAILED = ("Error", "Traceback", "Exception", "timeout", "Timeout")


def attempt_of(row: dict[str, Any]) -> Evidence:
    """A recorded trajectory as the rules see it. In it a failed cell shows by what it printed."""
    turns = row["turns"]
    outputs = [turn["content"] for turn in turns if turn["role"] == "output"]
    last = outputs[-1] if outputs else ""
    return Evidence(
        problem=row["problem"],
        answer=str(row["final_answer"]),
        outputs=outputs,
        failed=any(word in last for word in FAILED),
    )


async def measure(title: str, rows: list[dict[str, Any]]) -> Table:
    """The table of one file's rows."""
    rows = [row for row in rows if row.get("turns") and row.get("final_answer")]
    if not rows:
        sys.exit(f"{title}: no row has `turns` and a `final_answer` (docs/measured.md says what a row holds)")
    async with Grader() as grader:
        verdicts = [(await grader.compare(str(row["final_answer"]), row["gold"]))[0] for row in rows]
    right = [verdict is Verdict.CORRECT for verdict in verdicts]
    fired, hits = Counter[str](), Counter[str]()
    for row, correct in zip(rows, right, strict=True):
        found = doubts(attempt_of(row))
        for name in [*found, *(["any of them"] if found else [])]:
            fired[name] += 1
            hits[name] += not correct
    wrong = len(rows) - sum(right)
    table = Table(title=f"{title}: {len(rows)} answers, {100 * wrong / len(rows):.1f} % wrong")
    for column in ("rule", "fired", "precision", "recall"):
        table.add_column(column, justify="left" if column == "rule" else "right")
    for name in [*RULES, "any of them"]:
        table.add_row(name, str(fired[name]), share(hits[name], fired[name]), share(hits[name], wrong))
    return table


def main() -> None:
    """Print a table for each file named on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", type=Path, nargs="+", metavar="file", help="recorded trajectories, jsonl")
    for file in parser.parse_args().files:
        rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        Console(width=100).print(asyncio.run(measure(file.name, rows)))


if __name__ == "__main__":
    main()
