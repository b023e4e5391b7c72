"""The cassette: the same replies again, without a network."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from tests.conftest import script
from tests.evals.making import jsonl, row
from tests.evals.running import serving as serving_apart
from tests.evals.running import tora_in
from tests.tora_agent.test_client import answering, ask, refusal, scripted, serving, whole
from tora_agent.dialects.probe import choose_dialect
from tora_agent.errors import ContextFull, ModelError, ModelUnavailable, UsageError
from tora_agent.model import ClientSettings, Endpoint, open_model
from tora_agent.model.client import Model

pytestmark = pytest.mark.anyio


def client_for(server_url: str, folder: Path, **more: object) -> Model:
    endpoint = Endpoint(model="scripted", base_url=server_url, api_key="k")
    return Model(endpoint, ClientSettings(cassette=folder, tries=1, **more))


def kept_in(folder: Path) -> list[Path]:
    """The files of the replies."""
    return list(folder.glob("*/*.json"))


async def test_a_reply_comes_from_the_cassette_the_second_time(tmp_path: Path) -> None:
    async with scripted("same") as server:
        async with client_for(server.base_url, tmp_path) as model:
            first = await ask(model)
            again = await ask(model)
            streamed: list[str | None] = []
            shown = await ask(model, streamed)
            another = await ask(model, seed=8)
        assert (len(server.requests), streamed) == (2, ["same"])
    assert first == again == shown
    assert another.asked != first.asked


async def test_without_a_network(tmp_path: Path) -> None:
    async with scripted("same") as server, client_for(server.base_url, tmp_path) as model:
        first = await ask(model)
    async with client_for(server.base_url, tmp_path, replay_only=True) as model:
        assert await ask(model) == first
        assert (model.reported, model.fingerprint) == (first.model, first.fingerprint)
        with pytest.raises(ModelUnavailable, match="has no reply to this request"):
            await ask(model, seed=99)


@pytest.mark.parametrize(
    ("words", "kind"), [("the prompt is too long", ContextFull), ("the request has no tools here", ModelError)]
)
async def test_a_refusal_is_one_again_without_a_network(tmp_path: Path, words: str, kind: type[ModelError]) -> None:
    answers = iter([refusal(400, words), refusal(400, words), whole("better")])
    async with serving(answering(lambda: next(answers))) as served:
        async with client_for(served.base_url, tmp_path) as model:
            for _ in range(2):  # asked again, as long as there is somebody to ask
                with pytest.raises(kind):
                    await ask(model)
        async with client_for(served.base_url, tmp_path, replay_only=True) as model:
            with pytest.raises(ModelError, match=words) as caught:
                await ask(model)
        async with client_for(served.base_url, tmp_path) as model:
            assert (await ask(model)).raw == "better"
    assert (type(caught.value), len(served.requests)) == (kind, 3)
    async with client_for(served.base_url, tmp_path, replay_only=True) as model:
        assert (await ask(model)).raw == "better"


async def test_a_passing_fault_is_not_kept(tmp_path: Path) -> None:
    async with scripted({"fault": "server_error"}) as server, client_for(server.base_url, tmp_path) as model:
        with pytest.raises(ModelUnavailable):
            await ask(model)
    assert kept_in(tmp_path) == []


async def test_what_auto_was_told_is_in_the_cassette(tmp_path: Path) -> None:
    async def chat(request: web.Request) -> web.StreamResponse:
        return refusal(400, "no tools here") if "tools" in await request.json() else whole("1, 2")

    async with serving(chat) as served, client_for(served.base_url, tmp_path) as model:
        first = await choose_dialect("auto", model)
    async with client_for(served.base_url, tmp_path, replay_only=True) as model:
        assert await choose_dialect("auto", model) == first
    async with client_for(served.base_url, tmp_path / "another", replay_only=True) as model:
        with pytest.raises(ModelUnavailable, match="has no reply"):
            await choose_dialect("auto", model)


async def test_the_only_model_of_an_endpoint_is_remembered(tmp_path: Path) -> None:
    async with scripted("same") as server:
        endpoint = Endpoint(model="", base_url=server.base_url, api_key="k")
        async with Model(endpoint, ClientSettings(cassette=tmp_path)) as model:
            first = await ask(model)
    async with Model(endpoint, ClientSettings(cassette=tmp_path, replay_only=True)) as model:
        assert model.name == "scripted"
        assert await ask(model) == first


async def test_embedded_models_may_share_a_cassette(tmp_path: Path) -> None:
    names = {"one/small.gguf": "small", "two/large.gguf": "large", "": "qwen2.5-coder-1.5b-instruct-q4_k_m"}
    for name in names.values():
        async with scripted(f"said by {name}") as server:
            endpoint = Endpoint(model=name, base_url=server.base_url, api_key="k")
            async with Model(endpoint, ClientSettings(cassette=tmp_path)) as model:
                await ask(model)
    for wanted, name in names.items():
        settings = ClientSettings(cassette=tmp_path, replay_only=True)
        async with open_model(Endpoint(model=wanted, embedded=True), settings) as model:
            assert (model.name, (await ask(model)).raw) == (name, f"said by {name}")


async def test_a_damaged_reply_is_named(tmp_path: Path) -> None:
    async with scripted("same") as server, client_for(server.base_url, tmp_path) as model:
        await ask(model)
        (kept,) = kept_in(tmp_path)
        kept.write_text("{")
        with pytest.raises(UsageError, match=kept.name):
            await ask(model)


async def test_no_key_is_kept(tmp_path: Path) -> None:
    endpoint_key = "a-made-up-key-that-must-not-show"
    async with scripted("same") as server:
        endpoint = Endpoint(model="scripted", base_url=server.base_url, api_key=endpoint_key)
        async with Model(endpoint, ClientSettings(cassette=tmp_path)) as model:
            await ask(model)
    assert len(kept_in(tmp_path)) == 1
    assert not [path for path in kept_in(tmp_path) if endpoint_key in path.read_text()]


def test_an_evaluation_repeats_without_server_and_key(engine: object, tmp_path: Path) -> None:
    jsonl(tmp_path / "own.jsonl", row(1), row(2))
    turns = ["Look.\n```python\nprint(7 - 6)\n```", r"So \boxed{1}."]
    known = ("eval", "sample", "--data", "own.jsonl", "--model", "scripted", "--cassette", "tape")
    with serving_apart(script({"match": "What is", "turns": turns})) as server:
        address = ("--base-url", server.base_url)
        first = tora_in(tmp_path, *known, *address, OPENAI_API_KEY="k")
    again = tora_in(tmp_path, *known, *address, "--replay-only")
    assert (first.status, again.status) == (0, 0), first.out + first.err + again.out + again.err
    runs = sorted((tmp_path / "runs").iterdir())
    replies = [[step["call"] for step in steps(run) if "call" in step] for run in runs]
    assert len(runs) == 2 and replies[0] == replies[1] and len(replies[0]) == 4


def test_openais_own_model_repeats_without_address_and_key(engine: object, tmp_path: Path) -> None:
    jsonl(tmp_path / "own.jsonl", row(1))
    solving = ("solve", "1 + 0?", "--prompt", "tora", "--samples", 2)
    evaluating = ("eval", "sample", "--data", "own.jsonl")
    known = ("--shots", 0, "--model", "gpt-4o", "--cassette", "tape")
    with serving_apart(script({"match": "", "turns": [r"So \boxed{1}."]})) as server:
        for command in (solving, evaluating):
            done = tora_in(tmp_path, *command, *known, "--base-url", server.base_url)
            assert done.status == 0, done.out + done.err
    forking = ("fork", "last", "own/1", "--at", 0)
    for command in (solving, solving[:-2], evaluating, forking):
        done = tora_in(tmp_path, *command, *known, "--replay-only")
        assert done.status == 0, done.out + done.err


def test_a_reply_that_is_missing_costs_its_own_sample_alone(engine: object, tmp_path: Path) -> None:
    jsonl(tmp_path / "one.jsonl", row(1))
    others = [row(n, problem=f"Another: what is {n} + 1?") for n in range(2, 14)]
    jsonl(tmp_path / "two.jsonl", *others, row(1))
    known = ("eval", "sample", "--model", "scripted", "--cassette", "tape", "--shots", 0)
    with serving_apart(script({"match": "", "turns": [r"So \boxed{1}."]})) as server:
        address = ("--base-url", server.base_url)
        assert tora_in(tmp_path, *known, *address, "--data", "one.jsonl").status == 0
    done = tora_in(tmp_path, *known, *address, "--data", "two.jsonl", "--replay-only")
    assert (done.status, "12 x the cassette tape has no reply" in done.out) == (3, True), done.out + done.err
    assert "incomplete: 1 of 13 samples" in done.out
    (tmp_path / "empty").mkdir()
    known = tuple("empty" if each == "tape" else each for each in known)
    none = tora_in(tmp_path, *known, *address, "--data", "two.jsonl", "--replay-only")
    assert (none.status, none.err.startswith("tora: the cassette empty has no reply")) == (2, True), none.out + none.err


def steps(run: Path) -> list[dict[str, object]]:
    """All steps of a run, in order of the problems."""
    from evals.runs import Run

    trajectories = sorted(Run.read(run).trajectories(), key=lambda each: each.problem_id)
    return [step for each in trajectories for step in each.model_dump(mode="json")["steps"]]


@pytest.mark.parametrize("more", [(), ("--cassette", "nowhere")])
def test_replaying_needs_a_cassette(tmp_path: Path, more: tuple[str, ...]) -> None:
    done = tora_in(tmp_path, "solve", "1 + 1?", "--replay-only", *more)
    assert (done.status, done.err) == (2, "tora: --replay-only needs the directory of a cassette: --cassette DIR\n")
