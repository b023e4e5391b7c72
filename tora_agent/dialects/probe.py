"""`auto`: ask the endpoint once what it can do, and choose the dialect by that."""

from __future__ import annotations

from tora_agent.dialects import DIALECTS, Dialect, Sent
from tora_agent.dialects.tools import PYTHON, code_of
from tora_agent.errors import ContextFull, ModelError, ModelRefused, ModelUnavailable
from tora_agent.model.client import Model
from tora_agent.steps import ModelCall

_COMPUTE = "Use the tool python to compute 7919 * 6841. Call it now, without saying anything else."
_COUNT = "Count from 1 to 9, with commas. Say nothing else."
_BEGUN, _NEXT = "1, 2, 3, 4, 5, 50, 51,", "52"
"""A beginning that no model makes by itself: only one that goes on within its own turn comes to the next number."""


async def choose_dialect(name: str, model: Model) -> tuple[Dialect, str]:
    """The dialect `name`, and why it was chosen; `auto` costs up to two short calls.

    Raises `ModelRefused` where no call can succeed, `ModelUnavailable` where none gets through.
    """
    if name != "auto":
        return DIALECTS[name], "as asked for (--dialect)"
    why = []
    for dialect, able in (("tools", _calls_tools), ("fence", _continues)):
        said = await able(model)
        why.append(said[1])
        if said[0]:
            return DIALECTS[dialect], "; ".join(why)
    return DIALECTS["turns"], "; ".join(why)


def told(asked: str, dialect: str, why: str) -> str:
    """The line that says which `dialect` was chosen where the one `asked` for was `auto`; else empty."""
    return f"dialect {dialect}: {why}" if asked == "auto" else ""


async def _calls_tools(model: Model) -> tuple[bool, str]:
    sent = Sent([{"role": "user", "content": _COMPUTE}], tools=(PYTHON,))
    try:
        call = await _ask(model, sent, max_tokens=2048)  # a reasoning model thinks before it calls
    except _Unable as error:
        return False, f"the endpoint takes no tools ({error})"
    if any(code_of(each) for each in call.tool_calls):
        return True, "the model calls tools"
    if call.finish_reason == "length":
        return False, "the model had called no tool after 2048 tokens"
    return False, "the model called no tool when told to"


async def _continues(model: Model) -> tuple[bool, str]:
    messages = [{"role": "user", "content": _COUNT}, {"role": "assistant", "content": _BEGUN}]
    try:
        call = await _ask(model, Sent(messages, continued=True), max_tokens=200)
    except _Unable as error:
        return False, f"the endpoint does not continue a turn ({error})"
    if call.raw.strip().startswith(_NEXT):
        return True, "the endpoint continues a turn"
    return False, "the endpoint begins a new turn instead of continuing one"


class _Unable(Exception):
    """The endpoint rejects such a request."""


async def _ask(model: Model, sent: Sent, max_tokens: int) -> ModelCall:
    try:
        return await model.complete(sent, max_tokens=max_tokens, temperature=0.0, seed=0, tries=2)
    except (ModelRefused, ContextFull):
        raise
    except ModelUnavailable as error:  # which says nothing about what the endpoint can do
        raise ModelUnavailable(f"{error}; or name a dialect, such as --dialect turns") from error
    except ModelError as error:
        raise _Unable(str(error)) from error
