"""The terminal, out of reach of what a model wrote."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

_CONTROLS = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)])


class PlainConsole(Console):
    """Prints text without control characters, which could retitle or clear the terminal; styles are rich's own."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=segment.text.translate(_CONTROLS))
