"""The measurements say what they want where they are started without it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.mark.parametrize("name", ["doubts", "grading", "independence", "replay", "verification"])
def test_a_measurement_without_its_file_is_refused(name: str) -> None:
    command = [sys.executable, "-m", f"tests.bench.{name}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "the following arguments are required: " in done.stderr and "Traceback" not in done.stderr
