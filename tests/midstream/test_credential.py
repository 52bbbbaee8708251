"""When answers 401 say that our key died, and when that a revision refuses its clients."""

import pytest
from msgspec import structs

from midstream.credential import with_credential
from midstream.streams.ending import Ending
from midstream.verdict import Decision, judge
from tests.midstream.builders import WHOLE, plain, run, stream, streams


def refused(at, status=401, **changes):
    return stream(Ending.HTTP_4XX, at=at, lasts=0.02, status=status, headers_ns=None, **changes)


def steadily(from_s, to_s, **changes):
    count = int((to_s - from_s) * 4)
    return [refused(from_s + number / 4, **changes) for number in range(count)]


BEFORE = list(streams(40, at=82.0, lasts=3.0))
LONG = list(streams(80, at=82.0, lasts=25.0))  # begun with the key, whole after T8
ANSWERED = [stream(at=90.1 + number / 4) for number in range(36)]  # between every two refusals
CASES = {
    "the key died, plain": (plain([*BEFORE, *steadily(90, 120)]), True),
    "403 too": (plain([*BEFORE, *steadily(90, 120, status=403)]), True),
    "renewed later": (plain([*BEFORE, *steadily(90, 95), *streams(9, at=100.0)]), True),
    "refused from the first, plain": (plain(steadily(90, 120)), False),
    "one replica of two, plain": (plain([*BEFORE, *steadily(90, 99), *ANSWERED]), False),
    "now and then, plain": (plain([*BEFORE, refused(90), stream(at=91), refused(92)]), False),
    "404": (plain([*BEFORE, *steadily(90, 120, status=404)]), False),
    "both revisions": (run([*LONG, *steadily(95, 125)]), True),
    "the new one alone": (run([*WHOLE, *steadily(111.5, 125)]), False),
    "the new one alone, from T8": (run([*LONG, *steadily(100.1, 125)]), False),
    "the old one alone": (run([*LONG, *steadily(95, 99)]), False),
    "both, but the new one on kept connections": (run([*LONG, *steadily(95, 125, fresh=False)]), False),
    "accepted in between": (run([*LONG, *steadily(95, 125), stream(at=105.1)]), False),
    "in the baseline already": (run([*streams(9, at=70.0, lasts=2.0), *steadily(75, 125)]), False),
}


@pytest.mark.parametrize(("judged", "is_ours"), CASES.values(), ids=CASES)
def test_whose_refusals_they_are(judged, is_ours):
    read = with_credential(judged)
    assert (Ending.CREDENTIAL in {record.ending for record in read.streams}) is is_ours
    if not is_ours:
        assert read == judged


def test_a_dead_key_is_inconclusive_never_a_pass():
    for judged in (CASES["the key died, plain"][0], CASES["both revisions"][0]):
        assert judge(judged).decision is Decision.FAIL
        assert judge(with_credential(judged)).decision is Decision.INCONCLUSIVE


def test_a_new_revision_that_refuses_the_key_fails():
    assert judge(with_credential(CASES["the new one alone, from T8"][0])).decision is Decision.FAIL


def test_reading_twice_changes_nothing_more():
    once = with_credential(CASES["both revisions"][0])
    assert with_credential(once) == once


@pytest.mark.parametrize("ending", [Ending.RESET, Ending.CONNECT_REFUSED, Ending.CUT])
def test_another_failure_within_keeps_them_refusals(ending):
    judged = CASES["both revisions"][0]
    other = stream(ending, at=105.1, status=None)
    read = with_credential(structs.replace(judged, streams=(*judged.streams, other)))
    assert Ending.CREDENTIAL not in {record.ending for record in read.streams}
