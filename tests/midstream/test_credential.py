"""When answers 401 say that our key died, and when that a revision refuses its clients."""

from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from midstream.credential import is_key_refused, with_credential
from midstream.run import Limits, Run
from midstream.streams.ending import Ending, Outcome
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
    "one that strayed before": (plain([*BEFORE, refused(86.1), stream(at=87.0), *steadily(90, 120)]), False),
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


# --- the laws: a key that died makes no run pass, nor does what else goes wrong ------------------------

_SECONDS = st.integers(min_value=810, max_value=1300).map(lambda tenths: tenths / 10)
_ENDINGS = st.sampled_from(list(Ending))
_WORSE = st.sampled_from([e for e in Ending if e.outcome in (Outcome.LOST, Outcome.REFUSED)])


@st.composite
def _other(draw):
    """Any stream that was not refused for its key, whole as often as not."""
    ending = draw(st.just(Ending.COMPLETE) | _ENDINGS)
    lasts = draw(st.sampled_from([0.1, 2.0, 25.0]))
    return stream(ending, at=draw(_SECONDS), lasts=lasts, fresh=draw(st.booleans()))


@st.composite
def _refusals(draw):
    """One time in which a key is refused: some requests alike, a quarter of a second apart."""
    begin_s, count = draw(_SECONDS), draw(st.sampled_from([1, 2, 3, 12, 120]))
    same = {"status": draw(st.sampled_from([401, 403])), "fresh": draw(st.sampled_from([True, True, False]))}
    return steadily(begin_s, begin_s + count / 4, **same)


@st.composite
def _runs(draw) -> Run:
    """A key refused once or more, beside whole streams, where the limits forgive much or little."""
    whole = draw(st.sampled_from([LONG, LONG, BEFORE, [], list(WHOLE)]))
    refusals = chain.from_iterable(draw(st.lists(_refusals(), min_size=1, max_size=3)))
    limits = st.builds(
        Limits,
        max_error_rate=st.sampled_from([0.05, 1.0]),
        min_stream_completion=st.sampled_from([0.0, 1.0]),
        max_crossing_lost=st.sampled_from([0, 999]),
        require_drain=st.booleans(),
    )
    records = (*whole, *refusals, *draw(st.lists(_other(), max_size=2)))
    drawn: Run = draw(st.sampled_from([run, plain]))(records, limits=draw(limits))
    return drawn


_RANK = {Decision.FAIL: 0, Decision.INCONCLUSIVE: 1, Decision.PASS: 2}


@settings(max_examples=300)
@given(_runs())
def test_no_run_passes_for_its_dead_key(judged):
    before, after = judge(judged).decision, judge(with_credential(judged)).decision
    if before is not Decision.PASS:
        assert after is not Decision.PASS


@settings(max_examples=300)
@given(_runs())
def test_all_refusals_are_read_anew_or_none_and_nothing_else_ever(judged):
    read = with_credential(judged)
    anew = [now.ending for was, now in zip(judged.streams, read.streams, strict=True) if is_key_refused(was)]
    assert set(anew) in ({Ending.HTTP_4XX}, {Ending.CREDENTIAL})
    for was, now in zip(judged.streams, read.streams, strict=True):
        assert now == (structs.replace(was, ending=anew[0]) if is_key_refused(was) else was)


@settings(max_examples=300)
@given(_runs(), st.data())
def test_what_else_goes_wrong_never_improves_a_run_with_a_dead_key(judged, data):
    complete = [number for number, record in enumerate(judged.streams) if record.ending is Ending.COMPLETE]
    if not complete:
        return
    number, ending = data.draw(st.sampled_from(complete)), data.draw(_WORSE)
    records = list(judged.streams)
    records[number] = structs.replace(records[number], ending=ending)
    worse = structs.replace(judged, streams=tuple(records))
    assert _RANK[judge(with_credential(worse)).decision] <= _RANK[judge(with_credential(judged)).decision], (
        ending
    )
