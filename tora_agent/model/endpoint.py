"""Which model is meant: from the command line, the environment, or the embedded one."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field

from tora_agent.errors import UsageError
from tora_agent.model.settings import ClientSettings

OPENAI = "https://api.openai.com/v1"
DEFAULT = "qwen2.5-coder-1.5b"
"""The embedded model: a name of the catalogue in `weights.py`."""


class Endpoint(BaseModel):
    """Where a model answers. The key is never printed and never stored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    """The model's id at the endpoint; empty for the only one it serves. For the embedded model: its GGUF or name, empty
    for the default."""
    base_url: str | None = None
    """None for the embedded model, or OpenAI's own."""
    api_key: str | None = Field(None, repr=False, exclude=True)
    embedded: bool = False

    @property
    def label(self) -> str:
        """The model as it can be asked for again, whatever the environment says then: "local:..." if embedded."""
        return f"local:{self.model}" if self.embedded else self.model

    @property
    def where(self) -> str:
        """The endpoint in words, for messages and the log; without a password in the address."""
        if self.embedded:
            return "the embedded model"
        return "OpenAI's endpoint" if self.address in (None, OPENAI) else str(self.address)

    @property
    def address(self) -> str | None:
        """The base URL without user and password, which the HTTP client does not take beside a key."""
        return self.base_url and _without_password(self.base_url)

    @property
    def headers(self) -> dict[str, str]:
        """The user and password of the base URL as they are sent, in the place of a key."""
        parts = urlsplit(self.base_url or "")
        if parts.username is None:
            return {}
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}

    @property
    def on_this_machine(self) -> bool:
        """Whether the address is a loopback one."""
        host = urlsplit(self.base_url or "").hostname or ""
        return host == "localhost" or host == "::1" or host.startswith("127.")


def choose_endpoint(
    model: str | None = None, base_url: str | None = None, client: ClientSettings | None = None
) -> Endpoint:
    """The endpoint for `--model` and `--base-url`, with OPENAI_API_KEY, OPENAI_BASE_URL and TORA_MODEL behind them.

    `local` is the embedded model (or TORA_LOCAL_MODEL), `local:PATH` another GGUF; without any endpoint the embedded
    model is taken. OpenAI's own needs a key, unless `client` only replays a cassette. The address of OPENAI_BASE_URL
    brings its user and password along where it is named without them, as logs do.
    Raises `UsageError` where the words do not fit together.
    """
    named, usual = os.environ.get("TORA_MODEL") or "", os.environ.get("OPENAI_BASE_URL") or None
    if base_url and model and _is_embedded(model):
        raise UsageError(f"{model} is the embedded model, which has no address: leave out --base-url, or name the "
                         "model that is there with --model")  # fmt: skip
    model = model or ("" if base_url and _is_embedded(named) else named)
    base_url = usual if not base_url or (usual and _without_password(usual) == base_url) else base_url
    api_key = os.environ.get("OPENAI_API_KEY") or None
    if _is_embedded(model):
        return _embedded(model.partition(":")[2])
    if base_url is None and api_key is None and not (model and client and client.replay_only):
        if model:
            hint = " (a GGUF file is given as local:PATH)" if Path(model).suffix == ".gguf" else ""
            raise UsageError(
                f"the model {model!r} needs an endpoint: give --base-url or set OPENAI_API_KEY, "
                f"or use --model local{hint}"
            )
        return _embedded("")
    if base_url and not _is_address(base_url):
        said = _without_password(base_url)
        raise UsageError(f"the base URL {said!r} is not an http(s) address; an example: http://127.0.0.1:8000/v1")
    if not base_url and not model:
        raise UsageError("name a model with --model or TORA_MODEL")
    return Endpoint(model=model, base_url=base_url or OPENAI, api_key=api_key)


def _is_embedded(model: str) -> bool:
    return model == "local" or model.startswith("local:")


def _embedded(wanted: str) -> Endpoint:
    return Endpoint(model=wanted or os.environ.get("TORA_LOCAL_MODEL") or DEFAULT, embedded=True)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0  # `port` may raise
    except ValueError:
        return False


def _without_password(url: str) -> str:
    return re.sub(r"//[^/]*@", "//", url)
