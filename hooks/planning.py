"""The plans of a test from its settings: the script's, the load's."""

import dataclasses
import math

from hooks.layers import UsageError
from hooks.pulses import PULSE
from hooks.settings import ROLLOUT_STREAM_SECONDS, Settings
from hooks.tested import Tested, WatchedRollout, verbs_of
from midstream.lengths import prompt_bound
from midstream.planner import ImpossiblePlanError, plan_load
from midstream.planner.demand import Demand
from midstream.planner.lengths import lasting, main_length, sigterm_seconds
from midstream.planner.load_plan import LoadPlan
from midstream.planner.wish import Server, Wish
from midstream.preview import PREVIEW_TOKENS
from midstream.promotion import Plan
from midstream.reports.plan_page import PlanPage, VerbAccess
from midstream.rollouts.preflight import lock_access, needed_access, verb_access
from midstream.scenarios import Ask, Scenarios
from midstream.streams.prompt_length import QuestionSource, prompt_tokens

DRAIN_RESERVE_S = 60.0
TRIGGER_LIMIT_S = 30.0
PERSON_LIMIT_S = 3600.0
MOST_COUNTED = 16  # prompts


def load_plan(settings: Settings, scenarios: Scenarios, tested: Tested) -> LoadPlan:
    """What the load will be, at the pace that the probe has shown; UsageError when it cannot be."""
    rollout = tested.rollout
    try:
        return plan_load(
            wish_of(settings, scenarios.asks, script_plan(settings, rollout) if rollout else None),
            server_of(tested, tested.probed_tokens_per_s),
            rollout.budget if rollout else None,
            others=_pulses(settings, tested) if rollout else (),
        )
    except ImpossiblePlanError as error:
        raise UsageError(str(error)) from error


def _pulses(settings: Settings, tested: Tested) -> tuple[Demand, ...]:
    """Those open at once, each as long as its tokens take."""
    tokens = PULSE.tokens or 1
    at_once = math.ceil(settings.pulse * tokens / tested.probed_tokens_per_s)
    pulses = Demand(what="pulses", streams=at_once, tokens_each=prompt_bound(PULSE.prompt) + tokens)
    return (pulses,) if at_once else ()


def with_counted_prompts(
    tested: Tested, settings: Settings, scenarios: Scenarios, reactor: QuestionSource
) -> Tested:
    """Have the server count the prompts behind which a stream may not fit, by their bytes; each costs one.

    The pace may double after the probe. Beyond a few, the longest ones, bytes have to do.
    """
    wish, fast = wish_of(settings), server_of(tested, 2 * tested.probed_tokens_per_s)
    long_s = sigterm_seconds(tested.rollout.budget) if tested.rollout and settings.sigterm_streams else None
    doubtful = {
        ask.prompt
        for ask in scenarios.asks
        if main_length(ask, wish, fast).is_clipped
        or (long_s is not None and lasting(long_s, ask, fast).is_clipped)
    }
    counted = {
        prompt: prompt_tokens(reactor, tested.target, tested.api, tested.model, prompt)
        for prompt in sorted(doubtful, key=len, reverse=True)[:MOST_COUNTED]
    }
    told = {prompt: tokens for prompt, tokens in counted.items() if tokens is not None}
    return dataclasses.replace(tested, prompt_tokens=told)


def wish_of(settings: Settings, asks: tuple[Ask, ...] = (), script: Plan | None = None) -> Wish:
    """What the settings ask for."""
    timed = settings.tokens is None
    return Wish(
        users=settings.users,
        spawn_rate=settings.spawn_rate,
        asks=asks,
        stream_seconds=settings.stream_seconds or (ROLLOUT_STREAM_SECONDS if timed else None),
        tokens=settings.tokens,
        sigterm_streams=settings.sigterm_streams,
        preview_tokens=PREVIEW_TOKENS if settings.preview_streams else 0,
        run_time_s=settings.run_time_s,
        wind_down_s=settings.wind_down_s,
        min_crossing=settings.limits.min_crossing,
        require_drain=settings.limits.require_drain,
        deadlines=settings.deadlines,
        script=script,
        open_loop=settings.open_loop,
    )


def server_of(tested: Tested, tokens_per_s: float) -> Server:
    """What is known of the server, at this pace."""
    pods = tested.rollout.pods if tested.rollout else None
    return Server(
        tokens_per_s=tokens_per_s,
        context_tokens=tested.context_tokens,
        capacity=tested.capacity,
        prompt_tokens=dict(tested.prompt_tokens),
        pods=max(1, pods.ready) if pods else 1,
        became_ready_s=pods.became_ready_s if pods else None,
    )


def script_plan(settings: Settings, rollout: WatchedRollout) -> Plan:
    """The choices that steer the script."""
    budget, triggers = rollout.budget, settings.trigger != "none"
    longest_drain_s = (budget.until_sigterm_s or 0.0) + budget.most_drain_s
    return Plan(
        triggers=triggers,
        promoter=settings.promoter,
        baseline_s=settings.baseline_s,
        watch_after_s=settings.limits.watch_after_s,
        max_error_rate=settings.limits.max_error_rate,
        max_blackout_s=settings.limits.max_blackout_s,
        baseline_limit_s=settings.baseline_limit_s,
        trigger_limit_s=settings.trigger_limit_s or (TRIGGER_LIMIT_S if triggers else PERSON_LIMIT_S),
        promote_limit_s=settings.promote_limit_s,
        preview_limit_s=settings.preview_limit_s,
        cutover_limit_s=settings.cutover_limit_s,
        drain_limit_s=settings.drain_limit_s or longest_drain_s + DRAIN_RESERVE_S,
        quiet_limit_s=settings.quiet_limit_s,
        drain_ends=budget.scale_down_delay_s is not None,
    )


def plan_page(settings: Settings, scenarios: Scenarios, tested: Tested, plan: LoadPlan) -> PlanPage:
    """All that --dry-run shows."""
    rollout = tested.rollout
    script = script_plan(settings, rollout) if rollout else None
    return PlanPage(
        subject=tested.subject,
        model=tested.model,
        api=tested.api,
        traits_missing=tested.traits.missing,
        wish=wish_of(settings, scenarios.asks, script),
        server=server_of(tested, tested.probed_tokens_per_s),
        plan=plan,
        budget=rollout.budget if rollout else None,
        access=_access(settings, rollout) if rollout else (),
        deadlines=settings.deadlines,
    )


def _access(settings: Settings, rollout: WatchedRollout) -> tuple[VerbAccess, ...]:
    """What each verb of this test needs; preflight has asked for all of it."""
    watching = needed_access(rollout.namespace, frozenset())
    each = [
        VerbAccess(verb, verb_access(rollout.namespace, frozenset({verb})))
        for verb in sorted(verbs_of(settings))
    ]
    locks = [VerbAccess("run lock", lock_access(rollout.namespace))] if each else []
    return (VerbAccess("watch", watching), *each, *locks)
