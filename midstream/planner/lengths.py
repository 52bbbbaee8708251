"""How long the streams of a plan are, in tokens as they are asked for."""

from typing import NamedTuple

from midstream.lengths import tokens_for
from midstream.planner.wish import Server, Wish
from midstream.rollouts.budget import DrainBudget
from midstream.scenarios import Ask

SIGTERM_RESERVE_S = 4.0  # promotion, cutover, and some stream left after SIGTERM


class Length(NamedTuple):
    """One stream's length; nothing but the model's context ever makes it shorter than wanted."""

    tokens: int
    wanted_tokens: int
    tokens_per_s: float

    @property
    def seconds(self) -> float:
        """How long it lasts at this pace."""
        return self.tokens / self.tokens_per_s

    @property
    def wanted_seconds(self) -> float:
        """How long it would last as wanted."""
        return self.wanted_tokens / self.tokens_per_s

    @property
    def is_clipped(self) -> bool:
        """Whether the model's context ends it before its wanted end."""
        return self.tokens < self.wanted_tokens


def main_length(ask: Ask, wish: Wish, server: Server) -> Length:
    """A stream of the main lane: the scenario's tokens, else the command's, else its seconds at the pace."""
    wanted = ask.tokens or wish.tokens
    if wanted is not None:
        return _fitted(ask, wanted, server)
    assert wish.stream_seconds is not None
    return lasting(wish.stream_seconds, ask, server)


def lasting(seconds: float, ask: Ask, server: Server) -> Length:
    """A stream that lasts so long at the pace, whatever its scenario fixes."""
    return _fitted(ask, tokens_for(seconds, server.tokens_per_s), server)


def sigterm_seconds(budget: DrainBudget | None) -> float | None:
    """How long a stream lasts that begins at the promotion and outlives SIGTERM; None: none comes."""
    if budget is None or budget.until_sigterm_s is None:
        return None
    return budget.until_sigterm_s + SIGTERM_RESERVE_S


def _fitted(ask: Ask, wanted: int, server: Server) -> Length:
    most = server.room(ask)
    return Length(wanted if most is None else min(wanted, most), wanted, server.tokens_per_s)
