"""What the calls of a run cost, and the budget that ends them."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files

import yaml

from tora_agent.errors import BudgetSpent, UsageError
from tora_agent.model.settings import ClientSettings, Price
from tora_agent.steps import Usage


class Spending:
    """Adds up what is spent, and refuses further calls once a limit is reached."""

    def __init__(self, settings: ClientSettings) -> None:
        self.settings = settings
        self.spent = Usage()
        self._price = settings.price

    def price_of(self, model: str) -> None:
        """Take the table's price of `model`, unless one was given. Raises `UsageError` if a cost limit needs one."""
        dateless = re.sub(r"-\d{4}-\d\d-\d\d$", "", model)
        self._price = self._price or price_table().get(model) or price_table().get(dateless)
        if self.settings.max_cost is not None and self._price is None:
            raise UsageError(f"--max-cost needs a price, and none is known for {model!r}: give --price IN,OUT")

    def check(self) -> None:
        """Raise `BudgetSpent` if a limit is reached."""
        cost, tokens = self.spent.cost or 0.0, self.spent.prompt_tokens + self.spent.completion_tokens
        limit = self.settings.max_cost
        if limit is not None and cost >= limit:
            raise BudgetSpent(f"the budget of {limit:g} dollars is spent; go on with a higher --max-cost")
        most = self.settings.max_tokens_total
        if most is not None and tokens >= most:
            raise BudgetSpent(f"the budget of {most} tokens is spent; go on with a higher --max-tokens-total")

    def priced(self, usage: Usage) -> Usage:
        """`usage` with its cost, added to what is spent."""
        if self._price:
            cost = usage.prompt_tokens * self._price.prompt + usage.completion_tokens * self._price.completion
            usage = usage.model_copy(update={"cost": cost / 1e6})
        self.spent = self.spent + usage
        return usage


@lru_cache(maxsize=1)
def price_table() -> dict[str, Price]:
    """The bundled prices by model id (`prices.yaml`)."""
    text = (files("tora_agent.model") / "prices.yaml").read_text("utf-8")
    return {name: Price(prompt=pair[0], completion=pair[1]) for name, pair in yaml.safe_load(text)["models"].items()}
