"""What a person is told while a test runs."""

import re
from typing import Any
from unittest.mock import Mock

import pytest

from hooks.progress import LOST_LINES, SHOW_S, Held, Progress
from midstream.promotion import NS_PER_S, Plan, Promoter, Script
from midstream.reports.scene import LOAD, STOPPING
from midstream.rollouts.timeline import MarkName, Timeline
from midstream.run import State
from midstream.streams.ending import Ending
from tests.hooks.sessions import HeardFace
from tests.midstream.builders import mark, stream, streams

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


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic_ns(self) -> int:
        return round(self.now_s * NS_PER_S)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("time.monotonic_ns", clock.monotonic_ns)
    return clock


@pytest.fixture
def face():
    return HeardFace([])


@pytest.fixture
def lines(face):
    return face.lines


@pytest.fixture
def progress(clock, face):
    return Progress(face)


def script(state: State, clock: Clock, **changes: Any) -> Script:
    return Script(state=state, entered_ns=clock.monotonic_ns(), **changes)


def held(**changes: Any):
    return lambda: Held(**({"open_by_revision": {}} | changes))


def no_timeline() -> Timeline:
    return Timeline()


def test_a_line_begins_with_the_seconds_since_the_start(progress, clock, lines):
    clock.now_s += 12.34
    progress.say("something")
    assert lines == ["[  12.3 s] something"]


def test_a_state_is_shown_with_what_it_waits_for_its_limit_and_the_load(progress, clock, face):
    waiting = script(State.PREVIEW, clock, waits_for="the new pods")
    clock.now_s += 100
    progress.tick(waiting, PLAN, held(ended=7, not_whole=2, pulses=30, pulses_failed=1))
    [scene] = face.scenes
    assert (scene.at, scene.waits_for, scene.left_s, scene.option) == (
        "preview",
        "the new pods",
        800,
        "--preview-limit",
    )
    assert (scene.ended, scene.not_whole, scene.pulses, scene.pulses_failed) == (7, 2, 30, 1)


def test_a_limit_that_is_over_leaves_no_time(progress, clock, face):
    waiting = script(State.PREVIEW, clock)
    clock.now_s += 1000
    progress.tick(waiting, PLAN, held())
    assert face.scenes[0].left_s == 0


def test_a_state_without_a_limit_has_no_time_left(progress, clock, face):
    progress.tick(script(State.DONE, clock), PLAN, held())
    assert face.scenes[0].left_s is None


SHARES = {
    "not every user has a stream yet": (State.BASELINE, None, 0.0),
    "steady for 2 of 5 s": (State.BASELINE, 2, 0.4),
    "steady for longer than asked": (State.BASELINE, 7, 1.0),
    "the baseline is over": (State.TRIGGER, 7, None),
}


@pytest.mark.parametrize("case", SHARES.values(), ids=SHARES)
def test_how_much_of_the_baseline_is_over(progress, clock, face, case):
    state, steady_s, share = case
    since_ns = None if steady_s is None else clock.monotonic_ns() - steady_s * NS_PER_S
    progress.tick(script(state, clock, steady_since_ns=since_ns), PLAN, held())
    assert face.scenes[0].share == share


def test_a_scene_is_shown_some_times_a_second_but_a_new_state_at_once(progress, clock, face):
    baseline, trigger = script(State.BASELINE, clock), script(State.TRIGGER, clock)
    for passed_s, shown in ((0, baseline), (SHOW_S / 2, baseline), (SHOW_S, baseline), (0.01, trigger)):
        clock.now_s += passed_s
        progress.tick(shown, PLAN, held())
    assert [scene.at for scene in face.scenes] == ["baseline", "baseline", "trigger"]


def test_the_load_is_looked_at_for_a_scene_alone(progress, clock):
    look = Mock(return_value=Held({}))
    for _ in range(10):
        progress.tick(script(State.BASELINE, clock), PLAN, look)
    assert look.call_count == 1


def test_revisions_stand_in_the_order_they_came_and_stay_when_they_are_empty(progress, clock, face):
    for open_now in ({"": 2, "7c9f": 78}, {"7c9f": 40, "b2d4": 40}, {"b2d4": 79, "": 1}):
        clock.now_s += 1
        progress.tick(script(State.DRAIN, clock), PLAN, held(open_by_revision=open_now))
    assert [scene.open for scene in face.scenes] == [
        (("7c9f", 78), ("", 2)),
        (("7c9f", 40), ("b2d4", 40), ("", 0)),
        (("7c9f", 0), ("b2d4", 79), ("", 1)),
    ]
    assert face.scenes[-1].most_open == 79


def test_answers_5xx_are_counted_once(progress, clock, face):
    records = []
    for count in (2, 3):
        clock.now_s += 1
        records += [*streams(count, Ending.HTTP_5XX), *streams(4)]
        progress.tick(script(State.DRAIN, clock), PLAN, held(records=records))
    assert [scene.http_5xx for scene in face.scenes] == [2, 5]


def test_a_plain_load_is_shown_without_states(progress, face):
    progress.load(12.0, held(open_by_revision={"": 4}))
    [scene] = face.scenes
    assert (scene.at, scene.steps, scene.left_s, scene.option) == (LOAD, (), 12.0, "-t")


def test_the_end_of_a_load_without_a_time_limit_is_not_known(progress, face):
    progress.load(None, held())
    assert face.scenes[0].left_s is None


def test_stopping_waits_for_the_open_streams(progress, face):
    progress.stopping(120.0, held(open_by_revision={"7c9f": 3, "b2d4": 4}))
    [scene] = face.scenes
    assert (scene.at, scene.option) == (STOPPING, "--wind-down")
    assert scene.waits_for == "7 open streams to finish, no new ones begin"


MARKS = {
    "of the rollout": (mark(MarkName.T0, 10), "T0 template changed"),
    "of a revision": (mark(MarkName.T8, 10, revision="b2d4"), r"T8 cutover: .* \(b2d4\)"),
    "of a pod": (mark(MarkName.T13, 10, pod="p-1", revision="7c9f"), r"T13 SIGTERM to an old pod \(p-1\)"),
    "with an exit code": (
        mark(MarkName.T14, 10, pod="p-1", exit_code=137, reason="Error"),
        r"T14 old pod gone \(p-1, exit code 137 Error\)",
    ),
    "with a good exit code": (
        mark(MarkName.T14, 10, pod="p-1", exit_code=0),
        r"T14 old pod gone \(p-1, exit code 0\)",
    ),
}


@pytest.mark.parametrize(("seen", "words"), MARKS.values(), ids=MARKS)
def test_a_mark_is_told(progress, lines, seen, words):
    progress.mark(seen)
    assert re.search(rf"\] {words}$", lines[0])


def test_marks_are_shown_once_each_with_their_first_moment(progress, clock, face):
    for name in (MarkName.T0, MarkName.T12, MarkName.T12):
        clock.now_s += 1
        progress.mark(mark(name, 10))
    progress.tick(script(State.DRAIN, clock), PLAN, held())
    assert face.scenes[0].marks == (("T0", 1.0), ("T12", 2.0))


def test_a_lost_stream_is_told_at_once(progress, lines):
    progress.lost(stream(Ending.ABORTED, revisions=("b2d4",), tokens=12), no_timeline)
    assert lines[0].endswith("] lost: aborted on rev b2d4 after 12 tokens")


def test_many_lost_streams_of_one_kind_do_not_flood_the_screen(progress, clock, lines, face):
    for _ in range(LOST_LINES + 20):
        progress.lost(stream(Ending.RESET), no_timeline)
    assert len(lines) == LOST_LINES + 1
    assert lines[-1].endswith("] from now on streams reset are only counted")
    progress.lost(stream(Ending.ABORTED), no_timeline)
    assert "lost: aborted" in lines[-1]
    progress.tick(script(State.DRAIN, clock), PLAN, held())
    assert face.scenes[0].lost == (("reset", LOST_LINES + 20), ("aborted", 1))
    assert face.scenes[0].untold == 20


def test_the_timeline_is_read_for_losses_that_are_told_alone(progress):
    read = Mock(return_value=Timeline())
    for _ in range(LOST_LINES + 20):
        progress.lost(stream(Ending.RESET), read)
    assert read.call_count == LOST_LINES


def test_closing_closes_the_face(progress, face):
    progress.close()
    assert face.closed
