"""What the validating streams of a new revision say of it."""

import pytest

from midstream.preview import ValidatedStream, read_preview
from midstream.streams.ending import Ending
from tests.midstream.builders import stream

STABLE, NEW = "5d8f", "7c9f"
DISAGREEMENT = "the two readers disagree: ours says complete, sseclient-py finds no [DONE]"


def streams(*endings, revision=NEW):
    return [ValidatedStream(stream(ending, revisions=(revision,))) for ending in endings]


def doubted(ending):
    return ValidatedStream(stream(ending, revisions=(NEW,)), DISAGREEMENT)


SAID_AT_ONCE = {
    "all complete": (streams(Ending.COMPLETE, Ending.COMPLETE), True),
    "one lost": (streams(Ending.COMPLETE, Ending.MALFORMED), False),
    "unknown model": (streams(Ending.HTTP_4XX), False),
    "server error": (streams(Ending.HTTP_5XX, Ending.COMPLETE), False),
    "lost beside one that was not reached": (streams(Ending.CONNECT_REFUSED, Ending.ABORTED), False),
}


@pytest.mark.parametrize("last_try", [False, True])
@pytest.mark.parametrize(("records", "fit"), SAID_AT_ONCE.values(), ids=SAID_AT_ONCE)
def test_what_the_revision_answered_is_judged_at_once(records, fit, last_try):
    finding = read_preview(records, STABLE, last_try=last_try)
    assert finding is not None
    assert finding.fit is fit
    assert bool(finding.why) is not fit


SAYS_NOTHING = {
    "refused": streams(Ending.COMPLETE, Ending.CONNECT_REFUSED),
    "no such name": streams(Ending.NAME_UNRESOLVED),
    "our own failure": streams(Ending.CLIENT_ERROR),
    "the stable revision answered": streams(Ending.COMPLETE, revision=STABLE),
}


@pytest.mark.parametrize("records", SAYS_NOTHING.values(), ids=SAYS_NOTHING)
def test_what_did_not_reach_it_is_tried_again_then_unknown(records):
    assert read_preview(records, STABLE, last_try=False) is None
    finding = read_preview(records, STABLE, last_try=True)
    assert finding is not None
    assert finding.fit is None
    assert "not reached" in finding.why


def test_a_reset_is_tried_again_then_unfit():
    records = streams(Ending.RESET_BEFORE_HEADERS)
    assert read_preview(records, STABLE, last_try=False) is None
    finding = read_preview(records, STABLE, last_try=True)
    assert finding is not None
    assert finding.fit is False


IN_DOUBT = {
    "complete to ours alone": [doubted(Ending.COMPLETE)],
    "lost to ours alone": [doubted(Ending.ENDED_EARLY)],
    "one of two": [*streams(Ending.COMPLETE), doubted(Ending.COMPLETE)],
    "beside one that was not reached": [*streams(Ending.CONNECT_REFUSED), doubted(Ending.COMPLETE)],
}


@pytest.mark.parametrize("last_try", [False, True])
@pytest.mark.parametrize("validated", IN_DOUBT.values(), ids=IN_DOUBT)
def test_where_the_two_readers_disagree_it_is_neither_fit_nor_unfit(validated, last_try):
    finding = read_preview(validated, STABLE, last_try=last_try)
    assert finding is not None
    assert finding.fit is None
    assert finding.in_doubt
    assert finding.why == DISAGREEMENT


def test_a_stream_that_failed_to_both_readers_is_unfit_beside_a_doubted_one():
    finding = read_preview([doubted(Ending.COMPLETE), *streams(Ending.ABORTED)], STABLE, last_try=False)
    assert finding is not None
    assert finding.fit is False
    assert not finding.in_doubt
