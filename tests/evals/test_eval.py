"""`tora eval` and `tora show`, end to end: scripted replies over HTTP, a real sandbox, a real process."""

from __future__ import annotations

import json
import os
import re
import resource
import shlex
import shutil
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import docker
import pytest
from rich.console import Console

from evals.benchmarks import load_benchmark
from evals.runner import Outcome, Plan, evaluate
from evals.runs import Run
from evals.show import show_trajectory
from prompts import load_prompt
from sandbox.build import find_image
from tests.conftest import Tora, script, soon
from tests.evals.making import jsonl, row
from tests.evals.running import Done, containers, end, environment, serving, start, tora_in, wait_until
from tora_agent.errors import ModelUnavailable, UsageError
from tora_agent.model import ClientSettings, Endpoint
from tora_agent.model.scripted import Script, ScriptedServer
from tora_agent.settings import AgentSettings

KEY = "sk-test-0123456789"
LEVELS = [1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 5, 5]
SUBJECTS = ["Algebra"] * 3 + ["Geometry [/i]"] * 3 + ["Number Theory"] * 4 + ["Geometry [/i]", "Algebra"]
VERDICTS = ["correct"] * 3 + ["wrong", "correct", "correct", "no_answer", "correct", "truncated", "wrong", "truncated"]
VERDICTS += ["correct"]
WITH_CODE = (0, 1, 5)
IDS = [f"own/[b]{i}" for i in range(12)]
ROWS = [
    row(i, problem=f"Problem {i}.", subject=SUBJECTS[i], level=LEVELS[i], unique_id=IDS[i]) for i in range(12)
]  # fmt: skip
SAMPLES = list(product(IDS, (0, 1)))


def entry(number: int, *turns: Any, **turn: Any) -> dict[str, Any]:
    """What the scripted model says to problem `number`: `turns`, or its right answer in a turn with fields `turn`."""
    right = {"content": f"It is $\\boxed{{{number}}}$.", "delay": 0.1} | turn
    return {"match": f"Problem {number}.", "turns": list(turns) or [right]}


def replies(number: int) -> dict[str, Any]:
    """What leads to `VERDICTS[number]`."""
    if number in WITH_CODE:
        code = f"I compute.\n```python\nprint({number} * 7 // 7)\n```"
        return entry(number, code, {"content": f"\\boxed{{{number}}}", "delay": 0.2})
    if VERDICTS[number] == "no_answer":
        return entry(number, "I do not know.", "I still do not know.")
    other = {"wrong": {"content": "\\boxed{-1}"}, "truncated": {"content": "Let me", "finish_reason": "length"}}
    return entry(number, **other.get(VERDICTS[number], {}))


def own_script(**options: Any) -> Script:
    """The whole script."""
    return script(*map(replies, range(12)), **options)


def records(folder: Path, name: str = "trajectories") -> list[dict[str, Any]]:
    """The lines of a run's file."""
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def keys(folder: Path, name: str = "trajectories") -> list[tuple[str, int]]:
    """Whose samples the lines are, in order of the samples."""
    return sorted((each["problem_id"], each["sample"]) for each in records(folder, name))


TIMED = ("seconds", "started", "created", "at", "spent")


def timeless(record: Any) -> Any:
    """`record` without what the clock, or a reply that was paid for and lost, decides."""
    if isinstance(record, list):
        return [timeless(each) for each in record]
    if not isinstance(record, dict):
        return record
    return {key: timeless(each) for key, each in record.items() if key not in TIMED}


def content(folder: Path) -> list[Any]:
    """All of a finished run that does not depend on the clock or on the order in which samples ended."""
    files = [sorted(timeless(records(folder, name)), key=json.dumps) for name in ("trajectories", "grades")]
    return [*files, timeless(json.loads((folder / "manifest.json").read_text()))]


def only_run(folder: Path, log_dir: str = "runs") -> Path:
    """The one run under `folder`."""
    (found,) = (folder / log_dir).iterdir()
    return found


def lines(folder: Path) -> int:
    """How many samples the runs under `folder` have."""
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("*/*/trajectories.jsonl"))


@pytest.fixture(scope="module")
def server(engine: docker.DockerClient) -> Iterator[ScriptedServer]:
    """Knows all the rows, and asks for the key."""
    with serving(own_script(api_key=KEY)) as server:
        yield server


@dataclass
class Finished:
    """A whole run."""

    cwd: Path
    run: Path
    done: Done
    requests: list[dict[str, Any]]


def arguments(server: ScriptedServer, *more: object) -> list[object]:
    """The command for two samples of each problem."""
    known = ["eval", "math500", "--data", "own.jsonl", "--model", "scripted", "--base-url", server.base_url]
    return [*known, "--samples", 2, "--temperature", 0.7, "--seed", 5, *more]


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    """A directory with the benchmark in it."""
    return jsonl(tmp_path / "own.jsonl", *ROWS).parent


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, server: ScriptedServer) -> Finished:
    cwd = tmp_path_factory.mktemp("finished")
    jsonl(cwd / "own.jsonl", *ROWS)
    done = tora_in(cwd, *arguments(server), OPENAI_API_KEY=KEY)
    assert done.status == 0, done.out + done.err
    return Finished(cwd, only_run(cwd), done, list(server.requests))


# The table


@pytest.mark.parametrize(
    "figures",
    [
        "accuracy         │ 58.3 ± 14.9 % (14/24)",
        "% (clustered by problem, bootstrap [",
        "of the answered │ 77.8",
        "verdicts         │ correct 14, wrong 4, no_answer 2, truncated 4",
        "failures         │ truncated 4, no_answer 2",
        "well-formed code │ 25.0 % (6/24)",
        "replies cut      │ none",
        "│ 1        │ 100.0 [34.2, 100.0] (4/4)  │ Algebra       │ 100.0 [51.0, 100.0] (8/8)",
        "│ 2        │ 66.7 [15.9, 95.5] (4/6)  │ Geometry [/i] │ 50.0 [12.5, 87.5] (4/8)",
        "│ 3        │ 50.0 [5.5, 94.5] (2/4)  │ Number Theory │ 25.0 [3.7, 74.4] (2/8)",
        "│ 4        │ 50.0 [5.5, 94.5] (2/4)  │",
        "│ 5        │ 33.3 [4.5, 84.1] (2/6)  │",
        "own.jsonl, 12 problems x 2",
        "warning: 4 of 24 samples were cut by the token limit",
        "warning: math500 has 500 problems, but own.jsonl has 12",
    ],
)
def test_table_has_the_right_figures(finished: Finished, figures: str) -> None:
    assert re.sub(" +", " ", figures) in re.sub(" +", " ", finished.done.out)


def test_every_sample_is_told_as_it_ends(finished: Finished) -> None:
    told = re.findall(r"^(\d+)/24  accuracy .* %  (\S+)  (\S+)$", finished.done.out, re.MULTILINE)
    assert [int(count) for count, *_ in told] == list(range(1, 25))
    assert Counter((id_, verdict) for _, id_, verdict in told) == Counter(zip(IDS * 2, VERDICTS * 2, strict=True))
    assert finished.done.err == ""


# The files


def test_every_sample_has_one_complete_record(finished: Finished) -> None:
    assert keys(finished.run) == keys(finished.run, "grades") == sorted(SAMPLES)
    trajectories = list(Run.read(finished.run).trajectories())
    assert all(each.steps[-1].kind == ("answer" if each.answer else "failure") for each in trajectories)
    assert all(each.usage.completion_tokens > 0 and each.seconds > 0 and each.started for each in trajectories)


def test_record_holds_what_the_code_brought(finished: Finished) -> None:
    (first, _) = [each for each in Run.read(finished.run).trajectories() if each.problem_id == IDS[5]]
    assert [step.kind for step in first.steps] == ["reasoning", "code", "output", "reasoning", "answer"]
    assert first.model_dump()["steps"][2]["result"]["stdout"] == "5\n"
    assert (first.level, first.subject, first.answer, first.usage.calls) == (3, "Geometry [/i]", "5", 2)


def test_sample_k_asks_with_seed_plus_k(finished: Finished) -> None:
    asked = Counter((number, each["seed"]) for each in finished.requests for number in _numbers(each))
    calls = {number: 2 if number in WITH_CODE or number == 6 else 1 for number in range(12)}
    assert asked == {(number, seed): calls[number] for number in range(12) for seed in (5, 6)}
    assert {each["temperature"] for each in finished.requests} == {0.7}
    assert {(each["sample"], each["settings"]["seed"]) for each in records(finished.run)} == {(0, 5), (1, 6)}


def _numbers(request: dict[str, Any]) -> list[int]:
    """Which of our problems a request asks."""
    found = [re.fullmatch(r"Problem (\d+)\.", message["content"]) for message in request["messages"]]
    return [int(match[1]) for match in found if match]


def test_manifest_tells_all_that_decides_the_number(finished: Finished, engine: docker.DockerClient) -> None:
    manifest = json.loads((finished.run / "manifest.json").read_text())
    benchmark, prompt = load_benchmark("math500", finished.cwd / "own.jsonl"), load_prompt("tora")
    expected = {
        "benchmark": "math500",
        "data_source": "own.jsonl",
        "data_sha256": benchmark.sha256,
        "data_file": "own.jsonl",
        "limit": None,
        "problem_ids": IDS,
        "samples": 2,
        "settings": AgentSettings(prompt="tora", temperature=0.7, seed=5).model_dump(),
        "prompt_sha256": prompt.sha256,
        "prompt_text": {"tora": prompt.model_dump()},
        "model": "scripted",
        "model_reported": "scripted",
        "image_id": find_image(engine),
    }
    assert {key: manifest[key] for key in expected} == expected
    assert manifest["fingerprint"].startswith("fp_")
    assert set(manifest["versions"]) >= {"python", "tora-agent", "openai", "langgraph", "math-verify", "sympy"}
    assert manifest["limits"]["memory_mib"] > 0


def test_key_is_nowhere(finished: Finished) -> None:
    written = [path.read_text() for path in finished.run.rglob("*")] + [finished.done.out, finished.done.err]
    assert len(written) == 7
    assert not any(KEY in text for text in written)


def test_no_container_is_left(finished: Finished, engine: docker.DockerClient) -> None:
    assert containers(engine, finished.done.pid) == []


# `tora show`


def test_show_lists_every_sample_with_its_verdict(finished: Finished) -> None:
    done = tora_in(finished.cwd, "show", "last")
    assert done.status == 0, done.out + done.err
    shown = [line.split() for line in done.out.splitlines() if line.strip().startswith("own/")]
    listed = [(IDS[i], str(k), str(LEVELS[i]), VERDICTS[i]) for i, k in product(range(12), (0, 1))]
    assert [tuple(words[:4]) for words in shown] == listed
    assert "58.3 ± 14.9 % (14/24)" in done.out


def test_show_prints_one_problem_by_the_end_of_its_id(finished: Finished) -> None:
    done = tora_in(finished.cwd, "show", finished.run, "]5")
    assert done.status == 0, done.out + done.err
    assert done.out.count("Problem 5.") == done.out.count("print(5 * 7 // 7)") == 2
    assert done.out.count("gold 5 -> correct") == 2
    assert IDS[5] in done.out and IDS[4] not in done.out


def test_show_of_no_run_is_refused(finished: Finished) -> None:
    done = tora_in(finished.cwd, "show", "nonsense")
    assert done.status == 2
    assert re.fullmatch("tora: there is no run 'nonsense'.*\n", done.err)


@pytest.mark.parametrize(("words", "said"), [("[b]99", "no finished sample"), ("1", "2 problems with the id")])
def test_show_of_no_single_problem_is_refused(finished: Finished, words: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        show_trajectory(Run.read(finished.run), words, Console(quiet=True))


# Killed, stopped, resumed


def test_killed_run_is_resumed_without_a_trace(
    finished: Finished, cwd: Path, server: ScriptedServer, engine: docker.DockerClient
) -> None:
    process = start(cwd, *arguments(server, "--max-connections", 2), OPENAI_API_KEY=KEY)
    wait_until(lambda: lines(cwd) >= 3, process)
    process.send_signal(signal.SIGSTOP)  # or it may be done before the Engine has answered
    assert containers(engine, process.pid)
    process.kill()
    process.communicate()
    run = only_run(cwd)
    before = (run / "trajectories.jsonl").read_text()
    assert 3 <= before.count("\n") < len(SAMPLES)
    resumed = tora_in(cwd, "eval", "--resume", "last", OPENAI_API_KEY=KEY)
    assert resumed.status == 0, resumed.err
    assert keys(run) == keys(run, "grades") == sorted(SAMPLES)
    assert (run / "trajectories.jsonl").read_text().startswith(before[: before.rfind("\n") + 1])
    assert content(run) == content(finished.run)
    assert containers(engine, resumed.pid) == []
    assert soon(lambda: not containers(engine, process.pid))


@pytest.mark.anyio
async def test_what_a_kill_tore_is_made_again(finished: Finished, cwd: Path, engine: docker.DockerClient) -> None:
    run = Path(shutil.copytree(finished.run, cwd / "runs" / "one"))
    for name, torn in (("trajectories", 2), ("grades", 4)):
        path = run / f"{name}.jsonl"
        text = path.read_text().splitlines(keepends=True)
        path.write_text("".join(text[:-torn]) + text[-torn][:30])
    async with ScriptedServer(own_script(api_key=KEY)) as server:
        outcome = await evaluated(server.base_url, cwd, Run.resume(run), settings=Run.read(run).manifest.settings)
    assert outcome.left == 0
    assert content(run) == content(finished.run)


DEAF = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")
"""Starts a command as a shell script starts a background job: deaf to Ctrl-C."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_run_is_finished_by_the_command_it_prints(
    cwd: Path, server: ScriptedServer, engine: docker.DockerClient, number: signal.Signals
) -> None:
    more = ("--limit", 6, "--max-connections", 2, "--log-dir", "my [b]runs")
    before = () if number == signal.SIGINT else DEAF
    process = start(cwd, *arguments(server, *more), before=before, OPENAI_API_KEY=KEY)
    wait_until(lambda: lines(cwd) >= 3, process)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    done = end(process)
    assert (done.status, done.err) == (3, "")
    assert "stopped by the user" in done.out
    assert containers(engine, process.pid) == []
    command = re.search("finish it with: (.*)", done.out)
    assert command
    shell = environment(OPENAI_API_KEY=KEY)
    again = subprocess.run(command[1], shell=True, cwd=cwd, env=shell, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    run = only_run(cwd, "my [b]runs")
    assert keys(run) == keys(run, "grades") == sorted(SAMPLES[:12])


def test_stopped_before_any_sample_keeps_nothing(cwd: Path, engine: docker.DockerClient) -> None:
    with serving(script({"match": "", "turns": [{"content": "Late.", "delay": 60}]})) as slow:
        process = start(cwd, *arguments(slow))
        wait_until(lambda: slow.requests, process)
        os.killpg(process.pid, signal.SIGINT)
        done = end(process)
    assert (done.status, done.err) == (3, "")
    assert "nothing was kept" in done.out
    assert list((cwd / "runs").iterdir()) == []


def test_resume_stopped_at_once_still_says_how_to_go_on(finished: Finished) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}/v1"
        process = start(finished.cwd, "eval", "--resume", "last", "--base-url", address)
        deaf.accept()[0].recv(1)
        os.killpg(process.pid, signal.SIGINT)
        done = end(process)
    assert done.status == 3
    assert f"finish it with: tora eval --resume {shlex.quote(str(finished.run.relative_to(finished.cwd)))}" in done.out


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--temperature", "0.1"], r"another --temperature: 0\.7, not 0\.1"),
        (["--data", "other.jsonl"], r"another data \(hash\): "),
    ],
)
def test_resume_with_another_option_is_refused(
    finished: Finished, tmp_path: Path, option: list[str], said: str
) -> None:
    jsonl(tmp_path / "own.jsonl", *ROWS)
    jsonl(tmp_path / "other.jsonl", *ROWS[:-1], row(11))
    done = tora_in(tmp_path, "eval", "--resume", finished.run, *option, OPENAI_API_KEY=KEY)
    assert done.status == 2
    assert re.fullmatch(f"tora: .* was made with {said}.*\n", done.err)


def test_problems_of_ones_own_are_found_again_by_resume(tmp_path: Path, server: ScriptedServer) -> None:
    bare = [{key: each[key] for key in ("problem", "answer", "unique_id")} for each in ROWS[:3]]
    (tmp_path / "data").mkdir()
    file = jsonl(tmp_path / "data" / "mine.jsonl", *bare).relative_to(tmp_path)
    known = ("--model", "scripted", "--base-url", server.base_url)
    done = tora_in(tmp_path, "eval", file, *known, OPENAI_API_KEY=KEY)
    assert done.status == 0, done.out + done.err
    assert "accuracy         │ 100.0" in done.out and "warning" not in done.out
    run = only_run(tmp_path)
    assert "-mine-tora-" in run.name
    manifest = json.loads((run / "manifest.json").read_text())
    assert (manifest["benchmark"], manifest["data_file"]) == ("mine", "data/mine.jsonl")
    for again in ([], [file]):
        for name in ("trajectories", "grades"):
            path = run / f"{name}.jsonl"
            path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
        done = tora_in(tmp_path, "eval", *again, "--resume", "last", OPENAI_API_KEY=KEY)
        assert done.status == 0, done.out + done.err
        assert len(keys(run)) == 3


# Faults of the model's server


def test_empty_quota_pauses_the_run(cwd: Path, engine: docker.DockerClient) -> None:
    limited = script(*map(entry, range(3)), entry(3, fault="quota", times=1), *map(entry, range(4, 6)))
    (cwd / "script.json").write_text(limited.model_dump_json(exclude_defaults=True))
    served = start(cwd, "serve-script", "script.json")
    address = re.search(r"http://\S+", served.stdout.readline() if served.stdout else "")
    assert address
    known = ("eval", "sample", "--data", "own.jsonl", "--limit", 6, "--max-connections", 1, "--model", "local-llama")
    paused = tora_in(cwd, *known, OPENAI_BASE_URL=address[0])
    assert (paused.status, paused.err) == (3, "")
    assert "has no quota left: You exceeded your current quota." in paused.out
    assert "incomplete: 3 of 6 samples" in paused.out
    assert f"finish it with: tora eval --resume runs/{only_run(cwd).name}" in paused.out
    resumed = tora_in(cwd, "eval", "--resume", "last")
    served.terminate()
    assert end(served).status == 0
    assert resumed.status == 0, resumed.err
    assert keys(only_run(cwd)) == [(id_, 0) for id_ in IDS[:6]]


def test_faults_that_pass_are_survived(cwd: Path, engine: docker.DockerClient) -> None:
    faults = ["server_error", "html_error", "cut_stream", "malformed_json"]
    entries = [entry(i + 1, fault=fault, times=1) for i, fault in enumerate(faults)]
    with serving(script(entry(0, fault="rate_limit", times=1, retry_after=0.2), *entries)) as server:
        done = tora_in(cwd, *arguments(server, "--limit", 5))
    assert done.status == 0, done.out + done.err
    assert "100.0 ± 0.0 % (10/10)" in done.out


def test_what_a_content_filter_refuses_counts_as_wrong(cwd: Path, engine: docker.DockerClient) -> None:
    with serving(script(entry(0), entry(1, fault="filtered"))) as server:
        done = tora_in(cwd, *arguments(server, "--limit", 2))
    assert done.status == 0, done.out + done.err
    assert "50.0 ± 50.0 % (2/4)" in done.out
    assert "2 of 4 samples were refused by the endpoint's content filter" in " ".join(done.out.split())


async def evaluated(
    address: str, cwd: Path, resume: Run | None = None, on_start: Any = lambda *_: None, **plan: Any
) -> Outcome:
    """Evaluate in this process, with a single and short wait before a failing call is given up."""
    client = ClientSettings(tries=2, first_wait=0.01)
    settings = {"settings": AgentSettings(prompt="tora"), "max_connections": 1}
    whole = Plan(benchmark="sample", client=client, **settings | plan)
    endpoint = Endpoint(model="scripted", base_url=address, api_key=KEY)
    benchmark = load_benchmark("sample", cwd / "own.jsonl")
    return await evaluate(whole, benchmark, endpoint, cwd / "runs", resume, on_start)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("failing", "said"),
    [
        ([entry(7, fault="server_error")], "keeps failing: The server had an error"),
        ([], "rejects the request: No entry of the script matches"),
    ],
)
async def test_problem_that_fails_for_good_is_left_for_resume(
    cwd: Path, engine: docker.DockerClient, failing: list[dict[str, Any]], said: str
) -> None:
    entries = list(map(entry, range(12)))
    async with ScriptedServer(script(*entries[:7], *failing, *entries[8:])) as server:
        outcome = await evaluated(server.base_url, cwd)
    folder, (problem,) = outcome.run.folder, outcome.problems
    assert outcome.left == 1
    assert problem.startswith("1 x ") and said in problem
    assert keys(folder) == keys(folder, "grades") == sorted((id_, 0) for id_ in IDS if id_ != IDS[7])
    async with ScriptedServer(script(*entries)) as healthy:
        resumed = await evaluated(healthy.base_url, cwd, Run.resume(folder))
        assert (resumed.left, resumed.problems, len(healthy.requests)) == (0, [], 1)
    assert keys(folder) == sorted((id_, 0) for id_ in IDS)


@pytest.mark.anyio
async def test_a_sample_whose_grade_could_not_be_written_is_left(cwd: Path, engine: docker.DockerClient) -> None:
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(run: Run, *_: object) -> None:
        most = 1 << 20
        (run.folder / "grades.jsonl").write_bytes(b"\n" * most)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, usual[1]))

    async with ScriptedServer(script(entry(0))) as server:
        try:
            outcome = await evaluated(server.base_url, cwd, on_start=fill, limit=1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert keys(outcome.run.folder) == [(IDS[0], 0)]
    assert outcome.left == 1 and "cannot write the log" in outcome.problems[0]


@pytest.mark.anyio
async def test_server_that_only_fails_stops_the_run_early(cwd: Path, engine: docker.DockerClient) -> None:
    async with ScriptedServer(script(*(entry(i, fault="server_error") for i in range(12)))) as failing:
        with pytest.raises(ModelUnavailable, match="keeps failing: The server had an error"):
            await evaluated(failing.base_url, cwd)
        assert len(failing.requests) == 2 * 10
    assert os.listdir(cwd / "runs") == []


@pytest.mark.anyio
async def test_password_in_the_address_is_not_kept(cwd: Path, engine: docker.DockerClient) -> None:
    async with ScriptedServer(script(entry(0))) as server:
        outcome = await evaluated(server.base_url.replace("//", "//me:hunter2@"), cwd, limit=1)
        assert outcome.run.manifest.base_url == server.base_url
    assert not any("hunter2" in path.read_text() for path in outcome.run.folder.iterdir())


def test_full_disk_pauses_the_run(cwd: Path, tiny_disk: Path, server: ScriptedServer) -> None:
    known = arguments(server, "--limit", 5, "--samples", 1, "--log-dir", tiny_disk)
    done = tora_in(cwd, *known, OPENAI_API_KEY=KEY)
    assert (done.status, done.err) == (3, "")
    assert re.search("1 x cannot write the log in .*: No space left on device; free some space", done.out)
    subprocess.run(["mount", "-o", "remount,size=4m", str(tiny_disk)], check=True)
    resumed = tora_in(cwd, "eval", "--resume", "last", "--log-dir", tiny_disk, OPENAI_API_KEY=KEY)
    assert resumed.status == 0, resumed.err
    (run,) = tiny_disk.iterdir()
    assert keys(run) == keys(run, "grades") == [(id_, 0) for id_ in IDS[:5]]


# Set-up errors


@pytest.fixture(scope="module")
def strict(engine: docker.DockerClient) -> Iterator[str]:
    """The address of a server that knows one model and one key."""
    with serving(script(entry(0), strict_model=True, api_key=KEY)) as server:
        yield server.base_url


SERVED = ["sample", "--model", "scripted", "--base-url", "SERVER"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name a benchmark: sample, math500 or a .jsonl file"),
        (["math", *SERVED[1:]], "unknown benchmark 'math'; there are sample, math500"),
        ([*SERVED, "--limit", "0"], "--limit must be at least 1, not 0"),
        ([*SERVED, "--data", "bad.jsonl"], "bad.jsonl:2: the field 'answer' is missing"),
        (["sample", "--model", "other", "--base-url", "SERVER"], "SERVER does not know the model 'other'"),
        (["sample", "--model", "x", "--base-url", "http://127.0.0.1:1/v1"], "cannot reach http://127.0.0.1:1/v1: "),
        ([*SERVED, "--log-dir", "bad.jsonl"], "cannot write the log in bad.jsonl/"),
        ([*SERVED, "--log-dir", "/proc/runs"], "cannot write the log in /proc/runs/"),
    ],
)
def test_setup_error_is_one_line(tora: Tora, tmp_path: Path, strict: str, words: list[str], said: str) -> None:
    jsonl(tmp_path / "bad.jsonl", row(1), {key: value for key, value in row(2).items() if key != "answer"})
    done = tora("eval", *at(strict, words), env={"OPENAI_API_KEY": KEY})
    assert_refused(done, tmp_path, said.replace("SERVER", strict))


def test_bad_key_is_one_line(tora: Tora, tmp_path: Path, strict: str) -> None:
    done = tora("eval", *at(strict, SERVED), env={"OPENAI_API_KEY": "sk-test-wrong"})
    assert_refused(done, tmp_path, f"{strict} refuses the key: Incorrect API key provided.; set OPENAI_API_KEY")
    assert "sk-test-wrong" not in done.stderr


def test_missing_docker_is_one_line(tora: Tora, tmp_path: Path, strict: str) -> None:
    nowhere = {"OPENAI_API_KEY": KEY, "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    done = tora("eval", *at(strict, SERVED), env=nowhere)
    assert_refused(done, tmp_path, "no Docker Engine answers; start it")


def at(address: str, words: list[str]) -> list[str]:
    """`words` with the address of the server."""
    return [word.replace("SERVER", address) for word in words]


def assert_refused(done: subprocess.CompletedProcess[str], folder: Path, said: str) -> None:
    assert done.returncode == 2
    assert done.stderr.startswith(f"tora: {said}")
    assert done.stderr.count("\n") == 1
    assert not list(folder.rglob("*.jsonl"))[1:], "a run directory is left"
    assert not list(folder.glob("runs/*"))
