"""How long a test is expected to last, as a sum of its parts."""

from collections.abc import Iterator

import msgspec

from midstream.planner.lengths import Length
from midstream.planner.wish import Server, Wish
from midstream.promotion import Plan, Promoter
from midstream.rollouts.budget import DrainBudget
from midstream.run import State

PATCH_S = 1.0  # a verb lets the Rollout rest for 0.5 s first, then the controller acts within some 0.1 s


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of the test."""

    words: str
    seconds: float | None  # None: nobody can tell
    state: State | None = None  # of the script; None: before or after it


class Lasting(msgspec.Struct, frozen=True, kw_only=True):
    """The streams whose lengths count."""

    main: Length
    sigterm: Length | None
    budget: DrainBudget | None


def expected(wish: Wish, server: Server, lasting: Lasting) -> tuple[Part, ...]:
    """The parts in their order."""
    parts = _plain(wish) if wish.script is None else _scripted(wish, wish.script, server, lasting)
    finish_s = min(wish.wind_down_s, lasting.main.seconds)
    return (*parts, Part(words="open streams finish, at most (--wind-down)", seconds=finish_s))


def _plain(wish: Wish) -> Iterator[Part]:
    yield Part(words="the load (-t)", seconds=wish.run_time_s)


def _ramp(wish: Wish, lasting: Lasting) -> Part:
    """Until the load is steady: an open loop needs a stream's length to fill."""
    if wish.open_loop is None:
        return Part(words="users begin (-u / -r)", seconds=wish.users / wish.spawn_rate, state=State.BASELINE)
    seconds = wish.open_loop.ramp_up_s + lasting.main.seconds
    return Part(words="arrivals fill up (--ramp-up, a stream)", seconds=seconds, state=State.BASELINE)


def _scripted(wish: Wish, script: Plan, server: Server, lasting: Lasting) -> Iterator[Part]:
    yield _ramp(wish, lasting)
    yield Part(words="undisturbed streams (--baseline)", seconds=script.baseline_s, state=State.BASELINE)
    if script.triggers:
        yield Part(words="the change is made", seconds=PATCH_S, state=State.TRIGGER)
    else:
        yield Part(words="somebody changes the Rollout", seconds=None, state=State.TRIGGER)
    yield Part(
        words="new pods get ready"
        + (", as the present ones did" if server.became_ready_s is not None else ""),
        seconds=server.became_ready_s,
        state=State.PREVIEW,
    )
    if wish.preview_tokens:
        seconds = wish.preview_tokens / server.tokens_per_s
        yield Part(words="preview streams (--preview-streams)", seconds=seconds, state=State.PREVIEW)
    yield _PROMOTION[script.promoter]
    yield from _after_cutover(script, lasting)


_PROMOTION = {
    Promoter.HOOK: Part(words="the promotion", seconds=PATCH_S, state=State.PROMOTE),
    Promoter.PERSON: Part(words="a person promotes", seconds=None, state=State.PROMOTE),
    Promoter.ARGO: Part(words="Argo promotes by itself", seconds=None, state=State.PROMOTE),
}


def _after_cutover(script: Plan, lasting: Lasting) -> Iterator[Part]:
    """The old pods end once their last stream does; then the watch, and what crossed, end."""
    drained_s = _drained_s(lasting) if script.drain_ends else 0.0
    if script.drain_ends:
        yield Part(words="cutover until the old pods are gone", seconds=drained_s, state=State.DRAIN)
    over_s = max(script.watch_after_s, lasting.main.seconds)
    words = f"until --watch-after ({script.watch_after_s:g} s) and crossing streams are over"
    yield Part(words=words, seconds=max(0.0, over_s - drained_s), state=State.QUIET)


def _drained_s(lasting: Lasting) -> float:
    budget = lasting.budget
    if budget is None or budget.until_sigterm_s is None:
        return 0.0
    longest_s = max(length.seconds for length in (lasting.main, lasting.sigterm) if length is not None)
    window_s = budget.drain_s if budget.drain_s is not None else budget.most_drain_s
    return budget.until_sigterm_s + min(window_s, max(0.0, longest_s - budget.until_sigterm_s))
