"""What a new revision does to the streams that are begun on it, beside what only looks like it."""

from typing import Any

import pytest
from msgspec import structs

from midstream.causes import UNEXPLAINED, Cause, find_causes
from midstream.cohorts import read_cohorts
from midstream.rollouts.timeline import MarkName
from midstream.run import Run
from midstream.streams.ending import Ending
from midstream.streams.record import StreamRecord
from tests.midstream.builders import NEW, OLD, POD, T13, mark, plain, run, stream, streams, timeline

STILL_THERE = timeline(without=[MarkName.T12])
DELETED = mark(MarkName.T12, 100.5, pod=POD, revision=OLD)
DELETED_AT_ONCE = structs.replace(STILL_THERE, marks=(*STILL_THERE.marks, DELETED))
SERVED_AFTER = streams(5, at=110.0)
BEFORE = streams(5, at=85.0, lasts=5.0)


def found(judged: Run) -> tuple[Cause, ...]:
    return find_causes(judged, read_cohorts(judged))


def names(judged: Run) -> set[str]:
    return {cause.cause for cause in found(judged)}


def answered(ending: Ending, *at: float, fresh: bool = True) -> list[StreamRecord]:
    return [stream(ending, at=each, lasts=0.02, fresh=fresh) for each in at]


def cold(*at: float, fresh: bool = True) -> list[StreamRecord]:
    return answered(Ending.HTTP_5XX, *at, fresh=fresh)


def limited(*at: float, fresh: bool = True) -> list[StreamRecord]:
    return answered(Ending.HTTP_429, *at, fresh=fresh)


def test_a_revision_that_is_not_warm_is_told_with_how_long():
    (cause,) = found(run([*streams(80), *cold(100.1, 102, 103.9), *SERVED_AFTER]))
    assert cause.cause == "not_warm"
    assert "0.1 to 3.9 s after the cutover: the new revision was not warm" in cause.line
    until = "the last 5xx on a new connection 3.9 s after the cutover, whole streams after that"
    assert until in cause.evidence
    assert "its streams through the preview Service were whole" in cause.evidence


def test_refused_streams_are_told_together_whatever_the_old_pods_met_by_then():
    at_sigterm = stream(Ending.HTTP_5XX, at=T13 - 0.01, lasts=0.02)
    (cause,) = found(run([*streams(80), *cold(100.1, 102), at_sigterm, *SERVED_AFTER]))
    assert cause.streams == 3
    assert " new streams answered 5xx" in cause.line


@pytest.mark.parametrize(
    "judged",
    [
        pytest.param(run([*streams(80), *cold(100.1, 103.9)]), id="it never served"),
        pytest.param(run([*streams(80), *cold(102.5, 103.9), *SERVED_AFTER]), id="it served first"),
        pytest.param(run([*streams(80), *cold(100.1, 109.5), *streams(5, at=105.0)]), id="still at the end"),
        pytest.param(
            run([*streams(80), *cold(100.1, 103.9, fresh=False), *SERVED_AFTER]), id="kept connections"
        ),
        pytest.param(
            run([*streams(80), *answered(Ending.CONNECT_REFUSED, 100.1, 103), *SERVED_AFTER]), id="refused"
        ),
        pytest.param(
            run(
                [*streams(80), *cold(100.9, 103.9), *SERVED_AFTER],
                timeline=DELETED_AT_ONCE,
            ),
            id="old pods were deleted by then",
        ),
        pytest.param(
            run([*streams(80), *cold(100.1, 104, 108), *streams(6, at=102.0), *streams(4, at=108.1)]),
            id="now and then, as may be chance",
        ),
    ],
)
def test_5xx_that_do_not_show_a_cold_revision(judged):
    assert names(judged) <= {"refused_after_cutover", UNEXPLAINED}


def test_a_revision_that_had_answered_did_serve():
    judged = run([*streams(80), *answered(Ending.CONNECT_REFUSED, 100.1, 103, 109.5), *streams(5, at=105.0)])
    assert [(cause.cause, cause.streams) for cause in found(judged)] == [
        ("refused_after_cutover", 2),
        (UNEXPLAINED, 1),
    ]


def test_a_rate_limit_that_came_with_the_cutover():
    (cause,) = found(run([*streams(80), *BEFORE, *limited(101, 102, 112)]))
    assert cause.cause == "rate_limited"
    limit = "a rate limit of the new revision, or of what stands before it, refuses requests"
    assert cause.line.endswith(f": {limit}")
    assert "no 429 came before the cutover" in cause.evidence


def test_a_rate_limit_meets_kept_connections_too_also_while_the_old_pods_drain():
    kept = limited(T13 + 1, fresh=False)
    assert names(run([*streams(80), *BEFORE, *limited(101, 102), *kept])) == {"rate_limited"}
    assert names(run([*streams(80), *BEFORE, *kept])) == {"kept_connection_drained"}


@pytest.mark.parametrize(
    "judged",
    [
        pytest.param(run([*streams(80), *BEFORE, *limited(95, 101)]), id="before the cutover too"),
        pytest.param(run([*streams(80), *limited(101)]), id="nothing was whole before"),
        pytest.param(run([*streams(80), *BEFORE, *limited(101, fresh=False)]), id="a kept connection"),
        pytest.param(plain([*streams(80), *limited(101)]), id="no cutover"),
    ],
)
def test_429_that_do_not_show_whose_limit_it_is(judged):
    assert names(judged) == {UNEXPLAINED}


MIXED: dict[str, Any] = {"revisions": (NEW, "another"), "at": 108.0}
OF_NEW: dict[str, Any] = {"revisions": (NEW,), "at": 108.0}
OF_OLD: dict[str, Any] = {"revisions": (OLD,), "at": 95.0}
HIDDEN: dict[str, Any] = {"revisions": ("alias",), "at": 108.0}
EARLY_STOP: dict[str, Any] = {"finish_reason": "stop"}
ALL_MADE: dict[str, Any] = {"finish_reason": "length"}


@pytest.mark.parametrize(
    ("damaged", "cause"),
    [
        pytest.param(streams(3, Ending.MIXED_REVISION, **MIXED), "upstream_changed", id="two labels"),
        pytest.param(
            streams(3, Ending.MIXED_REVISION, at=98.0, lasts=9.0, revisions=(OLD, NEW)),
            "upstream_changed",
            id="moved to the new revision at the cutover",
        ),
        pytest.param(streams(3, Ending.REPEATED, **OF_NEW), "tokens_repeated", id="repeated"),
        pytest.param(streams(3, Ending.REPEATED, **HIDDEN), "tokens_repeated", id="a gateway hides labels"),
        pytest.param(streams(3, Ending.SHORT, **OF_NEW, **ALL_MADE), "tokens_dropped", id="dropped"),
        pytest.param(streams(3, Ending.SHORT, **OF_NEW, **EARLY_STOP), "stops_early", id="stops early"),
    ],
)
def test_damage_within_streams_of_the_new_revision(damaged, cause):
    judged = run([*streams(80), *BEFORE, *damaged])
    assert names(judged) == {cause}
    (told,) = found(judged)
    assert told.mend
    assert any("before the cutover" in words or "only streams of" in words for words in told.evidence)


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(
            [stream(Ending.MIXED_REVISION, **MIXED), stream(Ending.MIXED_REVISION, at=86, lasts=8)],
            id="two labels before the cutover too",
        ),
        pytest.param(
            [stream(Ending.REPEATED, **OF_NEW), stream(Ending.REPEATED, **OF_OLD)], id="repeated by both"
        ),
        pytest.param([stream(Ending.SHORT, **OF_OLD, **ALL_MADE)], id="dropped by the old one"),
        pytest.param([stream(Ending.SHORT, **OF_OLD, **EARLY_STOP)], id="stopped early by the old one"),
        pytest.param([stream(Ending.MALFORMED, **OF_NEW)], id="another damage"),
        pytest.param(
            [stream(Ending.REPEATED, **(HIDDEN | {"fresh": False}))], id="a kept connection without labels"
        ),
    ],
)
def test_damage_that_does_not_show_whose_it_is(damaged):
    assert names(run([*streams(80), *BEFORE, *damaged])) == {UNEXPLAINED}


def test_damage_without_a_sound_stream_of_the_other_revision_is_unexplained():
    assert names(run(streams(3, Ending.REPEATED, **OF_NEW))) == {UNEXPLAINED}
