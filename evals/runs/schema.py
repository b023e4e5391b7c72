"""The JSON Schemas of a run's files, published with the package. `python -m evals.runs.schema` writes them anew."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel

from evals.grading import Grade
from evals.runs.run import Manifest
from tora_agent.steps import Trajectory

SCHEMAS: dict[str, type[BaseModel]] = {"trajectory": Trajectory, "grade": Grade, "manifest": Manifest}


def schema_file(name: str) -> Path:
    """Where the schema `name` is kept."""
    return Path(__file__).with_name(f"{name}.schema.json")


def schema_text(name: str) -> str:
    """The schema as the models now are."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | SCHEMAS[name].model_json_schema()
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    for each in SCHEMAS:
        schema_file(each).write_text(schema_text(each))
