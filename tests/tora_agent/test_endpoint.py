"""Which model is meant, by arguments and environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from tora_agent.errors import UsageError
from tora_agent.model import ClientSettings, Endpoint, choose_endpoint
from tora_agent.model.endpoint import OPENAI

KEY = "a-made-up-key-that-must-not-show"
HERE, THERE = "http://127.0.0.1:8000/v1", "https://models.example/v1"
SECRET = "https://user:secret@models.example/v1"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that names no model."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "TORA_MODEL", "TORA_LOCAL_MODEL"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def chosen(endpoint: Endpoint) -> tuple[str, str | None, str | None, bool]:
    return endpoint.model, endpoint.base_url, endpoint.api_key, endpoint.embedded


EMBEDDED = ("qwen2.5-coder-1.5b", None, None, True)


@pytest.mark.parametrize(
    ("model", "base_url", "variables", "expected"),
    [
        # Nothing but this machine.
        (None, None, {}, EMBEDDED),
        ("", "", {"TORA_MODEL": "", "OPENAI_BASE_URL": "", "OPENAI_API_KEY": ""}, EMBEDDED),
        ("local", None, {}, EMBEDDED),
        (None, None, {"TORA_MODEL": "local"}, EMBEDDED),
        ("local:", None, {}, EMBEDDED),
        ("local:models/a:b.gguf", None, {}, ("models/a:b.gguf", None, None, True)),
        (None, None, {"TORA_MODEL": "local:a.gguf"}, ("a.gguf", None, None, True)),
        ("local", None, {"TORA_MODEL": "m", "OPENAI_BASE_URL": HERE, "OPENAI_API_KEY": KEY}, EMBEDDED),
        (None, None, {"TORA_LOCAL_MODEL": "a.gguf"}, ("a.gguf", None, None, True)),
        ("local", None, {"TORA_LOCAL_MODEL": "a.gguf"}, ("a.gguf", None, None, True)),
        ("local:b.gguf", None, {"TORA_LOCAL_MODEL": "a.gguf"}, ("b.gguf", None, None, True)),
        # An endpoint by its address.
        (None, HERE, {}, ("", HERE, None, False)),
        ("m", HERE, {}, ("m", HERE, None, False)),
        ("localhost-model", HERE, {}, ("localhost-model", HERE, None, False)),
        (None, None, {"OPENAI_BASE_URL": HERE}, ("", HERE, None, False)),
        (None, None, {"OPENAI_BASE_URL": HERE, "TORA_MODEL": "m"}, ("m", HERE, None, False)),
        ("m", None, {"OPENAI_BASE_URL": HERE}, ("m", HERE, None, False)),
        (None, HERE, {"TORA_MODEL": "m"}, ("m", HERE, None, False)),
        (None, HERE, {"OPENAI_API_KEY": KEY}, ("", HERE, KEY, False)),
        # OpenAI's own endpoint.
        ("m", None, {"OPENAI_API_KEY": KEY}, ("m", OPENAI, KEY, False)),
        (None, None, {"OPENAI_API_KEY": KEY, "TORA_MODEL": "m"}, ("m", OPENAI, KEY, False)),
        # Arguments come before the environment.
        ("m", THERE, {"TORA_MODEL": "n", "OPENAI_BASE_URL": HERE}, ("m", THERE, None, False)),
        ("m", None, {"TORA_MODEL": "local", "OPENAI_BASE_URL": HERE}, ("m", HERE, None, False)),
        (None, THERE, {"TORA_MODEL": "local"}, ("", THERE, None, False)),
        ("m", OPENAI, {"OPENAI_BASE_URL": HERE, "OPENAI_API_KEY": KEY}, ("m", OPENAI, KEY, False)),
        # A password is kept in the environment alone.
        ("m", THERE, {"OPENAI_BASE_URL": SECRET}, ("m", SECRET, None, False)),
        ("m", HERE, {"OPENAI_BASE_URL": SECRET}, ("m", HERE, None, False)),
    ],
)
def test_the_choice(
    environment: pytest.MonkeyPatch,
    model: str | None,
    base_url: str | None,
    variables: dict[str, str],
    expected: tuple[str, str | None, str | None, bool],
) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)
    assert chosen(choose_endpoint(model, base_url)) == expected


@pytest.mark.parametrize(
    ("model", "base_url", "variables", "words"),
    [
        ("m", None, {}, "the model 'm' needs an endpoint: give --base-url"),
        (None, None, {"TORA_MODEL": "m"}, "the model 'm' needs an endpoint"),
        ("models/a.gguf", None, {}, "given as local:PATH"),
        (None, None, {"OPENAI_API_KEY": KEY}, "name a model with --model or TORA_MODEL"),
        ("local", HERE, {}, "local is the embedded model, which has no address: leave out --base-url, or name"),
        ("local:a.gguf", HERE, {}, "local:a.gguf is the embedded model"),
        ("m", "127.0.0.1:8000", {}, "is not an http"),
        (None, None, {"OPENAI_BASE_URL": "localhost:8000/v1"}, "is not an http"),
        ("m", "ftp://models.example", {"OPENAI_API_KEY": KEY}, "is not an http"),
        ("m", "http://", {}, "is not an http"),
        ("m", "http:///v1", {}, "is not an http"),
        ("m", "http://127.0.0.1:port/v1", {}, "is not an http"),
        ("m", "http://127.0.0.1:80000/v1", {}, "is not an http"),
        ("m", "http://[::1/v1", {}, "is not an http"),
    ],
)
def test_what_does_not_fit_together_is_refused_in_one_line(
    environment: pytest.MonkeyPatch, model: str | None, base_url: str | None, variables: dict[str, str], words: str
) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)
    with pytest.raises(UsageError, match=words) as caught:
        choose_endpoint(model, base_url)
    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)


def test_replaying_needs_no_key() -> None:
    replay = ClientSettings(cassette=Path("tape"), replay_only=True)
    assert chosen(choose_endpoint("m", None, replay)) == ("m", OPENAI, None, False)
    assert chosen(choose_endpoint(None, None, replay)) == EMBEDDED
    with pytest.raises(UsageError, match="needs an endpoint"):
        choose_endpoint("m", None, ClientSettings(cassette=Path("tape")))


def test_the_key_is_in_no_text_of_an_endpoint() -> None:
    endpoint = Endpoint(model="m", base_url=HERE, api_key=KEY)
    texts = [repr(endpoint), str(endpoint), f"{endpoint}", str(endpoint.model_dump()), endpoint.model_dump_json()]
    assert not any(KEY in text for text in [*texts, endpoint.where])
    assert endpoint.api_key == KEY


@pytest.mark.parametrize(
    ("endpoint", "where"),
    [
        (Endpoint(model="m"), "OpenAI's endpoint"),
        (Endpoint(model="m", base_url=OPENAI), "OpenAI's endpoint"),
        (Endpoint(model="m", embedded=True), "the embedded model"),
        (Endpoint(model="m", base_url=HERE, embedded=True), "the embedded model"),
        (Endpoint(model="m", base_url=HERE), HERE),
        (Endpoint(model="m", base_url="https://user:secret@models.example/v1"), THERE),
        (Endpoint(model="m", base_url="https://secret@models.example/v1"), THERE),
        (Endpoint(model="m", base_url="https://user:se@cret@models.example/v1"), THERE),
        (Endpoint(model="m", base_url="https://models.example/v1/@user"), THERE + "/@user"),
    ],
)
def test_where_names_the_endpoint_without_a_password(endpoint: Endpoint, where: str) -> None:
    assert endpoint.where == where


def test_a_refused_address_is_named_without_its_password() -> None:
    with pytest.raises(UsageError, match=r"models\.example") as caught:
        choose_endpoint("m", "htps://user:secret@models.example/v1")
    assert "secret" not in str(caught.value)
