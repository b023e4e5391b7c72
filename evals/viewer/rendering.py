"""The templates, and how they show values."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jinja2
from markupsafe import Markup

from evals.failures import OTHER, RULES
from evals.failures.table import about
from evals.index.filters import Filter
from evals.viewer.code import python
from evals.viewer.pages import Page
from evals.viewer.prose import formula, prose
from evals.viewer.step_texts import texts_of
from evals.viewer.visible import visible
from sandbox import CellResult
from sandbox.image.cut import cut_middle
from tora_agent.steps import Step

SHOWN_CHARS = 20_000
"""Of one text on a page; the rest is a link away."""
SHORT_CHARS = 60
"""Of an answer in a list."""
FIGURE_BYTES = 4_000_000
_FIGURES = ("image/png", "image/jpeg")


def render(template: str, page: Page) -> str:
    """The HTML of a page."""
    return templates().get_template(template).render(page)


@lru_cache(maxsize=1)
def templates() -> jinja2.Environment:
    """The templates, with the filters that they use."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("evals.viewer"),
        autoescape=True,
        finalize=_inert,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "prose": _of_shown(prose),
        "formula": formula,
        "python": _of_shown(python),
        "output": _output,
        "visible": visible,
        "percent": _percent,
        "duration": _seconds,
        "number": _number,
        "words": _words,
        "short": lambda text: text if len(text) <= SHORT_CHARS else text[:SHORT_CHARS] + "…",
        "figure": _figure,
        "remarks": _remarks,
        "cell_numbers": _cell_numbers,
        "is_long": _is_long,
        "points": _points,
        "breakable": _breakable,
        "about": _about,
    }
    environment.globals["Filter"] = Filter
    return environment


def _inert(value: Any) -> Any:
    """Whatever a template prints, unless it is HTML of ours."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def _points(share: float | None) -> str:
    """A difference of shares in percentage points."""
    return "–" if share is None else f"{100 * share:+.1f}".replace("-", "−")


def _seconds(value: float) -> str:
    if value < 1:
        return f"{1000 * value:.0f} ms"
    if value < 120:
        return f"{value:.1f} s"
    return f"{value / 60:.1f} min" if value < 7200 else f"{value / 3600:.1f} h"


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _words(name: Any) -> str:
    """A name of the log as words."""
    return str(name).replace("_", " ")


def _breakable(name: str) -> Markup:
    """A name that may be broken after its separators."""
    return Markup(re.sub("([/_.-])", r"\1<wbr>", str(Markup.escape(visible(name)))))


def _about(name: str) -> str:
    """What a rule says, without its references to code."""
    return re.sub(r" \(`[^`]*`\)", "", about(name)) if name in (*RULES, OTHER) else ""


def _figure(display: dict[str, str]) -> str | None:
    """A figure as the address of an image, if it is one."""
    for kind in _FIGURES:
        data = re.sub(r"\s", "", display.get(kind, "")[:FIGURE_BYTES])
        if re.fullmatch("[A-Za-z0-9+/]+=*", data):
            return f"data:{kind};base64,{data}"
    return None


def _remarks(result: CellResult) -> list[str]:
    """What happened to a cell besides its output."""
    flags = {
        "stopped by its time limit": result.timed_out,
        "output was cut": result.truncated,
        "the kernel is a new one: earlier variables are gone": result.state_lost,
    }
    return [*([result.left] if result.left else []), *(text for text, holds in flags.items() if holds)]


def _cell_numbers(steps: list[Step]) -> dict[int, int]:
    """For each step of code or output, the number of its cell, from 1."""
    numbers, cell = {}, 0
    for number, step in enumerate(steps):
        cell += step.kind == "code"
        if step.kind in ("code", "output"):
            numbers[number] = cell
    return numbers


def _is_long(step: Step) -> bool:
    return any(len(text) > SHOWN_CHARS for _, text in texts_of(step))


def _shown(text: str) -> str:
    return cut_middle(text, SHOWN_CHARS)


def _output(text: str) -> Markup:
    return Markup.escape(visible(_shown(text)))


def _of_shown(render_text: Callable[[str], Markup]) -> Callable[[str], Markup]:
    return lambda text: render_text(_shown(text))
