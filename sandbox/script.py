"""Run a whole script in the sandbox, its output as it comes."""

from __future__ import annotations

import base64
import sys
from pathlib import Path

from sandbox.box import Sandbox
from sandbox.output import clean
from sandbox.result import CellResult
from sandbox.settings import Isolation, Limits

TIMED_OUT = 124
"""Exit status of a script that took too long, as of `timeout` (GNU coreutils)."""


async def run_script(
    code: str, *, limits: Limits, isolation: Isolation = Isolation.SHARED, figures: Path | None = None
) -> int:
    """Run `code` within `limits.cell_seconds`; what it prints goes to this process's standard output and error.

    Figures go to the directory `figures` as PNG files. Return an exit status: the script's own, 1 for an exception,
    124 where it took too long. Raises `SandboxError`, and `OSError` where a figure cannot be written.
    """
    streams = {"stdout": sys.stdout, "stderr": sys.stderr}

    def watch(name: str, text: str) -> None:
        if stream := streams.get(name):
            stream.write(clean(text))
            stream.flush()

    async with Sandbox(limits, isolation=isolation, spares=1) as box, box.session() as session:
        result = await session.run(code, watch=watch)
    notes = [result.left] if result.left else []
    if figures and (count := _write_figures(result, figures)):
        notes.append(f"figures in {figures}: {count}")
    status, said = _outcome(result)
    for line in [said, *notes]:
        if line:
            print(line, file=sys.stderr)
    return status


def _write_figures(result: CellResult, folder: Path) -> int:
    """Write the figures among the rich outputs; return how many there are."""
    pictures = [display["image/png"] for display in result.displays if "image/png" in display]
    if pictures:
        folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures, 1):
        (folder / f"figure-{number}.png").write_bytes(base64.b64decode(picture))
    return len(pictures)


def _outcome(result: CellResult) -> tuple[int, str]:
    """Exit status and last words, as of a script that Python runs."""
    error = result.error
    if error is None:
        return 0, ""
    if error.type == "SystemExit":  # with a number, or with something to say
        return (int(error.message) & 0xFF, "") if error.message.lstrip("-").isdigit() else (1, error.message)
    words = f"{error.traceback}\n{error.line}" if error.traceback else error.line
    return (TIMED_OUT if result.timed_out else 1), words
