"""What does not fit in a plan: each finding a sentence with what to do."""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from midstream.planner.demand import total, whole_blocks
from midstream.planner.lengths import Length, sigterm_seconds
from midstream.planner.load_plan import LoadPlan
from midstream.planner.wish import Server, Wish, open_at_once
from midstream.promotion import Promoter, deadline_s
from midstream.rollouts.budget import DrainBudget
from midstream.run import State
from midstream.streams.capacity import KvCapacity


class Scene(NamedTuple):
    """All that a finding may look at."""

    plan: LoadPlan
    wish: Wish
    server: Server
    budget: DrainBudget | None


def find(scene: Scene) -> tuple[str, ...]:
    """Every finding, what shortens streams first."""
    return tuple(sentence for rule in _RULES for sentence in rule(scene))


def _clipped(scene: Scene) -> Iterator[str]:
    """Refused instead where the tokens were named (midstream.planner)."""
    length = scene.plan.clipped
    if length.is_clipped:
        fits_s = int(length.seconds)
        shorter = f"lower --stream-seconds to {fits_s}, or " if fits_s else ""
        yield (
            f"streams last {fits_s} s of the {length.wanted_seconds:.0f} s wanted: "
            f"{_context(scene.server)}, which leaves {_tokens(length)} for an answer; "
            f"{shorter}serve with a larger --max-model-len"
        )


def _capacity(scene: Scene) -> Iterator[str]:
    capacity = scene.server.capacity
    if capacity is None:
        return
    main, *others = scene.plan.demands
    free = capacity.free_tokens * scene.server.pods
    needed = scene.plan.kv_tokens(capacity.block_tokens)
    if needed <= free:
        return
    left = free - total(others, capacity.block_tokens)
    holds = max(0, left // whole_blocks(main.tokens_each, capacity.block_tokens))
    beside = f" beside {' and '.join(f'{each.streams} {each.what}' for each in others)}" if others else ""
    engine = "the engines hold" if scene.server.pods > 1 else "the engine holds"
    yield (
        f"{engine} {holds} of {main.streams} streams at their full length{beside}: "
        f"{_cache(capacity, scene.server.pods)}, {scene.plan.peak_streams} streams need up to {needed:,}, "
        f"so that some may wait or stall: {_smaller_load(scene, capacity, left, holds)}"
    )


def _cache(capacity: KvCapacity, pods: int) -> str:
    each = f"the KV cache of each of {pods} pods has" if pods > 1 else "its KV cache has"
    free = f", {capacity.free_tokens:,} of them free" if capacity.used else ""
    return f"{each} {capacity.tokens:,} tokens{free}"


def _smaller_load(scene: Scene, capacity: KvCapacity, left: int, holds: int) -> str:
    """What to type: fewer streams, or shorter ones."""
    main = scene.plan.demands[0]
    prompt = main.tokens_each - scene.plan.main.tokens
    answer = left // main.streams // capacity.block_tokens * capacity.block_tokens - prompt
    wish, seconds = scene.wish, int(answer / scene.server.tokens_per_s)
    shorter = f"--stream-seconds to {seconds}" if wish.tokens is None else f"--tokens to {answer}"
    possible = [
        *([f"-u to {holds}"] if holds else []),
        *([shorter] if (seconds if wish.tokens is None else answer) > 0 else []),
    ]
    return f"lower {' or '.join(possible)}" if possible else "give the engine more KV cache"


def _short_budget(scene: Scene) -> Iterator[str]:
    """Said, never mended: how long streams are is what users need, and the loss is the finding."""
    budget, main = scene.budget, scene.plan.main
    if budget is None or budget.until_sigterm_s is None:
        return
    if budget.total_s is not None and main.seconds > budget.total_s:
        yield (
            f"streams of {main.seconds:.0f} s outlive the {budget.total_s:g} s that the old revision has "
            f"after the cutover ({_sum(budget)}): some will be cut; that is the finding of this test, "
            "the run goes on"
        )
    elif budget.total_s is None and main.seconds > budget.until_sigterm_s + budget.most_drain_s:
        yield (
            f"streams of {main.seconds:.0f} s outlive SIGKILL, {_sum(budget)} after the cutover: some will "
            "be cut; that is the finding of this test, the run goes on"
        )
    elif scene.plan.sigterm is not None and _lasts_past(scene.plan.sigterm, budget):
        yield (
            f"after SIGTERM a stream has {budget.drain_s:g} s ({budget.sources.get('engine_drain_s', '')}): "
            f"the {scene.wish.sigterm_streams} streams that outlive it may be cut; "
            "that is the finding of this test, the run goes on"
        )


def _lasts_past(length: Length, budget: DrainBudget) -> bool:
    return budget.total_s is not None and length.seconds > budget.total_s


def _sum(budget: DrainBudget) -> str:
    drain = (
        f"{budget.drain_s:g} s drain" if budget.drain_s is not None else f"{budget.most_drain_s:g} s of grace"
    )
    return f"{budget.scale_down_delay_s or 0:g} s delay + {budget.pre_stop_s:g} s preStop + {drain}"


def _own_limit(scene: Scene) -> Iterator[str]:
    """Named tokens alone: times are refused (midstream.planner), these hang on the pace."""
    limit_s, main = scene.wish.deadlines.total_s, scene.plan.main
    if main.seconds > limit_s:
        yield (
            f"at {scene.server.tokens_per_s:.3g} tokens/s {_tokens(main)} take {main.seconds:.0f} s "
            f"and so pass the limit of {limit_s:g} s for one stream: "
            f"type --total-limit {1.5 * main.seconds:.0f}"
        )


def _never_terminated(scene: Scene) -> Iterator[str]:
    if scene.budget is not None and scene.budget.scale_down_delay_s is None:
        yield (
            "the old pods are never stopped (scaleDownDelaySeconds 0): what SIGTERM does to streams will "
            "not be judged; set scaleDownDelaySeconds to see it"
        )


def _no_stream_at_sigterm(scene: Scene) -> Iterator[str]:
    budget, plan = scene.budget, scene.plan
    if budget is None or budget.until_sigterm_s is None:
        return
    longest = max((each for each in (plan.main, plan.sigterm) if each), key=lambda each: each.seconds)
    if longest.seconds > budget.until_sigterm_s:
        return
    wanted_s = sigterm_seconds(budget) or 0.0
    if plan.sigterm is None:
        why, mend = "no longer ones are added", "leave --sigterm-streams 0 out"
    else:
        why, mend = _context(scene.server), "serve with a larger --max-model-len, or a shorter delay"
    unjudged = (
        "the verdict can be no PASS (--require-drain yes)" if scene.wish.require_drain else "it goes unseen"
    )
    yield (
        f"no stream can outlive SIGTERM: it comes {budget.until_sigterm_s:g} s after the cutover, the "
        f"longest stream lasts {longest.seconds:.0f} s ({why}), {wanted_s:g} s are needed; {unjudged}: {mend}"
    )


def _untimed_sigterm_streams(scene: Scene) -> Iterator[str]:
    """They begin when the Rollout pauses, and nobody knows when it goes on."""
    script, budget = scene.wish.script, scene.budget
    if script is None or script.promoter is Promoter.HOOK or scene.plan.sigterm is None:
        return
    until_s = budget.until_sigterm_s if budget is not None else None
    if until_s is not None and scene.plan.main.seconds <= until_s < scene.plan.sigterm.seconds:
        yield (
            f"whoever promotes must do it within {scene.plan.sigterm.seconds - until_s:.0f} s of the pause, "
            f"else no stream is open at SIGTERM, {until_s:g} s after the cutover: "
            f"raise --stream-seconds above {until_s:g} to be free of that"
        )


def _shed(scene: Scene) -> Iterator[str]:
    loop = scene.wish.open_loop
    needed = 0 if loop is None else math.ceil(loop.rate * scene.plan.main.seconds)
    if loop is not None and needed > loop.most_open:
        yield (
            f"{loop.rate:g} arrivals a second of {scene.plan.main.seconds:.3g} s each would have {needed} "
            f"streams open, --max-inflight {loop.most_open} sheds the rest: raise it to {needed} or lower "
            "--arrivals"
        )


def _few_crossing(scene: Scene) -> Iterator[str]:
    most = open_at_once(scene.wish, scene.server.tokens_per_s)
    most += scene.wish.sigterm_streams if scene.plan.sigterm is not None else 0
    if scene.wish.script is not None and most < scene.wish.min_crossing:
        more = f"-u to {scene.wish.min_crossing}" if scene.wish.open_loop is None else "--arrivals"
        yield (
            f"at most {most} streams can cross the cutover, {scene.wish.min_crossing} are needed "
            f"(--min-crossing): the verdict can be no PASS; raise {more}"
        )


def _deadlines(scene: Scene) -> Iterator[str]:
    """A state that is expected to last longer than it may."""
    if scene.wish.script is None:
        return
    for state in State:
        limit = deadline_s(state, scene.wish.script)
        known_s = sum(part.seconds or 0.0 for part in scene.plan.parts if part.state is state)
        if limit is not None and known_s > limit[0]:
            yield (f"state {state} needs about {known_s:.0f} s and may last {limit[0]:g} s: raise {limit[1]}")


def _run_time(scene: Scene) -> Iterator[str]:
    limit_s, script = scene.wish.run_time_s, scene.wish.script
    if script is None or limit_s is None:
        return
    needed_s = sum(part.seconds or 0.0 for part in scene.plan.parts if part.state is not None)
    if needed_s > limit_s:
        more = " and more" if scene.plan.unknown else ""
        yield (
            f"the test needs about {needed_s:.0f} s{more}, -t ends it after {limit_s:g} s without a verdict: "
            "raise -t, or leave it out"
        )


def _context(server: Server) -> str:
    return f"the model's context holds {server.context_tokens:,} tokens, prompt and answer together"


def _tokens(length: Length) -> str:
    return f"{length.tokens:,} tokens"


_RULES: tuple[Callable[[Scene], Iterator[str]], ...] = (
    _clipped,
    _capacity,
    _own_limit,
    _short_budget,
    _never_terminated,
    _no_stream_at_sigterm,
    _untimed_sigterm_streams,
    _shed,
    _few_crossing,
    _deadlines,
    _run_time,
)
