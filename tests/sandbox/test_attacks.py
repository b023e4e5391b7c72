"""Every attack of `tora doctor --attack` is a test, in both isolations; and each judgement of them can fail."""

from __future__ import annotations

import hashlib
import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from sandbox import CellResult, Isolation, Limits, Sandbox
from sandbox.attacks import ATTACKS, Attack, Seen
from sandbox.attacks.attack import RETURN_SECONDS, nothing_worked
from sandbox.doctor import Ground, attack_all
from sandbox.result import CellError
from tests.conftest import PATIENCE, Tora

pytestmark = pytest.mark.anyio

STEADY = CellResult(stdout="2\n")
NAMED = {attack.name: attack for attack in ATTACKS}


@pytest.fixture(scope="module")
async def ground(engine: docker.DockerClient) -> AsyncIterator[Ground]:
    """Containers of their own. That of all sessions is attacked by the command, below."""
    async with Ground(Isolation.CONTAINER) as ground:
        yield ground


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name.replace(" ", "-"))
async def test_the_sandbox_holds(ground: Ground, attack: Attack) -> None:
    verdict = await ground.suffer(attack)
    assert verdict.held, verdict.evidence


async def test_the_host_is_as_before(engine: docker.DockerClient) -> None:
    told = {}
    few = [NAMED[name] for name in ("SIGINT ignored", "daemons", "a message too long", "memory bomb of many processes")]
    held = await attack_all(Isolation.CONTAINER, lambda attack, verdict: told.update({attack.name: verdict}), few)
    assert held, told
    assert list(told) == [attack.name for attack in few] + ["the host process afterwards"]


# Judgements can fail


def test_attacks_are_told_apart_by_their_names() -> None:
    assert len(NAMED) == len(ATTACKS) > 60


def test_the_docs_list_every_attack() -> None:
    docs = (Path(__file__).parents[2] / "docs" / "sandbox-security.md").read_text()
    listed = [
        line.removeprefix("- ") for line in docs.partition("## What is tried")[2].splitlines() if line[:2] == "- "
    ]
    assert listed == [f"{attack.name}: {attack.tries}" for attack in ATTACKS]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name.replace(" ", "-"))
def test_a_breach_is_seen(attack: Attack) -> None:
    """Whatever else came back, an attack that says it got through, or one that did nothing, has not been held."""
    breach = CellResult(stdout="BREACH: it worked\nattempts: 3\n")
    assert not attack.verdict(Seen(result=breach, after=STEADY)).held
    if attack.judge.__name__ != "any_end":  # which has nothing to say of a cell that says nothing
        assert not attack.verdict(Seen(result=CellResult(), after=STEADY)).held


@pytest.mark.parametrize(
    ("flaw", "words"),
    [
        ({"neighbour": "its state was lost"}, "its state was lost"),
        ({"host": "a connection to its loopback"}, "a connection to its loopback"),
        ({"left": "2 processes of user 7"}, "2 processes"),
        ({"late": RETURN_SECONDS + 0.1}, "5.1 s after its timeout"),
        ({"after": CellResult()}, "the next cell"),
        ({"after": CellResult(stdout="still there\n2\n")}, "still there"),
        ({"after": CellResult(stdout="2\n", error=CellError(type="TimeoutError", message=""))}, "TimeoutError"),
    ],
    ids=str,
)
def test_what_others_notice_is_a_breach(flaw: dict[str, object], words: str) -> None:
    attack = NAMED["outbound TCP"]
    sound = Seen(result=CellResult(stdout="refused: connect\nattempts: 1\n"), after=STEADY)
    assert attack.verdict(sound).held
    verdict = attack.verdict(replace(sound, **flaw))  # type: ignore[arg-type]
    assert not verdict.held
    assert words in verdict.evidence


@pytest.mark.parametrize(
    "result",
    [
        CellResult(stdout="refused: x\n"),
        CellResult(stdout="attempts: 0\n"),
        CellResult(stdout="attempts: 2\n", error=CellError(type="NameError", message="T")),
    ],
    ids=str,
)
def test_an_attack_that_did_not_happen_has_not_been_held(result: CellResult) -> None:
    assert not nothing_worked(Seen(result=result, after=STEADY)).held


@pytest.mark.parametrize(
    "name", ["the host's loopback", "host files", "environment secrets", "sockets", "memory of nobody"]
)
def test_the_same_code_gets_through_outside_of_the_sandbox(name: str, tmp_path: Path) -> None:
    """The attacks are real: without the sandbox they work."""
    secret, file = "0123456789abcdef" * 2, tmp_path / "secret.txt"
    file.write_text(secret)
    with socket.create_server(("127.0.0.1", 0)) as server:
        facts = {
            "port": server.getsockname()[1],
            "file": str(file),
            "secrets": {hashlib.sha256(secret.encode()).hexdigest(): "environment"},
        }
        run = subprocess.run(
            [sys.executable, "-c", NAMED[name].cell(facts)],
            env=os.environ | {"SECRET": secret},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        visited = bool(select.select([server], [], [], 0)[0])
    verdict = NAMED[name].verdict(Seen(result=CellResult(stdout=run.stdout), after=STEADY))
    assert not verdict.held
    assert "BREACH" in verdict.evidence, run.stderr
    assert visited == (name == "the host's loopback")


async def test_the_neighbour_and_what_is_left_are_really_watched(engine: docker.DockerClient) -> None:
    """A neighbour that has lost its state is noticed by the next attack."""
    async with Ground(Isolation.SHARED) as ground:
        assert (await ground.suffer(NAMED["outbound UDP"])).held
        await ground._neighbour.run("del secret")
        verdict = await ground.suffer(NAMED["outbound UDP"])
    assert not verdict.held
    assert "the neighbour" in verdict.evidence


# Beyond the list


async def test_the_next_session_in_a_directory_finds_it_clean(engine: docker.DockerClient) -> None:
    """In a sandbox whose container has one slot, and so gives it to every session in turn."""
    resist = NAMED["directories that resist deletion"]
    async with Sandbox(Limits(files_mib=16), isolation=Isolation.CONTAINER) as box, box.session() as session:
        await session.run(resist.cell({}), timeout=PATIENCE)
        await session.run("import os; os._exit(0)")
        look = "import os, stat\nprint(os.listdir('.'), oct(os.stat('.').st_mode & 0o7777), os.listxattr('.'))"
        result = await session.run(look)
    assert result.state_lost or result.error is None
    assert result.stdout == "[] 0o700 []\n"


def test_the_command_prints_what_held(engine: docker.DockerClient, tora: Tora) -> None:
    done = tora("doctor", "--attack", "--json", timeout=3600)
    found = json.loads(done.stdout)
    assert [attack["attack"] for attack in found["attacks"][:-1]] == [attack.name for attack in ATTACKS]
    broken = [attack for attack in found["attacks"] if not attack["held"]]
    assert broken == []
    assert (found["held"], done.returncode) == (True, 0)


def test_the_command_says_what_it_needs(tora: Tora) -> None:
    absent = tora("doctor", "--attack", env={"DOCKER_HOST": "unix:///nonexistent.sock"})
    assert absent.returncode == 2
    assert "no Docker Engine answers" in absent.stderr
    assert tora("doctor", "--attack", "--isolation", "none").returncode == 2
    assert tora("doctor", "--json").returncode == 2
