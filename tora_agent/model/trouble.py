"""What a failed call means, in one line that says what to do."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime

import openai

from tora_agent.errors import ContextFull, ModelError, ModelRefused, ModelUnavailable

PATIENCE = 3600.0
"""Seconds that a server may ask to wait: a run that has to wait for longer is paused."""
LEAST = 64
"""Tokens that are worth asking for."""
_TOO_MANY = re.compile(r"\bmax_(?:completion_|new_)?tokens\b|completion|output tokens", re.IGNORECASE)
_CONTEXT = re.compile(r"context length (?:is|of) (\d+)")
_PROMPT = re.compile(r"(?<!at least )\b(\d+) (?:in the messages|input tokens|tokens from the input)")
_UNKNOWN = re.compile(
    r"unsupported|not support|unknown|unrecognized|unexpected|not permitted|not allowed|cannot find", re.IGNORECASE
)
_THOUGHT_MISSING = re.compile(r"missing\W+reasoning_content|reasoning_content\b.* must be passed", re.IGNORECASE)
_TIMEOUT = "no answer in time"
_PASSING = (408, 409, 425, 429)
_FULL = ("context length", "context size", "context window", "exceed_context", "prompt is too long", "model length")
_NO_QUOTA = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_credits"}


def explain(error: Exception, where: str, model: str, key: str) -> ModelError:
    """The `ModelError` that `error` is. The `key`, which some servers repeat, is never in its message."""
    words = said(error, key)
    if isinstance(error, openai.APIStatusError) and (error.status_code == 402 or _codes(error) & _NO_QUOTA):
        return ModelRefused(f"{where} has no quota left: {words}; top it up or use another key")
    if isinstance(error, openai.RateLimitError):
        if (seconds := retry_after(error)) > PATIENCE:
            return ModelRefused(f"{where} limits the rate for {seconds / 3600:.1f} h: {words}; go on after that")
        return ModelUnavailable(f"{where} keeps limiting the rate: {words}; lower --max-connections")
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        return ModelRefused(f"{where} refuses the key: {words}; set OPENAI_API_KEY")
    if isinstance(error, openai.NotFoundError):
        if "model" in words.lower():
            return ModelRefused(f"{where} does not know the model {model!r}: {words}; choose another (--model)")
        return ModelRefused(f"{where} has no chat completions: {words}; an address mostly ends in /v1 (--base-url)")
    if isinstance(error, openai.APIStatusError) and error.status_code < 500 and error.status_code not in _PASSING:
        kind = ContextFull if any(word in words.lower() for word in _FULL) else ModelError
        return kind(f"{where} rejects the request: {words}")
    if words == _TIMEOUT:
        return ModelUnavailable(f"{where} keeps failing: {words}; check the server, or raise --silence-seconds")
    return ModelUnavailable(f"{where} keeps failing: {words}; check the server, then go on with --resume")


def unwanted(error: Exception, parameters: list[str]) -> str | None:
    """The one of the `parameters` of a request that the server does not take, if `error` says so."""
    if not isinstance(error, openai.BadRequestError | openai.UnprocessableEntityError):
        return None
    if str(error.code).startswith("unsupported") and error.param in parameters:
        return error.param
    words = str(error.body)
    quoted = r"""['"`]{0}\b['"`]|: {0}\b|\b{0}: |(?:parameter|argument)s? {0}\b"""
    named = [each for each in parameters if re.search(quoted.format(each), words)]
    return named[0] if len(named) == 1 and _UNKNOWN.search(words) else None


def wants_thought(error: Exception) -> bool:
    """Whether the server asks for the `reasoning_content` of earlier replies."""
    return isinstance(error, openai.BadRequestError) and bool(_THOUGHT_MISSING.search(_cause(error)))


def fewer_tokens(error: Exception, asked: int) -> int | None:
    """How many tokens to ask for instead, where `error` says that `asked` are too many beside the prompt.

    Several servers (vLLM) refuse such a request rather than stop where the context is full. Half as many where they do
    not say how many there is room for; None where it is the prompt that is too long.
    """
    words = _cause(error)
    if not isinstance(error, openai.BadRequestError | openai.UnprocessableEntityError) or not _TOO_MANY.search(words):
        return None
    context, prompt = _CONTEXT.search(words), _PROMPT.search(words)
    fewer = int(context[1]) - int(prompt[1]) if context and prompt else asked // 2
    return fewer if LEAST <= fewer < asked else None


def said(error: BaseException, key: str) -> str:
    """What went wrong in at most 200 characters on one line."""
    return re.sub(rf"(?<!\w){re.escape(key)}(?!\w)", "***", _cause(error))[:200]


def retry_after(error: Exception) -> float:
    """Seconds that the server asks to wait, given as a number or as a date; 0 if it does not."""
    header = error.response.headers.get("retry-after", "") if isinstance(error, openai.APIStatusError) else ""
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0


def _codes(error: openai.APIStatusError) -> set[str]:
    return {str(error.code), str(error.type)}


def _cause(error: BaseException) -> str:
    """What went wrong on one line: the server's own words where it sent some."""
    chain = [error]
    while isinstance(error, openai.APIConnectionError) and chain[-1].__cause__:
        chain.append(chain[-1].__cause__)
    if any(isinstance(each, TimeoutError) for each in chain):
        return _TIMEOUT
    words = _message(getattr(error, "body", None)) or chain[-1]
    return " ".join(str(words).split()) or type(chain[-1]).__name__


def _message(body: object) -> object:
    """The words in the body of an error, which each server puts elsewhere."""
    if isinstance(body, list):  # as Google does
        return _message(body[0]) if body else None
    if isinstance(body, dict):
        return next((_message(body[key]) or body[key] for key in ("message", "error", "detail") if body.get(key)), None)
    return body if isinstance(body, str) and not body.lstrip().startswith("<") else None
