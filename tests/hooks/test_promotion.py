"""The script carried out: facts gathered, actions started once, a halt that writes nothing more."""

import time
from collections.abc import Callable
from typing import Any, cast

import gevent
import msgspec
import pytest

from hooks import promotion as of_promotion
from hooks import tested as target_under_test
from hooks.ledger import Ledger
from hooks.load import Load
from hooks.promotion import Promotion
from hooks.settings import Mode, Settings
from midstream.planner.lengths import SIGTERM_RESERVE_S
from midstream.preview import ValidatedStream
from midstream.promotion import Action, Promoter, Script
from midstream.rollouts.budget import DrainBudget
from midstream.rollouts.client import Cluster, UnreachableError
from midstream.rollouts.edits import RefusedError
from midstream.rollouts.timeline import Cutover, Mark, MarkName, Timeline
from midstream.rollouts.verbs import UnconfirmedError
from midstream.rollouts.watcher import WATCHED_KINDS
from midstream.run import Limits, State, Subject
from midstream.scenarios import Ask, Scenario, Scenarios
from midstream.streams.ending import Ending
from midstream.streams.record import StreamRecord
from midstream.streams.target import Target
from midstream.streams.traits import Traits
from tests.midstream.builders import stream
from tests.midstream.rollouts import objects

OLD, NEW, POD = objects.OLD, objects.NEW, "vllm-old-x"
PAUSED = objects.rollout(
    spec={"paused": False},
    status={
        "phase": "Paused",
        "message": "BlueGreenPause",
        "currentPodHash": NEW,
        "controllerPause": True,
        "pauseConditions": [{"reason": "BlueGreenPause", "startTime": "2026-11-03T12:00:00Z"}],
        "blueGreen": {"activeSelector": OLD, "previewSelector": NEW},
    },
)
BUDGET = DrainBudget(scale_down_delay_s=4, pre_stop_s=2, grace_s=40, engine_drain_s=30, sources={})
PATIENCE_S = 20.0


class World:
    """What the watches see, changed by the verbs as a cluster would be; `does` replaces a verb's effect."""

    def __init__(self) -> None:
        self.timeline = Timeline()
        self.rollout: dict[str, Any] | None = objects.rollout()
        self.pods: list[dict[str, Any]] = []
        self.called: list[tuple[str, Any]] = []
        self.looked: list[tuple[str, str]] = []
        self.watched: set[str] = set()
        self.look_fails = False
        self.does: dict[str, Callable[[], None]] = {}

    def add(self, name: MarkName, **changes: Any) -> Mark:
        now_ns = time.monotonic_ns()
        mark = Mark(name=name, seen_ns=now_ns, not_before_ns=now_ns - 1, source="test", **changes)
        self.timeline = msgspec.structs.replace(self.timeline, marks=(*self.timeline.marks, mark))
        return mark

    def pause(self) -> None:
        self.add(MarkName.T0)
        self.rollout = PAUSED

    def cut_over(self) -> None:
        cutover = Cutover(number=1, old=OLD, new=NEW, at=self.add(MarkName.T8, revision=NEW), old_pods=(POD,))
        self.timeline = msgspec.structs.replace(self.timeline, cutovers=(cutover,))

    def end_old_pod(self) -> None:
        self.add(MarkName.T14, pod=POD)

    def call(self, verb: str, argument: Any = None) -> None:
        self.called.append((verb, argument))
        effects = {"promote": self.cut_over} | self.does
        effects.get(verb, self.pause)()


class Watcher:
    """In the place of RolloutWatcher."""

    def __init__(self, world: World) -> None:
        self._world = world

    def run_kind(self, kind: str, stop: Any) -> None:
        self._world.watched.add(kind)
        stop.wait()
        self._world.watched.discard(kind)

    def timeline(self) -> Timeline:
        return self._world.timeline

    def latest(self, kind: str, name: str) -> dict[str, Any] | None:
        return self._world.rollout if (kind, name) == ("rollouts", "vllm") else None

    def present(self, kind: str) -> list[dict[str, Any]]:
        return self._world.pods if kind == "pods" else []

    def look(self, kind: str, name: str) -> None:
        self._world.looked.append((kind, name))
        if self._world.look_fails:
            raise UnreachableError("away")

    def note(self, patch: object) -> None:
        """No patch is made here."""


class Verbs:
    """In the place of RolloutVerbs: every verb is noted, then takes effect in the world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __getattr__(self, verb: str) -> Callable[..., None]:
        return lambda argument=None: self._world.call(verb.replace("_", "-"), argument)


class StubLoad:
    """A load in which every user has a stream."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.ledger = Ledger()
        self.settled = self.failed = 0
        self.last_failed_ns: int | None = None
        self.wanted = 2
        self.winding_down = False
        self.undisturbed = True
        self.begun: list[tuple[int, float]] = []
        self.begins = 8
        self.rounds: list[list[Ending]] = []  # of validating streams, still to come
        self.validated = 0
        self.revision = NEW
        self.disagreement = ""

    def flowing(self) -> int:
        return 2

    def pulse(self, fresh: bool, scheduled_ns: int) -> StreamRecord:
        return stream(fresh=fresh, scheduled_ns=scheduled_ns)

    def begin_long(self, ask: Callable[[], Ask], count: int, seconds: float, limit_s: float) -> int:
        self.begun.append((count, seconds))
        return min(count, self.begins)

    def validate(self, target: Target, ask: Ask, tokens: int) -> ValidatedStream:
        self.validated += 1
        endings = self.rounds[0] if self.rounds else [Ending.COMPLETE]
        ending = endings.pop()
        if self.rounds and not endings:
            self.rounds.pop(0)
        revisions = () if ending is Ending.CONNECT_REFUSED else (self.revision,)
        return ValidatedStream(stream(ending, revisions=revisions), self.disagreement)


@pytest.fixture
def world(monkeypatch):
    world = World()
    monkeypatch.setattr(of_promotion, "RolloutWatcher", lambda *_, **__: Watcher(world))
    monkeypatch.setattr(of_promotion, "RolloutVerbs", lambda *_, **__: Verbs(world))
    monkeypatch.setattr(of_promotion, "TICK_S", 0.01)
    monkeypatch.setattr(of_promotion, "PREVIEW_PAUSE_S", 0.01)
    return world


@pytest.fixture
def load(world):
    return StubLoad(world)


class Failures(list[Exception]):
    """What the parts of a promotion raised."""

    def spawn(self, _: str, function: Callable[[], None]) -> gevent.Greenlet:
        def guarded() -> None:
            try:
                function()
            except Exception as error:  # noqa: BLE001 the session's guard stands here
                self.append(error)

        return gevent.spawn(guarded)


@pytest.fixture
def failures():
    return Failures()


@pytest.fixture
def promotion(world, load, failures):
    """Made of these settings; the watches are ended with the test."""
    made = []

    def make(*, preview: bool = True, budget: DrainBudget = BUDGET, **settings: Any) -> Promotion:
        usual: dict[str, Any] = {
            "trigger": "same",
            "baseline_s": 0.05,
            "limits": Limits(watch_after_s=0.05),
            "preview_streams": 1,
        }
        target = Target.parse("http://127.0.0.1:1")
        tested = target_under_test.Tested(
            target=target,
            api="completions",
            model="tiny",
            context_tokens=None,
            traits=Traits(),
            probed_tokens_per_s=20.0,
            subject=Subject(target=target.url, path="test"),
            preview=target if preview else None,
        )
        one = Promotion(
            settings=Settings(mode=Mode.ROLLOUT, users=2, spawn_rate=2, **(usual | settings)),
            tested=tested,
            rollout=target_under_test.WatchedRollout(
                cluster=cast(Cluster, None),
                namespace="llm",
                name="vllm",
                labels="app=vllm",
                active_service="vllm-stable",
                stable=OLD,
                budget=budget,
            ),
            load=cast(Load, load),
            scenarios=Scenarios((Scenario(name="test", prompts=("Hello",)),)),
            spawn=failures.spawn,
            say=lambda _: None,
            on_mark=lambda _: None,
        )
        made.append(one)
        return one

    yield make
    for one in made:
        one.halt()
        one.stop()
    gevent.sleep(0.01)


def wait_for(fact: Callable[[], object]) -> None:
    with gevent.Timeout(PATIENCE_S):
        while not fact():
            gevent.sleep(0.005)


def run(promotion: Promotion, on_tick: Callable[[Script], None] = lambda _: None) -> Script:
    """Run it to its end."""
    with gevent.Timeout(PATIENCE_S):
        promotion.run(on_tick)
    assert promotion.script is not None
    return promotion.script


def test_a_whole_promotion(world, load, promotion, failures):
    one = promotion(trigger="set-image", set_image=("vllm", "engine:v2"))
    states: list[State] = []

    def see(script: Script) -> None:
        if script.state not in states:
            states.append(script.state)
        if script.state is State.CUTOVER and not world.timeline.cutovers:
            world.cut_over()
        if script.state is State.DRAIN:
            world.end_old_pod()

    world.does["promote"] = lambda: None
    script = run(one, see)
    assert script.end is not None
    assert script.end.finished
    assert states == [state for state in State if state is not State.PREFLIGHT]
    assert world.called == [("set-image", {"vllm": "engine:v2"}), ("promote", None)]
    assert world.watched == set(WATCHED_KINDS)
    assert one.preview is not None
    assert one.preview.fit
    assert load.begun == [(8, 4 + 2 + SIGTERM_RESERVE_S)]
    assert not load.undisturbed
    assert not one.notes
    assert not failures


def test_what_holds_a_new_pod_up_is_in_what_is_waited_for(world, promotion):
    """The old revision's pods may say what they like."""
    world.does["same"] = lambda: world.add(MarkName.T0)
    world.rollout = objects.rollout(status={"currentPodHash": NEW, "blueGreen": {"activeSelector": OLD}})
    reasons = {OLD: "Other", NEW: "Unschedulable"}
    for revision, reason in reasons.items():
        conditions = [{"type": "PodScheduled", "status": "False", "reason": reason}]
        labels = {"rollouts-pod-template-hash": revision}
        world.pods.append(
            {"metadata": {"name": f"p-{revision}", "labels": labels}, "status": {"conditions": conditions}}
        )
    end = run(promotion(preview_limit_s=0.3)).end
    assert end is not None
    assert end.state is State.PREVIEW
    assert end.reason.endswith(f"; pod p-{NEW} is held up, Unschedulable")


def test_the_baseline_is_from_the_first_moment_of_all_streams_to_the_trigger(world, promotion):
    one = promotion()
    began_ns = time.monotonic_ns()
    gevent.spawn(one.run, lambda _: None)
    assert one.state is State.PREFLIGHT
    wait_for(lambda: one.state is not State.PREFLIGHT and one.state is not State.BASELINE)
    assert one.baseline_ns is not None
    from_ns, to_ns = one.baseline_ns
    assert began_ns <= from_ns
    assert to_ns - from_ns >= 0.05e9


def test_a_baseline_that_was_overtaken_before_it_began_is_none(world, load, promotion):
    load.flowing = lambda: 0
    world.cut_over()
    one = promotion()
    gevent.spawn(one.run, lambda _: None)
    wait_for(lambda: one.state is State.DRAIN)
    assert one.baseline_ns is None


TRIGGERS: dict[str, tuple[dict[str, Any], Any]] = {
    "set-image": ({"set_image": ("vllm", "v2")}, {"vllm": "v2"}),
    "set-model": ({"set_model": "tiny"}, "tiny"),
    "set-env": ({"set_env": ("A", "b")}, {"A": "b"}),
    "set-args": ({"set_args": "serve tiny --name 'a b'"}, ["serve", "tiny", "--name", "a b"]),
    "same": ({}, None),
    "undo": ({}, None),
}


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_each_trigger_calls_its_verb_with_what_was_given(world, promotion, trigger):
    settings, argument = TRIGGERS[trigger]
    one = promotion(trigger=trigger, **settings)
    gevent.spawn(one.run, lambda _: None)
    wait_for(lambda: world.called)
    assert world.called[0] == (trigger, argument)


REFUSALS = {
    "refused": RefusedError("it is like that already"),
    "not confirmed": UnconfirmedError("is the controller running?"),
    "api server away": UnreachableError("no answer"),
}


def raising(error: Exception) -> Callable[[], None]:
    def effect() -> None:
        raise error

    return effect


@pytest.mark.parametrize("error", REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("verb", ["same", "promote"])
def test_a_verb_that_is_refused_ends_the_script_with_the_reason(world, promotion, failures, verb, error):
    world.does[verb] = raising(error)
    script = run(promotion())
    assert script.end is not None
    assert str(error) in script.end.reason
    assert not script.end.finished
    assert [name for name, _ in world.called].count(verb) == 1
    assert not failures


def test_a_verb_that_fails_by_our_own_fault_is_no_refusal(world, promotion, failures):
    world.does["same"] = raising(KeyError("ours"))
    one = promotion(trigger_limit_s=0.3)
    run(one)
    assert [type(error) for error in failures] == [KeyError]


def test_a_preview_that_cannot_be_seen_is_unknown_and_promoted(world, load, promotion):
    one = promotion(preview=False)
    gevent.spawn(one.run, lambda _: None)
    wait_for(lambda: ("promote", None) in world.called)
    assert one.preview is not None
    assert one.preview.fit is None
    assert load.validated == 0


def test_a_preview_that_nobody_wants_validated_is_unknown_not_fit(world, load, promotion):
    one = promotion(preview_streams=0)
    gevent.spawn(one.run, lambda _: None)
    wait_for(lambda: one.preview is not None)
    assert one.preview is not None
    assert one.preview.fit is None
    assert "--preview-streams 0" in one.preview.why


def test_an_unfit_revision_is_never_promoted(world, load, promotion):
    load.rounds = [[Ending.MALFORMED, Ending.COMPLETE, Ending.COMPLETE]]
    script = run(promotion(preview_streams=3))
    assert script.end is not None
    assert "unfit" in script.end.reason
    assert "malformed" in script.end.reason
    assert [name for name, _ in world.called] == ["same"]


def test_a_revision_on_which_the_two_readers_disagree_is_never_promoted(world, load, promotion):
    load.disagreement = "the two readers disagree: ours says complete, sseclient-py finds no [DONE]"
    one = promotion()
    script = run(one)
    assert script.end is not None
    assert script.end.reason == f"new revision in doubt, not promoted: {load.disagreement}"
    assert one.preview is not None
    assert (one.preview.fit, one.preview.in_doubt) == (None, True)
    assert [name for name, _ in world.called] == ["same"]


def test_a_preview_that_is_not_reached_yet_is_tried_again(world, load, promotion):
    load.rounds = [[Ending.CONNECT_REFUSED], [Ending.CONNECT_REFUSED], [Ending.COMPLETE]]
    one = promotion()
    gevent.spawn(one.run, lambda _: None)
    wait_for(lambda: one.preview is not None)
    assert one.preview is not None
    assert one.preview.fit
    assert load.validated == 3


def test_a_preview_that_is_never_reached_is_unknown(world, load, promotion, monkeypatch):
    monkeypatch.setattr(of_promotion, "PREVIEW_REACH_S", 0.1)
    load.revision = OLD
    one = promotion()
    gevent.spawn(one.run, lambda _: None)
    wait_for(lambda: one.preview is not None)
    assert one.preview is not None
    assert one.preview.fit is None


NO_LONG_STREAMS = {
    "none wanted": {"sigterm_streams": 0},
    "old pods that are never stopped": {"budget": msgspec.structs.replace(BUDGET, scale_down_delay_s=None)},
}


@pytest.mark.parametrize("changes", NO_LONG_STREAMS.values(), ids=NO_LONG_STREAMS)
def test_long_streams_that_make_no_sense_are_not_begun(world, load, promotion, changes):
    one = promotion(**changes)
    gevent.spawn(one.run, lambda _: None)
    wait_for(lambda: ("promote", None) in world.called)
    assert not load.begun
    assert not one.notes


def test_long_streams_that_did_not_begin_are_noted(world, load, promotion):
    load.begins = 5
    one = promotion()
    gevent.spawn(one.run, lambda _: None)
    wait_for(lambda: ("promote", None) in world.called)
    assert one.notes == ["only 5 of 8 streams that should outlive SIGTERM had begun in time"]


def test_a_halt_kills_a_promotion_that_waits_for_its_moment(world, promotion):
    wrote: list[str] = []

    def slow() -> None:
        gevent.sleep(0.2)
        wrote.append("promote")

    world.does["promote"] = slow
    one = promotion()
    running = gevent.spawn(one.run, lambda _: None)
    wait_for(lambda: ("promote", None) in world.called)
    one.halt()
    running.get(timeout=PATIENCE_S)
    gevent.sleep(0.4)
    assert not wrote
    assert one.script is not None
    assert one.script.end is None
    assert world.watched == set(WATCHED_KINDS)  # the timeline goes on
    one.stop()
    wait_for(lambda: not world.watched)


def test_after_a_halt_nothing_is_asked(world, promotion):
    one = promotion(baseline_s=0.1)
    running = gevent.spawn(one.run, lambda _: None)
    wait_for(lambda: one.state is State.BASELINE)
    one.halt()
    running.get(timeout=PATIENCE_S)
    gevent.sleep(0.3)
    assert not world.called


def test_what_is_about_to_change_is_looked_at(world, promotion):
    one = promotion(promoter=Promoter.PERSON)
    gevent.spawn(one.run, lambda _: None)
    wait_for(lambda: one.state is State.PROMOTE and world.looked)
    assert set(world.looked) == {("services", "vllm-stable")}
    world.cut_over()
    wait_for(lambda: one.state is State.DRAIN)
    wait_for(lambda: world.looked[-1] == ("pods", POD))
    world.add(MarkName.T12, pod=POD)
    seen = len(world.looked)
    gevent.sleep(2.5 * of_promotion.LOOK_EVERY_S)
    assert len(world.looked) <= seen + 1  # one may have been under way


def test_our_own_promotion_is_bounded_by_its_patch_and_not_looked_at(world, promotion):
    world.does["promote"] = lambda: None
    one = promotion()
    gevent.spawn(one.run, lambda _: None)
    wait_for(lambda: one.state is State.CUTOVER)
    gevent.sleep(1.5 * of_promotion.LOOK_EVERY_S)
    assert not world.looked


def test_an_api_server_that_is_away_does_not_end_the_script(world, promotion, failures):
    world.look_fails = True
    one = promotion(promoter=Promoter.PERSON)
    gevent.spawn(one.run, lambda _: None)
    wait_for(lambda: world.looked)
    gevent.sleep(0.05)
    assert one.state is State.PROMOTE
    assert not failures


def test_streams_are_undisturbed_until_somebody_switches(world, load, promotion):
    one = promotion(promoter=Promoter.PERSON)
    gevent.spawn(one.run, lambda _: None)
    wait_for(lambda: one.state is State.PROMOTE)
    assert load.undisturbed
    world.cut_over()
    wait_for(lambda: one.state is State.DRAIN)
    assert not load.undisturbed


def test_crossing_streams_are_those_opened_before_the_cutover(world, load, promotion):
    load.ledger.open("before", time.monotonic_ns())
    one = promotion()
    running = gevent.spawn(one.run, lambda _: None)
    wait_for(lambda: one.state is State.DRAIN)
    world.end_old_pod()
    load.ledger.open("after", time.monotonic_ns() + 10**9)
    wait_for(lambda: one.state is State.QUIET and "1 streams that crossed" in one.script.waits_for)
    load.ledger.close(stream(Ending.COMPLETE, id="before"))
    running.get(timeout=PATIENCE_S)
    assert one.state is State.DONE


LEFT = {
    "never seen": (None, ""),
    "healthy": (objects.rollout(), f"Rollout llm/vllm is left as it is: Healthy at revision {OLD}"),
    "paused": (
        PAUSED,
        f"Rollout llm/vllm is left as it is: Paused at revision {OLD} (BlueGreenPause); go on with: "
        "kubectl argo rollouts promote (or: undo) vllm -n llm",
    ),
}


@pytest.mark.parametrize(("rollout", "words"), LEFT.values(), ids=LEFT)
def test_how_an_unfinished_test_leaves_the_rollout(world, promotion, rollout, words):
    world.rollout = rollout
    assert promotion().left_as() == words


PLANS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a trigger of ours": ({}, {"triggers": True, "trigger_limit_s": 30.0}),
    "somebody else's trigger": ({"trigger": "none"}, {"triggers": False, "trigger_limit_s": 3600.0}),
    "a limit that was given": ({"trigger": "none", "trigger_limit_s": 9.0}, {"trigger_limit_s": 9.0}),
    "the drain's limit from the budget": ({}, {"drain_limit_s": 4 + 40 + 60.0, "drain_ends": True}),
    "the drain's limit as given": ({"drain_limit_s": 9.0}, {"drain_limit_s": 9.0}),
    "old pods that are never stopped": (
        {"budget": msgspec.structs.replace(BUDGET, scale_down_delay_s=None)},
        {"drain_ends": False},
    ),
    "the checks' limits": (
        {"limits": Limits(watch_after_s=7.0, max_error_rate=0.5)},
        {"watch_after_s": 7.0, "max_error_rate": 0.5},
    ),
    "who promotes": ({"promoter": Promoter.ARGO}, {"promoter": Promoter.ARGO}),
}


@pytest.mark.parametrize(("settings", "planned"), PLANS.values(), ids=PLANS)
def test_the_plan_of_the_script(promotion, settings, planned):
    plan = promotion(**settings).plan
    assert {name: getattr(plan, name) for name in planned} == planned


def test_every_action_of_the_script_can_be_carried_out():
    assert set(of_promotion._ACTIONS) == set(Action)
