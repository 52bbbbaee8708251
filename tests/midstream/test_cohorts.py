from typing import Any

import pytest

from midstream.cohorts import STEADY, Cohort, Place, read_cohorts, revision_of, table
from midstream.rollouts.timeline import Cutover, MarkName
from midstream.streams.ending import Ending, Outcome
from midstream.streams.record import Lane
from tests.midstream.builders import NEW, OLD, POD, T13, mark, plain, pulse, run, stream, timeline

CROSSING, AT_SIGTERM, DRAINING = Cohort.CROSSING, Cohort.AT_SIGTERM, Cohort.DRAINING


def cohorts_of(*records, **changes):
    return [member.cohorts for member in read_cohorts(run(records, **changes)).members]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        pytest.param(stream(at=90, lasts=11), (CROSSING,), id="open at the cutover"),
        pytest.param(stream(at=90, lasts=15), (CROSSING, DRAINING), id="open at the pod's deletion too"),
        pytest.param(stream(at=90, lasts=20), (CROSSING, AT_SIGTERM, DRAINING), id="open at SIGTERM too"),
        pytest.param(stream(at=70, lasts=10), (Cohort.STEADY,), id="over before the cutover"),
        pytest.param(stream(at=94.9, lasts=1), (Cohort.STEADY,), id="begun 5.1 s before the cutover"),
        pytest.param(stream(at=95, lasts=1), (Cohort.NEW,), id="begun 5 s before the cutover"),
        pytest.param(stream(at=130, lasts=1), (Cohort.NEW,), id="begun at the end of the watch"),
        pytest.param(stream(at=130.1, lasts=1), (Cohort.STEADY,), id="begun after the watch"),
        pytest.param(stream(at=97, lasts=5), (CROSSING, Cohort.NEW), id="new and crossing"),
        pytest.param(
            stream(Ending.MIXED_REVISION, at=90, lasts=11, revisions=(NEW, OLD)),
            (CROSSING,),
            id="lost on both",
        ),
        pytest.param(stream(at=90, lasts=20, revisions=(NEW,)), (Cohort.STEADY,), id="open, but on the new"),
        pytest.param(
            stream(at=103, lasts=10, revisions=(OLD,), fresh=False),
            (AT_SIGTERM, DRAINING, Cohort.NEW),
            id="on the old pod by a kept connection",
        ),
        pytest.param(
            stream(Ending.CONNECT_REFUSED, at=99, lasts=2, sent_ns=None), (Cohort.NEW,), id="never sent"
        ),
    ],
)
def test_a_stream_belongs_to_every_cohort_whose_moment_it_met(record, expected):
    assert cohorts_of(record) == [tuple(cohort for cohort in Cohort if cohort in expected)]


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        pytest.param(
            Ending.COMPLETE, Cohort.STEADY, id="complete: it may have been over before, so it proves nothing"
        ),
        pytest.param(Ending.RESET, CROSSING, id="lost: it may have been lost by the cutover, so it counts"),
        pytest.param(Ending.CUT, CROSSING, id="ended by us: it may have crossed"),
    ],
)
def test_a_stream_that_ends_within_the_cutovers_uncertainty_never_turns_a_loss_into_a_pass(ending, expected):
    record = stream(ending, at=80, lasts=19.5)
    assert cohorts_of(record, timeline=timeline(width=1.0)) == [(expected,)]


@pytest.mark.parametrize(
    ("ending", "lasts", "is_in"),
    [
        pytest.param(
            Ending.COMPLETE, 16.9, False, id="complete within the kubelet's lag: SIGTERM may have come later"
        ),
        pytest.param(Ending.COMPLETE, 17.1, True, id="complete after the lag"),
        pytest.param(Ending.ABORTED, 16.01, True, id="lost at once"),
        pytest.param(Ending.ABORTED, 15.9, False, id="lost before SIGTERM can have come"),
    ],
)
def test_who_was_open_at_sigterm(ending, lasts, is_in):
    (found,) = cohorts_of(stream(ending, at=90, lasts=lasts))
    assert (AT_SIGTERM in found) is is_in


def test_with_two_pods_a_stream_proves_the_drain_only_when_it_outlived_both_sigterms():
    later = mark(MarkName.T13, T13 + 5, pod="vllm-7c9f-y", revision=OLD)
    line = timeline()
    line = timeline(marks=(*line.marks, later))
    assert cohorts_of(stream(at=90, lasts=19), stream(at=90, lasts=23), timeline=line) == [
        (CROSSING, DRAINING),
        (CROSSING, AT_SIGTERM, DRAINING),
    ]
    (lost,) = cohorts_of(stream(Ending.RESET, at=90, lasts=19), timeline=line)
    assert AT_SIGTERM in lost


ONE = timeline().cutovers


@pytest.mark.parametrize(
    ("record", "cutovers", "expected"),
    [
        pytest.param(stream(revisions=("model", NEW)), ONE, NEW, id="the first label that is a revision"),
        pytest.param(stream(revisions=("model",)), ONE, OLD, id="unlabelled, first token before the cutover"),
        pytest.param(
            stream(at=99.97, revisions=()), ONE, None, id="unlabelled, first token within T8's doubt"
        ),
        pytest.param(stream(at=120, revisions=()), ONE, None, id="unlabelled, after the cutover"),
        pytest.param(stream(revisions=("model",)), (), "model", id="no cutover: the label as it is"),
        pytest.param(stream(revisions=()), (), None, id="no cutover, no label"),
        pytest.param(stream(Ending.CONNECT_REFUSED), ONE, None, id="refused"),
    ],
)
def test_the_revision_of_a_stream(record, cutovers, expected):
    assert revision_of(record, cutovers) == expected


UNLABELLED: dict[str, Any] = {"revisions": ()}


@pytest.mark.parametrize(
    ("record", "is_in"),
    [
        pytest.param(stream(at=90, lasts=20, **UNLABELLED), True, id="first token before the cutover"),
        pytest.param(stream(at=101, lasts=20, **UNLABELLED), False, id="complete, opened after the cutover"),
        pytest.param(
            stream(Ending.RESET, at=101, lasts=6, **UNLABELLED), True, id="lost, opened while it spread"
        ),
        pytest.param(
            stream(Ending.RESET, at=105.9, lasts=6, fresh=False, **UNLABELLED),
            True,
            id="lost on a kept connection",
        ),
    ],
)
def test_unlabelled_streams_at_sigterm(record, is_in):
    (found,) = cohorts_of(record)
    assert (AT_SIGTERM in found) is is_in


def test_an_unlabelled_loss_on_a_connection_opened_after_the_cutover_had_spread_is_the_new_revisions():
    line = timeline()
    late = mark(MarkName.T13, 115, pod=POD, revision=OLD)
    line = timeline(marks=(line.marks[0], late))
    (found,) = cohorts_of(stream(Ending.RESET, at=112, lasts=5, **UNLABELLED), timeline=line)
    assert AT_SIGTERM not in found


def test_two_cutovers_have_their_own_cohorts():
    back = mark(MarkName.T8, 130, cutover=2, revision=OLD)
    line = timeline()
    line = timeline(
        marks=(*line.marks, back),
        cutovers=(*line.cutovers, Cutover(number=2, old=NEW, new=OLD, at=back, old_pods=("vllm-b2d4-x",))),
    )
    found = read_cohorts(run([stream(at=90, lasts=12), stream(at=125, lasts=12)], timeline=line))
    assert [Place(CROSSING, 1) in member.places for member in found.members] == [True, False]
    assert [Place(CROSSING, 2) in member.places for member in found.members] == [False, True]
    assert len(found.of(CROSSING)) == 2
    assert len(found.at(Place(CROSSING, 2))) == 1


def test_without_a_cutover_every_stream_is_steady():
    found = read_cohorts(plain([stream(), stream(Ending.RESET)]))
    assert [member.places for member in found.members] == [STEADY, STEADY]


def test_the_table_counts_by_cohort_lane_revision_and_outcome():
    rows = table(
        read_cohorts(run([stream(at=90, lasts=12), stream(Ending.RESET, at=90, lasts=12), pulse(110)]))
    )
    assert [
        (row.cohort, row.lane, row.revision, row.streams, row.outcomes[Outcome.LOST]) for row in rows
    ] == [
        (CROSSING, Lane.MAIN, OLD, 2, 1),
        (Cohort.NEW, Lane.PULSE, NEW, 1, 0),
    ]


def test_an_empty_run_has_no_cohorts():
    assert read_cohorts(run([])).members == ()
    assert table(read_cohorts(run([]))) == ()


def test_a_cohorts_moment_that_was_not_seen_has_no_members():
    (found,) = cohorts_of(stream(at=90, lasts=20), timeline=timeline(without=[MarkName.T12, MarkName.T13]))
    assert found == (CROSSING,)
