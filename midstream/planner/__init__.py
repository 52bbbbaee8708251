"""From what is wanted and what the server told to the plan of a test, with what does not fit in it."""

from collections.abc import Sequence

import msgspec

from midstream.planner.demand import Demand
from midstream.planner.duration import Lasting, expected
from midstream.planner.findings import Scene, find
from midstream.planner.lengths import Length, lasting, main_length, sigterm_seconds
from midstream.planner.load_plan import LoadPlan
from midstream.planner.wish import Server, Wish, open_at_once
from midstream.rollouts.budget import DrainBudget
from midstream.scenarios import Ask


class ImpossiblePlanError(Exception):
    """The command contradicts what the server allows, or itself; the message says what to type."""


def plan_load(
    wish: Wish, server: Server, budget: DrainBudget | None = None, others: Sequence[Demand] = ()
) -> LoadPlan:
    """The plan at the present pace; `others` are streams beside the users' own and those for SIGTERM.

    A drain budget never shortens a stream, only the model's context does. ImpossiblePlanError where the
    command names more tokens than that leaves, or streams longer than its own limit of one.
    """
    _refuse_impossible_tokens(wish, server)
    mains = [main_length(ask, wish, server) for ask in wish.asks]
    long = _sigterm_lengths(wish, server, budget)
    demands = (
        Demand(
            what="streams",
            streams=open_at_once(wish, server.tokens_per_s),
            tokens_each=_most_tokens(wish, server, mains),
        ),
        *(
            [
                Demand(
                    what="that outlive SIGTERM",
                    streams=wish.sigterm_streams,
                    tokens_each=_most_tokens(wish, server, long),
                )
            ]
            if long
            else []
        ),
        *others,
    )
    main = max(mains, key=lambda length: length.tokens)
    sigterm = min(long, key=lambda length: length.tokens, default=None)
    _refuse_own_limit(wish, mains, long)
    plan = LoadPlan(
        main=main,
        clipped=max(mains, key=lambda length: length.wanted_tokens - length.tokens),
        sigterm=sigterm,
        demands=demands,
        parts=expected(wish, server, Lasting(main=main, sigterm=sigterm, budget=budget)),
    )
    return msgspec.structs.replace(plan, findings=find(Scene(plan, wish, server, budget)))


def _sigterm_lengths(wish: Wish, server: Server, budget: DrainBudget | None) -> list[Length]:
    seconds = sigterm_seconds(budget)
    if seconds is None or wish.sigterm_streams == 0:
        return []
    return [lasting(seconds, ask, server) for ask in wish.asks]


def _most_tokens(wish: Wish, server: Server, lengths: Sequence[Length]) -> int:
    """Prompt and answer of the largest."""
    return max(
        server.prompt_most(ask) + length.tokens for ask, length in zip(wish.asks, lengths, strict=True)
    )


def _refuse_impossible_tokens(wish: Wish, server: Server) -> None:
    """Tokens that somebody has named are meant as they stand."""
    for ask in sorted(wish.asks, key=server.prompt_most, reverse=True):
        named, most = ask.tokens or wish.tokens, server.room(ask)
        if named is None or most is None or named <= most:
            continue
        where = f"scenario {ask.scenario}: tokens: {named}" if ask.tokens else f"--tokens {named}"
        mend = f"tokens: {most}" if ask.tokens else f"--tokens {most}"
        raise ImpossiblePlanError(
            f"{where}: the model's context holds {server.context_tokens:,} tokens, which leaves {most:,} "
            f"behind the prompt of {_prompt(ask, server)}: type {mend} or less"
        )


def _prompt(ask: Ask, server: Server) -> str:
    counted = server.prompt_tokens.get(ask.prompt)
    return f"{len(ask.prompt.encode()):,} bytes" if counted is None else f"{counted:,} tokens"


def _refuse_own_limit(wish: Wish, mains: Sequence[Length], long: Sequence[Length]) -> None:
    """A stream that passes our own limit would count as lost, by our doing; only wanted times are certain."""
    limit_s = wish.deadlines.total_s
    timed = [length for ask, length in zip(wish.asks, mains, strict=True) if _is_timed(ask, wish)]
    longest_s = max((length.seconds for length in (*timed, *long)), default=0.0)
    if longest_s > limit_s:
        raise ImpossiblePlanError(
            f"streams of {longest_s:.0f} s pass the limit of {limit_s:g} s for one stream: "
            f"type --total-limit {1.5 * longest_s:.0f}"
        )


def _is_timed(ask: Ask, wish: Wish) -> bool:
    return ask.tokens is None and wish.tokens is None
