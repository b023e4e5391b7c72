"""Trajectories in the forms of others."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import docker
import nbformat
import pytest

from evals.exporting import atif, chat, notebook
from evals.exporting.command import Wanted, export_command
from evals.grading import Grade, Verdict
from evals.importing.joining import join
from evals.importing.reading import read_log
from evals.importing.trajectories import trajectories
from evals.runs import Run
from sandbox import CellResult
from sandbox.result import CellError
from tests.conftest import PATIENCE, Tora
from tests.evals import making
from tora_agent.dialects import DIALECTS
from tora_agent.errors import UsageError
from tora_agent.steps import Code, ModelCall, Output, Reasoning, Retry, Step, Trajectory, Usage, Verification

PNG = "iVBORw0KGgo="


def call(raw: str = "", **fields: Any) -> ModelCall:
    usage = Usage(calls=1, prompt_tokens=10, completion_tokens=5, cost=0.25)
    return ModelCall(raw=raw, finish_reason="stop", usage=usage, seconds=0.5, **fields)


def said(text: str, **fields: Any) -> Reasoning:
    return Reasoning(at=1.5, seconds=0.5, text=text, call=call(text, **fields))


def ran(code: str, stdout: str = "", **fields: Any) -> list[Step]:
    result = CellResult(stdout=stdout, **fields)
    return [Code(code=code), Output(seconds=0.1, result=result, text=result.text or "(no output)")]


def whole() -> Trajectory:
    """A trajectory with one of everything."""
    check = Verification(
        answer="3",
        state="False",
        reason="the check says False",
        call=call("```python\ncheck(1 + 1 == 3)\n```"),
        code="check(1 + 1 == 3)",
        result=CellResult(stdout="check: False, \n"),
    )
    error = CellError(type="NameError", message="name 'y' is not defined", traceback="Cell In[2], line 1\n    y")
    steps = [
        said("Let us add.", reasoning="Hm."),
        *ran("x = 1 + 1\nprint(x)", "2\n", displays=({"image/png": PNG, "text/plain": "<Figure>"},)),
        said("Once more."),
        *ran("y", error=error),
        said(r"So $\boxed{3}$."),
        check,
        Retry(reason="check_false", text="Your check says False."),
        said("Again."),
        *ran("x", value="2"),
        said(r"So $\boxed{2}$."),
    ]
    plain = making.trajectory()
    usage = Usage(calls=6, prompt_tokens=60, completion_tokens=30, cost=1.5)
    return plain.model_copy(update={"steps": [*steps, plain.steps[-1]], "usage": usage, "prompt": "csv"})


GRADE = making.grade()


def conforms(document: dict[str, Any]) -> None:
    """The rules of ATIF as its specification states them."""
    assert set(document) <= {
        *("schema_version", "session_id", "trajectory_id", "agent", "steps", "notes", "final_metrics"),
        *("continued_trajectory_ref", "subagent_trajectories", "extra"),
    }
    assert document["schema_version"] == "ATIF-v1.7"
    assert set(document["agent"]) <= {"name", "version", "model_name", "tool_definitions", "extra"}
    assert isinstance(document["agent"]["name"], str) and isinstance(document["agent"]["version"], str)
    assert document["steps"], "there is at least one step"
    assert [step["step_id"] for step in document["steps"]] == list(range(1, len(document["steps"]) + 1))
    calls: list[str] = []
    for step in document["steps"]:
        calls += _step_conforms(step)
    assert len(calls) == len(set(calls)), "each call has an id of its own"
    totals = {"total_prompt_tokens", "total_completion_tokens", "total_cached_tokens", "total_cost_usd", "total_steps"}
    assert set(document["final_metrics"]) <= totals | {"extra"}
    assert document["final_metrics"]["total_steps"] == len(document["steps"])


def _step_conforms(step: dict[str, Any]) -> list[str]:
    agents_own = {"model_name", "reasoning_effort", "reasoning_content", "tool_calls", "metrics", "llm_call_count"}
    assert set(step) <= {"step_id", "timestamp", "source", "message", "observation", "extra"} | agents_own
    assert step["source"] in ("system", "user", "agent")
    assert isinstance(step["message"], str)
    if "timestamp" in step:
        assert datetime.fromisoformat(step["timestamp"]).tzinfo
    assert step["source"] == "agent" or not set(step) & agents_own
    calls = [each["tool_call_id"] for each in step.get("tool_calls", [])]
    for each in step.get("tool_calls", []):
        assert set(each) == {"tool_call_id", "function_name", "arguments"} and isinstance(each["arguments"], dict)
    for result in step.get("observation", {"results": []})["results"]:
        assert set(result) <= {"source_call_id", "content", "subagent_trajectory_ref"}
        assert result.get("source_call_id") in (None, *calls)
    metrics = {"prompt_tokens", "completion_tokens", "cached_tokens", "cost_usd", "logprobs", "extra"}
    assert set(step.get("metrics", {})) <= metrics
    return calls


def test_atif_follows_its_rules_and_tells_the_whole_story() -> None:
    document = atif(whole(), "run", GRADE)
    conforms(json.loads(json.dumps(document)))
    agents = [step for step in document["steps"] if step["source"] == "agent"]
    assert [bool(step.get("tool_calls")) for step in agents] == [True, True, False, True, True, False]
    assert agents[0]["tool_calls"][0]["arguments"] == {"code": "x = 1 + 1\nprint(x)"}
    assert agents[0]["observation"]["results"] == [{"source_call_id": "call_1", "content": "2"}]
    assert agents[0]["reasoning_content"] == "Hm."
    assert agents[0]["timestamp"] == "2026-01-01T00:00:01.500+00:00"
    assert agents[3]["extra"]["kind"] == "verification" and agents[3]["extra"]["state"] == "False"
    assert document["final_metrics"]["total_cost_usd"] == 1.5
    assert document["extra"]["verdict"] == "correct"


def test_atif_of_what_another_program_made() -> None:
    plain = making.trajectory().model_copy(update={"prompt": "unknown"})
    document = atif(plain, "run")
    conforms(document)
    assert document["steps"][0]["message"] == plain.problem
    assert "verdict" not in document["extra"]


def test_chat_in_the_fence_dialect_is_one_turn_between_requests() -> None:
    messages = chat(whole(), DIALECTS["fence"])["messages"]
    assert [message["role"] for message in messages][-4:] == ["user", "assistant", "user", "assistant"]
    turn = messages[-3]["content"]
    assert (
        turn.index("Let us add.") < turn.index("```python\nx = 1 + 1") < turn.index("```output\n2") < turn.index("Once")
    )
    assert turn.endswith(r"So $\boxed{3}$.")
    assert messages[-1]["content"].endswith(r"So $\boxed{2}$.")


def test_chat_in_the_tools_dialect_has_calls_and_their_results() -> None:
    made = chat(whole(), DIALECTS["tools"])
    assert made["tools"][0]["function"]["name"] == "python"
    called = [message for message in made["messages"] if message.get("tool_calls")]
    results = [message for message in made["messages"] if message["role"] == "tool"]
    assert [json.loads(m["tool_calls"][0]["function"]["arguments"])["code"] for m in called] == [
        "x = 1 + 1\nprint(x)",
        "y",
        "x",
    ]
    assert [m["tool_calls"][0]["id"] for m in called] == [m["tool_call_id"] for m in results]
    assert "```" not in "".join(message["content"] for message in called)


def test_chat_that_began_anew_holds_the_last_attempt_alone() -> None:
    steps = [said("First."), Retry(reason="looks_wrong", text="no", restart=True), said(r"$\boxed{2}$")]
    plain = making.trajectory()
    messages = chat(plain.model_copy(update={"steps": steps}), DIALECTS["turns"])["messages"]
    assert "First." not in str(messages)
    assert messages[-1]["content"] == r"$\boxed{2}$"


def test_chat_of_a_prompt_that_is_not_at_hand() -> None:
    foreign = making.trajectory().model_copy(update={"prompt": "unknown"})
    with pytest.raises(UsageError, match="--prompt"):
        chat(foreign, DIALECTS["turns"])
    assert chat(foreign, DIALECTS["turns"], "cot")["messages"][-1]["role"] == "assistant"


def test_a_notebook_is_valid_and_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "solution.ipynb"
    file.write_text(nbformat.writes(notebook(whole(), GRADE)))
    made = nbformat.read(file, as_version=4)
    nbformat.validate(made)
    first = next(cell for cell in made.cells if cell.cell_type == "code")
    assert [output.output_type for output in first.outputs] == ["stream", "display_data"]
    assert first.outputs[1].data == {"image/png": PNG}
    log = read_log(file)
    (back,) = trajectories(log.records, join(log.records), started="")
    was = whole()
    assert log.format == "notebook"
    assert (back.problem_id, back.problem, back.answer, back.prompt) == (was.problem_id, was.problem, was.answer, "csv")
    kinds = [step.kind for step in was.steps if step.kind not in ("verification", "retry")]
    assert [s.kind for s in back.steps if not (s.kind == "output" and s.text == "Your check says False.")] == kinds
    assert [s.code for s in back.steps if isinstance(s, Code)] == [s.code for s in was.steps if isinstance(s, Code)]
    outputs = [step.result for step in back.steps if isinstance(step, Output)]
    assert outputs[0].printed == "2"
    assert outputs[1].error and outputs[1].error.line == "NameError: name 'y' is not defined"


def test_any_notebook_with_a_problem_comes_in(tora: Tora, tmp_path: Path) -> None:
    made = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("What is 1 + 1?"),
            nbformat.v4.new_code_cell("1 + 1", outputs=[nbformat.v4.new_output("stream", name="stdout", text="2\n")]),
            nbformat.v4.new_markdown_cell(r"It is $\boxed{2}$."),
        ]
    )
    nbformat.write(made, tmp_path / "mine.ipynb")
    making.jsonl(tmp_path / "data.jsonl", making.row(problem="What is 1 + 1?", answer="2"))
    done = tora("import", "mine.ipynb", "--benchmark", "math500", "--data", "data.jsonl")
    assert done.returncode == 0, done.stderr
    assert "100.0 % (1/1)" in done.stdout


@pytest.mark.usefixtures("engine")
def test_a_notebook_runs_in_the_sandbox(tmp_path: Path, engine: docker.DockerClient) -> None:
    from nbclient import NotebookClient

    ran_again = notebook(whole(), GRADE)
    NotebookClient(ran_again, timeout=PATIENCE, startup_timeout=PATIENCE, allow_errors=True).execute()
    outputs = [str(cell.outputs) for cell in ran_again.cells if cell.cell_type == "code"]
    expected = ["'2\\n'", "NameError", "", "check: False", "'2'"]
    assert [text for text, part in zip(outputs, expected, strict=True) if part not in text] == []


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with a correct and a wrong sample of one problem."""
    made = Run.create(tmp_path / "runs" / "r", making.manifest())
    for number, verdict in enumerate((Verdict.CORRECT, Verdict.WRONG)):
        made.add(whole().model_copy(update={"sample": number}))
        made.add(Grade.model_validate(GRADE.model_dump() | {"sample": number, "verdict": verdict}))
    made.close()
    return made


@pytest.mark.usefixtures("run")
def test_export_writes_files(tora: Tora, tmp_path: Path) -> None:
    assert "2 files in all" in tora("export", "r", "--format", "atif", "-o", "all").stdout
    for file in (tmp_path / "all").iterdir():
        conforms(json.loads(file.read_text()))
    tora("export", "r", "--format", "sft", "--verdict", "correct", "--dialect", "tools", "-o", "train.jsonl")
    (line,) = (tmp_path / "train.jsonl").read_text().splitlines()
    assert {"problem_id": "own/1", "sample": 0, "verdict": "correct"}.items() <= json.loads(line).items()
    one = tora("export", "r", "own/1", "--sample", "1").stdout
    assert nbformat.reads(one, as_version=4).metadata.tora.verdict == "wrong"


@pytest.mark.parametrize(
    ("wanted", "advice"),
    [
        (Wanted("pdf"), "notebook, sft, atif"),
        (Wanted("sft", dialect="latin"), "fence, turns, tools"),
        (Wanted("notebook"), "--out FOLDER"),
        (Wanted("notebook", verdict="no_answer"), "no such sample"),
        (Wanted("notebook", "own/7"), "no finished sample"),
        (Wanted("notebook", sample=0, out=Path("no/such/folder/x.ipynb")), "another --out"),
    ],
)
def test_export_says_what_to_do(run: Run, wanted: Wanted, advice: str) -> None:
    with pytest.raises(UsageError, match=advice):
        export_command(run, wanted)
