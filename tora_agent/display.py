"""Steps for the terminal, one by one or while they are being made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.syntax import Syntax
from rich.text import Text

from sandbox import CellResult
from sandbox.image.cut import cut_middle
from tora_agent.dialects.fences import read_reply

COLOURS = {"True": "green", "False": "red", "Uncertain": "yellow"}
SHOWN_CHARS = 4000


def step_parts(step: dict[str, Any]) -> Iterator[RenderableType]:
    """One step (as JSON types) as things to print."""
    if step["kind"] == "reasoning":
        if step["call"]["reasoning"]:
            yield Padding(Text(_short(step["call"]["reasoning"]), "dim italic"), (1, 0, 0, 2))
        yield Padding(Text(step["text"]), (1, 0, 0, 0))
    else:
        yield from after_reasoning(step)
    if step.get("cut"):
        yield Text(f"({len(step['cut'])} characters after the code block were cut)", "dim")


def after_reasoning(step: dict[str, Any]) -> Iterator[RenderableType]:
    """A step other than reasoning, which `Live` has shown while it streamed."""
    kind = step["kind"]
    if kind == "code":
        yield _code(step["code"])
    elif kind == "output":
        yield _output(step["result"])
    elif kind == "verification":
        yield Text("check by code", "bold magenta")
        if step["code"]:
            yield _code(step["code"])
        if step["result"]:
            yield _output(step["result"])
        yield Text(f"{step['answer']}: {step['state']} ({step['reason']})", COLOURS[step["state"]])
        for rule, evidence in step.get("doubts", {}).items():
            yield Text(f"looks wrong ({rule}): {evidence}", "yellow")
    elif kind == "retry":
        yield Text(
            {"no_box": "asking for an answer", "bad_call": "that call cannot be read"}.get(
                step["reason"], "trying again"
            ),
            "yellow",
        )
    elif kind == "request":
        yield Padding(Text(step["text"], "bold"), (1, 0, 0, 0))
    elif kind == "answer":
        yield Padding(Text.assemble("answer: ", (step["answer"], "bold green")), (1, 0))
    elif kind == "failure":
        yield Padding(Text(f"no answer: {step['failure']}, {step['message']}", "bold red"), (1, 0))


def _code(code: str) -> RenderableType:
    return Padding(
        Syntax(_short(code), "python", theme="ansi_dark", background_color="default", word_wrap=True), (0, 0, 0, 2)
    )


def _output(result: dict[str, Any]) -> RenderableType:
    cell = CellResult.model_validate(result)
    lost = "\n(the kernel was restarted: earlier variables are gone)" if cell.state_lost else ""
    style = "red" if cell.error else "cyan"
    return Padding(Text((_short(cell.text) or "(no output)") + lost, style), (0, 0, 0, 4))


def _short(text: str) -> str:
    return cut_middle(text, SHOWN_CHARS)


class Live:
    """Takes the events of a rollout (`OnEvent`) and prints them: the reply streams, each other step follows whole.

    Use as a context manager: until the first event it shows that something is being waited for.
    """

    def __init__(self, console: Console, waiting_for: str = "starting the model and the sandbox") -> None:
        self.console = console
        self._waiting = console.status(waiting_for)
        self._reply = self._shown = ""

    def __enter__(self) -> Live:
        self._waiting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.stop()

    def __call__(self, event: dict[str, Any]) -> None:
        """Take one event."""
        self._waiting.stop()
        if "note" in event:
            return self.console.print(Text(event["note"], "dim"))
        if "step" not in event:
            return self._stream(event["text"])
        step = event["step"]
        if step["kind"] == "reasoning":
            self._reply = self._shown = ""
            self.console.print()
            step = step | {"kind": "shown"}
        for part in step_parts(step):
            self.console.print(part, highlight=False)
        self._waiting.update("running" if step["kind"] == "code" else "thinking")
        self._waiting.start()
        return None

    def _stream(self, piece: str | None) -> None:
        """Print what is new of the reply's prose; its code comes as a step of its own, highlighted."""
        if piece is None:
            self.console.print(Text("\n(the connection broke; asking again)", "yellow"))
            self._reply = self._shown = ""
            return
        self._reply += piece
        prose = read_reply(self._reply).prose
        # A line that begins with a backtick may become a fence: wait for its end.
        if prose.rpartition("\n")[2].lstrip().startswith("`"):
            prose = prose.rpartition("\n")[0]
        if not (prose.startswith(self._shown) or self._shown.startswith(prose)):  # that was a thought, which is over
            self.console.print()
            self._shown = ""
        if prose.startswith(self._shown):
            self.console.out(prose[len(self._shown) :], end="", highlight=False)
            self._shown = prose
