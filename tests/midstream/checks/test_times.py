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
        pytest.param((*slow(0.5), pulse(95, first_token_ns=ns(99))), PASS, id="pulses are not asked"),
        pytest.param((), INCONCLUSIVE, id="no stream"),
        pytest.param(slow(0.5, 10, uncertain_tokens=21), INCONCLUSIVE, id="21 % of the tokens read too late"),
        pytest.param(slow(0.5, 10, uncertain_tokens=20), PASS, id="20 % of the tokens read too late"),
    ],
)
def test_ttft_p95(records, status):
    assert ask(ttft_p95, *records).status is status


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
        pytest.param(silent(1, uncertain_tokens=21), {}, INCONCLUSIVE, id="too many tokens read too late"),
        pytest.param(silent(3, uncertain_tokens=90), {}, FAIL, id="a certain one stays"),
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
