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
    ],
)
def test_only_the_active_revision_may_answer(record, status):
    assert ask([record, on(NEW, 120)]).status is status


@pytest.mark.parametrize(
    "record",
    [on("model", 125), stream(Ending.CONNECT_REFUSED, at=125)],
    ids=["a label that is no revision", "no answer, no label"],
)
def test_without_a_label_of_a_revision_nothing_is_known(record):
    assert ask([record]).status is NOT_EXAMINED


def test_without_a_label_after_the_cutover_nothing_is_known_of_new_connections():
    answer = ask([on(OLD, 90), stream(at=120, revisions=())])
    assert answer.status is NOT_EXAMINED
    assert "after the cutover" in answer.why


def test_an_old_label_alone_is_enough_to_show_a_wrong_route():
    assert ask([on(OLD, 111)]).status is FAIL


def test_how_long_the_old_one_was_reached_is_printed():
    assert (
        ask([on(OLD, 90), on(OLD, 100.5), on(NEW, 101)]).observed == "old on new connections until T8 + 0.5 s"
    )
    assert ask([on(OLD, 90), on(NEW, 101)]).observed == "old never after T8"


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
    told = (record, on(NEW, 101), on(OLD, 131))
    assert ask(told, timeline=timeline(cutovers=cutovers)).status is status


def test_each_cutover_must_be_followed_by_a_label():
    back = mark(MarkName.T8, 130, cutover=2, revision=OLD)
    cutovers = (*timeline().cutovers, Cutover(number=2, old=NEW, new=OLD, at=back, old_pods=()))
    assert ask([on(NEW, 101)], timeline=timeline(cutovers=cutovers)).status is NOT_EXAMINED


def test_without_a_cutover_it_is_the_cutover_that_is_missing_not_a_label():
    answer = ask([on(OLD, 90)], timeline=Timeline())
    assert answer.status is NOT_EXAMINED
    assert answer.why == "no cutover was seen"
