"""The command line. Only typer is imported at module level: `tora --help` answers at once."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import NoReturn

import typer

from tora_agent.cli import agent, evaluate, inspect, machine
from tora_agent.cli.app import app

__all__ = ["agent", "app", "evaluate", "inspect", "machine", "main"]


def main() -> None:
    """Run the command line. Errors are one line on standard error and exit status 2."""
    import signal

    # SIGTERM does what Ctrl-C does: asyncio cancels what runs, and every sample ends its container. Both are heard in a
    # shell script's background job too, which is started deaf to Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        _load_env(Path(".env"))
        status = app(standalone_mode=False)
    except typer.TyperException as error:
        _exit_with_usage(error)
    except Exception as error:
        _exit_with(error)
    sys.exit(status)


def _load_env(file: Path) -> None:
    from dotenv import load_dotenv

    try:
        load_dotenv(file)
    except (OSError, UnicodeDecodeError) as error:
        from tora_agent.errors import UsageError

        raise UsageError(f"{file} cannot be read as UTF-8 text: {error}") from error


def _exit_with_usage(error: typer.TyperException) -> NoReturn:
    message = error.format_message()
    if message.startswith("Usage: "):  # the help, for want of arguments
        print(message, file=sys.stderr)
    else:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "tora"
        print(f"tora: {message[0].lower()}{message[1:].rstrip('.')}; see {command} --help", file=sys.stderr)
    sys.exit(2)


def _exit_with(error: Exception) -> NoReturn:
    from sandbox import SandboxError
    from tora_agent.errors import ToraError

    if isinstance(error, ToraError | SandboxError):
        print(f"tora: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        print("tora: no space is left where this was to be written; make some, then run it again", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python would try once more, as it ends
        sys.exit(2)
    raise error
