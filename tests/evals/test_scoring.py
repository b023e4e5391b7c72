"""Runs graded again, under other rules, compared, and explained: on logs of our own making, by the command line."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from evals.explain.command import Asked, explain
from evals.explain.data import subset
from evals.explain.evidence import Evidence
from evals.explain.grading import equality, extraction
from evals.explain.outputs import truncated
from evals.explain.published import published_scores, scores_of
from evals.grading import Verdict, same_answer
from evals.grading.protocols import Panel
from evals.importing.command import Wanted, import_command
from evals.runs import Run
from evals.scoring.table import score
from evals.scoring.transcript import transcript
from tests.conftest import Tora
from tests.evals.making import grade, jsonl, manifest, trajectory
from tora_agent.errors import UsageError
from tora_agent.settings import AgentSettings
from tora_agent.steps import Code, Output, Reasoning

Rows = list[dict[str, Any]]
Made = Callable[..., Path]
Explained = Callable[..., str]


def rows(count: int = 20, **fields: Any) -> Rows:
    """Rows of which every fifth is wrong."""
    return [
        {
            "id": f"own/{i}",
            "problem": f"Tom has {i} apples and buys {i + 7} pears. How many pieces of fruit has he got by then?",
            "gold": str(2 * i + 7),
            "response": f"He has {i} and {i + 7}, so it is $\\boxed{{{2 * i + 7 + (i % 5 == 0)}}}$.",
            "model": "own-1b",
            "level": i % 5 + 1,
        }
        | fields
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def panel() -> Iterator[Panel]:
    with Panel(workers=1) as panel:
        yield panel


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Path]:
    """Import rows; the run's directory."""

    def make(log: Rows, name: str = "log") -> Path:
        file = jsonl(tmp_path / f"{name}.jsonl", *log)
        (run,) = import_command(Wanted(file, log_dir=tmp_path / name), Console(file=io.StringIO()))
        return run.folder

    return make


@pytest.fixture
def explained(panel: Panel) -> Callable[..., str]:
    """The page on a run, as text."""

    def explain_it(folder: Path, **asked: Any) -> str:
        console = Console(file=io.StringIO(), width=400, record=True)
        explain(Asked(folder, **asked), panel, console)
        return console.export_text()

    return explain_it


def test_scoring_again_appends_a_grade_set_and_keeps_the_old_one(tora: Tora, made: Made) -> None:
    folder = made(rows())
    lines = (folder / "grades.jsonl").read_text().splitlines()
    changed = json.loads(lines[0]) | {"verdict": "wrong" if '"correct"' in lines[0] else "correct", "reason": "a slip"}
    (folder / "grades.jsonl").write_text("\n".join([json.dumps(changed), *lines[1:]]) + "\n")
    trajectories = (folder / "trajectories.jsonl").read_bytes()
    done = tora("score", folder)
    assert done.returncode == 0, done.stderr
    assert "1 verdicts have changed" in done.stdout
    assert "grade set 1 of 20 grades appended" in done.stdout
    run = Run.read(folder)
    assert sorted(run.grade_sets()) == [0, 1]
    assert run.grade_sets()[0]["own/0", 0].reason == "a slip"
    assert sum(grade.verdict is Verdict.CORRECT for grade in run.grades().values()) == 16
    assert [each.grade_set for each in run.manifest.gradings] == [1]
    assert (folder / "trajectories.jsonl").read_bytes() == trajectories


def test_all_protocols_make_one_table(tora: Tora, made: Made) -> None:
    odd = {"gold": r"\frac{1}{2}", "response": r"$\boxed{\frac{2}{4}}$.", "id": "own/half"}
    folder = made([*rows(10), rows(1)[0] | odd])
    grades = (folder / "grades.jsonl").read_bytes()
    done = tora("score", folder, "--protocol", "all", env={"COLUMNS": "250"})
    assert done.returncode == 0, done.stderr
    table = {line.split("│")[1].strip(): line.split("│")[2].strip() for line in done.stdout.splitlines() if "│" in line}
    assert table["tora-agent"] == table["tora"] == table["math-verify"] == "81.8 %"
    assert table["opencompass"] == table["prm800k"] == "72.7 %"
    assert table["lm-eval-minerva"] == "0.0 %"
    assert "band: 72.7 to 81.8 %" in done.stdout
    assert "1 of 11 samples on which they disagree" in done.stdout
    assert len((folder / "protocols.jsonl").read_text().splitlines()) == 11
    assert (folder / "grades.jsonl").read_bytes() == grades


def test_an_unknown_protocol_is_a_usage_error(tora: Tora, made: Made) -> None:
    done = tora("score", made(rows(2)), "--protocol", "mine")
    assert done.returncode == 2
    assert "unknown protocol 'mine'" in done.stderr


def test_comparing_pairs_the_problems(tora: Tora, made: Made) -> None:
    other = rows(24)
    for row in other[:12]:
        row["response"] = f"It is $\\boxed{{{row['gold']}}}$."
    other[1]["response"] = "It is $\\boxed{0}$."
    done = tora("compare", made(rows(), "a"), made(other, "b"), env={"COLUMNS": "200"})
    assert done.returncode == 0, done.stderr
    assert "B - A      │ +10.0 points" in done.stdout
    assert "exact p = 0.625 (1 right in A only, 3 in B only)" in done.stdout
    assert "20 in both, 0 in A only, 4 in B only" in done.stdout
    assert "right in A only: 1" in done.stdout


def test_comparing_names_what_the_runs_were_made_with(tora: Tora, tmp_path: Path) -> None:
    image = "sha256:0123456789abcdef"
    others = {
        "settings": AgentSettings(temperature=0.7),
        "dialect": "fence",
        "spread": 3,
        "model": "[b]",
        "limit": 9,
        "image_id": image,
    }
    for name, fields in {"a": {}, "b": others, "c": {"created": "2026-02-02T00:00:00+00:00"}}.items():
        run = Run.create(tmp_path / name, manifest(**fields))
        run.add(trajectory())
        run.add(grade())
        run.close()
    said = tora("compare", "a", "b", "--log-dir", ".", env={"COLUMNS": "200"}).stdout
    for fact in ("temperature: 0.0 / 0.7", "dialect: turns / fence", "spread: - / 3", "model: scripted / [b]"):
        assert fact in said
    assert "limit: - / 9" in said and "sandbox image: 0 / 0123456789ab" in said and "seed" not in said
    assert "nothing that their manifests tell" in tora("compare", "a", "c", "--log-dir", ".").stdout


def test_runs_without_common_problems_are_not_compared(tora: Tora, made: Made) -> None:
    done = tora("compare", made(rows(3), "a"), made(rows(3, id="other"), "b"))
    assert done.returncode == 2
    assert "no graded problem in common" in done.stderr


def test_the_transcript_ends_with_the_words_that_hold_the_answer() -> None:
    plain = trajectory("7")
    call = plain.steps[0].model_dump()["call"]
    texts = ("First,", "So $\\boxed{7}$.", "A check: $\\boxed{8}$?")
    steps = [Reasoning.model_validate({"seconds": 0, "text": text, "call": call}) for text in texts]
    output = Output.model_validate({"seconds": 0, "result": {}, "text": "7"})
    whole = plain.model_copy(update={"steps": [steps[0], Code(code="print(7)"), output, *steps[1:]]})
    assert transcript(whole) == "First,\n```python\nprint(7)\n```\n```output\n7\n```\nSo $\\boxed{7}$."


# What explains a score


def test_cut_answers_are_found(explained: Explained, made: Made) -> None:
    log = rows(20, label=True)
    for row in log[:5]:
        row |= {"response": "We add them up, piece by piece, so that \\[ x = ", "label": False}
    page = explained(made(log))
    assert "5 of 20 answers (25.0 %) were cut before they were complete" in page
    assert "+0.0 to +25.0" in page


def test_missing_boxes_and_blank_responses_are_found(explained: Explained, made: Made) -> None:
    log = rows(20)
    for row in log[:12]:
        row["response"] = f"Adding up, the answer is {row['gold']}."
    log[12]["response"] = ""
    page = explained(made(log))
    assert "12 of 20 finished answers have no box (they say: `The answer is` 12)" in page
    assert "1 responses are blank" in page


def test_the_sources_grading_is_told_apart_by_extraction_and_equality(explained: Explained, made: Made) -> None:
    log = [row | {"label": True, "final_answer": row["gold"]} for row in rows(20)]
    log[1] |= {"response": "It is $\\boxed{\\frac{18}{2}}$", "final_answer": "\\frac{18}{2}", "label": False}
    log[2] |= {"final_answer": "2", "label": False}
    page = explained(made(log))
    assert "with the same answer in hand, the source rejected 1 that are right and accepted 0" in page
    assert "with another answer taken from the response, the source rejected 1 that are right and accepted 4" in page


def test_writing_on_past_the_answer_is_found(explained: Explained, made: Made) -> None:
    log = rows(20)
    for row in log[:8]:
        row["response"] = f"It is $\\boxed{{{row['gold']}}}$.\n\nProblem: What is 1 + 1?\nIt is $\\boxed{{2}}$."
    page = explained(made(log))
    assert "8 responses go on with another problem or turn after their answer" in page
    assert "In 8 the first answer is right" in page


def test_repeated_problems_are_found(explained: Explained, made: Made) -> None:
    log = rows(20)
    page = explained(made([*log, *([log[0]] * 5), log[1] | {"id": "own/again"}]))
    assert "6 samples repeat a problem that is there already (1 ids with more than 1 samples, 1 statements" in page
    assert "With each problem counted once the score is 80.0 %" in page


def test_wrong_golds_and_another_subset_are_found(explained: Explained, made: Made, tmp_path: Path) -> None:
    log = rows(20)
    keys = ("problem", "level")
    data = [{k: r[k] for k in keys} | {"unique_id": r["id"], "answer": r["gold"], "subject": "Algebra"} for r in log]
    file = jsonl(tmp_path / "data.jsonl", *data)
    log[1]["gold"], log[2]["gold"] = "1", "2"
    page = explained(made(log[:15]), data=file)
    assert "2 golds differ from the benchmark's" in page
    assert "own/1: 1 for 9" in page
    assert "15 problems; 5 of math500 are not among them" in page


def test_responses_to_other_problems_are_found(explained: Explained, made: Made) -> None:
    words = ("apricot", "bicycle", "cathedral", "dolphin", "elevator", "festival", "gondola", "harbour")
    log = rows(len(words))
    for row, word in zip(log, words, strict=True):
        row["problem"] = f"Compute the {word} number: {word}{word} with {word}ish care."
        row["response"] = f"The {word} number of {word}{word} with {word}ish care is $\\boxed{{{row['gold']}}}$."
    shifted = [row | {"response": after["response"]} for row, after in zip(log, log[1:] + log[:1], strict=True)]
    page = explained(made(shifted))
    assert "8 responses take up another problem of the run than their own" in page
    assert "own/0 on own/1" in page


def test_several_samples_have_their_majority_and_best(explained: Explained, made: Made) -> None:
    log = [
        {
            "id": f"p/{i}",
            "problem": f"Case {i}: 1 + 1?",
            "gold": "2",
            "responses": ["\\boxed{2}", "\\boxed{2}", "\\boxed{3}"],
        }
        for i in range(6)
    ]
    page = explained(made(log))
    assert "3 samples a problem: majority 100.0 %, best of 3 100.0 %, mean 66.7 %" in page


def test_published_scores_stand_beside(tora: Tora, explained: Explained, made: Made) -> None:
    folder = made(rows(20))
    assert "no published score of 'own-1b' is known" in explained(folder)
    page = explained(folder, published="qwen2.5-72b-instruct")
    assert "80.0" in page
    assert "Qwen2.5-72B-Instruct is published with 80.0 on MATH-500" in page
    with pytest.raises(UsageError, match="no published score of 'nobody'"):
        explained(folder, published="nobody")


def test_published_scores_are_plausible_and_have_sources() -> None:
    scores = published_scores()
    assert len(scores) > 100
    assert all(0 < each.score <= 100 and each.source and each.setting for each in scores)
    assert len({(s.model, s.benchmark, s.score, s.setting) for s in scores}) == len(scores)


@pytest.mark.parametrize(
    ("asked", "first"),
    [
        ("qwen2.5-72b-instruct-hf (some notes on math)", "Qwen2.5-72B-Instruct"),
        ("Qwen2.5-Math-7B-Instruct", "Qwen2.5-Math-7B-Instruct"),
        ("tora-70b-v1.0", "ToRA-70B"),
    ],
)
def test_a_model_is_found_by_its_name(asked: str, first: str) -> None:
    assert scores_of(asked)[0].model == first


def test_the_recorded_run_is_explained(shared: Path, panel: Panel, tmp_path: Path) -> None:
    file = shared / "trajectories" / "qwen2.5-72b.math500-opencompass.jsonl"
    console = Console(file=io.StringIO())
    (run,) = import_command(Wanted(file, log_dir=tmp_path), console)
    evidence = Evidence(run, score(run, (), panel, console), same_answer)
    assert evidence.reported == pytest.approx(76.2)
    assert 78 <= evidence.accuracy <= 79.5
    cut, equal = truncated(evidence), equality(evidence)
    assert cut and cut.samples == 63
    assert equal and equal.points and equal.points[0] > 1.5
    assert subset(evidence) is None and extraction(evidence) is None
