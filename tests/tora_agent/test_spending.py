"""Costs, and the budgets that pause a run."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from evals.runs import Run
from tests.conftest import script
from tests.evals.making import jsonl, row
from tests.evals.running import serving, tora_in
from tests.tora_agent.test_client import ask, scripted
from tora_agent.errors import BudgetSpent, UsageError
from tora_agent.model import ClientSettings, Endpoint
from tora_agent.model.client import Model
from tora_agent.model.settings import Price
from tora_agent.model.spending import Spending, price_table
from tora_agent.steps import Usage

pytestmark = pytest.mark.anyio
MILLION = 1_000_000


def test_a_call_costs_what_its_tokens_cost() -> None:
    spending = Spending(ClientSettings(price=Price(prompt=2, completion=10)))
    priced = spending.priced(Usage(calls=1, prompt_tokens=MILLION // 2, completion_tokens=MILLION // 10))
    assert (priced.cost, spending.spent.cost) == (2.0, 2.0)


def test_the_table_knows_dated_names_and_others_cost_nothing_known() -> None:
    for name in ("gpt-4o", "gpt-4o-2024-08-06"):
        spending = Spending(ClientSettings())
        spending.price_of(name)
        assert spending.priced(Usage(prompt_tokens=MILLION)).cost == price_table()["gpt-4o"].prompt
    first = Spending(ClientSettings())
    first.price_of("gpt-4o-2024-05-13")  # which was, and is, dearer than the later ones
    assert first.priced(Usage(prompt_tokens=MILLION)).cost == price_table()["gpt-4o-2024-05-13"].prompt == 5
    unknown = Spending(ClientSettings())
    unknown.price_of("my-own")
    assert unknown.priced(Usage(prompt_tokens=MILLION)).cost is None


def test_a_cost_limit_needs_a_price() -> None:
    with pytest.raises(UsageError, match="--price IN,OUT"):
        Spending(ClientSettings(max_cost=1.0)).price_of("my-own")


@pytest.mark.parametrize("text", ["2", "a,b", "1,2,3", "-1,2", "inf,2", "1,nan"])
def test_a_wrong_price_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--price"):
        Price.parse(text)


async def test_no_call_is_made_once_the_budget_is_spent() -> None:
    async with scripted("three words here") as server:
        endpoint = Endpoint(model="scripted", base_url=server.base_url)
        async with Model(endpoint, ClientSettings(max_tokens_total=5)) as model:
            await ask(model)
            await ask(model)
            with pytest.raises(BudgetSpent, match="the budget of 5 tokens is spent"):
                await ask(model)
        assert len(server.requests) == 2


def test_a_spent_budget_pauses_a_run_which_goes_on_with_a_higher_one(engine: object, tmp_path: Path) -> None:
    jsonl(tmp_path / "own.jsonl", *(row(number) for number in range(1, 5)))
    known = ("eval", "sample", "--data", "own.jsonl", "--model", "scripted", "--max-connections", 1, "--shots", 0)
    with serving(script({"match": "What is", "turns": [r"So \boxed{1}."]})) as server:
        known = (*known, "--base-url", server.base_url, "--price", "1000,1000")
        first = tora_in(tmp_path, *known, "--max-cost", 0.1)
        assert first.status == 3, first.out + first.err
        assert "1 x the budget of 0.1 dollars is spent; go on with a higher --max-cost\n" in first.out
        assert "paused; finish it with: tora eval --resume runs/" in first.out
        assert first.out.endswith(" --price 1000,1000 --max-cost 0.2 --max-connections 1\n")
        (folder,) = (tmp_path / "runs").iterdir()
        made, spent = len(server.requests), Run.read(folder).manifest.spent
        assert 0 < made < 4 and spent.calls == made and spent.cost and spent.cost >= 0.1
        # What was spent before counts: the same budget allows nothing more.
        again = tora_in(tmp_path, "eval", "--resume", "last", "--price", "1000,1000", "--max-cost", 0.1)
        assert again.status == 3 and len(server.requests) == made, again.out + again.err
        last = tora_in(tmp_path, "eval", "--resume", "last", "--price", "1000,1000", "--max-cost", 100)
    assert last.status == 0, last.out + last.err
    assert "cost" in last.out
    assert Run.read(folder).manifest.spent.calls == 4


def test_what_was_spent_before_any_sample_was_finished_is_kept(engine: object, tmp_path: Path) -> None:
    jsonl(tmp_path / "own.jsonl", *(row(number) for number in range(1, 9)))
    known = ("eval", "sample", "--data", "own.jsonl", "--model", "scripted", "--max-connections", 4, "--shots", 0)
    # Slow enough for four calls to be under way before the first has come to its end.
    turns = [{"content": "```python\nprint(1)\n```", "delay": 1.0}, r"So \boxed{1}."]
    with serving(script({"match": "What is", "turns": turns})) as server:
        paused = tora_in(tmp_path, *known, "--base-url", server.base_url, "--max-tokens-total", 10)
        assert paused.status == 3, paused.out + paused.err
        assert paused.out.count("the budget of 10 tokens is spent") == 1
        (folder,) = (tmp_path / "runs").iterdir()
        spent = Run.read(folder).manifest.spent
        assert 1 <= spent.calls == len(server.requests) <= 4
        command = paused.out.splitlines()[-1].removeprefix("paused; finish it with: tora ")
        again = tora_in(tmp_path, *shlex.split(command))
        assert again.status == 3 and len(server.requests) > spent.calls, again.out + again.err
