"""`tora solve` and `tora chat`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from tora_agent.cli.app import app, console, examples, standard_input
from tora_agent.cli.options import Data, Given, calling, solving, taking, voting


@app.command(
    epilog=examples(
        'tora solve "What is 2^100 mod 7?"',
        "tora solve - < problem.txt",
        'tora solve "How many primes are below 100?" --samples 5 --vote verified --temperature 0.7',
        "tora solve --benchmark sample --id sample/algebra/3 --model gpt-4o",
    )
)
@taking(solving, calling, voting)
def solve(
    problem: Annotated[str | None, typer.Argument(help="The problem, or - to read it from standard input.")] = None,
    benchmark: Annotated[str | None, typer.Option(help="Take the problem from this benchmark.")] = None,
    id: Annotated[str | None, typer.Option(help="The problem's id in the benchmark.")] = None,
    data: Data = None,
    json: Annotated[bool, typer.Option("--json", help="Print the trajectory as JSON instead.")] = False,
    samples: Annotated[int, typer.Option(help="Samples, which vote on the answer.", min=1)] = 1,
    *,
    given: Given,
) -> None:
    """Solve one problem and watch: reasoning, code, output, verification, answer.

    Exit status 0 with an answer, 1 without one, 2 for a usage or set-up error.
    """
    from tora_agent.agent import checked_problem, checked_prompt
    from tora_agent.agent import solve as solve_problem
    from tora_agent.display import Live
    from tora_agent.errors import UsageError
    from tora_agent.model import choose_endpoint, fetch_if_embedded
    from tora_agent.model.settings import client_settings
    from tora_agent.settings import settings_from

    settings = settings_from({}, given)
    stated = checked_problem(_problem(problem, benchmark, id, data))
    checked_prompt(settings)
    client = client_settings(given)
    if samples == 1 and (given["vote"] or given["weights"] or given["stop_early"]):
        raise UsageError(
            "one sample has nobody to vote with: give --samples, or leave out --vote, --weights, --stop-early"
        )
    if not client.replay_only:
        fetch_if_embedded(choose_endpoint(given["model"], given["base_url"]))
    if samples > 1:
        raise typer.Exit(_solve_by_vote(given, stated, settings, client))
    where = {"model": given["model"], "base_url": given["base_url"]}
    ask = partial(solve_problem, stated, **where, settings=settings, client=client)
    if json:
        solution = ask()
        print(solution.trajectory.model_dump_json(indent=2))
    else:
        with Live(console()) as live:
            solution = ask(on_event=live)
    raise typer.Exit(0 if solution.answer is not None else 1)


@app.command(
    epilog=examples(
        "tora chat",
        "tora chat --model gpt-4o --prompt tora --approve",
        "tora chat --resume last",
    )
)
@taking(solving, calling)
def chat(
    resume: Annotated[str | None, typer.Option(help="Go on with this chat: a path, a name, or last.")] = None,
    approve: Annotated[
        bool | None,
        typer.Option(
            "--approve/--no-approve",
            help="Ask before each cell that the model wants to run, checks too.",
        ),
    ] = None,
    log_dir: Annotated[Path, typer.Option(help="Where chats are kept and looked for.")] = Path("chats"),
    *,
    given: Given,
) -> None:
    """Solve a problem in a conversation: state it, watch, and go on asking in the same kernel.

    /verify checks the answer, /run CODE runs your own, /help lists the rest. Ctrl-C stops the current step and keeps
    the chat, which also survives a crash (--resume). Each request has the budget of a sample.
    """
    from tora_agent.chat import chat_command

    raise typer.Exit(chat_command(given, console()))


def _problem(problem: str | None, benchmark: str | None, id: str | None, data: Path | None) -> Any:
    from tora_agent.errors import UsageError

    if (problem is None) == (benchmark is None):
        raise UsageError("give a problem (or - for standard input), or --benchmark and --id")
    if problem is not None:
        return standard_input() if problem == "-" else problem
    if id is None:
        raise UsageError("--benchmark needs --id, the id of one of its problems")
    from evals.benchmarks import load_benchmark

    return load_benchmark(str(benchmark), data).problem(id)


def _solve_by_vote(given: dict[str, Any], problem: Any, settings: Any, client: Any) -> int:
    from evals.voting.solving import solve_command
    from evals.voting.votes import Vote, Weights
    from tora_agent.model import choose_endpoint

    return solve_command(
        console(),
        as_json=given["json"],
        problem=problem,
        samples=given["samples"],
        vote=Vote.parse(given["vote"]) or Vote.MAJORITY,
        weights=Weights.parse(given["weights"]) if given["weights"] else Weights(),
        stop_early=given["stop_early"],
        settings=settings,
        endpoint=choose_endpoint(given["model"], given["base_url"], client),
        client=client,
    )
