"""The published schemas are those of the models, and real logs keep to them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from evals.grading import Grade, Verdict
from evals.runs import Run
from evals.runs.schema import SCHEMAS, schema_file, schema_text
from tests.conftest import Tora, script
from tora_agent.model.scripted import ScriptedServer
from tora_agent.steps import FORMAT_VERSION

REPLIES = {
    "match": "",
    "turns": ["```python\nprint(6*7)\n```", "So \\boxed{42}."],
}
CHECK = {"match": "Proposed answer", "turns": ["```python\nprint(6*7 == 42)\n```"]}


@pytest.mark.parametrize("name", SCHEMAS)
def test_published_schema_is_current(name: str) -> None:
    assert schema_file(name).read_text() == schema_text(name), "run `python -m evals.runs.schema`"


@pytest.mark.anyio
async def test_a_real_run_keeps_to_the_schemas(engine: object, tora: Tora, tmp_path: Path) -> None:
    import asyncio

    async with ScriptedServer(script(CHECK, REPLIES)) as server:
        arguments = ("eval", "sample", "--limit", 2, "--prompt", "csv", "--base-url", server.base_url)
        done = await asyncio.to_thread(tora, *arguments, "--model", "scripted")
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    records = {
        "manifest": [(folder / "manifest.json").read_text()],
        "trajectory": (folder / "trajectories.jsonl").read_text().splitlines(),
        "grade": (folder / "grades.jsonl").read_text().splitlines(),
    }
    for name, texts in records.items():
        schema = json.loads(schema_file(name).read_text())
        assert texts
        for text in texts:
            jsonschema.validate(json.loads(text), schema)


def test_all_records_have_one_version() -> None:
    grade = Grade(problem_id="own/1", sample=0, answer="1", gold="1", verdict=Verdict.CORRECT, reason="")
    assert {grade.format_version, *(kind.model_fields["format_version"].default for kind in SCHEMAS.values())} == {1}


def test_every_field_of_a_record_is_documented() -> None:
    told = (Path(__file__).parents[2] / "docs" / "log-format.md").read_text()
    for name in SCHEMAS:
        schema = json.loads(schema_text(name))
        parts = [schema, *schema.get("$defs", {}).values()]
        fields = {field for part in parts for field in part.get("properties", ())}
        missing = sorted(field for field in fields if f"`{field}`" not in told)
        assert not missing, f"{name}: docs/log-format.md says nothing of {missing}"


def test_records_of_version_0_are_read() -> None:
    run = Run.read(Path(__file__).parent / "version_0")
    first, second = run.trajectories()
    grades = run.grades()
    assert (run.manifest.format_version, first.format_version, FORMAT_VERSION) == (0, 0, 1)
    assert (first.failure, second.answer, second.state) == ("no_answer", "1", "Uncertain")
    assert [step.kind for step in second.steps] == [
        *("reasoning", "code", "output", "reasoning", "verification", "answer"),
    ]
    assert [grades[each.problem_id, each.sample].verdict for each in (first, second)] == ["no_answer", "wrong"]
    assert second.usage.cost is None and second.dialect == "turns"
