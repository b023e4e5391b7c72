"""How well the independence of a check is judged, on recorded programs: `make bench-independence FILE=...`.

Each program of a solution is made a check of its own result, with all its names changed: it should be found to repeat
the solution. As a check of another problem's solution, drawn at random, it should not. Void for itself is a program
that prints a constant.
"""

from __future__ import annotations

import argparse
import ast
import json
import random
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.shares import share
from tora_agent.independence import REPEATED, void


def as_check(code: str) -> str | None:
    """`code` renamed, with its last output compared with a number; None where it is no program that prints."""
    try:
        program = ast.parse(code)
    except (SyntaxError, ValueError):
        return None
    printed = [s.value for s in program.body if isinstance(s, ast.Expr) and _prints(s.value)]
    if not printed:
        return None
    last = printed[-1]
    assert isinstance(last, ast.Call)
    kept = [s for s in program.body if not (isinstance(s, ast.Expr) and _prints(s.value))]
    compared = ast.Compare(last.args[-1], [ast.Eq()], [ast.Constant(13)])
    kept.append(ast.Expr(ast.Call(ast.Name("check", ast.Load()), [compared], [])))
    return ast.unparse(ast.fix_missing_locations(_renamed(ast.Module(kept, []))))


def _prints(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and getattr(value.func, "id", "") == "print" and bool(value.args)


def _renamed(program: ast.Module) -> ast.Module:
    nodes = list(ast.walk(program))
    own = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    own |= {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    own |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    own -= {node.arg or "" for node in nodes if isinstance(node, ast.keyword)}
    for node in nodes:
        for attribute in ("id", "name", "arg"):
            if getattr(node, attribute, None) in own and not isinstance(node, ast.alias | ast.keyword):
                setattr(node, attribute, f"{getattr(node, attribute)}_2")
    return program


def measure(title: str, solutions: list[list[str]]) -> Table:
    """The table of one file's solutions, each the code of its cells."""
    draw, own, others = random.Random(0), Counter[str | None](), Counter[str | None]()
    began = time.process_time()
    for cells in solutions:
        check = as_check(cells[-1])
        other = draw.choice(solutions)
        if check is not None and other is not cells:
            own[void(check, [(code, True) for code in cells])] += 1
            others[void(check, [(code, True) for code in other])] += 1
    n = own.total()
    each = 1000 * (time.process_time() - began) / max(1, 2 * n)
    table = Table(
        "beside", "repeats it", "void for itself", "not void", title=f"{title}: {n} programs, {each:.1f} ms each"
    )
    for name, found in (("its own solution", own), ("another's", others)):
        repeated, free = found[REPEATED], found[None]
        table.add_row(name, *(share(count, n) for count in (repeated, n - repeated - free, free)))
    return table


def main() -> None:
    """Print a table for each file named on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", type=Path, nargs="+", metavar="file", help="recorded trajectories, jsonl")
    for file in parser.parse_args().files:
        rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        codes = [[turn["content"] for turn in row.get("turns") or [] if turn["role"] == "code"] for row in rows]
        Console(width=110).print(measure(file.name, [cells for cells in codes if cells]))


if __name__ == "__main__":
    main()
