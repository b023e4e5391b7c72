"""The application, and what all commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console


def examples(*commands: str) -> str:
    """A help text's last paragraph, one command per line."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)


app = typer.Typer(
    help="Solve maths problems with a language model that runs Python, and measure how well it does.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples("tora doctor", 'tora solve "What is 2^100 mod 7?"', "tora eval sample --limit 5", "tora view last"),
)
sandbox_app = typer.Typer(help="Build the sandbox image, or remove what crashes have left.", no_args_is_help=True)
app.add_typer(sandbox_app, name="sandbox")


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"tora-agent {version('tora-agent')}")
        raise typer.Exit()


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """What comes before every command."""


def console(stderr: bool = False) -> Console:
    """A console for what is printed."""
    from tora_agent.console import PlainConsole

    return PlainConsole(stderr=stderr)


def standard_input() -> str:
    """All of standard input, as text."""
    with open(0, encoding="utf-8-sig", errors="surrogateescape", closefd=False) as text:
        return text.read()


def text_of(file: Path) -> str:
    """The text of `file`. Raises `UsageError`."""
    from tora_agent.errors import UsageError

    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}; give a file, or - for standard input") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} cannot be read as UTF-8 text: {error}") from error
