"""The examples in the docs that say what they print do so. (Those of docs/jupyter.md run in test_provisioner.py.)"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from evals.benchmarks import load_benchmark
from prompts import PromptSet, load_prompt
from tests.conftest import PATIENCE

REPOSITORY = Path(__file__).parents[1]
EXAMPLES = [
    pytest.param(code, id=f"{file.name}-{number}")
    for file in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
    for number, code in enumerate(re.findall(r"^```python\n(.*?)^```", file.read_text(), re.MULTILINE | re.DOTALL), 1)
    if code.splitlines()[-1].startswith("# ")
]


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("code", EXAMPLES)
def test_an_example_prints_what_it_says(code: str) -> None:
    """What it prints stands in the comments at its end."""
    program, _, said = code.partition("\n# ")
    expected = re.sub("^# ", "", said, flags=re.MULTILINE)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, cwd=REPOSITORY)
    assert (done.stdout, done.returncode) == (expected, 0), done.stderr


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 4


@pytest.mark.parametrize(
    "file", sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")]), ids=lambda file: file.name
)
def test_what_a_page_links_to_is_there(file: Path) -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", file.read_text("utf-8"))
    assert [link for link in links if not (file.parent / link).exists()] == []


@pytest.mark.parametrize("shots", [None, 0])
def test_the_prompt_set_of_the_docs_can_be_used(tmp_path: Path, shots: int | None) -> None:
    (text,) = re.findall(r"^````yaml\n(.*?)^````", docs("prompts.md"), re.MULTILINE | re.DOTALL)
    file = tmp_path / "words.yaml"
    file.write_text(text)
    prompt = load_prompt(str(file))
    prompt.rehearse(shots)
    assert (prompt.name, prompt.retry, len(prompt.examples)) == ("words", load_prompt("tora").retry, 1)


def test_the_docs_name_every_field_of_a_prompt_set() -> None:
    described = set(re.findall(r"^\| `(\w+)` \|", docs("prompts.md"), re.MULTILINE))
    assert described == {*PromptSet.model_fields, "extends"}


def test_the_row_of_the_docs_is_a_problem(tmp_path: Path) -> None:
    (row,) = re.findall(r"^```json\n(.*?)^```", docs("data.md"), re.MULTILINE | re.DOTALL)
    file = tmp_path / "mine.jsonl"
    file.write_text(row)
    (problem,) = load_benchmark("sample", file).problems
    assert json.loads(row) == problem.model_dump()
    described = set(re.findall(r"^\| `(\w+)` \|", docs("data.md"), re.MULTILINE))
    assert described == set(problem.model_dump())


def docs(name: str) -> str:
    return (REPOSITORY / "docs" / name).read_text("utf-8")
