"""The script of a test: each state's way out, each deadline, each thing that must never happen."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstream.promotion import NS_PER_S, Action, Facts, Plan, Promoter, Script, start, step
from midstream.rollouts.timeline import Cutover, Mark, MarkName, RolloutEvent, Timeline
from midstream.run import PreviewFinding, State

PLAN = Plan(
    triggers=True,
    promoter=Promoter.HOOK,
    baseline_s=5,
    watch_after_s=30,
    max_error_rate=0.05,
    max_blackout_s=1.0,
    baseline_limit_s=120,
    trigger_limit_s=31,
    preview_limit_s=900,
    promote_limit_s=3600,
    cutover_limit_s=60,
    drain_limit_s=200,
    quiet_limit_s=600,
)
FIT = PreviewFinding(fit=True, streams=3)


def mark(name: MarkName, seen_s: float, pod: str | None = None) -> Mark:
    seen_ns = round(seen_s * NS_PER_S)
    return Mark(name=name, seen_ns=seen_ns, not_before_ns=seen_ns - 1, source="test", pod=pod)


TRIGGERED = Timeline(marks=(mark(MarkName.T0, 10),))
T8 = mark(MarkName.T8, 20)
CUT_OVER = Timeline(
    marks=(*TRIGGERED.marks, T8), cutovers=(Cutover(number=1, old="a", new="b", at=T8, old_pods=("p", "q")),)
)


def drained(*pods: str) -> Timeline:
    gone = tuple(mark(MarkName.T14, 40, pod) for pod in pods)
    return msgspec.structs.replace(CUT_OVER, marks=(*CUT_OVER.marks, *gone))


def happened(what: str, timeline: Timeline = TRIGGERED) -> Timeline:
    event = RolloutEvent(what=what, seen_ns=15 * NS_PER_S, source="test", detail="because")
    return msgspec.structs.replace(timeline, events=(event,))


def facts(now_s: float = 21, /, **changes) -> Facts:
    known = {"streams_wanted": 80, "streams_flowing": 80, "settled": 100, "failed": 0, "paused": False}
    return Facts(now_ns=round(now_s * NS_PER_S), **(known | changes))


def script(state: State, entered_s: float = 20, /, **changes) -> Script:
    return Script(state=state, entered_ns=round(entered_s * NS_PER_S), **changes)


def steady(since_s: float) -> dict[str, int]:
    return {"steady_since_ns": round(since_s * NS_PER_S)}


ASKED = {"asked": frozenset(Action)}
GOES = {
    "baseline -> trigger once it was steady long enough": (
        script(State.BASELINE, 0, **steady(15)),
        facts(20),
        State.TRIGGER,
    ),
    "trigger -> preview at T0": (script(State.TRIGGER), facts(timeline=TRIGGERED), State.PREVIEW),
    "preview -> promote when fit": (
        script(State.PREVIEW),
        facts(paused=True, preview=FIT, timeline=TRIGGERED),
        State.PROMOTE,
    ),
    "preview -> promote when the preview could not be reached": (
        script(State.PREVIEW),
        facts(paused=True, preview=PreviewFinding(fit=None), timeline=TRIGGERED),
        State.PROMOTE,
    ),
    "promote -> cutover when accepted": (
        script(State.PROMOTE),
        facts(done=frozenset({Action.OPEN_SIGTERM_STREAMS, Action.PROMOTE}), timeline=TRIGGERED),
        State.CUTOVER,
    ),
    "cutover -> drain at T8": (script(State.CUTOVER), facts(timeline=CUT_OVER), State.DRAIN),
    "a cutover overtakes the preview": (script(State.PREVIEW), facts(timeline=CUT_OVER), State.DRAIN),
    "a cutover overtakes the baseline": (script(State.BASELINE), facts(timeline=CUT_OVER), State.DRAIN),
    "drain -> quiet when every old pod is gone": (
        script(State.DRAIN),
        facts(timeline=drained("p", "q")),
        State.QUIET,
    ),
    "quiet -> done": (script(State.QUIET, 45), facts(51, timeline=drained("p", "q")), State.DONE),
}


@pytest.mark.parametrize(("before", "known", "state"), GOES.values(), ids=GOES)
def test_goes_on(before, known, state):
    after, actions = step(before, known, PLAN)
    assert after.state is state
    assert not actions
    assert (after.end is not None and after.end.finished) is (state is State.DONE)


STAYS = {
    "not every user has a stream yet": (script(State.BASELINE), facts(streams_flowing=79), "79 of 80", set()),
    "steady, but not for long": (script(State.BASELINE, **steady(18)), facts(21), "3 s so far", set()),
    "the change is asked for": (script(State.TRIGGER), facts(), "observed", {Action.TRIGGER}),
    "the change was asked for already": (script(State.TRIGGER, **ASKED), facts(), "observed", set()),
    "not paused yet": (script(State.PREVIEW), facts(timeline=TRIGGERED), "to pause", set()),
    "not ready, with the pod's reason": (
        script(State.PREVIEW),
        facts(timeline=TRIGGERED, held_up="pod p is held up, Unschedulable"),
        "to pause; pod p is held up, Unschedulable",
        set(),
    ),
    "paused, not validated": (
        script(State.PREVIEW),
        facts(paused=True, timeline=TRIGGERED),
        "stream well",
        {Action.VALIDATE_PREVIEW},
    ),
    "long streams come before the promotion": (
        script(State.PROMOTE),
        facts(timeline=TRIGGERED),
        "outlive SIGTERM",
        {Action.OPEN_SIGTERM_STREAMS},
    ),
    "then the promotion": (
        script(State.PROMOTE),
        facts(done=frozenset({Action.OPEN_SIGTERM_STREAMS}), timeline=TRIGGERED),
        "accepted",
        {Action.PROMOTE},
    ),
    "promoted, not switched": (script(State.CUTOVER), facts(timeline=TRIGGERED), "T8", set()),
    "one old pod is left": (script(State.DRAIN), facts(timeline=drained("p")), "gone: q", set()),
    "crossing streams are open": (
        script(State.QUIET, 45),
        facts(51, timeline=drained("p", "q"), crossing_open=2),
        "2 streams",
        set(),
    ),
    "watched too short": (script(State.QUIET, 45), facts(49, timeline=drained("p", "q")), "29 s", set()),
}


@pytest.mark.parametrize(("before", "known", "words", "actions"), STAYS.values(), ids=STAYS)
def test_stays_and_says_what_it_waits_for(before, known, words, actions):
    after, asked = step(before, known, PLAN)
    assert after.state is before.state
    assert words in after.waits_for
    assert set(asked) == actions


STOPS = {
    "more failures than the limit in the baseline": (
        script(State.BASELINE),
        facts(failed=6),
        "6 of 100 streams lost or refused",
    ),
    "the change was refused": (
        script(State.TRIGGER, **ASKED),
        facts(refused={Action.TRIGGER: "403"}),
        "not made: 403",
    ),
    "unfit": (
        script(State.PREVIEW),
        facts(paused=True, preview=PreviewFinding(fit=False, why="garbage"), timeline=TRIGGERED),
        "new revision unfit, not promoted: garbage",
    ),
    "in doubt": (
        script(State.PREVIEW),
        facts(
            paused=True,
            preview=PreviewFinding(fit=None, why="no [DONE]", in_doubt=True),
            timeline=TRIGGERED,
        ),
        "new revision in doubt, not promoted: no [DONE]",
    ),
    "the promotion was refused": (
        script(State.PROMOTE),
        facts(
            done=frozenset({Action.OPEN_SIGTERM_STREAMS}),
            refused={Action.PROMOTE: "lost"},
            timeline=TRIGGERED,
        ),
        "not promoted: lost",
    ),
    "aborted before the cutover": (
        script(State.PREVIEW),
        facts(timeline=happened("aborted")),
        "aborted before the cutover. because",
    ),
    "degraded before the cutover": (
        script(State.CUTOVER),
        facts(timeline=happened("degraded")),
        "Degraded before the cutover",
    ),
    "deleted in the drain": (
        script(State.DRAIN),
        facts(timeline=happened("deleted", CUT_OVER)),
        "deleted during the test",
    ),
}


@pytest.mark.parametrize(("before", "known", "words"), STOPS.values(), ids=STOPS)
def test_stops_with_a_reason(before, known, words):
    after, actions = step(before, known, PLAN)
    assert after.end is not None
    assert words in after.end.reason
    assert not after.end.finished
    assert not actions
    assert after.end.state is before.state


@pytest.mark.parametrize("known", [{"failed": 6}, {"dark_since_ns": 10 * NS_PER_S}], ids=["lost", "dark"])
def test_a_service_that_fails_is_given_no_new_revision(known):
    before = script(State.PREVIEW, **ASKED)
    end = step(before, facts(timeline=TRIGGERED, paused=True, preview=FIT, **known), PLAN)[0].end
    assert end is not None
    assert not end.baseline_failed
    assert "not promoted" in end.reason


def test_only_a_failing_service_breaks_the_baseline():
    broken, _ = step(script(State.BASELINE), facts(failed=6), PLAN)
    slow, _ = step(script(State.BASELINE, 0), facts(121, streams_flowing=1), PLAN)
    assert broken.end is not None
    assert broken.end.baseline_failed
    assert slow.end is not None
    assert not slow.end.baseline_failed


def test_what_an_abort_after_the_cutover_means_is_for_the_checks():
    after, _ = step(script(State.DRAIN), facts(timeline=happened("aborted", CUT_OVER)), PLAN)
    assert after.end is None


LIMITS = {
    State.BASELINE: ("--baseline-limit", 120, {"streams_flowing": 1}),
    State.TRIGGER: ("--trigger-limit", 31, {}),
    State.PREVIEW: ("--preview-limit", 900, {"timeline": TRIGGERED}),
    State.PROMOTE: ("--cutover-limit", 60, {"timeline": TRIGGERED}),
    State.CUTOVER: ("--cutover-limit", 60, {"timeline": TRIGGERED}),
    State.DRAIN: ("--drain-limit", 200, {"timeline": CUT_OVER}),
    State.QUIET: ("--quiet-limit", 600, {"timeline": CUT_OVER, "crossing_open": 1}),
}


@pytest.mark.parametrize(("state", "limit"), LIMITS.items(), ids=LIMITS)
def test_each_deadline_names_its_option(state, limit):
    option, seconds, known = limit
    before = script(state, 100, **ASKED)
    assert step(before, facts(100 + seconds - 0.1, **known), PLAN)[0].end is None
    end = step(before, facts(100 + seconds, **known), PLAN)[0].end
    assert end is not None
    assert option in end.reason
    assert "waited for" in end.reason


@pytest.mark.parametrize("promoter", [Promoter.PERSON, Promoter.ARGO])
def test_somebody_elses_promotion_is_waited_for(promoter):
    plan = msgspec.structs.replace(PLAN, promoter=promoter)
    known = facts(timeline=TRIGGERED, done=frozenset({Action.OPEN_SIGTERM_STREAMS}))
    after, actions = step(script(State.PROMOTE), known, plan)
    assert not actions
    assert "promote" in after.waits_for
    end = step(script(State.PROMOTE, 0), facts(3600, timeline=TRIGGERED), plan)[0].end
    assert end is not None
    assert "--promote-limit" in end.reason


def test_somebody_elses_trigger_is_waited_for():
    plan = msgspec.structs.replace(PLAN, triggers=False)
    after, actions = step(script(State.TRIGGER), facts(), plan)
    assert "somebody" in after.waits_for
    assert not actions


def test_old_pods_that_are_never_stopped_are_not_waited_for():
    plan = msgspec.structs.replace(PLAN, drain_ends=False)
    assert step(script(State.DRAIN), facts(timeline=CUT_OVER), plan)[0].state is State.QUIET


def test_a_baseline_starts_anew_when_half_of_the_streams_are_gone():
    before = script(State.BASELINE, **steady(10))
    assert step(before, facts(11, streams_flowing=40), PLAN)[0].steady_since_ns is not None
    assert step(before, facts(11, streams_flowing=39), PLAN)[0].steady_since_ns is None


DISTURBED = {
    "a pulse failed within it": ({"pulse_failed_ns": 15 * NS_PER_S}, True),
    "a pulse failed before it": ({"pulse_failed_ns": 9 * NS_PER_S}, False),
    "one of few streams failed within it": ({"settled": 9, "failed": 1, "failed_ns": 15 * NS_PER_S}, True),
    "one of many streams failed within it": (
        {"settled": 99, "failed": 1, "failed_ns": 15 * NS_PER_S},
        False,
    ),
    "one of few streams failed before it": ({"settled": 9, "failed": 1, "failed_ns": 9 * NS_PER_S}, False),
}


@pytest.mark.parametrize(("known", "anew"), DISTURBED.values(), ids=DISTURBED)
def test_a_baseline_starts_anew_when_it_was_disturbed(known, anew):
    after, _ = step(script(State.BASELINE, **steady(10)), facts(16, **known), PLAN)
    assert (after.steady_since_ns is None) is anew
    assert after.end is None


BEFORE_CUTOVER = (State.BASELINE, State.TRIGGER, State.PREVIEW, State.PROMOTE, State.CUTOVER)
UNDER_WAY = (*BEFORE_CUTOVER, State.DRAIN, State.QUIET)


@pytest.mark.parametrize("state", BEFORE_CUTOVER)
def test_a_cutover_overtakes_every_state_before_it(state):
    after, actions = step(script(state), facts(timeline=CUT_OVER), PLAN)
    assert after.state is State.DRAIN
    assert not actions


@pytest.mark.parametrize("state", BEFORE_CUTOVER)
@pytest.mark.parametrize("what", ["aborted", "degraded"])
def test_an_update_that_failed_before_the_cutover_ends_every_state(state, what):
    end = step(script(state), facts(timeline=happened(what)), PLAN)[0].end
    assert end is not None
    assert f"{what} before the cutover. because" in end.reason.lower()


@pytest.mark.parametrize("state", [State.DRAIN, State.QUIET])
@pytest.mark.parametrize("what", ["aborted", "degraded", "switched_back", "unexpected_cutover"])
def test_what_happens_after_the_cutover_is_watched_to_its_end(state, what):
    assert step(script(state), facts(timeline=happened(what, CUT_OVER)), PLAN)[0].end is None


def test_an_abort_that_is_seen_with_the_cutover_came_too_late_to_stop_it():
    assert step(script(State.PROMOTE), facts(timeline=happened("aborted", CUT_OVER)), PLAN)[0].end is None


@pytest.mark.parametrize("state", UNDER_WAY)
@pytest.mark.parametrize("timeline", [TRIGGERED, CUT_OVER], ids=["before", "after the cutover"])
def test_a_deleted_rollout_ends_every_state(state, timeline):
    end = step(script(state), facts(timeline=happened("deleted", timeline)), PLAN)[0].end
    assert end is not None
    assert "deleted during the test" in end.reason


BASELINES = {
    "no stream has ended": ({"settled": 0, "failed": 0}, False),
    "at the limit": ({"settled": 100, "failed": 5}, False),
    "beyond the limit": ({"settled": 100, "failed": 6}, True),
    "all of them": ({"settled": 3, "failed": 3}, True),
    "too few to tell from chance": ({"settled": 2, "failed": 2}, False),
    "dark for a moment": ({"dark_since_ns": 19 * NS_PER_S}, False),
    "dark for longer": ({"dark_since_ns": round(18.9 * NS_PER_S)}, True),
}


@pytest.mark.parametrize(("counts", "broken"), BASELINES.values(), ids=BASELINES)
def test_a_baseline_bears_as_many_failures_as_the_limit_says(counts, broken):
    end = step(script(State.BASELINE, **steady(18)), facts(**counts), PLAN)[0].end
    assert (end is not None) is broken


def test_a_limit_of_none_bears_no_failure_and_none_is_no_failure():
    plan = msgspec.structs.replace(PLAN, max_error_rate=0)
    assert step(script(State.BASELINE), facts(failed=0), plan)[0].end is None
    assert step(script(State.BASELINE), facts(failed=3), plan)[0].end is not None


def test_a_baseline_without_a_wanted_length_still_needs_every_stream():
    plan = msgspec.structs.replace(PLAN, baseline_s=0)
    assert step(script(State.BASELINE), facts(streams_flowing=79), plan)[0].state is State.BASELINE
    assert step(script(State.BASELINE), facts(streams_flowing=80), plan)[0].state is State.TRIGGER


def test_a_move_on_the_last_moment_is_no_missed_deadline():
    late = facts(200, timeline=CUT_OVER)
    assert step(script(State.CUTOVER, 20), late, PLAN)[0].state is State.DRAIN


def test_the_whole_course_asks_for_each_action_once_and_in_order():
    fit: dict[str, Any] = {"paused": True, "preview": FIT, "timeline": TRIGGERED}
    long: dict[str, Any] = {"done": frozenset({Action.OPEN_SIGTERM_STREAMS})}
    promoted: dict[str, Any] = {"done": frozenset({Action.OPEN_SIGTERM_STREAMS, Action.PROMOTE})}
    course: list[tuple[float, dict[str, Any]]] = [
        (0, {}),
        (6, {}),
        (6.1, {}),
        (7, {"timeline": TRIGGERED}),
        (8, {"paused": True, "timeline": TRIGGERED}),
        (9, fit),
        (9.1, fit),
        (9.2, fit | long),
        (9.3, fit | promoted),
        (20, {"timeline": CUT_OVER} | promoted),
        (45, {"timeline": drained("p", "q")} | promoted),
        (51, {"timeline": drained("p", "q")} | promoted),
    ]
    now = start(0)
    asked: list[Action] = []
    for at_s, known in course:
        for _ in range(3):  # a tick more must not ask again
            now, actions = step(now, facts(at_s, **known), PLAN)
            asked += actions
    assert asked == [
        Action.TRIGGER,
        Action.VALIDATE_PREVIEW,
        Action.OPEN_SIGTERM_STREAMS,
        Action.PROMOTE,
    ]
    assert now.state is State.DONE


known_facts = st.fixed_dictionaries(
    {
        "streams_flowing": st.sampled_from([0, 40, 80]),
        "failed": st.sampled_from([0, 0, 0, 50]),
        "paused": st.booleans(),
        "preview": st.sampled_from([None, FIT, PreviewFinding(fit=None), PreviewFinding(fit=False)]),
        "timeline": st.sampled_from(
            [Timeline(), TRIGGERED, TRIGGERED, CUT_OVER, drained("p", "q"), happened("degraded")]
        ),
        "done": st.frozensets(st.sampled_from(Action)),
        "crossing_open": st.sampled_from([0, 3]),
        "dark_since_ns": st.sampled_from([None, None, 0]),
        "pulse_failed_ns": st.sampled_from([None, 0, 20 * NS_PER_S]),
    }
)


@given(st.lists(st.tuples(st.sampled_from([0.1, 6, 40]), known_facts), max_size=40))
def test_whatever_is_seen_the_script_keeps_its_promises(course):
    order, now_s, now = list(State), 0.0, start(0)
    asked: list[Action] = []
    for passed_s, known in course:
        now_s += passed_s
        before = now
        now, actions = step(now, facts(now_s, **known), PLAN)
        asked += actions
        assert order.index(now.state) >= order.index(before.state)
        if before.end is not None:
            assert now == before
            assert not actions
        if Action.PROMOTE in actions:
            assert before.state is State.PROMOTE
        if now.state is State.PROMOTE and before.state is not State.PROMOTE:
            assert known["paused"]
            assert known["preview"] is not None
            assert known["preview"].fit is not False
    assert len(asked) == len(set(asked))
