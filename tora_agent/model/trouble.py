"""What a failed call means, in one line that says what to do."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime

import openai

from tora_agent.errors import ContextFull, ModelError, ModelRefused, ModelUnavailable

PATIENCE = 3600.0
"""Seconds that a server may ask to wait: a run that has to wait for longer is paused."""
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
