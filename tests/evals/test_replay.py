"""Recorded cells run again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import docker
import pytest

from evals.replay import Outcome, cells_of, compare, replay
from evals.replay.cells import Cell
from evals.replay.reasons import Past, Reason, reason
from evals.runs import Run
from sandbox import CellResult, Sandbox
from sandbox.result import CellError
from tests.conftest import Tora
from tests.evals import making
from tora_agent.check_function import CHECK_MIME
from tora_agent.steps import Code, ModelCall, Output, Retry, Step, Trajectory, Usage, Verification


def result(stdout: str = "", error: str = "", **fields: Any) -> CellResult:
    """A result; `error` is "Type: message"."""
    kind, _, message = error.partition(": ")
    return CellResult(stdout=stdout, error=CellError(type=kind, message=message) if error else None, **fields)


def ran(code: str, stdout: str = "", error: str = "", **fields: Any) -> list[Step]:
    """A cell that was recorded."""
    return [Code(code=code), Output(seconds=0.1, result=result(stdout, error, **fields), text=stdout)]


def checked(code: str, **fields: Any) -> Verification:
    """A check that was recorded."""
    call = ModelCall(raw="", finish_reason="stop", usage=Usage(calls=1), seconds=0.1)
    return Verification(seconds=0.1, answer="2", state="True", reason="", call=call, code=code, result=result(**fields))


def recorded(*steps: Step, **settings: Any) -> Trajectory:
    """A trajectory of `steps`."""
    plain = making.trajectory()
    return plain.model_copy(update={"steps": [*steps, plain.steps[-1]], "settings": plain.settings | settings})


@pytest.mark.parametrize(
    ("before", "now", "outcome"),
    [
        (result("4\n"), result("4"), Outcome.EXACT),
        (result("[1,\n 2]"), CellResult(value="[1, 2]"), Outcome.EXACT),
        (result("0.30000000000000004"), result("0.3"), Outcome.EQUAL),
        (result("x = 1.00000000 and 2e-17"), result("x = 1 and 0.0"), Outcome.EQUAL),
        (result("4"), result("5"), Outcome.DIFFERS),
        (result("1 apple"), result("1 pear"), Outcome.DIFFERS),
        (result("1 2"), result("1"), Outcome.DIFFERS),
        (result(error="ValueError: no"), result(error="ValueError: no"), Outcome.EXACT),
        (result(error="ValueError: no"), result(error="ValueError: not so"), Outcome.SAME_ERROR),
        (result(error="ValueError: no"), result(error="TypeError: no"), Outcome.ERROR_DIFFERS),
        (result(error="ValueError: no"), result("1"), Outcome.ERROR_DIFFERS),
        (result("1"), result(error="ValueError: no"), Outcome.ERROR_DIFFERS),
        (result(displays=({CHECK_MIME: "a"},)), result(displays=({CHECK_MIME: "b"},)), Outcome.DIFFERS),
    ],
)
def test_results_are_compared(before: CellResult, now: CellResult, outcome: Outcome) -> None:
    assert compare(before, now) is outcome


@pytest.mark.parametrize(
    ("code", "before", "now", "why"),
    [
        ("while True: pass", result(error="TimeoutError: slow", timed_out=True), result("1"), Reason.TIMEOUT),
        ("os._exit(1)", result("1"), result(error="KernelDied: gone", state_lost=True), Reason.KERNEL),
        ("print(random.random())", result("0.1"), result("0.2"), Reason.RANDOM),
        ("print(time.time())", result("1"), result("2"), Reason.TIME),
        ("print(object())", result("<object at 0x7f0000000010>"), result("<object at 0x7f00deadbeef>"), Reason.ADDRESS),
        ("solve(x)", result("[-1, 2]"), result("[2, -1]"), Reason.ORDER),
        ("print('a' * 10**6)", result("aa"), result("aaa", truncated=True), Reason.CUT),
        ("norm(v)", result("5.0"), result("np.float64(5.0)"), Reason.VERSIONS),
    ],
)
def test_why_a_result_is_another(code: str, before: CellResult, now: CellResult, why: Reason) -> None:
    assert reason(Cell(1, code, before), now, None, Past(), False) is why


def test_a_second_replay_shows_what_is_not_stable() -> None:
    cell = Cell(1, "print(s)", result("{1, 2}"))
    assert reason(cell, result("{2, 3}"), result("{3, 4}"), Past(), False) is Reason.UNSTABLE
    assert reason(cell, result("{2, 3}"), result("{2, 3}"), Past(), False) is Reason.VERSIONS


def test_what_a_differing_cell_has_made_reaches_those_that_use_it() -> None:
    past = Past()
    assert not past.reaches("a = f()", differs=True)
    assert past.reaches("b = a + 1", differs=False)
    assert past.reaches("print(b)", differs=False)
    assert not past.reaches("a = 1\nprint(a)", differs=False)
    assert not past.reaches("print(a)", differs=False)
    assert not past.reaches("this is no python", differs=True)


def test_the_cells_of_a_trajectory() -> None:
    lost = ran("b", error="KernelDied: gone", state_lost=True)
    again = Retry(reason="check_false", text="again", restart=True)
    steps = [*ran("a"), *lost, *ran("c"), checked("d"), again, *ran("e"), Code(code="never run")]
    found = [(cell.code, cell.step, cell.check, cell.anew) for cell in cells_of(recorded(*steps))]
    assert found == [
        ("a", 1, False, True),
        ("b", 3, False, False),
        ("c", 5, False, True),
        ("d", 6, True, True),
        ("e", 9, False, True),
    ]


def test_an_older_log_says_of_the_run_that_it_restarts() -> None:
    steps = [
        *ran("a"),
        Retry(reason="no_box", text="box"),
        *ran("b"),
        Retry(reason="looks_wrong", text="no"),
        *ran("c"),
    ]
    older = recorded(*steps, retry="restart").model_copy(update={"format_version": 0})
    assert [cell.anew for cell in cells_of(older)] == [True, False, True]
    assert [cell.anew for cell in cells_of(recorded(*steps, retry="restart"))] == [True, False, False]


@pytest.mark.anyio
async def test_cells_are_run_again(box: Sandbox) -> None:
    steps = [
        *ran("x = 3", ""),
        *ran("x + 1", "4"),
        *ran("print(0.1 + 0.2)", "0.3\n"),
        *ran("y", error="NameError: name 'y' is not defined"),
        *ran("1 / 0", "no error"),
        *ran("z = 2\nz", "3"),
        *ran("z + 1", "4"),
        *ran("print(object())", "<object object at 0x7f0000000010>"),
        checked(
            "check(True, 'so')", stdout="check: True, so\n", displays=({CHECK_MIME: '{"state": true, "reason": "so"}'},)
        ),
        checked("print('x' in globals())", stdout="False\n"),
    ]
    found = await replay(recorded(*steps), box)
    assert [(each.outcome, each.reason) for each in found] == [
        (Outcome.EXACT, None),
        (Outcome.EXACT, None),
        (Outcome.EQUAL, None),
        (Outcome.EXACT, None),
        (Outcome.ERROR_DIFFERS, Reason.VERSIONS),
        (Outcome.DIFFERS, Reason.VERSIONS),
        (Outcome.DIFFERS, Reason.EARLIER),
        (Outcome.DIFFERS, Reason.ADDRESS),
        (Outcome.EXACT, None),
        (Outcome.EXACT, None),
    ]


@pytest.mark.anyio
async def test_a_timeout_now_and_what_follows_it(box: Sandbox) -> None:
    steps = [*ran("while True: pass", "1"), *ran("print(done)", "1"), *ran("print(2)", "2")]
    found = await replay(recorded(*steps), box, seconds=3)
    assert [each.reason for each in found] == [Reason.TIMEOUT, Reason.AFTER_TIMEOUT, None]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of one sample with two cells, the second of which is recorded wrongly."""
    made = Run.create(tmp_path / "runs" / "r", making.manifest())
    made.add(recorded(*ran("print(1)", "1\n"), *ran("print(2)", "3\n")))
    made.add(making.grade())
    made.close()
    return made


@pytest.mark.usefixtures("engine", "run")
def test_replay_prints_a_table_and_writes_the_differences(tora: Tora, tmp_path: Path) -> None:
    done = tora("replay", "r", "own/1", "--differences", "d.jsonl", env={"COLUMNS": "200"})
    assert done.returncode == 1, done.stderr
    assert "1 of 2 cells reproduced, 50.0 %" in done.stdout
    assert "own/1 step 3" in done.stdout
    (line,) = (tmp_path / "d.jsonl").read_text().splitlines()
    assert {"problem_id": "own/1", "step": 3, "recorded": "3", "now": "2"}.items() <= json.loads(line).items()


@pytest.mark.usefixtures("run")
def test_replay_of_what_is_not_there(tora: Tora, engine: docker.DockerClient) -> None:
    assert tora("replay", "r", "own/7").returncode == 2
    assert tora("replay", "s").returncode == 2
