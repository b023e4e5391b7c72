"""One model behind an OpenAI-compatible endpoint, with the only retry loop there is."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import openai

from tora_agent.answers import spoken
from tora_agent.errors import ContextFull, ModelError, ModelRefused, ModelUnavailable
from tora_agent.model.cassette import Cassette, Refusal
from tora_agent.model.endpoint import OPENAI, Endpoint
from tora_agent.model.pace import Pace
from tora_agent.model.reply import CutReply, OnText, read_stream, read_whole, without_echo
from tora_agent.model.settings import ClientSettings
from tora_agent.model.spending import Spending
from tora_agent.model.trouble import (
    PATIENCE,
    by_its_code,
    explain,
    fewer_tokens,
    filtered,
    retry_after,
    said,
    unwanted,
    wants_thought,
)
from tora_agent.steps import Asked, ModelCall, Usage

if TYPE_CHECKING:
    from tora_agent.dialects import Sent

CONNECT_SECONDS = 10.0
_CONTINUE = {"continue_final_message": True, "add_generation_prompt": False}
"""What makes vLLM and SGLang go on with the last message; llama.cpp does so by itself."""
_STREAMED = {"stream": True, "stream_options": {"include_usage": True}}
_OPTIONAL = ("stop", "temperature", "seed", "max_tokens", "stream_options", *_CONTINUE)
_MISSED = {
    "continue_final_message": "which --dialect fence needs",
    "stream_options": "so that the tokens of streamed replies may not count",
}
_LOG = logging.getLogger(__name__)


class Model:
    """Asks one model. Use as an async context manager."""

    def __init__(self, endpoint: Endpoint, settings: ClientSettings | None = None) -> None:
        self.endpoint = endpoint
        self.settings = settings or ClientSettings()
        self.name = endpoint.model
        self.reported = ""
        """The model's id as the server's replies give it."""
        self.fingerprint = ""
        self._ends_thoughts = False
        """Whether it has ended a thought that it had not begun: its chat template writes the <think>."""
        self.spending = Spending(self.settings)
        self._pace = Pace()
        self._cassette = Cassette(self.settings.cassette) if self.settings.cassette else None
        self._renamed: dict[str, str | None] = {}
        """Request parameters this endpoint wants under another name, or (None) not at all."""
        self._wants_thought = False
        """Whether it wants back what the model thought before it called tools (DeepSeek); others would refuse that."""
        self._client = openai.AsyncOpenAI(
            api_key=endpoint.api_key or "EMPTY",
            base_url=endpoint.address or OPENAI,
            default_headers=endpoint.headers,
            max_retries=0,
            timeout=openai.Timeout(self.settings.silence_seconds, connect=CONNECT_SECONDS),
            # A proxy named in the environment cannot reach this machine's own servers.
            http_client=openai.DefaultAioHttpClient(trust_env=not endpoint.on_this_machine),
        )

    async def __aenter__(self) -> Self:
        """Reach the endpoint once. Raises `ModelRefused` if it cannot be reached in 10 s or refuses the key."""
        try:
            await self._get_name()
            self.spending.price_of(self.name)
        except BaseException:
            await self._client.close()
            raise
        return self

    async def _get_name(self) -> None:
        where = self.endpoint.where
        if self.settings.replay_only and self._cassette:
            self.name = self.name or self._cassette.served(where) or ""
            return
        served = await self._served()
        self.name = self.name or _only(served, self.endpoint)
        if self._cassette:
            self._cassette.note_served(where, self.name)

    async def _served(self) -> list[str]:
        """The ids of the models that the endpoint says it serves; empty where it does not say."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                listed = await self._client.models.list(timeout=CONNECT_SECONDS)
            return [model.id for model in listed.data if model.id]
        except (openai.APIConnectionError, aiohttp.ClientError, TimeoutError) as error:
            raise ModelRefused(
                f"cannot reach {self.endpoint.where}: {said(error, self._client.api_key)}; is the server up and the "
                "address right (--base-url, OPENAI_BASE_URL)?"
            ) from error
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            # A key may be for chats alone, without the scope for this: the first chat will tell.
            scopes = isinstance(error, openai.PermissionDeniedError) or "scope" in str(error).lower()
            if self.endpoint.model and scopes:
                return []
            raise self._explain(error) from error
        except (openai.OpenAIError, ValueError, AttributeError, TypeError):
            return []  # not every server lists its models, and some send a web page instead

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def complete(
        self,
        sent: Sent,
        *,
        max_tokens: int,
        temperature: float,
        seed: int,
        on_text: OnText | None = None,
        tries: int | None = None,
    ) -> ModelCall:
        """Return the model's reply to `sent`, streamed to `on_text` piece by piece if given.

        Failures that may pass are retried, `tries` times in all (default: the settings'); then `on_text` gets None and
        the new reply from its start. Raises `ModelRefused` (`BudgetSpent` among them), `ModelUnavailable` (retries used
        up), `ContextFull`, or `ModelError` for a bad request. What a content filter refuses is an empty reply with that
        finish reason, as what a filter cuts is.
        """
        request = _request(self.name, sent) | {"max_tokens": max_tokens, "temperature": temperature, "seed": seed}
        kept = self._cassette.find(request) if self._cassette else None
        if isinstance(kept, ModelCall):
            self._note(kept)
            if on_text:
                on_text(kept.raw)
            return kept
        if self._cassette and self.settings.replay_only:
            folder = self._cassette.folder
            if kept:
                raise kept.error
            raise ModelUnavailable(f"the cassette {folder} has no reply to this request; go on without --replay-only")
        begun = sent.messages[-1]["content"] if sent.continued else ""
        on_text = without_echo(on_text, begun) if on_text and begun else on_text
        asked = request | _STREAMED if on_text else request
        try:
            call = await self._try(asked, on_text, tries or self.settings.tries)
        except ModelError as error:
            # An endpoint that is there may have learnt better, and is asked again.
            if self._cassette and not isinstance(error, ModelRefused | ModelUnavailable):
                full = isinstance(error, ContextFull)
                self._cassette.keep(request, Refusal(refused=str(error), context_full=full))
            raise
        call = call.model_copy(update={"raw": call.raw.removeprefix(begun), "usage": self.spending.priced(call.usage)})
        self._note(call)
        call = call if sent.continued else self._cut_thought(call)
        if self._cassette:
            self._cassette.keep(request, call)
        return call

    async def _try(self, request: dict[str, Any], on_text: OnText | None, tries: int) -> ModelCall:
        """Ask until there is a whole reply; it says what it was asked at last."""
        failed = 0
        while True:
            async with self._pace.turn() as began:
                self.spending.check()
                sent = self._adapted(request)
                try:
                    call = await self._ask(sent, on_text)
                    await self._pace.succeed()
                    if self._adapt_to_thought(call, sent):
                        self.spending.priced(call.usage)  # paid for, though it is not used
                        continue
                    return call.model_copy(update={"seconds": time.monotonic() - began, "asked": _asked(sent)})
                except (openai.OpenAIError, aiohttp.ClientError, CutReply, ValueError) as caught:
                    error = by_its_code(caught)
                    if filtered(error):
                        await self._pace.succeed()
                        return _filtered(sent, time.monotonic() - began)
                    if self._adapt(error, sent):
                        continue
                    if fewer := fewer_tokens(error, request["max_tokens"]):
                        request = request | {"max_tokens": fewer}
                        continue
                    failed += 1
                    wait = self._wait(error, began, failed, tries)
            await asyncio.sleep(wait)
            if on_text:
                on_text(None)

    async def _ask(self, request: dict[str, Any], on_text: OnText | None) -> ModelCall:
        # The SDK's own way looks up the type of each field of what is sent and received, which for a few-shot prompt
        # costs more than the rest of the call: the body goes out as it is, and what comes back is read in `reply`.
        if on_text is None:
            answer = await self._client.post("/chat/completions", cast_to=str, body=request)
            return read_whole(answer)
        chunks = openai.AsyncStream[object]
        async with await self._client.post(
            "/chat/completions", cast_to=object, body=request, stream=True, stream_cls=chunks
        ) as stream:
            return await read_stream(stream, on_text)

    def _note(self, call: ModelCall) -> None:
        self.reported = self.reported or call.model
        self.fingerprint = self.fingerprint or call.fingerprint
        thought, ended, after = call.raw.partition("</think>")
        if ended and "<think>" not in thought and not after.partition("\n")[0].strip():  # not spoken of within a line
            self._ends_thoughts = True

    def _cut_thought(self, call: ModelCall) -> ModelCall:
        """`call`, but all of it as reasoning if the token limit cut a thought that the chat template had begun.

        Nothing in such a reply says so: a model that once ended a thought without beginning it is taken to think at the
        beginning of every turn. Replies that are cut before it has ended the first one are taken for answers.
        """
        cut = call.finish_reason == "length" and "think>" not in call.raw
        if not (self._ends_thoughts and cut) or call.tool_calls or call.reasoning:
            return call
        return call.model_copy(update={"raw": "", "reasoning": call.raw})

    def _adapted(self, request: dict[str, Any]) -> dict[str, Any]:
        named = {self._renamed.get(key, key): value for key, value in request.items()}
        messages = [_with_thought(each, self._wants_thought) for each in request["messages"]]
        return {key: value for key, value in named.items() if key is not None} | {"messages": messages}

    def _adapt(self, error: Exception, sent: dict[str, Any]) -> bool:
        """Whether `error` says that this endpoint wants something of `sent` otherwise, and we now know how."""
        if not self._wants_thought and wants_thought(error):
            self._wants_thought = True
            return True
        parameters = unwanted(error, [key for key in _OPTIONAL if key in sent])
        for parameter in set(parameters) & set(_MISSED) - set(self._renamed):
            _LOG.warning("%s takes no %s, %s", self.endpoint.where, parameter, _MISSED[parameter])
        for parameter in parameters:
            self._renamed[parameter] = "max_completion_tokens" if parameter == "max_tokens" else None
        return bool(parameters)

    def _adapt_to_thought(self, call: ModelCall, sent: dict[str, Any]) -> bool:
        """Whether the reply may have been ended by a stop string within its reasoning; no stop is sent from then on.

        The model that reasons apart from its reply needs none: what follows its code is cut on this side.
        """
        said = spoken(call.raw)
        if "stop" not in sent or not (call.reasoning or said != call.raw):
            return False
        self._renamed["stop"] = None
        return not said and not call.tool_calls and call.finish_reason == "stop"

    def _wait(self, error: Exception, began: float, failed: int, tries: int) -> float:
        """Seconds to wait before the next try. Raises the `ModelError` that stands for `error` where none is due."""
        explained = self._explain(error)
        if not isinstance(explained, ModelUnavailable) or failed >= tries:
            raise explained from error
        limited = isinstance(error, openai.RateLimitError)
        doublings = max(failed, self._pace.slowed if limited else 0) - 1
        wait: float = min(self.settings.longest_wait, self.settings.first_wait * 2 ** max(0, doublings))
        wait = max(min(retry_after(error), PATIENCE), wait * random.uniform(0.75, 1.25))
        if limited:
            self._pace.slow(began, wait)
        return wait

    def _explain(self, error: Exception) -> Exception:
        return explain(error, self.endpoint.where, self.name, self._client.api_key)


def _request(model: str, sent: Sent) -> dict[str, Any]:
    request: dict[str, Any] = {"model": model, "messages": sent.messages}
    request |= {"stop": list(sent.stop)} if sent.stop else {}
    request |= {"tools": list(sent.tools)} if sent.tools else {}
    return request | (_CONTINUE if sent.continued else {})


def _with_thought(message: dict[str, Any], wanted: bool) -> dict[str, Any]:
    if wanted and message["role"] == "assistant":
        return {"reasoning_content": ""} | message
    return {key: value for key, value in message.items() if key != "reasoning_content"}


def _filtered(sent: dict[str, Any], seconds: float) -> ModelCall:
    """A request that a content filter refused, as what a filter leaves of other replies: nothing."""
    return ModelCall(raw="", finish_reason="content_filter", usage=Usage(calls=1), seconds=seconds, asked=_asked(sent))


def _asked(sent: dict[str, Any]) -> Asked:
    return Asked(
        max_tokens=sent.get("max_tokens", sent.get("max_completion_tokens")),
        temperature=sent.get("temperature"),
        seed=sent.get("seed"),
        stop=sent.get("stop", []),
        continued="continue_final_message" in sent,
    )


def _only(served: list[str], endpoint: Endpoint) -> str:
    if len(served) == 1:
        return served[0]
    offered = f"; it serves {', '.join(served[:8])}" if served else "; it lists none (is the address right?)"
    raise ModelRefused(f"name a model for {endpoint.where} with --model or TORA_MODEL{offered}")
