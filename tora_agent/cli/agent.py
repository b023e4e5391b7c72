"""`tora solve` and `tora chat`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from tora_agent.cli.app import app, console, examples, standard_input
from tora_agent.cli.options import Data, Given, calling, solving, taking, voting


@app.command(
    short_help="Solve one problem and watch.",
    epilog=examples(
        'tora solve "What is 2^100 mod 7?"',
        "tora solve - < problem.txt",
        'tora solve "How many primes are below 100?" --samples 5 --vote verified --temperature 0.7',
        "tora solve --benchmark sample --id sample/algebra/3 --model gpt-4o",
    ),
)
@taking(solving, calling, voting)
def solve(
    problem: Annotated[str | None, typer.Argument(help="The problem, or - to read it from standard input.")] = None,
    benchmark: Annotated[
        str | None, typer.Option(help="Take the problem from sample, math500, or a .jsonl file of your own.")
    ] = None,
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
    from tora_agent.model import choose_endpoint, fetch_if_embedded
    from tora_agent.model.settings import client_settings
    from tora_agent.settings import settings_from

    settings = settings_from({}, given)
    stated = checked_problem(_problem(problem, benchmark, id, data))
    checked_prompt(settings)
    client = client_settings(given)
    voting = _voting(given, settings.prompt)
    if not client.replay_only:
        fetch_if_embedded(choose_endpoint(given["model"], given["base_url"]))
    if samples > 1:
        from evals.voting.solving import solve_command

        endpoint = choose_endpoint(given["model"], given["base_url"], client)
        asked = {"problem": stated, "settings": settings, "endpoint": endpoint, "client": client}
        raise typer.Exit(solve_command(console(stderr=json), as_json=json, **asked, **voting))
    where = {"model": given["model"], "base_url": given["base_url"]}
    ask = partial(solve_problem, stated, **where, settings=settings, client=client)
    if json:
        with console(stderr=True).status("solving"):
            solution = ask()
        print(solution.trajectory.model_dump_json(indent=2))
    else:
        with Live(console()) as live:
            solution = ask(on_event=live)
    raise typer.Exit(0 if solution.answer is not None else 1)


@app.command(
    short_help="Solve a problem in a conversation, in one kernel.",
    epilog=examples(
        "tora chat",
        "tora chat --model gpt-4o --prompt tora --approve",
        "tora chat --resume last",
    ),
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
        if id is not None or data is not None:
            raise UsageError("--id and --data are of a problem of a benchmark: give --benchmark too, or leave them out")
        return standard_input() if problem == "-" else problem
    if id is None:
        raise UsageError("--benchmark needs --id, the id of one of its problems")
    from evals.benchmarks import load_benchmark

    return load_benchmark(str(benchmark), data).problem(id)


def _voting(given: dict[str, Any], prompt: str) -> dict[str, Any]:
    from evals.voting.votes import Vote, Weights, check_voting
    from tora_agent.errors import UsageError

    vote = Vote.parse(given["vote"]) or (Vote.MAJORITY if given["samples"] > 1 else None)
    weights = Weights.parse(given["weights"]) if given["weights"] else Weights()
    if given["weights"] and vote is not Vote.VERIFIED:
        raise UsageError("--weights are of a verified vote: give --vote verified")
    check_voting(given, vote, given["samples"], prompt)
    return {"samples": given["samples"], "vote": vote, "weights": weights, "stop_early": given["stop_early"]}
