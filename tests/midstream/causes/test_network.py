"""What streams, marks and containers show of the network: each cause, and what looks like it but is not."""

from typing import Any

import pytest
from msgspec import structs

from midstream.causes import UNEXPLAINED
from midstream.rollouts.timeline import MarkName, RolloutEvent
from midstream.streams.ending import Ending
from midstream.streams.record import StreamRecord
from tests.midstream.builders import (
    LIMITS,
    NEW,
    OLD,
    POD,
    T8,
    T12,
    T13,
    mark,
    ns,
    plain,
    pulse,
    run,
    stream,
    streams,
    timeline,
)
from tests.midstream.causes.scenes import answered, died, found, names, refused, spread

# --- connections cut when the Service changes -----------------------------------------------------------


def switched(at: float = T8 + 0.05, count: int = 40, **changes: Any) -> list[StreamRecord]:
    given = {"ending": Ending.RESET, "revisions": (OLD,)} | changes
    return [
        stream(at=90 + 0.2 * number, lasts=at - 90 - 0.2 * number, id=f"c{number}", **given)
        for number in range(count)
    ]


@pytest.mark.parametrize("ending", [Ending.RESET, Ending.TRUNCATED])
@pytest.mark.parametrize("after_s", [0.05, 1.1, 3.0], ids="{} s after the cutover".format)
def test_streams_cut_together_before_any_pod_ends_were_cut_by_the_data_plane(ending, after_s):
    judged = run([*switched(T8 + after_s, ending=ending), pulse(T8 - 0.2)])
    (cause,) = found(judged)
    assert cause.cause == "cut_at_switch"
    assert "no old pod had been asked to end" in " ".join(cause.evidence)


def test_one_cut_before_it_could_tell_its_revision_was_cut_with_the_others():
    mute = pulse(T8 - 0.1, Ending.RESET, end_ns=ns(T8 + 0.05), revisions=(), first_token_ns=None)
    assert names(run([*switched(), mute])) == {"cut_at_switch"}
    late = pulse(T8 + 0.02, Ending.RESET, end_ns=ns(T8 + 0.05), revisions=(), first_token_ns=None)
    assert names(run([*switched(), late])) == {"cut_at_switch", UNEXPLAINED}


@pytest.mark.parametrize(
    ("records", "changes"),
    [
        pytest.param(switched(T12 + 0.5), {}, id="once the deletion of the pod was asked"),
        pytest.param(switched(T8 - 0.5), {}, id="before the cutover"),
        pytest.param(switched(count=2), {}, id="two alone"),
        pytest.param(switched(revisions=(NEW,)), {}, id="on the new revision"),
        pytest.param(switched(ending=Ending.ENDED_EARLY), {}, id="ended by the server"),
        pytest.param(
            [switched(T8 + number, 40)[number] for number in (0, 1, 2, 3)], {}, id="one each second"
        ),
        pytest.param(
            switched(T8 + 1.0), died(T8 + 1.2, revision=OLD, pod=POD), id="the pod's container died"
        ),
    ],
)
def test_what_the_switch_does_not_explain(records, changes):
    assert "cut_at_switch" not in names(run([*streams(20), *records], **changes))


# --- new connections that go to pods which end ----------------------------------------------------------


def soon(delay: float = 0.2) -> dict[str, Any]:
    """SIGTERM to the old pod so soon after the cutover."""
    of_pod: dict[str, Any] = {"pod": POD, "revision": OLD}
    line = timeline(without=[MarkName.T12, MarkName.T13])
    marks = (mark(MarkName.T12, T8 + delay, **of_pod), mark(MarkName.T13, T8 + delay, **of_pod))
    return {"timeline": structs.replace(line, marks=(*line.marks, *marks))}


SENT_TO_ENDED = [
    *answered(OLD, 100.05, 100.15),
    *refused(*spread(100.3, 103.0)),
    *answered(NEW, *spread(103.1, 110.0)),
]


def test_refused_between_sigterm_and_the_first_answer_of_the_new_revision():
    (cause,) = found(run([*streams(80), *SENT_TO_ENDED], **soon()))
    assert cause.cause == "sent_to_ended_pods"
    words = " ".join(cause.evidence)
    assert f"answered by {OLD} until 0.15 s after the cutover, by {NEW} from 3.1 s after it on" in words
    assert "T13" in words
    assert "scaleDownDelaySeconds" in cause.mend


@pytest.mark.parametrize(
    ("records", "changes", "cause"),
    [
        pytest.param(
            [*refused(*spread(100.1, 105.0), ending=Ending.HTTP_5XX), *answered(NEW, *spread(105.0, 110.0))],
            {},
            "not_warm",
            id="a new revision that is cold: the old one was reached no more",
        ),
        pytest.param(
            [
                *answered(OLD, 100.05),
                *refused(*spread(100.1, 108.0), ending=Ending.HTTP_5XX),
                *answered(NEW, *spread(108.0, 112.0)),
            ],
            {},
            "not_warm",
            id="refused before SIGTERM already",
        ),
        pytest.param(
            [*answered(OLD, 100.05), *answered(NEW, *spread(100.2, 108.0)), *refused(109.0)],
            {},
            UNEXPLAINED,
            id="refused when the new revision had answered for long",
        ),
    ],
)
def test_what_ended_pods_do_not_explain(records, changes, cause):
    assert names(run([*streams(80), *records], **changes)) == {cause}


def test_a_request_that_found_no_kept_connection_opened_one_and_reads_like_the_others():
    lane: dict[str, Any] = {"fresh": False, "peer": "10.0.0.1:80", "ending": Ending.RESET_BEFORE_HEADERS}
    opened = refused(100.6, 101.6, local="10.0.0.9:40001", **lane)
    (again, kept) = (opened[0], opened[1])
    judged = run([*streams(80), *SENT_TO_ENDED, again, kept], **soon())
    told = {cause.cause: cause.streams for cause in found(judged) if "before any answer" in cause.line}
    assert told == {"sent_to_ended_pods": 1, UNEXPLAINED: 1}


def test_refused_pulses_read_like_streams():
    pulses = [pulse(at, Ending.CONNECT_REFUSED) for at in spread(100.3, 103.0, 0.1)]
    (cause,) = found(run([*streams(80), *answered(OLD, 100.1), *pulses, *answered(NEW, 103.5)], **soon()))
    assert cause.cause == "sent_to_ended_pods"
    assert "new pulses refused" in cause.line


# --- a way that is late or leads elsewhere --------------------------------------------------------------

STRICT = structs.replace(LIMITS, max_propagation_s=2)
LATE = [*answered(OLD, *spread(100.1, 105.8)), *answered(NEW, *spread(106.0, 112.0))]


def test_a_data_plane_that_is_late_is_told_without_any_loss():
    (cause,) = found(run([*streams(80), *LATE], limits=STRICT))
    assert cause.cause == "late_data_plane"
    assert "the last one 5.7 s after it" in cause.line
    assert f"the first to {NEW} 6 s after it" in cause.evidence[0]


def test_a_data_plane_within_the_limit_is_none():
    assert found(run([*streams(80), *LATE])) == ()


NEVER = [*answered(OLD, *spread(100.1, 106.0)), *refused(*spread(106.2, 130.0, 1.0))]


def test_a_way_that_never_reaches_the_new_revision_is_told_once():
    judged = run([*streams(80), *NEVER], limits=STRICT)
    assert names(judged) == {"router_ignores_service"}
    assert f"none by {NEW}" in " ".join(words for cause in found(judged) for words in cause.evidence)


def test_a_way_that_never_leads_there_is_told_without_loss_as_well():
    (cause,) = found(run([*streams(80), *answered(OLD, *spread(100.1, 130.0, 1.0))], limits=STRICT))
    assert cause.cause == "router_ignores_service"
    assert f"30 to {OLD}, none to {NEW}" in cause.evidence[0]


@pytest.mark.parametrize(
    "records",
    [
        pytest.param([*NEVER, *answered(NEW, 129.0)], id="some connection did reach it"),
        pytest.param(
            [*answered(OLD, 100.1, 100.9), *refused(*spread(101.0, 130.0, 1.0))],
            id="the old one was reached no longer than usual: the new one is dead",
        ),
        pytest.param(refused(*spread(100.1, 130.0, 1.0)), id="nobody answered"),
    ],
)
def test_what_is_no_way_that_ignores_the_service(records):
    assert "router_ignores_service" not in names(run([*streams(80), *records]))


# --- a common age ---------------------------------------------------------------------------------------


def aged(*begun: float, age: float = 8.0, jitter: float = 0.05, **changes: Any) -> list[StreamRecord]:
    given = {"ending": Ending.TRUNCATED, "revisions": (NEW,)} | changes
    return [
        stream(at=at, lasts=age + jitter * (number % 3), id=f"a{number}", **given)
        for number, at in enumerate(begun)
    ]


TIMED_OUT = aged(*spread(101.0, 106.0))


def test_connections_cut_at_one_age_met_a_timeout():
    (cause,) = found(run([*streams(80), *TIMED_OUT, *answered(NEW, 103.0)]))
    assert cause.cause == "common_age"
    assert f"{len(TIMED_OUT)} connections ended at the age of 8 s to 8.1 s" in " ".join(cause.evidence)


def test_a_plain_load_meets_timeouts_too():
    assert names(plain(aged(*spread(61.0, 70.0)))) == {"common_age"}


def test_a_kept_connection_is_as_old_as_its_first_stream():
    """Four pulses on one connection, the last one cut when that was 8 s old."""
    kept = [
        pulse(at, ending, fresh=False, local="10.0.0.9:40001", peer="10.0.0.1:80", end_ns=ns(until))
        for at, until, ending in (
            (102.0, 102.4, Ending.COMPLETE),
            (106.0, 106.4, Ending.COMPLETE),
            (109.8, 110.02, Ending.TRUNCATED),
        )
    ]
    assert names(run([*streams(80), *TIMED_OUT, *kept])) == {"common_age"}


@pytest.mark.parametrize(
    "records",
    [
        pytest.param(aged(*[103.0 + 0.01 * n for n in range(20)]), id="all began at once"),
        pytest.param(aged(*spread(101.0, 101.8)), id="too few"),
        pytest.param(aged(*spread(101.0, 106.0), ending=Ending.SHORT), id="ended by the server"),
        pytest.param(aged(*spread(101.0, 106.0), fresh=False), id="on kept connections"),
        pytest.param(
            [*TIMED_OUT, stream(at=104.0, lasts=15.0, revisions=(NEW,))], id="one began then and lived longer"
        ),
        pytest.param(
            [
                each
                for number in range(8)
                for each in aged(101.0 + number, age=1.0 + 1.3 * number, revisions=(NEW,))
            ],
            id="of all ages",
        ),
    ],
)
def test_what_is_no_common_age(records):
    assert "common_age" not in names(run([*streams(80), *records]))


def test_crossing_streams_that_were_older_say_nothing_against_it():
    assert names(run([*streams(80, lasts=20.0), *TIMED_OUT])) == {"common_age"}


def test_sigterm_comes_before_a_common_age():
    records = [stream(Ending.ENDED_EARLY, at=T13 - 8, lasts=8.1, id=f"s{number}") for number in range(9)]
    assert names(run([*streams(70), *records])) == {"no_drain"}


# --- a way back -----------------------------------------------------------------------------------------


def test_a_switch_back_by_somebody_else_is_a_cause():
    back = RolloutEvent(
        what="switched_back",
        seen_ns=ns(101.5),
        source="watch Service/vllm-stable spec.selector",
        detail=f"{NEW} -> {OLD}",
    )
    (cause,) = found(run(timeline=timeline(events=(back,))))
    assert cause.cause == "switched_back"
    assert "1.5 s after the cutover" in cause.line
    assert cause.evidence == (back.source,)
