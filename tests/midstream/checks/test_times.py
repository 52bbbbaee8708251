import pytest
from msgspec import structs

from midstream.checks.check import Status
from midstream.checks.times import max_gap, ttft_p95
from midstream.cohorts import read_cohorts
from midstream.run import LateSpell
from midstream.streams.ending import Ending
from midstream.streams.record import Gap
from tests.midstream.builders import LIMITS, ns, plain, pulse, stream, streams

PASS, FAIL, INCONCLUSIVE = Status.PASS, Status.FAIL, Status.INCONCLUSIVE
BOTH = structs.replace(LIMITS, max_ttft_p95_s=1.0, max_gap_s=2.0)


def ask(question, *records, **changes):
    asked = plain(records, limits=BOTH, **changes)
    return question(asked, read_cohorts(asked))


def slow(ttft_s, count=1, **changes):
    return streams(count, first_token_ns=ns(95 + ttft_s), **changes)


@pytest.mark.parametrize(
    ("records", "status"),
    [
        pytest.param(slow(0.5, 100), PASS, id="all quick"),
        pytest.param(slow(1.0, 100), PASS, id="at the limit"),
        pytest.param((*slow(0.5, 95), *slow(3, 5)), PASS, id="5 % slow"),
        pytest.param((*slow(0.5, 94), *slow(3, 6)), FAIL, id="6 % slow"),
        pytest.param((*slow(0.5, 94), *streams(6, Ending.CONNECT_REFUSED)), FAIL, id="6 % without any token"),
        pytest.param(
            (*slow(0.5, 94), *streams(6, Ending.CUT, first_token_ns=None)), PASS, id="cut before a token"
        ),
        pytest.param(
            (*slow(0.5, 3), *slow(0.5, 2, uncertain_tokens=90), *streams(1, Ending.NAME_UNRESOLVED)),
            FAIL,
            id="one refused, however many tokens of others were read late",
        ),
        pytest.param((*slow(0.5), pulse(95, first_token_ns=ns(99))), PASS, id="pulses are not asked"),
        pytest.param((), INCONCLUSIVE, id="no stream"),
    ],
)
def test_ttft_p95(records, status):
    assert ask(ttft_p95, *records).status is status


@pytest.mark.parametrize(
    ("ttft_s", "uncertain", "status"),
    [
        pytest.param(1.5, 1, INCONCLUSIVE, id="beyond the limit by our own delay perhaps"),
        pytest.param(1.5, 0, FAIL, id="read in time all the same"),
        pytest.param(1.7, 1, FAIL, id="beyond it without our delay too"),
        pytest.param(0.9, 1, PASS, id="within it even so"),
    ],
)
def test_a_first_token_that_we_may_have_read_late(ttft_s, uncertain, status):
    late = (LateSpell(from_ns=ns(95.1), to_ns=ns(95.7)),)
    assert ask(ttft_p95, *slow(ttft_s, uncertain_tokens=uncertain), late=late).status is status


def silent(length_s, *, certain=True, **changes):
    gap = Gap(start_ns=ns(96), end_ns=ns(96 + length_s), certain=certain)
    return stream(longest_gaps=(gap,), **changes)


STALLED = stream(Ending.STALLED, at=90, lasts=30, last_token_ns=ns(100))


@pytest.mark.parametrize(
    ("record", "changes", "status"),
    [
        pytest.param(stream(), {}, PASS, id="none"),
        pytest.param(silent(2), {}, PASS, id="at the limit"),
        pytest.param(silent(2.1), {}, FAIL, id="beyond"),
        pytest.param(silent(2.1, certain=False), {}, INCONCLUSIVE, id="beyond, but read too late to be sure"),
        pytest.param(STALLED, {}, FAIL, id="the silence that a stream ended in"),
        pytest.param(
            STALLED,
            {"late": (LateSpell(from_ns=ns(105), to_ns=ns(115)),)},
            INCONCLUSIVE,
            id="the same, while we were late",
        ),
    ],
)
def test_max_gap(record, changes, status):
    assert ask(max_gap, record, **changes).status is status
