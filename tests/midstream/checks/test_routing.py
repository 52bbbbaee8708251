import pytest

from midstream.checks.check import Status
from midstream.checks.routing import routing
from midstream.cohorts import read_cohorts
from midstream.rollouts.timeline import Cutover, MarkName, Timeline
from midstream.streams.ending import Ending
from tests.midstream.builders import NEW, OLD, mark, run, stream, timeline

PASS, FAIL, NOT_EXAMINED = Status.PASS, Status.FAIL, Status.NOT_EXAMINED


def ask(records, **changes):
    asked = run(records, **changes)
    return routing(asked, read_cohorts(asked))


def on(revision, at, **changes):
    return stream(at=at, revisions=(revision,), **changes)


@pytest.mark.parametrize(
    ("record", "status"),
    [
        pytest.param(on(OLD, 90), PASS, id="old before the cutover"),
        pytest.param(on(NEW, 101), PASS, id="new after it"),
        pytest.param(on(OLD, 109.9), PASS, id="old on a new connection while it spreads"),
        pytest.param(on(OLD, 110.1), FAIL, id="old on a new connection too late"),
        pytest.param(on(OLD, 125, fresh=False), PASS, id="old on a kept connection"),
        pytest.param(on(NEW, 99), FAIL, id="new before the cutover"),
        pytest.param(on(NEW, 99, fresh=False), FAIL, id="new before the cutover on a kept connection"),
        pytest.param(on(NEW, 99.96), PASS, id="new within the cutover's uncertainty"),
        pytest.param(
            stream(Ending.MIXED_REVISION, at=90, revisions=(OLD, NEW)), PASS, id="judged by its first label"
        ),
        pytest.param(on("model", 125), NOT_EXAMINED, id="a label that is no revision"),
        pytest.param(stream(Ending.CONNECT_REFUSED, at=125), NOT_EXAMINED, id="no answer, no label"),
    ],
)
def test_only_the_active_revision_may_answer(record, status):
    assert ask([record]).status is status


def test_how_long_the_old_one_was_reached_is_printed():
    assert ask([on(OLD, 90), on(OLD, 100.5), on(NEW, 101)]).observed == "old until T8 + 0.5 s"


def test_without_a_cutover_it_is_not_examined():
    assert ask([on(OLD, 90)], timeline=Timeline()).status is NOT_EXAMINED


@pytest.mark.parametrize(
    ("record", "status"),
    [
        pytest.param(on(OLD, 135), PASS, id="active again"),
        pytest.param(on(NEW, 135), PASS, id="left a moment ago"),
        pytest.param(on(NEW, 145), FAIL, id="left too long ago"),
        pytest.param(on(OLD, 125), FAIL, id="between its two times"),
    ],
)
def test_a_revision_that_comes_back_has_two_times(record, status):
    back = mark(MarkName.T8, 130, cutover=2, revision=OLD)
    cutovers = (*timeline().cutovers, Cutover(number=2, old=NEW, new=OLD, at=back, old_pods=()))
    assert ask([record], timeline=timeline(cutovers=cutovers)).status is status
