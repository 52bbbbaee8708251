"""The lines that a person reads while a test runs."""

import re
from typing import Any

import pytest

from hooks.progress import LOST_LINES, Progress
from midstream.promotion import NS_PER_S, Plan, Promoter, Script
from midstream.rollouts.timeline import MarkName
from midstream.run import State
from midstream.streams.ending import Ending
from tests.midstream.builders import mark, stream

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
def lines():
    return []


@pytest.fixture
def progress(clock, lines):
    return Progress(lines.append)


def script(state: State, clock: Clock, **changes: Any) -> Script:
    return Script(state=state, entered_ns=clock.monotonic_ns(), **changes)


def test_a_line_begins_with_the_seconds_since_the_start(progress, clock, lines):
    clock.now_s += 12.34
    progress.say("something")
    assert lines == ["[  12.3 s] something\n"]


def test_a_state_is_told_with_what_it_waits_for_its_limit_and_the_open_streams(progress, clock, lines):
    waiting = script(State.PREVIEW, clock, waits_for="the new pods")
    clock.now_s += 100
    progress.tick(waiting, PLAN, {"b2d4": 3, "": 2, "7c9f": 75})
    [line] = lines
    assert line.endswith(
        "preview: waits for the new pods (800 s left, --preview-limit)"
        " | open: no token yet 2, 7c9f 75, b2d4 3\n"
    )


def test_a_limit_that_is_over_leaves_no_time(progress, clock, lines):
    waiting = script(State.PREVIEW, clock, waits_for="the new pods")
    clock.now_s += 1000
    progress.tick(waiting, PLAN, {})
    assert "(0 s left, --preview-limit) | open: none\n" in lines[0]


def test_a_state_that_waits_for_nothing_is_told_alone(progress, clock, lines):
    progress.tick(script(State.DONE, clock), PLAN, {})
    assert lines[0].endswith("] done | open: none\n")


def test_a_state_is_told_every_2_s_but_a_new_one_at_once(progress, clock, lines):
    baseline, trigger = script(State.BASELINE, clock), script(State.TRIGGER, clock)
    for passed_s, shown in ((0, baseline), (1.9, baseline), (0.2, baseline), (0.1, trigger), (1.9, trigger)):
        clock.now_s += passed_s
        progress.tick(shown, PLAN, {})
    told = [re.search(r"\] (\w+)", line)[1] for line in lines]  # type: ignore[index]
    assert told == ["baseline", "baseline", "trigger"]


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
    assert re.search(rf"\] {words}\n$", lines[0])


def test_a_lost_stream_is_told_with_its_ending_and_revision(progress, lines):
    progress.lost(stream(Ending.ABORTED, revisions=("7c9f", "b2d4"), tokens=12))
    progress.lost(stream(Ending.CONNECT_REFUSED))
    assert lines[0].endswith("] lost: aborted on b2d4 after 12 tokens\n")
    assert lines[1].endswith("] refused: connect_refused after 0 tokens\n")


def test_many_lost_streams_do_not_flood_the_screen(progress, lines):
    for _ in range(LOST_LINES + 20):
        progress.lost(stream(Ending.RESET))
    assert len(lines) == LOST_LINES + 1
    assert "the report counts them" in lines[-1]
