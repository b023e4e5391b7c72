"""One model behind an OpenAI-compatible endpoint, with the only retry loop there is."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Callable
from typing import Any, Self

import openai
from openai.types import CompletionUsage
from pydantic import BaseModel

from tora_agent.errors import ContextFull, ModelError, ModelRefused, ModelUnavailable
from tora_agent.model.endpoint import Endpoint
from tora_agent.steps import ModelCall, Usage

Message = dict[str, str]
OnText = Callable[[str | None], None]
"""Takes a streamed reply piece by piece; None means that the reply begins anew."""
OPENAI = "https://api.openai.com/v1"
CONNECT_SECONDS = 10.0
_FULL = ("context length", "context size", "context window", "exceed_context")


class Retrying(BaseModel):
    """How a failed call is tried again: `tries` in all, waiting `first_wait` seconds, doubled up to `longest_wait`."""

    tries: int = 7
    first_wait: float = 1.0
    longest_wait: float = 60.0


class _CutReply(Exception):
    """The reply ended without a finish reason, or held no message: it is not a whole answer."""


class Model:
    """Asks one model. Use as an async context manager."""

    def __init__(self, endpoint: Endpoint, retrying: Retrying | None = None) -> None:
        self.endpoint = endpoint
        self.name = endpoint.model
        self.reported = ""
        """The model's id as the server's replies give it."""
        self.fingerprint = ""
        self._retrying = retrying or Retrying()
        self._renamed: dict[str, str | None] = {}
        """Request parameters this endpoint wants under another name, or (None) not at all."""
        self._client = openai.AsyncOpenAI(
            api_key=endpoint.api_key or "EMPTY",
            base_url=endpoint.address or OPENAI,
            default_headers=endpoint.headers,
            max_retries=0,
            timeout=openai.Timeout(600, connect=CONNECT_SECONDS),
            # A proxy named in the environment cannot reach this machine's own servers.
            http_client=openai.DefaultAioHttpClient(trust_env=not endpoint.on_this_machine),
        )

    async def __aenter__(self) -> Self:
        """Reach the endpoint once. Raises `ModelRefused` if it cannot be reached in 10 s or refuses the key."""
        try:
            served = await self._served()
            self.name = self.name or _only(served, self.endpoint)
        except BaseException:
            await self._client.close()
            raise
        return self

    async def _served(self) -> list[str]:
        """The ids of the models that the endpoint says it serves; empty where it does not say."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                listed = await self._client.models.list(timeout=CONNECT_SECONDS)
            return [model.id for model in listed.data if model.id]
        except (openai.APIConnectionError, TimeoutError) as error:
            raise ModelRefused(
                f"cannot reach {self.endpoint.where}: {self._said(error)}; is the server up and the address right "
                "(--base-url, OPENAI_BASE_URL)?"
            ) from error
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise self._explain(error) from error
        except (openai.OpenAIError, ValueError, AttributeError, TypeError):
            return []  # not every server lists its models, and some send a web page instead

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def complete(
        self,
        messages: list[Message],
        *,
        max_tokens: int,
        temperature: float,
        seed: int,
        stop: tuple[str, ...] = (),
        on_text: OnText | None = None,
    ) -> ModelCall:
        """Return the model's reply to `messages`, streamed to `on_text` piece by piece if given.

        Failures that may pass are retried; then `on_text` gets None and the new reply from its start.
        Raises `ModelRefused`, `ModelUnavailable` (retries used up), `ContextFull`, or `ModelError` for a bad request.
        """
        request = {
            "model": self.name,
            "messages": messages,
            "max_tokens": max_tokens,
            "temperature": temperature,
        }
        request |= {"seed": seed} | ({"stop": list(stop)} if stop else {})
        tries = 0
        while True:
            started = time.monotonic()
            sent = self._adapted(request)
            try:
                call = await self._ask(sent, on_text)
                return call.model_copy(update={"seconds": time.monotonic() - started})
            except (openai.OpenAIError, _CutReply, ValueError) as error:
                if self._adapt(error, sent):
                    continue
                tries += 1
                await asyncio.sleep(self._wait(error, tries))
                if on_text:
                    on_text(None)

    async def _ask(self, request: dict[str, Any], on_text: OnText | None) -> ModelCall:
        if on_text is None:
            whole = await self._client.chat.completions.create(**request)
            if not getattr(whole, "choices", None):
                raise _CutReply("a reply without a message")
            choice = whole.choices[0]
            self._note(whole)
            return _call(choice.message.content, _reasoning(choice.message), choice.finish_reason, whole.usage)
        text, thought, finish, usage = "", "", None, None
        stream = await self._client.chat.completions.create(
            **request, stream=True, stream_options={"include_usage": True}
        )
        async with stream:
            async for chunk in stream:
                self._note(chunk)
                usage = chunk.usage or usage
                for choice in chunk.choices:
                    finish = choice.finish_reason or finish
                    thought += _reasoning(choice.delta)
                    if choice.delta.content:
                        text += choice.delta.content
                        on_text(_valid(choice.delta.content))
        return _call(text, thought, finish, usage)

    def _note(self, reply: Any) -> None:
        self.reported = self.reported or reply.model or ""
        self.fingerprint = self.fingerprint or reply.system_fingerprint or ""

    def _adapted(self, request: dict[str, Any]) -> dict[str, Any]:
        named = {self._renamed.get(key, key): value for key, value in request.items()}
        return {key: value for key, value in named.items() if key is not None}

    def _adapt(self, error: Exception, sent: dict[str, Any]) -> bool:
        """Whether `error` says that this endpoint wants a parameter of `sent` otherwise, and we now know how."""
        parameter = getattr(error, "param", None)
        if not isinstance(error, openai.BadRequestError) or not str(error.code).startswith("unsupported"):
            return False
        if parameter not in ("stop", "temperature", "seed", "max_tokens") or parameter not in sent:
            return False
        self._renamed[parameter] = "max_completion_tokens" if parameter == "max_tokens" else None
        return True

    def _wait(self, error: Exception, tries: int) -> float:
        """Seconds to wait before the next try. Raises the `ModelError` that stands for `error` where none is due."""
        explained = self._explain(error)
        if not isinstance(explained, ModelUnavailable) or tries >= self._retrying.tries:
            raise explained from error
        wait: float = min(self._retrying.longest_wait, self._retrying.first_wait * 2 ** (tries - 1))
        return max(_retry_after(error), wait * random.uniform(0.75, 1.25))

    def _explain(self, error: Exception) -> ModelError:
        """The `ModelError` that says in one line what `error` means and what to do."""
        said, where = self._said(error), self.endpoint.where
        if isinstance(error, openai.RateLimitError):
            if "insufficient_quota" in (error.code, error.type):
                return ModelRefused(f"{where} has no quota left: {said}; top it up or use another key")
            return ModelUnavailable(f"{where} keeps limiting the rate: {said}; lower --max-connections")
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            return ModelRefused(f"{where} refuses the key: {said}; set OPENAI_API_KEY")
        if isinstance(error, openai.NotFoundError):
            return ModelRefused(f"{where} does not know the model {self.name!r}: {said}; choose another (--model)")
        if isinstance(error, openai.BadRequestError | openai.UnprocessableEntityError):
            kind = ContextFull if any(word in said.lower() for word in _FULL) else ModelError
            return kind(f"{where} rejects the request: {said}")
        return ModelUnavailable(f"{where} keeps failing: {said}; check the server, then go on with --resume")

    def _said(self, error: BaseException) -> str:
        """What went wrong in at most 200 characters on one line; without the key, which some servers repeat."""
        key = re.escape(self._client.api_key)
        return re.sub(rf"(?<!\w){key}(?!\w)", "***", _cause(error))[:200]


def _call(text: str | None, reasoning: str, finish: str | None, usage: CompletionUsage | None) -> ModelCall:
    if finish is None:
        raise _CutReply("a reply without a finish reason")
    counted = Usage(calls=1)
    if usage:
        counted = Usage(calls=1, prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens)
    return ModelCall(
        raw=_valid(text or ""), reasoning=_valid(reasoning), finish_reason=finish, usage=counted, seconds=0
    )


def _reasoning(message: Any) -> str:
    extra = message.model_extra or {}
    return extra.get("reasoning") or extra.get("reasoning_content") or ""


def _valid(text: str) -> str:
    """`text` without lone surrogates, which JSON may bring and UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode()


def _only(served: list[str], endpoint: Endpoint) -> str:
    if len(served) == 1:
        return served[0]
    offered = f"; it serves {', '.join(served[:8])}" if served else ""
    raise ModelRefused(f"name a model for {endpoint.where} with --model or TORA_MODEL{offered}")


def _retry_after(error: Exception) -> float:
    """Seconds that the server asks to wait; 0 if it does not."""
    try:
        headers = error.response.headers if isinstance(error, openai.APIStatusError) else {}
        return float(headers.get("retry-after", 0))
    except ValueError:
        return 0.0


def _cause(error: BaseException) -> str:
    """What went wrong on one line: the server's own words where it sent some."""
    if isinstance(error, TimeoutError | openai.APITimeoutError):
        return "no answer in time"
    body = getattr(error, "body", None)
    message = body.get("message") if isinstance(body, dict) else None
    root: BaseException = error
    while isinstance(error, openai.APIConnectionError) and root.__cause__:
        root = root.__cause__
    return " ".join(str(message or root).split()) or type(root).__name__
