import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from midstream.checks.check import Status
from midstream.checks.times import max_gap, ttft_p95
from midstream.cohorts import read_cohorts
from midstream.run import LateSpell
from midstream.streams.clock import Clocks
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
        pytest.param(1.81, 1, FAIL, id="beyond it without our delay too"),
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


def test_no_stream_with_a_token_shows_no_silence():
    for records in ((), (stream(Ending.CONNECT_REFUSED),), (pulse(95),)):
        assert ask(max_gap, *records).status is INCONCLUSIVE


def test_what_was_seen_of_the_longest_silence():
    seen = [
        ask(max_gap, *records).observed
        for records in ((silent(1),), (silent(1), silent(3, certain=False)), (silent(1.5, certain=False),))
    ]
    assert seen == ["1 s", "1 s, perhaps 3 s", "up to 1.5 s"]


STAMPED = Clocks(reads=1000)
UNSTAMPED = Clocks(reads=1000, undated_reads=1000)


@pytest.mark.parametrize(
    ("clocks", "words"),
    [
        pytest.param(STAMPED, "kernel stamps", id="all stamped"),
        pytest.param(UNSTAMPED, "user-space stamps", id="none stamped"),
        pytest.param(
            Clocks(reads=1000, undated_reads=30),
            "kernel stamps, 3 % of the reads by user-space stamps",
            id="some",
        ),
        pytest.param(Clocks(), "no read was dated", id="nothing read"),
    ],
)
def test_the_evidence_is_what_dated_the_reads(clocks, words):
    for question in (ttft_p95, max_gap):
        assert ask(question, *slow(0.5), clocks=clocks).evidence == words


@pytest.mark.parametrize(
    ("clocks", "words"),
    [
        pytest.param(STAMPED, "read too late", id="our delay"),
        pytest.param(UNSTAMPED, "the kernel dated too few reads", id="no stamps"),
        pytest.param(structs.replace(STAMPED, steps=1), "the wall clock was set", id="clock set"),
    ],
)
def test_why_a_time_is_not_known_better(clocks, words):
    assert words in ask(ttft_p95, *slow(1.05, uncertain_tokens=100), clocks=clocks).why
    assert words in ask(max_gap, silent(2.1, certain=False), clocks=clocks).why


@pytest.mark.parametrize("ttft_s", [0.5, 3.0], ids=["quick", "slow"])
def test_a_clock_that_was_set_leaves_only_the_first_tokens_that_never_came(ttft_s):
    stepped = structs.replace(STAMPED, steps=1)
    assert ask(ttft_p95, *slow(ttft_s), clocks=stepped).status is INCONCLUSIVE
    assert ask(ttft_p95, stream(Ending.CONNECT_REFUSED), clocks=stepped).status is FAIL
    assert ask(max_gap, silent(ttft_s), clocks=stepped).status is INCONCLUSIVE


_LENGTHS_S = st.integers(0, 40).map(lambda tenths: tenths / 10)
_STREAMS = st.lists(
    st.builds(
        lambda ttft_s, gap_s, certain, uncertain: silent(
            gap_s, certain=certain, first_token_ns=ns(95 + ttft_s), uncertain_tokens=uncertain
        ),
        _LENGTHS_S,
        _LENGTHS_S,
        st.booleans(),
        st.sampled_from([0, 50]),
    ),
    min_size=1,
    max_size=4,
)
_LATE = st.sampled_from([(), (LateSpell(from_ns=ns(95.2), to_ns=ns(96.1)),)])
_LESS = ("an uncertain token", "an uncertain gap", "a later gap end", "a step", "no stamps", "a late spell")


@given(_STREAMS, _LATE, st.sampled_from([0, 1]), st.sampled_from(_LESS))
def test_times_that_are_less_certain_never_turn_into_a_pass_or_a_fail(records, late, steps, less):
    clocks = structs.replace(STAMPED, steps=steps)
    worse, worse_late, worse_clocks = list(records), late, clocks
    (gap,) = records[0].longest_gaps
    match less:
        case "an uncertain token":
            worse[0] = structs.replace(records[0], uncertain_tokens=60)
        case "an uncertain gap":
            worse[0] = structs.replace(records[0], longest_gaps=(structs.replace(gap, certain=False),))
        case "a later gap end":
            longer = structs.replace(gap, certain=False, end_ns=gap.end_ns + ns(0.5))
            worse[0] = structs.replace(records[0], longest_gaps=(longer,))
        case "a step":
            worse_clocks = structs.replace(clocks, steps=steps + 1)
        case "no stamps":
            worse_clocks = structs.replace(clocks, undated_reads=1000)
        case _:
            worse_late = (LateSpell(from_ns=ns(95.1), to_ns=ns(96.9)),)
    for question in (ttft_p95, max_gap):
        before = ask(question, *records, late=late, clocks=clocks).status
        after = ask(question, *worse, late=worse_late, clocks=worse_clocks).status
        assert after in (before, INCONCLUSIVE)
