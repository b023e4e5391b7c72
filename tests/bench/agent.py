"""What the agent itself costs: two-round problems over a scripted server, beside a bare loop over the same server and
sandbox as the floor.

Prints problems/s, CPU seconds of this side per problem (server and containers are other processes), and peak memory,
each measured in a process of its own. With `--latency 5` the replies take that long: then throughput is compared with
the ideal, `concurrency / (2 * latency)`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import yaml
from rich.console import Console
from rich.table import Table

from prompts import load_prompt
from sandbox import Sandbox
from tora_agent.agent import Agent
from tora_agent.dialects import DIALECTS
from tora_agent.dialects.fences import STOP, read_reply
from tora_agent.model import Endpoint, open_model
from tora_agent.problem import Problem
from tora_agent.settings import AgentSettings

QUESTION = "What is 1 + 1?"
TURNS = ["Compute.\n```python\nprint(1+1)\n```", r"So \boxed{2}."]
CALLS, IN_FLIGHT = 2000, 200
Solve = Callable[[int], Awaitable[None]]


async def agent(base_url: str, box: Sandbox, work: Callable[[Solve], Awaitable[None]]) -> None:
    """The product."""
    async with open_model(Endpoint(model="scripted", base_url=base_url)) as model:
        solver = Agent(model, box, AgentSettings(prompt="tora"))

        async def solve(number: int) -> None:
            made = await solver.rollout(Problem(problem=QUESTION), number)
            assert made.answer == "2"

        await work(solve)


async def floor(base_url: str, box: Sandbox, work: Callable[[Solve], Awaitable[None]]) -> None:
    """The same calls and cells as anyone would write them, and nothing else: no graph, no budget, no log."""
    prompt = load_prompt("tora")
    asked: dict[str, Any] = {"model": "scripted", "max_tokens": 4096, "temperature": 0, "stop": list(STOP)}
    begin = prompt.start(None, problem=QUESTION)
    sent = [each if each["role"] != "output" else {"role": "user", "content": each["content"]} for each in begin]
    http = openai.DefaultAioHttpClient(trust_env=False)
    async with openai.AsyncOpenAI(api_key="k", base_url=base_url, max_retries=0, http_client=http) as client:

        async def solve(number: int) -> None:
            messages: list[Any] = list(sent)
            async with box.session() as session:
                while True:
                    reply = await client.chat.completions.create(messages=messages, seed=number, **asked)
                    turn = read_reply(reply.choices[0].message.content or "")
                    if turn.code is None:
                        break
                    result = await session.run(turn.code)
                    output = {"role": "user", "content": f"```output\n{result.text}\n```"}
                    messages += [{"role": "assistant", "content": turn.text}, output]
            assert turn.answer == "2"

        await work(solve)


async def calls(base_url: str, box: Sandbox, work: Callable[[Solve], Awaitable[None]]) -> None:
    """Single calls of the product's client, with a few-shot prompt: no sandbox, no graph."""
    prompt = load_prompt("tora")
    sent = DIALECTS["turns"].send(prompt.start(None, problem=QUESTION), prompt)
    async with open_model(Endpoint(model="scripted", base_url=base_url)) as model:

        async def call(number: int) -> None:
            await model.complete(sent, max_tokens=100, temperature=0, seed=number)

        await work(call)


async def measure(what: str, base_url: str, problems: int, concurrency: int) -> dict[str, float]:
    """Solve `problems` problems, `concurrency` at a time, after a few that warm everything up."""
    figures: dict[str, float] = {}

    async def work(solve: Solve) -> None:
        async def several(numbers: range) -> None:
            queue = iter(numbers)

            async def serve() -> None:
                for number in queue:
                    await solve(number)

            async with asyncio.TaskGroup() as group:
                for _ in range(concurrency):
                    group.create_task(serve())

        await several(range(2))
        began, cpu = time.monotonic(), _cpu()
        await several(range(problems))
        figures["seconds"], figures["cpu"] = time.monotonic() - began, _cpu() - cpu

    async with Sandbox() as box:
        await {"agent": agent, "floor": floor, "calls": calls}[what](base_url, box, work)
    figures["mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return figures


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@contextmanager
def serving(latency: float) -> Any:
    """`tora serve-script` in a process of its own."""
    turns = [{"content": turn, "delay": latency} for turn in TURNS]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "script.yaml"
        path.write_text(yaml.safe_dump({"entries": [{"match": QUESTION, "turns": turns}]}))
        command = [sys.executable, "-m", "tora_agent", "serve-script", str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout
            yield server.stdout.readline().split()[3]
            server.terminate()


def apart(what: str, base_url: str, problems: int, concurrency: int) -> dict[str, float]:
    """`measure` in a process of its own, whose memory is that of this measurement alone."""
    command = [sys.executable, "-m", "tests.bench.agent", "--one", what, base_url, str(problems), str(concurrency)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each reply")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        what, base_url, problems, concurrency = given.one
        print(json.dumps(asyncio.run(measure(what, base_url, int(problems), int(concurrency)))))
        return
    columns = ("at once", "", "problems/s", "of ideal", "CPU ms each", "of floor", "MiB")
    table = Table(*columns, title=f"{given.problems} two-round problems, {given.latency:g} s a reply")
    with serving(given.latency) as base_url:
        for concurrency in given.concurrency:
            bare = apart("floor", base_url, given.problems, concurrency)
            for what, found in (("floor", bare), ("agent", apart("agent", base_url, given.problems, concurrency))):
                speed = given.problems / found["seconds"]
                ideal = concurrency / (2 * given.latency) if given.latency else None
                table.add_row(
                    str(concurrency),
                    what,
                    f"{speed:.1f}",
                    f"{100 * speed / ideal:.1f} %" if ideal else "-",
                    f"{1000 * found['cpu'] / given.problems:.1f}",
                    f"{found['cpu'] / bare['cpu']:.2f}",
                    f"{found['mib']:.0f}",
                )
        alone = apart("calls", base_url, CALLS, IN_FLIGHT)
    console = Console()
    console.print(table)
    console.print(f"the client alone: {1000 * alone['cpu'] / CALLS:.2f} ms CPU a call, {IN_FLIGHT} in flight")


if __name__ == "__main__":
    main()
