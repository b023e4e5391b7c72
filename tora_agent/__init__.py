"""A tool-integrated, self-verifying agent for mathematical reasoning.

>>> from tora_agent import solve
>>> solve("What is the sum of the first 100 odd primes?").answer
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tora_agent.agent import Solution, solve, solve_async

__version__ = "0.1.0"
__all__ = ["Solution", "__version__", "solve", "solve_async"]


def __getattr__(name: str) -> Any:
    """Import on first use: `tora --help` shall not wait for LangGraph."""
    if name in ("Solution", "solve", "solve_async"):
        from tora_agent import agent

        return getattr(agent, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
