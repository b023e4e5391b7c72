"""`tora chat` at the terminal: read a line, do what it asks for, show it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.text import Text

from prompts.sets import chat_texts
from sandbox import SandboxError
from tora_agent.agent import checked_prompt
from tora_agent.chat.conversation import Chat, Setup
from tora_agent.display import Live, after_reasoning, step_parts
from tora_agent.errors import ToraError, UsageError
from tora_agent.folders import find_folder, new_folder
from tora_agent.model import choose_endpoint, fetch_if_embedded
from tora_agent.model.settings import client_settings
from tora_agent.settings import settings_from

Result = TypeVar("Result")
HELP = """\
Anything else is said to the model: first the problem, then what you want to know or have tried.
/verify        check the newest answer by code
/run CODE      run code of your own in the same kernel
/retry         try the problem again from the start, with another seed
/continue      go on with what was stopped
/budget        what is left, and what was used
/save [FILE]   write the trajectory as JSON
/quit          leave; the chat is kept (Ctrl-D does the same)"""


def chat_command(given: dict[str, Any], console: Console) -> int:
    """Carry out `tora chat` with the options `given`; return the exit status.

    Raises `ToraError` or `SandboxError` where nothing could be started.
    """
    folder, setup = _setup(given)
    checked_prompt(setup.settings)
    client = client_settings(given)
    endpoint = choose_endpoint(setup.model, setup.base_url, client)
    known = {"model": endpoint.label or None, "base_url": endpoint.address}
    setup = setup.model_copy(update=known)  # whatever the environment says when the chat is gone on with
    if not client.replay_only:
        fetch_if_embedded(endpoint)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # at the prompt, too, where Ctrl-C does not end it
    with asyncio.Runner() as runner:
        opened = Chat.open(folder, setup, endpoint, client)
        with console.status("starting the model and the sandbox"):
            chat = runner.run(opened.__aenter__())
        if chosen := chat.agent.chosen:
            console.print(Text(chosen, "dim"), soft_wrap=True)
        try:
            _Loop(chat, runner, console).serve()
        finally:
            runner.run(_close(opened))
    console.print(f"kept: go on with tora chat --resume {folder}", highlight=False, markup=False, soft_wrap=True)
    return 0


async def _close(opened: Any) -> None:
    await opened.__aexit__(None, None, None)


def _setup(given: dict[str, Any]) -> tuple[Path, Setup]:
    if given["resume"]:
        folder = find_folder(given["resume"], given["log_dir"], holds="chat.json", what="chat", command="tora chat")
        was = Setup.read(folder)
        settings = settings_from(was.settings.model_dump(), given)
        more = {key: given[key] for key in ("model", "base_url", "approve") if given[key] is not None}
        if given["model"] or given["base_url"] or given["dialect"]:
            more["dialect"] = ""  # of which another endpoint knows nothing
        return folder, was.model_copy(update={"settings": settings, **more})
    created = datetime.now(UTC).isoformat(timespec="milliseconds")
    where = {"model": given["model"], "base_url": given["base_url"]}
    setup = Setup(created=created, settings=settings_from({}, given), approve=bool(given["approve"]), **where)
    return new_folder(given["log_dir"]), setup


class _Loop:
    """Reads and obeys until the end."""

    def __init__(self, chat: Chat, runner: asyncio.Runner, console: Console) -> None:
        self.chat, self.runner, self.console = chat, runner, console
        self._commands: dict[str, Callable[[str], None]] = {
            "/verify": self._verify,
            "/run": self._run,
            "/retry": lambda _: self._show(self.chat.retry),
            "/continue": self._continue,
            "/budget": self._budget,
            "/save": self._save,
            "/help": lambda _: self._say(HELP),
        }

    def serve(self) -> None:
        """Until Ctrl-D or /quit. Ctrl-C stops what runs and keeps the chat."""
        with suppress(ImportError):  # where Python has it: lines of any length, pasted ones as one, and a history
            import readline  # noqa: F401
        self._recall()
        with suppress(EOFError):
            while (line := self._next()) != "/quit":
                if line:
                    self._obey(line)

    def _next(self) -> str:
        while True:
            try:
                return self._read("> ").strip()
            except KeyboardInterrupt:
                self._say("\n(/quit or Ctrl-D to leave)")
            except UsageError as error:
                self._complain(error)

    def _obey(self, line: str) -> None:
        try:
            if line.startswith("/"):
                word, *rest = line.split(maxsplit=1)
                if word not in self._commands:
                    raise UsageError(f"there is no command {word}; /help lists them")
                self._commands[word]("".join(rest))
            else:
                self._show(self.chat.say, line)
        except KeyboardInterrupt:
            self._say("\nstopped; the chat is kept")
            self._hint()
        except (ToraError, SandboxError) as error:
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        self.console.print(Text(str(error), "red"), soft_wrap=True)
        self._hint()

    def _hint(self) -> None:
        if self._await(self.chat.unfinished()):
            self._say("(/continue goes on; or ask something else)")

    def _show(self, method: Any, *arguments: Any) -> None:
        """Run `method` of the chat with its steps shown as they come; ask about code that waits for approval."""
        with Live(self.console, "thinking") as live:
            self._await(method(*arguments, live))
        self.console.print()
        self._ask_approval()

    def _ask_approval(self) -> None:
        waiting = self._await(self.chat.waiting())
        if waiting is not None:
            told = self._refusal() if "code" in waiting else self._refusal_of_check(waiting["check"])
            self._show(self.chat.decide, told)

    def _refusal(self) -> str:
        """Ask about the code that was shown last: "" to run it, else what to tell the model."""
        answer, no = self._read("run this code? [Y/n, or what to tell the model] ").strip(), chat_texts()["refused"]
        return {"": "", "y": "", "yes": "", "n": no, "no": no}.get(answer.lower(), answer)

    def _refusal_of_check(self, code: str) -> str:
        """Show a check and ask about it: "" to run it."""
        self._print({"kind": "code", "code": code})
        answer = self._read("run this check? [Y/n] ").strip()
        return "" if answer.lower() in ("", "y", "yes") else "no"

    def _recall(self) -> None:
        """Show what a chat that is gone on with has so far."""
        problem, steps = self._await(self.chat.problem()), self._await(self.chat.steps())
        if problem is None:
            self._say("State a problem; /help lists the commands.")
            return
        self.console.print(Text(problem, "bold"))
        for step in steps:
            for part in step_parts(step):
                self.console.print(part, highlight=False)
        if self._await(self.chat.unfinished()):
            self._say("It was stopped here; /continue goes on.")

    def _continue(self, _: str) -> None:
        if not self._await(self.chat.unfinished()):
            raise UsageError("nothing was stopped; ask something")
        if self._await(self.chat.waiting()) is None:
            self._show(self.chat.go_on)
        else:
            self._ask_approval()

    def _verify(self, _: str) -> None:
        with self.console.status("checking"):
            check = self._await(self.chat.ask_check())
        if check.code and self.chat.setup.approve and self._refusal_of_check(check.code):
            return
        with self.console.status("checking"):
            check = self._await(self.chat.run_check(check))
        self._print(check.model_dump(mode="json"))

    def _run(self, code: str) -> None:
        if not code:
            raise UsageError("/run needs code: /run print(x)")
        with self.console.status("running"):
            result = self._await(self.chat.run(code))
        self._print({"kind": "output", "result": result.model_dump(mode="json")})

    def _budget(self, _: str) -> None:
        left, used = self._await(self.chat.left())
        cost = "" if used.cost is None else f", {used.cost:.4g} dollars"
        self._say(f"left for this request: {left.rounds} replies, {left.tokens} tokens, {left.seconds:.0f} seconds")
        self._say(f"used so far: {used.prompt_tokens} tokens read, {used.completion_tokens} generated{cost}")

    def _save(self, name: str) -> None:
        file = Path(name) if name else self.chat.folder / "trajectory.json"
        text = self._await(self.chat.trajectory()).model_dump_json(indent=2)
        try:
            file.write_text(text + "\n")
        except OSError as error:
            raise UsageError(f"cannot write {file}: {error.strerror}; give another file") from error
        self._say(f"saved: {file} (tora show {file})")

    def _read(self, prompt: str) -> str:
        """A line from the keyboard; from a pipe without a prompt. Raises `UsageError` for what is no text."""
        try:
            line = input(prompt if sys.stdin.isatty() else "")
            line.encode()
        except UnicodeError as error:
            raise UsageError("that line is not UTF-8 text; write it again") from error
        return line

    def _print(self, step: dict[str, Any]) -> None:
        for part in after_reasoning(step):
            self.console.print(part, highlight=False)

    def _say(self, text: str) -> None:
        self.console.print(Text(text, "dim"), soft_wrap=True)

    def _await(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.runner.run(work)
