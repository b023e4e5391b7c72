"""What a failed call means, in one line that says what to do."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime

import httpx2
import openai

from tora_agent.errors import ContextFull, ModelError, ModelRefused, ModelUnavailable

PATIENCE = 3600.0
"""Seconds that a server may ask to wait: a run that has to wait for longer is paused."""
LEAST = 64
"""Tokens that are worth asking for."""
_TOO_MANY = re.compile(r"\bmax_(?:completion_|new_)?tokens\b|completion|output tokens", re.IGNORECASE)
_CONTEXT = re.compile(r"context length (?:is|of) (\d+)")
_PROMPT = re.compile(r"(?<!at least )\b(\d+) (?:in the messages|input tokens|tokens from the input)")
_OVER = re.compile(r"current length is (\d+) while limit is (\d+)", re.IGNORECASE)
_UNKNOWN = re.compile(
    r"unsupported|not support|unknown|unrecognized|unexpected|not permitted|not allowed|cannot find", re.IGNORECASE
)
_THOUGHT_MISSING = re.compile(r"missing\W+reasoning_content|reasoning_content\b.* must be passed", re.IGNORECASE)
_TIMEOUT = "no answer in time"
_RESUME = " (a run goes on with --resume)"
_PASSING = (408, 409, 425, 429)
_FULL = re.compile(
    r"context (?:length|size|window)|exceed_context|model length|prompt (?:length|is too long|exceeds max)|"
    r"reduce the length of the messages|current length is|input token count|input is too long|"
    r"input length.*(?:exceed|limit|maximum|longer)|`inputs` must have less",
    re.IGNORECASE,
)
_FORM = re.compile(
    r"\btools?\b.*\b(?:requires?|support(?:s|ed)?|enabled?)\b|\broles? (?:must|are)\b|chat template|\bjinja\b|"
    r"prefill is incompatible",
    re.IGNORECASE,
)
"""What a server error (llama.cpp's) says of that is due to the form of the request."""
_NO_QUOTA = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_credits"}
_FILTERS = {"content_filter", "content_policy_violation", "invalid_prompt", "data_inspection_failed"}
"""Codes and types of errors that mean what is said: of Azure and Moonshot, of proxies, OpenAI, and DashScope."""
_KINDS = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
}
_STATUS = {
    **dict.fromkeys(("invalid_request_error", "context_length_exceeded"), 400),
    **dict.fromkeys(("authentication_error", "invalid_api_key"), 401),
    "permission_error": 403,
    **dict.fromkeys(("not_found_error", "model_not_found"), 404),
    **dict.fromkeys(("rate_limit_error", "rate_limit_exceeded", *_NO_QUOTA), 429),
}
"""The status that an error's code or type stands for, of those that are not simply tried again."""


def by_its_code(error: Exception) -> Exception:
    """`error`, and one within a reply of status 200 (OpenRouter's) as the same with the status that its code says."""
    body = getattr(error, "body", None)
    if isinstance(error, openai.APIStatusError) or not isinstance(body, dict):
        return error
    codes = [str(body.get(key)).lower() for key in ("code", "type")]
    stated = (int(code) if re.fullmatch(r"[45]\d\d", code) else _STATUS.get(code) for code in codes)
    if (status := next(filter(None, stated), None)) is None:
        return error
    kind = _KINDS.get(status, openai.InternalServerError if status >= 500 else openai.APIStatusError)
    response = httpx2.Response(status, request=httpx2.Request("POST", "/chat/completions"))
    return kind(str(error), response=response, body=body)


def explain(error: Exception, where: str, model: str, key: str) -> ModelError:
    """The `ModelError` that `error` is. The `key`, which some servers repeat, is never in its message."""
    words = said(error, key)
    if isinstance(error, openai.APIStatusError) and (error.status_code == 402 or _codes(error) & _NO_QUOTA):
        return ModelRefused(f"{where} has no quota left: {words}; top it up or use another key")
    if isinstance(error, openai.RateLimitError):
        if (seconds := retry_after(error)) > PATIENCE:
            return ModelRefused(f"{where} limits the rate for {seconds / 3600:.1f} h: {words}; go on after that")
        return ModelUnavailable(f"{where} keeps limiting the rate: {words}; try again later{_RESUME}")
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        return ModelRefused(f"{where} refuses the key: {words}; set OPENAI_API_KEY")
    if isinstance(error, openai.NotFoundError):
        if "model" in words.lower():
            return ModelRefused(f"{where} does not know the model {model!r}: {words}; choose another (--model)")
        return ModelRefused(f"{where} has no chat completions: {words}; an address mostly ends in /v1 (--base-url)")
    if isinstance(error, openai.APIStatusError) and _is_for_good(error, words):
        full = "context_length_exceeded" in _codes(error) or _FULL.search(words)
        return (ContextFull if full else ModelError)(f"{where} rejects the request: {words}")
    if words == _TIMEOUT:
        return ModelUnavailable(f"{where} keeps failing: {words}; check the server, or raise --silence-seconds")
    return ModelUnavailable(f"{where} keeps failing: {words}; check the server, then try again{_RESUME}")


def _is_for_good(error: openai.APIStatusError, words: str) -> bool:
    """Whether the same request would fail again."""
    if error.status_code < 500:
        return error.status_code not in _PASSING
    return error.status_code in (500, 501) and bool(_FORM.search(words))


def unwanted(error: Exception, parameters: list[str]) -> list[str]:
    """Those of the `parameters` of a request that the server does not take, if `error` says so."""
    if not isinstance(error, openai.BadRequestError | openai.UnprocessableEntityError):
        return []
    if str(error.code).startswith("unsupported") and error.param in parameters:
        return [error.param]
    words = str(error.body)
    quoted = r"""['"`]{0}\b['"`]|: {0}\b|\b{0}: |(?:parameter|argument)s? {0}\b"""
    named = [each for each in parameters if re.search(quoted.format(each), words)]
    # Each is refused in words of its own; others are only named, as those that the server does take.
    return named if len(named) <= len(_UNKNOWN.findall(words)) else []


def wants_thought(error: Exception) -> bool:
    """Whether the server asks for the `reasoning_content` of earlier replies."""
    return isinstance(error, openai.BadRequestError) and bool(_THOUGHT_MISSING.search(_cause(error)))


def filtered(error: Exception) -> bool:
    """Whether the endpoint's content filter refuses what is said, and would refuse it again."""
    body = getattr(error, "body", None)
    if not isinstance(body, dict):
        return False
    moderated = isinstance(body.get("metadata"), dict) and "flagged_input" in body["metadata"]  # OpenRouter
    return (
        moderated
        or not _FILTERS.isdisjoint({str(body.get("code")), str(body.get("type"))})
        or _message(body) == "Content Exists Risk"  # DeepSeek
    )


def fewer_tokens(error: Exception, asked: int) -> int | None:
    """How many tokens to ask for instead, where `error` says that `asked` are too many beside the prompt.

    Several servers (vLLM) refuse such a request rather than stop where the context is full. Half as many where they do
    not say how many there is room for; None where it is the prompt that is too long.
    """
    words = _cause(error)
    if not isinstance(error, openai.BadRequestError | openai.UnprocessableEntityError) or not _TOO_MANY.search(words):
        return None
    context, prompt, over = _CONTEXT.search(words), _PROMPT.search(words), _OVER.search(words)
    fewer = int(context[1]) - int(prompt[1]) if context and prompt else asked // 2
    if over:
        fewer = asked - (int(over[1]) - int(over[2]))
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
