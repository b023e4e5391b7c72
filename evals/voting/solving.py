"""`tora solve --samples K`: several samples of one problem, and the answer they vote for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.text import Text

from evals.voting.votes import Ballot, Vote, Weights, classes, decided, winner
from sandbox import SandboxError
from tora_agent.agent import Agent, open_agent
from tora_agent.errors import ToraError
from tora_agent.model import ClientSettings, Endpoint
from tora_agent.problem import Problem
from tora_agent.settings import AgentSettings
from tora_agent.steps import Trajectory

AT_ONCE = 4
OnOpen = Callable[[Agent], None]
OnSample = Callable[[Trajectory], None]


class Elected(BaseModel):
    """What several samples came to."""

    answer: str | None
    """That of the first sample of the winning class; None where no sample has one."""
    votes: int
    """Samples with an equal answer."""
    vote: Vote
    trajectories: list[Trajectory]
    failed: list[str] = []
    """Why samples could not be made, a line each; once one could not, no further ones are begun."""

    @property
    def counted(self) -> str:
        """How many samples agree, in words."""
        return f"{self.votes} of {len(self.trajectories)} samples, {self.vote.value} vote"


async def solve_by_vote(
    problem: Problem,
    samples: int,
    vote: Vote,
    weights: Weights,
    settings: AgentSettings,
    endpoint: Endpoint,
    client: ClientSettings,
    *,
    stop_early: bool = False,
    on_open: OnOpen = lambda agent: None,
    on_sample: OnSample = lambda trajectory: None,
) -> Elected:
    """Make up to `samples` samples, a few at a time, and count the votes.

    Raises `ToraError` or `SandboxError` where no sample can be made.
    """
    made: list[Trajectory] = []
    failed: list[ToraError | SandboxError] = []

    async def make(number: int) -> None:
        try:
            made.append(await agent.rollout(problem, number))
            on_sample(made[-1])
        except (ToraError, SandboxError) as error:
            failed.append(error)

    async with open_agent(settings, endpoint, client) as agent:
        on_open(agent)
        while not failed and len(made) < samples:
            numbers = range(len(made), min(len(made) + AT_ONCE, samples))
            await asyncio.gather(*map(make, numbers))
            made.sort(key=lambda each: each.sample)
            ballots = await _ballots(made)
            if stop_early and decided(ballots, samples - len(made), vote, weights):
                break
    if not made:
        raise failed[0]
    won = winner(ballots, vote, weights)
    votes = sum(each.group == ballots[won].group for each in ballots) if won is not None else 0
    answer = made[won].answer if won is not None else None
    return Elected(answer=answer, votes=votes, vote=vote, trajectories=made, failed=list(map(str, failed)))


async def _ballots(made: list[Trajectory]) -> list[Ballot]:
    groups = await classes([each.answer for each in made])
    return [Ballot(group, each.state, False) for group, each in zip(groups, made, strict=True)]


def solve_command(console: Console, *, as_json: bool, **asked: Any) -> int:
    """Carry out `tora solve --samples K`; return the exit status: 0 with an answer, 1 without.

    `console` is for people; JSON goes to standard output.
    """
    done = 0

    def opened(agent: Agent) -> None:
        if agent.chosen:
            console.print(Text(agent.chosen, "dim"), soft_wrap=True)
        status.update(f"0 of {asked['samples']} samples")

    def show(trajectory: Trajectory) -> None:
        nonlocal done
        done += 1
        state = f" ({trajectory.state})" if trajectory.state else ""
        said = trajectory.answer if trajectory.answer is not None else f"no answer: {trajectory.failure}"
        console.print(Text(f"sample {trajectory.sample}: {said}{state}"))
        status.update(f"{done} of {asked['samples']} samples")

    if asked["settings"].temperature == 0:
        console.print("[yellow]warning: at temperature 0 the samples of a problem are alike; see --temperature[/]")
    with console.status("starting the model and the sandbox") as status:
        elected = asyncio.run(solve_by_vote(**asked, on_open=opened, on_sample=show))
    for line in elected.failed:
        console.print(Text(f"a sample could not be made: {line}", "yellow"), soft_wrap=True)
    if as_json:
        print(elected.model_dump_json(indent=2))
    elif elected.answer is None:
        console.print(Text("no answer", "bold red"))
    else:
        console.print(Text.assemble("answer: ", (elected.answer, "bold green"), f" ({elected.counted})"))
    return 0 if elected.answer is not None else 1
