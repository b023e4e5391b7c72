"""The host's end of a cell's output: what came, bounded and cleaned."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sandbox.image.cut import NOTE_CHARS, Excerpt, cut_middle
from sandbox.result import CellError, CellResult

TRACEBACK_CHARS = 2000
DISPLAYS = 50
"""Rich outputs kept of a cell: the first ones, and the last if it is small."""
RICH_CHARS = 4_000_000
"""Characters of all of a cell's rich outputs together, but for the last."""
LAST_CHARS = 100_000
# In linear time whatever the text: what one may begin with is not part of another, and nothing is tried twice.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]"  # colours, moves of the cursor
    # the window's title, links
    r"|(?:\x1b[]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*+(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]?|[\x80-\x9f]"
)
_CUT = re.compile(r"\.\.\. \[\d+ characters cut\] \.\.\.")
_LEFT = {("SystemExit", status) for status in ("", "0", "None")}
"""How a script ends that has not failed."""
_CELL_FRAME = re.compile(r"Cell In\[\d+\]")


class Output:
    """Collects the parts of one cell's output, each cut to `limit` characters."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._streams = {"stdout": Stream(limit), "stderr": Stream(limit)}
        self._displays: list[dict[str, str]] = []
        self._last: dict[str, str] | None = None
        self._rich_chars = 0
        self._dropped = False
        self.value: str | None = None
        self.error: CellError | None = None
        self.left = ""

    def take(self, kind: str, content: dict[str, Any]) -> None:
        """Add one iopub message."""
        if kind == "stream" and content.get("name") in self._streams:
            self._streams[content["name"]].add(str(content.get("text", "")))
        elif kind in ("execute_result", "display_data"):
            data = content.get("data", {})
            text = str(data.get("text/plain", ""))
            if kind == "execute_result":
                self.value = self._short(text)
            else:
                self._streams["stdout"].add(text + "\n")
            if set(data) != {"text/plain"}:
                self._display(data)
        elif kind == "error" and (content.get("ename"), content.get("evalue")) not in _LEFT:
            self.error = CellError(
                type=self._short(content.get("ename", "Error")),
                message=self._short(content.get("evalue", "")),
                traceback=clean(
                    _own_frames(cut_middle("\n".join(map(str, content.get("traceback", []))), self._limit))
                ),
            )

    def result(self, **outcome: Any) -> CellResult:
        """The `CellResult` of what was taken and of `outcome`."""
        stdout, stderr = (clean(str(stream)) for stream in self._streams.values())
        result = CellResult(
            stdout=stdout,
            stderr=stderr,
            value=self.value,
            error=self.error,
            displays=(*self._displays, *([self._last] if self._last else [])),
            left=self.left,
            **outcome,
        )
        return result.model_copy(update={"truncated": self._dropped or bool(_CUT.search(result.text))})

    def _display(self, data: dict[str, Any]) -> None:
        bundle = {str(mime): clean(str(value)) for mime, value in data.items()}
        size = sum(map(len, bundle.values()))
        if len(self._displays) < DISPLAYS and self._rich_chars + size <= RICH_CHARS:
            self._displays.append(bundle)
            self._rich_chars += size
        else:
            self._dropped = True
            self._last = bundle if size <= LAST_CHARS else self._last

    def _short(self, text: object) -> str:
        return clean(cut_middle(str(text), self._limit))


class Stream:
    """What came on one stream; of a flood, the head and the tail."""

    def __init__(self, limit: int) -> None:
        self._head: list[str] = []
        # With room for the kernel's own cut and the line that states it.
        self._excerpt = Excerpt(limit + 2 * NOTE_CHARS)

    def add(self, text: str) -> None:
        """Take more."""
        self._head.append(self._excerpt.add(text))

    def __str__(self) -> str:
        return "".join(self._head) + self._excerpt.end()


def clean(text: str) -> str:
    """`text` without terminal escapes, NUL and lone surrogates."""
    text = _ESCAPES.sub("", text.replace("\0", "\N{SYMBOL FOR NULL}"))
    return text.encode("utf-8", "replace").decode()


def _own_frames(traceback: str) -> str:
    """The frames of the user's own cells out of an IPython traceback in plain mode."""
    lines, kept, keep = traceback.splitlines(), [], False
    for line in lines:
        if line.lstrip().startswith(("Cell In[", "File ")):
            keep = bool(_CELL_FRAME.search(line))
        elif not line.startswith(" "):
            keep = False
        if keep:
            kept.append(line)
    return cut_middle("\n".join(kept), TRACEBACK_CHARS)


# The code can write a stack, too: so no number is longer than `int` takes, and no path long enough to take time.
_FRAME = re.compile(r'^  File "(?P<file>[^"\n]{1,400})", line (?P<line>\d{1,9}) in (?P<name>.{1,200})$', re.MULTILINE)
_CELL_FILE = re.compile(r"<ipython-input-(\d{1,9})-[0-9a-f]+>")
_PACKAGE = re.compile(r".*/(?:site|site-packages|dist-packages|python3\.\d+)/(?P<module>.+)\.py$")


def where(stack: str, cells: Mapping[int, str]) -> str:
    """What hung, in words, of a stack by `faulthandler` (innermost frame first): the code's line, and the library.

    `cells` are the codes of the session's cells by execution count.

    >>> where('  File "/opt/tora/site/sympy/core/power.py", line 9 in pow\n  File "<ipython-input-1-0a>", line 2 in f',
    ...       {1: "def f():\n  x**x"})
    'line 2 `x**x`, in sympy.core.power.pow'
    """
    library = ""
    for frame in _FRAME.finditer(stack):
        if cell := _CELL_FILE.fullmatch(frame["file"]):
            number = int(frame["line"])
            lines = cells.get(int(cell[1]), "").splitlines()
            text = lines[number - 1].strip() if 0 < number <= len(lines) else ""
            line = f"line {number} `{cut_middle(text, 80)}`" if text else f"line {number}"
            return clean(f"{line}, in {library}" if library else line)
        if not library and (package := _PACKAGE.match(frame["file"])):
            library = f"{package['module'].replace('/', '.').removesuffix('.__init__')}.{frame['name']}"
    return ""


def last_line(traceback: str) -> str:
    """The innermost line of a traceback of the code's own frames, in the same words.

    >>> last_line("  Cell In[1], line 3\\n    f()\\n  Cell In[1], line 2 in f\\n    x**x")
    'line 2 `x**x`'
    """
    frames = re.findall(r"^ *Cell In\[\d+\], line (\d+).*\n +(.*)$", traceback, re.MULTILINE)
    return f"line {frames[-1][0]} `{cut_middle(frames[-1][1], 80)}`" if frames else ""
