"""The command line, as a user runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import docker
import pytest
import typer.main

from evals.benchmarks import load_benchmark
from sandbox.container import LABEL
from tests.conftest import OWN_VARIABLES, Tora, soon
from tora_agent.cli import app
from tora_agent.steps import Trajectory

KEY = "sk-" + "a-secret-that-must-not-show"
HEAVY = ["openai", "langgraph", "langchain_core", "docker", "zmq", "sympy", "datasets", "pydantic_settings"]
ENTRIES = [
    {"match": ["Solve it", "Proposed answer: 7"], "turns": ["```python\ncheck(2 + 5 == 7)\n```"]},
    {"match": "Solve it", "turns": ["Compute.\n```python\nprint(3 + 4)\n```", r"So $\boxed{7}$."]},
    {"match": "divisors of $196$", "turns": [r"\boxed{1}"]},
    {"match": "give up", "turns": ["I give up."]},
    {"match": "run for ever", "turns": ["```python\nwhile True: pass\n```"]},
    {"match": "unknown model", "turns": [{"fault": "unknown_model"}]},
    {"match": "no quota", "turns": [{"fault": "quota"}]},
]
Environment = dict[str, str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """The environment of a user of `tora serve-script`."""
    script = tmp_path_factory.mktemp("served") / "script.json"
    script.write_text(json.dumps({"api_key": KEY, "entries": ENTRIES}), encoding="utf-8")
    command = [sys.executable, "-m", "tora_agent", "serve-script", str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        words = server.stdout.readline().split()
        yield dict(word.split("=", 1) for word in words if "=" in word) | {"OPENAI_API_KEY": KEY}
        server.terminate()


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address of this machine at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def refused(done: subprocess.CompletedProcess[str], words: str) -> None:
    """Assert that it ended as a usage or set-up error does."""
    assert done.returncode == 2
    assert done.stderr.startswith("tora: ")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
    assert done.stdout == ""


# Help


def imported(*args: str) -> set[str]:
    command = [sys.executable, "-X", "importtime", "-m", "tora_agent", *args]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    assert "Usage: " in done.stdout
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def test_help_imports_nothing_heavy() -> None:
    assert "typer" in imported("--help")
    assert not imported("--help") & set(HEAVY)
    assert not imported("solve", "--help") & set(HEAVY)


def commands(group: Any = None, *before: str) -> Iterator[tuple[str, ...]]:
    """Every command that `--help` lists."""
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *before, name)
        elif not command.hidden:
            yield *before, name


def test_the_commands() -> None:
    listed = {" ".join(command) for command in commands()}
    assert listed >= {"solve", "eval", "show", "doctor", "fetch-model", "serve-script", "sandbox build"}


@pytest.mark.parametrize("group", [(), ("sandbox",)], ids=["tora", "sandbox"])
def test_the_list_of_commands_fits_a_narrow_terminal(tora: Tora, group: tuple[str, ...]) -> None:
    listed = tora(*group, "--help", env={"COLUMNS": "80"}).stdout.partition("Commands:\n")[2]
    assert listed.count("\n") > 1
    assert "..." not in listed


def test_the_help_of_all_has_examples(tora: Tora) -> None:
    lines = tora("--help").stdout.partition("Examples:\n")[2].split("\n")
    assert [line.split()[1] for line in lines if line] == ["doctor", "solve", "eval", "view"]


@pytest.mark.parametrize("command", list(commands()), ids=" ".join)
def test_every_command_has_help_with_an_example(tora: Tora, command: tuple[str, ...]) -> None:
    done = tora(*command, "--help")
    usage, _, examples = done.stdout.partition("Examples:\n")
    assert done.returncode == 0
    assert f"{' '.join(command)} [OPTIONS]" in usage
    lines = [line.strip() for line in examples.splitlines()]
    assert lines
    assert all(line.startswith(f"tora {' '.join(command)}") for line in lines)


def test_tora_and_the_module_are_the_same_program(tora: Tora, tmp_path: Path) -> None:
    script = Path(sys.executable).parent / "tora"
    called = subprocess.run([script, "solve", "--help"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert called.stdout == tora("solve", "--help").stdout.replace("python -m tora_agent", "tora")


def test_version(tora: Tora) -> None:
    done = tora("--version")
    assert (done.returncode, done.stdout) == (0, f"tora-agent {version('tora-agent')}\n")


def test_without_a_command_the_help_is_shown(tora: Tora) -> None:
    done = tora()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: ") and "Commands:" in done.stderr


# Solving


@pytest.mark.usefixtures("engine")
def test_solve_shows_what_happens_and_ends_with_the_answer(tora: Tora, served: Environment) -> None:
    done = tora("solve", "Solve it.", env=served)
    assert (done.returncode, done.stderr) == (0, "")
    shown = ["Compute.", "print(3 + 4)", "7", "So $\\boxed{7}$.", "check by code", "check(2 + 5 == 7)", "7: True"]
    places = [done.stdout.find(part) for part in [*shown, "answer: 7"]]
    assert -1 not in places
    assert places == sorted(places)


@pytest.mark.usefixtures("engine")
def test_solve_without_an_answer_ends_with_status_1(tora: Tora, served: Environment) -> None:
    done = tora("solve", "I give up on this.", env=served)
    assert (done.returncode, done.stderr) == (1, "")
    assert "no answer: no_answer" in done.stdout


@pytest.mark.usefixtures("engine")
def test_json_prints_one_trajectory_and_nothing_else(tora: Tora, served: Environment) -> None:
    done = tora("solve", "-", "--json", "--prompt", "tora", "--seed", 5, input="Solve it.\n", env=served)
    assert (done.returncode, done.stderr) == (0, "")
    made = Trajectory.model_validate_json(done.stdout)
    assert (made.problem, made.answer, made.prompt, made.settings["seed"]) == ("Solve it.\n", "7", "tora", 5)
    assert [step.kind for step in made.steps] == ["reasoning", "code", "output", "reasoning", "answer"]


@pytest.mark.usefixtures("engine")
def test_a_problem_of_a_benchmark(tora: Tora, served: Environment) -> None:
    known = load_benchmark("sample").problems[0].unique_id
    done = tora("solve", "--benchmark", "sample", "--id", known, "--prompt", "cot", "--json", env=served)
    made = Trajectory.model_validate_json(done.stdout)
    assert (done.returncode, made.problem_id, made.answer) == (0, known, "1")
    assert "divisors of $196$" in made.problem


@pytest.mark.usefixtures("engine")
def test_a_dotenv_file_is_read_and_the_environment_comes_first(
    tora: Tora, served: Environment, nowhere: str, tmp_path: Path
) -> None:
    lines = "".join(f"{name}={value}\n" for name, value in served.items())
    (tmp_path / ".env").write_text(lines, encoding="utf-8")
    assert tora("solve", "Solve it.", "--prompt", "cot").returncode == 0
    refused(
        tora("solve", "Solve it.", env={"OPENAI_BASE_URL": f"http://{nowhere}/v1"}), f"cannot reach http://{nowhere}"
    )


def test_a_dotenv_file_that_is_no_text_is_refused(tora: Tora, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"TORA_MODEL=\xff\n")
    refused(tora("doctor"), ".env cannot be read")


@pytest.mark.usefixtures("engine")
def test_the_key_shows_nowhere(tora: Tora, served: Environment, tmp_path: Path) -> None:
    for problem, options, status in (("Solve it.", ["--json", "--prompt", "tora"], 0), ("There is no quota.", [], 2)):
        done = tora("solve", problem, *options, env=served)
        assert done.returncode == status
        assert KEY not in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


# What is refused


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([""], "the problem is empty"),
        (["a \udcff b"], "not UTF-8"),
        ([], "give a problem"),
        (["Solve it.", "--benchmark", "sample", "--id", "x"], "give a problem"),
        (["--benchmark", "sample"], "--id"),
        (["--benchmark", "sample", "--id", "nothing"], "sample has no problem 'nothing'"),
        (["Solve it.", "--prompt", "nothing"], "unknown prompt set 'nothing'; there are cot, csv, pal, tora"),
        (["Solve it.", "--prompt", "none.yaml"], "none.yaml cannot be read: No such file"),
        (["Solve it.", "--max-tokens", "0"], "--max-tokens 0"),
        (["Solve it.", "--vote", "verified"], "give --samples"),
        (["Solve it.", "--stop-early"], "give --samples"),
        (["Solve it.", "--nonsense"], "no such option: --nonsense"),
        (["Solve it.", "--seed", "x"], "invalid value for '--seed'"),
        (["Solve", "it."], "unexpected extra argument"),
    ],
    ids=lambda value: " ".join(value).encode("ascii", "replace").decode() if isinstance(value, list) else "",
)
def test_a_usage_error_is_one_line(tora: Tora, args: list[str], words: str, nowhere: str) -> None:
    refused(tora("solve", *args, env={"OPENAI_BASE_URL": f"http://{nowhere}/v1"}), words)


@pytest.mark.parametrize(
    ("args", "words"),
    [(["nonsense"], "no such command 'nonsense'; see "), (["show"], "missing argument 'RUN'; see ")],
    ids=["command", "argument"],
)
def test_a_wrong_command_line_is_one_line(tora: Tora, args: list[str], words: str) -> None:
    refused(tora(*args), words)


def test_a_file_that_is_no_trajectory_is_not_shown(tora: Tora, tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text('{"steps": []}')
    refused(tora("show", "own.json"), "own.json is no trajectory")


def test_standard_input_must_hold_a_text(tora: Tora, nowhere: str) -> None:
    env = {"OPENAI_BASE_URL": f"http://{nowhere}/v1"}
    refused(tora("solve", "-", input="a ÿ b", encoding="latin-1", env=env), "not UTF-8")


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    ("problem", "env", "words"),
    [
        ("This is an unknown model.", {}, "--model"),
        ("Solve it.", {"OPENAI_API_KEY": "another"}, "OPENAI_API_KEY"),
        ("Solve it.", {"OPENAI_BASE_URL": "http://{nowhere}/v1"}, "cannot reach"),
        ("Solve it.", {"DOCKER_HOST": "tcp://{nowhere}"}, "no Docker Engine answers"),
    ],
    ids=["unknown-model", "another-key", "endpoint", "docker"],
)
def test_a_set_up_error_is_one_line(
    tora: Tora, served: Environment, nowhere: str, problem: str, env: Environment, words: str
) -> None:
    own = {name: value.format(nowhere=nowhere) for name, value in env.items()}
    refused(tora("solve", problem, "--json", env=served | own), words)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["serve-script", "missing.yaml"], "missing.yaml"),
        (["serve-script", "script.json", "--host", "192.0.2.1"], "cannot listen on 192.0.2.1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_script_that_cannot_be_served_is_refused(tora: Tora, tmp_path: Path, args: list[str], words: str) -> None:
    (tmp_path / "script.json").write_text(json.dumps({"entries": ENTRIES}), encoding="utf-8")
    refused(tora(*args), words)


# Interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_solve_leaves_nothing(
    served: Environment, engine: docker.DockerClient, tmp_path: Path, number: signal.Signals
) -> None:
    def containers() -> list[str]:
        every = engine.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
        return [c.name for c in every if re.match(rf"{process.pid}\D", c.labels[LABEL])]

    clean = {key: value for key, value in os.environ.items() if key not in OWN_VARIABLES}
    command = [sys.executable, "-m", "tora_agent", "solve", "Will it run for ever?", "--json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=clean | served, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert soon(containers)
            process.send_signal(number)
            stdout, stderr = process.communicate(timeout=120)
        finally:
            process.kill()
    assert containers() == []
    assert process.returncode not in (0, 1, 2)
    assert stdout == ""
    assert "Traceback" not in stderr


@pytest.mark.parametrize("command", ["--version", "grade 1/2 0.5", "path lm-eval", "eval --help"])
def test_a_full_disk_is_one_line(command: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tora_agent", *command.split()], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "no space is left" in done.stderr, done.stderr
