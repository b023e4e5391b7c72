"""`tora chat`: a conversation that goes on in one kernel, can be stopped, and survives its process."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import docker
import jsonschema
import pexpect
import pytest

from evals.runs.schema import schema_text
from tests.conftest import script
from tests.evals.running import containers, environment, serving, start, tora_in, wait_until
from tora_agent.chat.conversation import Chat, Setup
from tora_agent.folders import find_folder
from tora_agent.model import ClientSettings, Endpoint
from tora_agent.model.scripted import ScriptedServer
from tora_agent.settings import AgentSettings
from tora_agent.steps import Trajectory

PROBLEM = "What is six times seven?"


def block(code: str) -> str:
    return f"Compute.\n```python\n{code}\n```"


ENTRIES: list[dict[str, Any]] = [
    {"match": "Proposed answer", "turns": [block("check(6 * 7 == 42, 'again')")]},
    {"match": "why?", "turns": [block("print(f'x is {x}')"), "As you see."]},
    {"match": ["wait", "I ran this code"], "turns": ["Now I see."]},
    {"match": "wait", "turns": [{"content": "At last.", "delay": 600}]},
    {"match": "unspeakable", "turns": [{"fault": "filtered"}]},
    {"match": "eight", "turns": [r"Then \boxed{48}."]},
    {"match": "Do not", "turns": [r"Then \boxed{41}."]},
    {"match": PROBLEM, "turns": [block("x = sum([6] * 7)\nprint(x)"), r"So \boxed{42}."]},
]


@pytest.fixture
def server(engine: object) -> Iterator[ScriptedServer]:
    with serving(script(*ENTRIES)) as served:
        yield served


class Talk:
    """A `tora chat` process: lines go in, and its output is read as it comes."""

    def __init__(self, folder: Path, server: ScriptedServer, *options: object) -> None:
        address = ("--base-url", server.base_url, "--model", "scripted", "--shots", 0)
        self.process = start(folder, "chat", *address, *options, stdin=subprocess.PIPE)
        self.heard = ""
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def _listen(self) -> None:
        assert self.process.stdout
        while piece := os.read(self.process.stdout.fileno(), 65536):
            self.heard += piece.decode()

    def write(self, line: str) -> None:
        """Send `line`."""
        stdin: Any = self.process.stdin
        stdin.buffer.write(f"{line}\n".encode(errors="surrogateescape"))
        stdin.buffer.flush()

    def say(self, line: str, until: str) -> str:
        """Send `line` and wait for the text `until`; give what was heard since."""
        before = len(self.heard)
        self.write(line)
        wait_until(lambda: until in self.heard[before:], self.process)
        return self.heard[before:]

    def stop_at(self, line: str, server: ScriptedServer) -> None:
        """Send `line` and wait until the model was asked about it."""
        self.write(line)
        wait_until(lambda: line in str(server.requests[-1]["messages"][-1]), self.process)

    def end(self) -> int:
        """Close its input and wait."""
        assert self.process.stdin
        self.process.stdin.close()
        status = self.process.wait(300)
        self._reader.join(60)
        return status


def test_a_conversation_goes_on_in_the_same_kernel(tmp_path: Path, server: ScriptedServer) -> None:
    talk = Talk(tmp_path, server, "--prompt", "tora")
    assert "42" in talk.say(PROBLEM, until="answer: 42")
    assert "x is 42" in talk.say("why?", until="As you see.")
    assert "why?" in server.requests[-1]["messages"][-3]["content"]
    talk.say("/run x += 1; print('now', x)", until="now 43")
    assert "Uncertain" not in talk.say("/verify", until="42: True (the check says True: again)")
    assert "left for this request: 6 replies" in talk.say("/budget", until="generated")
    assert "/help lists them" in talk.say("/nope", until="/nope")
    talk.say("/save own.json", until="saved: own.json")
    assert talk.end() == 0
    saved = (tmp_path / "own.json").read_text()
    kinds = [step["kind"] for step in json.loads(saved)["steps"]]
    assert kinds == [
        *("reasoning", "code", "output", "reasoning", "answer"),
        *("request", "reasoning", "code", "output", "reasoning", "request", "verification"),
    ]
    made = Trajectory.model_validate_json(saved)
    assert (made.answer, made.state, made.failure) == ("42", "True", None)
    assert [step.at for step in made.steps] == sorted(step.at for step in made.steps)
    assert set(json.loads(saved)) == set(json.loads(schema_text("trajectory"))["properties"])
    jsonschema.validate(json.loads(saved), json.loads(schema_text("trajectory")))
    shown = tora_in(tmp_path, "show", "own.json").out
    places = [shown.find(part) for part in (PROBLEM, "[5] request", "why?", "x is 42", "now 43", "42: True")]
    assert places == sorted(places) and -1 not in places


def test_what_was_asked_for_is_what_is_verified(tmp_path: Path, server: ScriptedServer) -> None:
    talk = Talk(tmp_path, server, "--prompt", "tora")
    talk.say(PROBLEM, until="answer: 42")
    talk.say("/run x", until="42")
    talk.say("and with eight?", until="answer: 48")
    talk.say("/verify", until="48: True")
    asked = server.requests[-1]["messages"][-1]["content"]
    assert PROBLEM in asked and "and with eight?" in asked and "I ran this code" not in asked
    assert talk.end() == 0


def test_a_refusal_and_own_code_do_not_end_the_verification(tmp_path: Path, server: ScriptedServer) -> None:
    talk = Talk(tmp_path, server, "--prompt", "csv", "--approve")
    talk.say(PROBLEM, until="print(x)")
    assert "check(6 * 7 == 42" in talk.say("n", until="check(6 * 7 == 42")
    talk.say("y", until="answer: 41")
    talk.say("/run print(6 * 8)", until="48")
    assert "left for this request: 5 replies" in talk.say("/budget", until="generated")
    assert talk.end() == 0


def test_a_check_in_between_does_not_end_what_was_stopped(tmp_path: Path, server: ScriptedServer) -> None:
    talk = Talk(tmp_path, server, "--prompt", "tora", "--approve")
    talk.say(PROBLEM, until="print(x)")
    talk.say("y", until="answer: 42")
    talk.say("why?", until="x is {x}")
    talk.process.send_signal(signal.SIGINT)
    wait_until(lambda: "stopped; the chat is kept" in talk.heard, talk.process)
    talk.say("/verify", until="check(6 * 7 == 42")
    talk.say("y", until="42: True")
    talk.write("/continue")
    talk.say("y", until="As you see.")
    assert "x is 42" in talk.heard, talk.heard
    assert talk.end() == 0


@asynccontextmanager
async def chatting(folder: Path, server: ScriptedServer) -> AsyncIterator[Chat]:
    """A chat in this process."""
    endpoint = Endpoint(model="scripted", base_url=server.base_url)
    created, settings = datetime.now(UTC).isoformat(), AgentSettings(prompt="tora", shots=0)
    setup = Setup(created=created, settings=settings, model=endpoint.model, base_url=endpoint.base_url)
    async with Chat.open(folder, setup, endpoint, ClientSettings()) as chat:
        yield chat


def nothing(event: dict[str, Any]) -> None:
    """Takes an event."""


@pytest.mark.anyio
async def test_a_check_of_the_answer_before_is_none_of_the_request_that_was_stopped(
    tmp_path: Path, server: ScriptedServer
) -> None:
    async with chatting(tmp_path / "chat", server) as chat:
        await chat.say(PROBLEM, nothing)
        solving = asyncio.create_task(chat.say("eight", lambda event: solving.cancel()))
        with pytest.raises(asyncio.CancelledError):
            await solving
        left, _ = await chat.left()
        checked = await chat.run_check(await chat.ask_check())
        assert (checked.answer, checked.state) == ("42", "True")
        assert (await chat.left())[0].rounds == left.rounds
        await chat.go_on(nothing)
        assert (await chat.trajectory()).answer == "48"


@pytest.mark.anyio
async def test_a_request_that_is_filtered_is_no_silent_reply(tmp_path: Path, server: ScriptedServer) -> None:
    async with chatting(tmp_path / "chat", server) as chat:
        await chat.say(PROBLEM, nothing)
        await chat.say("unspeakable", nothing)
        assert (await chat.steps())[-1]["failure"] == "filtered"


def test_last_is_the_chat_that_was_last_gone_on_with(tmp_path: Path) -> None:
    for name, created, opened in (("older", 1, 4), ("newer", 2, 3), ("of before", 2, None)):
        (tmp_path / name).mkdir()
        said = {"created": f"2026-01-0{created}"} | ({"opened": f"2026-01-0{opened}"} if opened else {})
        (tmp_path / name / "chat.json").write_text(json.dumps(said))
    assert find_folder("last", tmp_path, holds="chat.json", what="chat", command="").name == "older"


def test_another_dialect_is_asked_for_anew(tmp_path: Path, server: ScriptedServer) -> None:
    first = Talk(tmp_path, server, "--dialect", "turns")
    assert first.end() == 0
    again = Talk(tmp_path, server, "--resume", "last", "--dialect", "auto")
    assert again.end() == 0 and "dialect" in again.heard


@pytest.mark.anyio
@pytest.mark.parametrize(("line", "kinds"), [("eight", ["request", "reasoning", "answer"]), ("", ["request"])])
async def test_what_was_shown_when_it_was_stopped_is_kept(
    tmp_path: Path, server: ScriptedServer, line: str, kinds: list[str]
) -> None:
    def stop_at_code(event: dict[str, Any]) -> None:
        if event.get("step", {}).get("kind") == "code":
            solving.cancel()

    async with chatting(tmp_path / "chat", server) as chat:
        solving = asyncio.create_task(chat.say(PROBLEM, stop_at_code))
        with pytest.raises(asyncio.CancelledError):
            await solving
        if line:
            await chat.say(line, nothing)
        else:
            await chat.run("print(1)")
        assert [step["kind"] for step in await chat.steps()] == ["reasoning", "code", *kinds]


def test_a_chat_that_was_killed_goes_on_with_its_kernel(tmp_path: Path, server: ScriptedServer) -> None:
    talk = Talk(tmp_path, server, "--prompt", "tora")
    talk.say(PROBLEM, until="answer: 42")
    talk.stop_at("wait", server)
    os.kill(talk.process.pid, signal.SIGKILL)
    talk.process.wait(60)
    again = Talk(tmp_path, server, "--resume", "last")
    wait_until(lambda: "It was stopped here" in again.heard, again.process)
    assert "answer: 42" in again.heard
    assert "x is 42" in again.say("why?", until="As you see.")
    assert again.end() == 0


def test_ctrl_c_stops_the_step_and_keeps_the_chat(tmp_path: Path, server: ScriptedServer) -> None:
    talk = Talk(tmp_path, server, "--prompt", "tora")
    talk.say(PROBLEM, until="answer: 42")
    talk.stop_at("wait", server)
    talk.process.send_signal(signal.SIGINT)
    wait_until(lambda: "stopped; the chat is kept" in talk.heard, talk.process)
    assert "x is 42" in talk.say("why?", until="As you see.")
    assert talk.end() == 0


def test_own_code_that_is_stopped_leaves_the_kernel_as_it_was(
    tmp_path: Path, server: ScriptedServer, engine: docker.DockerClient
) -> None:
    talk = Talk(tmp_path, server, "--prompt", "tora")
    talk.say(PROBLEM, until="answer: 42")
    (container,) = containers(engine, talk.process.pid)
    talk.write("/run import subprocess; subprocess.run(['sleep', '600'])")
    wait_until(lambda: "sleep 600" in str(engine.api.top(container["Id"])["Processes"]), talk.process)
    talk.process.send_signal(signal.SIGINT)
    wait_until(lambda: "stopped; the chat is kept" in talk.heard, talk.process)
    assert "now 42" in talk.say("/run print('now', x)", until="now")
    assert "/continue" not in talk.heard  # for the model was not asked anything
    assert talk.end() == 0


def test_what_was_stopped_goes_on_after_own_code(tmp_path: Path, server: ScriptedServer) -> None:
    talk = Talk(tmp_path, server, "--prompt", "tora")
    talk.say(PROBLEM, until="answer: 42")
    talk.stop_at("wait", server)
    talk.process.send_signal(signal.SIGINT)
    wait_until(lambda: "/continue goes on" in talk.heard, talk.process)
    talk.say("/run print('now', x)", until="now 42")
    talk.say("/continue", until="Now I see.")
    roles = [message["role"] for message in server.requests[-1]["messages"]]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
    assert talk.end() == 0


def test_a_sandbox_that_is_taken_away_is_replaced(
    tmp_path: Path, server: ScriptedServer, engine: docker.DockerClient
) -> None:
    talk = Talk(tmp_path, server, "--prompt", "tora")
    talk.say(PROBLEM, until="answer: 42")
    talk.say("/budget", until="generated")  # by when it only waits for the next line, and notices nothing
    for each in containers(engine, talk.process.pid):
        engine.api.kill(each["Id"])
    talk.say("/run print('now', x)", until="check the Docker Engine")
    assert "now 42" in talk.say("/run print('now', x)", until="now")
    assert talk.end() == 0


def test_one_process_at_a_time_has_a_chat(tmp_path: Path, server: ScriptedServer) -> None:
    talk = Talk(tmp_path, server)
    wait_until(lambda: "State a problem" in talk.heard, talk.process)
    other = start(tmp_path, "chat", "--resume", "last", stdin=subprocess.DEVNULL)
    _, err = other.communicate(timeout=300)
    assert (other.returncode, err.count("\n")) == (2, 1) and "is open in another process" in err
    assert talk.end() == 0


def test_odd_lines_are_answered_in_one(tmp_path: Path, server: ScriptedServer) -> None:
    talk = Talk(tmp_path, server, "--prompt", "tora", "--approve")
    for line, said in (
        ("/retry", "nothing to try again"),
        ("/verify", "no answer to verify"),
        ("/save", "nothing to save"),
        ("/run", "/run needs code"),
        ("/continue", "nothing was stopped"),
        ("caf\udce9", "not UTF-8 text"),
    ):
        talk.say(line, until=said)
    talk.say(PROBLEM, until="print(x)")
    assert talk.end() == 0  # before the answer to whether the code may run
    assert "kept: go on with tora chat --resume chats/" in talk.heard


def test_what_is_pasted_at_a_terminal_is_one_message(tmp_path: Path, server: ScriptedServer) -> None:
    command = ["-m", "tora_agent", "chat", "--base-url", server.base_url, "--model", "scripted", "--prompt", "tora"]
    env: Any = environment(TERM="xterm-256color")
    talk = pexpect.spawn(sys.executable, command, cwd=tmp_path, env=env, encoding="utf-8", timeout=300)
    talk.expect("> $")
    pasted = [f"Let a = {'9' * 5000}.", "Let b = 2.", PROBLEM]
    talk.send("\x1b[200~" + "\r".join(pasted) + "\x1b[201~\r")
    talk.expect("answer: ")
    talk.expect("> $")
    assert server.requests[0]["messages"][-1]["content"].count("\n".join(pasted)) == 1
    talk.sendeof()
    talk.expect("kept: ")
    talk.expect(pexpect.EOF)
    talk.close()
    assert talk.exitstatus == 0


def test_each_cell_can_be_approved_or_refused(tmp_path: Path, server: ScriptedServer) -> None:
    talk = Talk(tmp_path, server, "--prompt", "tora", "--approve")
    talk.say(PROBLEM, until="print(x)")
    assert "answer: 41" in talk.say("n", until="answer: 41")
    assert server.requests[-1]["messages"][-1]["content"] == "Do not run that code."
    talk.say("/retry", until="print(x)")
    assert "answer: 42" in talk.say("y", until="answer: 42")
    assert talk.end() == 0


def test_a_check_waits_for_approval_too(tmp_path: Path, server: ScriptedServer) -> None:
    talk = Talk(tmp_path, server, "--prompt", "csv", "--approve")
    talk.say(PROBLEM, until="print(x)")
    talk.say("y", until="check(6 * 7 == 42")
    assert "42: Uncertain (the check was not run)" in talk.say("n", until="answer: 42")
    talk.say("/verify", until="check(6 * 7 == 42")
    assert "42: True (the check says True: again)" in talk.say("y", until="again)")
    asked = len(server.requests)
    talk.say("/retry", until="print(x)")
    talk.say("y", until="check(6 * 7 == 42")
    assert "42: True (the check says True: again)" in talk.say("y", until="answer: 42")
    assert len(server.requests) == asked + 3  # the check was asked for once
    assert talk.end() == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--resume", "last"), r"there are no chats under chats; make one with `tora chat`"),
        (("--resume", "nowhere"), r"there is no chat 'nowhere', neither as a path nor under chats"),
        (("--prompt", "none"), r"unknown prompt set 'none'"),
    ],
)
def test_what_cannot_be_begun_is_one_line(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    done = start(tmp_path, "chat", *options, stdin=subprocess.DEVNULL)
    _, err = done.communicate(timeout=300)
    assert (done.returncode, err.count("\n")) == (2, 1) and re.search(said, err), err
