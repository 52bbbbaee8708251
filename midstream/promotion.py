"""The script of a test as a pure function: what is known now -> the next state, with what to do."""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple, assert_never

import msgspec

from midstream.rollouts.timeline import Cutover, MarkName, RolloutEvent, Timeline
from midstream.run import PreviewFinding, ScriptEnd, State

NS_PER_S = 1_000_000_000
FEWEST_FAILED = 3  # streams of a baseline: one or two may be chance
DARK_S = 2.0  # without an answered pulse


class Promoter(StrEnum):
    """Who promotes once the new revision is paused."""

    HOOK = "hook"
    PERSON = "person"
    ARGO = "argo"  # autoPromotionEnabled


class Action(StrEnum):
    """What the script asks the hooks to carry out; each is asked at most once."""

    TRIGGER = "trigger"
    VALIDATE_PREVIEW = "validate_preview"
    OPEN_SIGTERM_STREAMS = "open_sigterm_streams"
    PROMOTE = "promote"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The choices that steer the script; every deadline has an option of its name."""

    triggers: bool  # False: --trigger none, somebody else changes the Rollout
    promoter: Promoter
    baseline_s: float
    watch_after_s: float
    max_error_rate: float
    max_blackout_s: float
    baseline_limit_s: float
    trigger_limit_s: float
    preview_limit_s: float
    promote_limit_s: float  # of a promotion that is not ours
    cutover_limit_s: float
    drain_limit_s: float
    quiet_limit_s: float
    drain_ends: bool = True  # False: scaleDownDelaySeconds 0, old pods are never stopped


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known at one tick."""

    now_ns: int
    streams_wanted: int
    streams_flowing: int  # open, with a first token
    settled: int  # streams that ended until now, those that say nothing of the service left out
    failed: int  # of these, lost or refused
    failed_ns: int | None = None  # when the last of these failed
    pulse_failed_ns: int | None = None  # when the last pulse was opened that was not answered
    dark_since_ns: int | None = None  # since when no pulse on a new connection was answered
    paused: bool  # the Rollout waits for its promotion
    held_up: str = ""  # what a pod of the new revision says of why it is not ready
    preview: PreviewFinding | None = None
    crossing_open: int = 0  # streams sent before the cutover that are still open
    timeline: Timeline = Timeline()
    done: frozenset[Action] = frozenset()
    refused: dict[Action, str] = msgspec.field(default_factory=dict)  # action -> why it failed


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """Where the test stands."""

    state: State
    entered_ns: int
    waits_for: str = ""
    asked: frozenset[Action] = frozenset()
    steady_since_ns: int | None = None  # since when every user has a stream, in the baseline
    end: ScriptEnd | None = None


class Wait(msgspec.Struct, frozen=True):
    """Stay, because of this."""

    words: str


class Ask(msgspec.Struct, frozen=True):
    """Stay until this action is done."""

    action: Action
    words: str


class Go(msgspec.Struct, frozen=True):
    """Enter this state."""

    state: State


class Stop(msgspec.Struct, frozen=True):
    """End the test."""

    reason: str
    baseline_failed: bool = False


Move = Wait | Ask | Go | Stop


class _Tick(NamedTuple):
    script: Script
    facts: Facts
    plan: Plan


def start(now_ns: int) -> Script:
    """The script at the moment the load begins."""
    return Script(state=State.BASELINE, entered_ns=now_ns)


def step(script: Script, facts: Facts, plan: Plan) -> tuple[Script, tuple[Action, ...]]:
    """One tick: the script as it is afterwards, with the actions to start now."""
    if script.end is not None:
        return script, ()
    script = _note_steadiness(script, facts, plan)
    move = _overtaken(script, facts) or _MOVES[script.state](_Tick(script, facts, plan))
    if isinstance(move, Wait | Ask):
        move = _overdue(script, facts, plan, move.words) or move
    match move:
        case Wait(words):
            return msgspec.structs.replace(script, waits_for=words), ()
        case Ask(action, words):
            return _ask(script, action, words)
        case Go(state):
            return _enter(script, state, facts.now_ns), ()
        case Stop(reason, baseline_failed):
            end = ScriptEnd(state=script.state, reason=reason, baseline_failed=baseline_failed)
            return msgspec.structs.replace(script, end=end), ()
        case _:
            assert_never(move)


def deadline_s(state: State, plan: Plan) -> tuple[float, str] | None:
    """A state's limit in seconds with the option that sets it; None for states that only pass."""
    limits: dict[State, tuple[float, str]] = {
        State.BASELINE: (plan.baseline_limit_s, "--baseline-limit"),
        State.TRIGGER: (plan.trigger_limit_s, "--trigger-limit"),
        State.PREVIEW: (plan.preview_limit_s, "--preview-limit"),
        State.PROMOTE: (plan.cutover_limit_s, "--cutover-limit")
        if plan.promoter is Promoter.HOOK
        else (plan.promote_limit_s, "--promote-limit"),
        State.CUTOVER: (plan.cutover_limit_s, "--cutover-limit"),
        State.DRAIN: (plan.drain_limit_s, "--drain-limit"),
        State.QUIET: (plan.quiet_limit_s, "--quiet-limit"),
    }
    return limits.get(state)


def latest_cutover(timeline: Timeline) -> Cutover | None:
    """The last switch seen in this run."""
    return timeline.cutovers[-1] if timeline.cutovers else None


def old_pods_left(cutover: Cutover, timeline: Timeline) -> tuple[str, ...]:
    """Pods of the old revision that are not known to be gone."""
    return tuple(pod for pod in cutover.old_pods if timeline.of_pod(MarkName.T14, pod) is None)


def _enter(script: Script, state: State, now_ns: int) -> Script:
    end = ScriptEnd(state=State.DONE, reason="", finished=True) if state is State.DONE else None
    return msgspec.structs.replace(script, state=state, entered_ns=now_ns, waits_for="", end=end)


def _ask(script: Script, action: Action, words: str) -> tuple[Script, tuple[Action, ...]]:
    if action in script.asked:
        return msgspec.structs.replace(script, waits_for=words), ()
    return msgspec.structs.replace(script, waits_for=words, asked=script.asked | {action}), (action,)


def _note_steadiness(script: Script, facts: Facts, plan: Plan) -> Script:
    """Remember since when every user has had a stream, undisturbed.

    A user between two streams has none for a moment: a small shortfall does not start the baseline anew. A
    pulse that is not answered does, and so does a lost stream where their share is too high.
    """
    since_ns = script.steady_since_ns
    if since_ns is None and facts.streams_flowing >= facts.streams_wanted:
        return msgspec.structs.replace(script, steady_since_ns=facts.now_ns)
    if since_ns is not None and (
        facts.streams_flowing < facts.streams_wanted / 2 or _disturbed_ns(facts, plan) > since_ns
    ):
        return msgspec.structs.replace(script, steady_since_ns=None)
    return script


def _disturbed_ns(facts: Facts, plan: Plan) -> int:
    """When the service last failed in a way that no baseline may hold; 0: never."""
    streams_ns = facts.failed_ns if _fails_too_often(facts, plan) else None
    return max(facts.pulse_failed_ns or 0, streams_ns or 0)


def _fails_too_often(facts: Facts, plan: Plan) -> bool:
    return facts.failed > plan.max_error_rate * facts.settled


_BEFORE_CUTOVER = (State.BASELINE, State.TRIGGER, State.PREVIEW, State.PROMOTE, State.CUTOVER)
_FATAL_BEFORE_CUTOVER = {
    "aborted": "the Rollout was aborted before the cutover",
    "degraded": "the Rollout was Degraded before the cutover",
}


def _overtaken(script: Script, facts: Facts) -> Move | None:
    """What the Rollout did by itself and the script has to follow."""
    deleted = _event(facts, "deleted")
    if deleted is not None:
        return Stop(f"the Rollout was deleted during the test. {deleted.detail}".strip())
    if script.state not in _BEFORE_CUTOVER:
        return None
    if latest_cutover(facts.timeline) is not None:
        return Go(State.DRAIN)
    for what, words in _FATAL_BEFORE_CUTOVER.items():
        event = _event(facts, what)
        if event is not None:
            return Stop(f"{words}. {event.detail}".strip())
    return None


def _event(facts: Facts, what: str) -> RolloutEvent | None:
    return next((event for event in facts.timeline.events if event.what == what), None)


def _overdue(script: Script, facts: Facts, plan: Plan, words: str) -> Stop | None:
    limit = deadline_s(script.state, plan)
    if limit is None or facts.now_ns - script.entered_ns < limit[0] * NS_PER_S:
        return None
    seconds, option = limit
    return Stop(f"state {script.state} was not over within {seconds:g} s ({option}): it waited for {words}")


def _broken(at: _Tick) -> str | None:
    """Why the load must stop before anything is triggered: this runs on production."""
    facts = at.facts
    if facts.failed >= FEWEST_FAILED and _fails_too_often(facts, at.plan):
        return f"{facts.failed} of {facts.settled} streams lost or refused"
    dark_s = 0.0 if facts.dark_since_ns is None else (facts.now_ns - facts.dark_since_ns) / NS_PER_S
    if dark_s > max(DARK_S, at.plan.max_blackout_s):
        return f"no new connection was answered for {dark_s:.1f} s"
    return None


def _baseline(at: _Tick) -> Move:
    broken = _broken(at)
    if broken is not None:
        return Stop(f"the service failed before anything was triggered: {broken}", baseline_failed=True)
    if at.script.steady_since_ns is None:
        return Wait(f"the load to flow: {at.facts.streams_flowing} of {at.facts.streams_wanted} streams")
    steady_s = (at.facts.now_ns - at.script.steady_since_ns) / NS_PER_S
    if steady_s < at.plan.baseline_s:
        return Wait(f"{at.plan.baseline_s:g} s of undisturbed streams: {steady_s:.0f} s so far")
    return Go(State.TRIGGER)


def _trigger(at: _Tick) -> Move:
    if Action.TRIGGER in at.facts.refused:
        return Stop(f"the change was not made: {at.facts.refused[Action.TRIGGER]}")
    if at.facts.timeline.first(MarkName.T0) is not None:
        return Go(State.PREVIEW)
    if not at.plan.triggers:
        return Wait("somebody to change the Rollout (--trigger none)")
    return Ask(Action.TRIGGER, "the changed template to be observed")


def _preview(at: _Tick) -> Move:
    broken = _broken(at)
    if broken is not None:
        return Stop(f"the service failed before the cutover, the new revision was not promoted: {broken}")
    if not at.facts.paused:
        words = "the new revision's pods to be ready and the Rollout to pause"
        return Wait(f"{words}; {at.facts.held_up}" if at.facts.held_up else words)
    if at.facts.preview is None:
        return Ask(Action.VALIDATE_PREVIEW, "the new revision to stream well through the preview Service")
    if at.facts.preview.fit is False:
        return Stop(f"new revision unfit, not promoted: {at.facts.preview.why}")
    if at.facts.preview.in_doubt:
        return Stop(f"new revision in doubt, not promoted: {at.facts.preview.why}")
    return Go(State.PROMOTE)


def _promote(at: _Tick) -> Move:
    if Action.OPEN_SIGTERM_STREAMS not in at.facts.done:
        return Ask(Action.OPEN_SIGTERM_STREAMS, "the long streams that have to outlive SIGTERM to begin")
    if at.plan.promoter is Promoter.PERSON:
        return Wait("a person to promote (kubectl argo rollouts promote, or Argo's UI)")
    if at.plan.promoter is Promoter.ARGO:
        return Wait("Argo to promote by itself (autoPromotionEnabled)")
    if Action.PROMOTE in at.facts.refused:
        return Stop(f"not promoted: {at.facts.refused[Action.PROMOTE]}")
    if Action.PROMOTE in at.facts.done:
        return Go(State.CUTOVER)
    return Ask(Action.PROMOTE, "the promotion to be accepted")


def _drain(at: _Tick) -> Move:
    cutover = latest_cutover(at.facts.timeline)
    if not at.plan.drain_ends or cutover is None:
        return Go(State.QUIET)
    left = old_pods_left(cutover, at.facts.timeline)
    if left:
        return Wait(f"the old pods to be gone: {', '.join(left)}")
    return Go(State.QUIET)


def _quiet(at: _Tick) -> Move:
    cutover = latest_cutover(at.facts.timeline)
    since_s = 0.0 if cutover is None else (at.facts.now_ns - cutover.at.seen_ns) / NS_PER_S
    if since_s < at.plan.watch_after_s:
        return Wait(f"{at.plan.watch_after_s:g} s after the cutover (--watch-after): {since_s:.0f} s so far")
    if at.facts.crossing_open:
        return Wait(f"{at.facts.crossing_open} streams that crossed the cutover to end")
    return Go(State.DONE)


_MOVES: dict[State, Callable[[_Tick], Move]] = {
    State.BASELINE: _baseline,
    State.TRIGGER: _trigger,
    State.PREVIEW: _preview,
    State.PROMOTE: _promote,
    State.CUTOVER: lambda _: Wait("the active Service to select the new revision (T8)"),
    State.DRAIN: _drain,
    State.QUIET: _quiet,
}
