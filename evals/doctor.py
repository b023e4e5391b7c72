"""`tora doctor`: what is there, what is missing, and the remedy."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable

from rich.console import Console
from rich.markup import escape

from sandbox import SandboxError
from tora_agent.errors import ToraError
from tora_agent.model import Endpoint, choose_endpoint
from tora_agent.model.client import Model

Check = Callable[[], str]
"""Returns what is there; raises an error whose message holds the remedy."""


def examine(console: Console, model: str | None, base_url: str | None) -> bool:
    """Print one line per part; return whether all that solving and evaluating need is there."""
    checks: dict[str, Check] = {
        "python": platform.python_version,
        "docker": _docker,
        "image": _image,
        "model": lambda: _model(choose_endpoint(model, base_url)),
        "sample": lambda: _data("sample"),
        "math500": lambda: _data("math500"),
    }
    fine = True
    for name, check in checks.items():
        try:
            console.print(f"[green]ok[/]       {name}: {escape(check())}", highlight=False, soft_wrap=True)
        except (ToraError, SandboxError) as error:
            # MATH-500 comes from elsewhere; all else works without it.
            fine = fine and name == "math500"
            console.print(f"[red]missing[/]  {name}: {escape(str(error))}", highlight=False, soft_wrap=True)
    return fine


def _docker() -> str:
    from sandbox.container import connect

    return f"Docker Engine {connect().version()['Version']}"


def _image() -> str:
    from sandbox.build import image_name
    from sandbox.container import connect, require_image

    require_image(connect())
    return image_name()


def _model(endpoint: Endpoint) -> str:
    if not endpoint.embedded:
        return asyncio.run(_served(endpoint))
    from tora_agent.model.weights import find_weights

    found = find_weights(endpoint.model)
    return f"embedded, {found.name}" if found else "embedded, will be downloaded on first use (1.1 GB)"


async def _served(endpoint: Endpoint) -> str:
    async with Model(endpoint) as model:
        return f"{model.name} at {endpoint.where}"


def _data(name: str) -> str:
    from evals.benchmarks import load_benchmark

    benchmark = load_benchmark(name)
    return benchmark.warning or f"{len(benchmark.problems)} problems from {benchmark.source}"
