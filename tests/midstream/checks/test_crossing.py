from typing import Any

import pytest
from msgspec import structs

from midstream.checks.check import Status
from midstream.checks.crossing import at_sigterm, crossing_lost
from midstream.cohorts import read_cohorts
from midstream.rollouts.timeline import MarkName, Timeline
from midstream.run import LateSpell, LedgerCount, PreviewFinding
from midstream.streams.ending import Ending
from tests.midstream.builders import BUDGET, LIMITS, ns, pulse, run, stream, streams, timeline

PASS, FAIL, INCONCLUSIVE, NOT_EXAMINED = Status.PASS, Status.FAIL, Status.INCONCLUSIVE, Status.NOT_EXAMINED
LONG: dict[str, Any] = {"at": 95.0, "lasts": 15.0}  # open at SIGTERM
NONE_NEEDED = structs.replace(LIMITS, min_crossing=0)
ONE_LOST = structs.replace(LIMITS, max_crossing_lost=1)


def ask(question, records=None, **changes):
    asked = run(records, **changes)
    return question(asked, read_cohorts(asked))


@pytest.mark.parametrize(
    ("records", "changes", "status"),
    [
        pytest.param(streams(80), {}, PASS, id="80 of 80 whole"),
        pytest.param(streams(59), {}, PASS, id="exactly enough"),
        pytest.param(streams(58), {}, INCONCLUSIVE, id="one too few"),
        pytest.param((), {}, INCONCLUSIVE, id="none"),
        pytest.param(
            streams(80, at=80.0, lasts=15.0), {"limits": NONE_NEEDED}, INCONCLUSIVE, id="all over before T8"
        ),
        pytest.param(streams(80, lasts=9.0), {"timeline": timeline(width=10)}, INCONCLUSIVE, id="T8 vague"),
        pytest.param((*streams(79), stream(Ending.ABORTED)), {}, FAIL, id="one lost"),
        pytest.param((*streams(10), stream(Ending.ABORTED)), {}, FAIL, id="one lost of too few"),
        pytest.param(
            (*streams(79), stream(Ending.ABORTED)), {"limits": ONE_LOST}, PASS, id="one lost, one allowed"
        ),
        pytest.param(
            (*streams(58), stream(Ending.ABORTED)),
            {"limits": ONE_LOST},
            PASS,
            id="a surely crossing loss is one of 59",
        ),
        pytest.param(
            (*streams(58), stream(Ending.ABORTED, at=80, lasts=19.99)),
            {"limits": ONE_LOST},
            INCONCLUSIVE,
            id="a loss that only may have crossed does not help to have enough",
        ),
        pytest.param((*streams(79), stream(Ending.CUT)), {}, INCONCLUSIVE, id="one cut by us"),
        pytest.param(
            (*streams(79), stream(Ending.CUT)), {"limits": ONE_LOST}, PASS, id="one cut by us, one allowed"
        ),
        pytest.param(
            (*streams(78), stream(Ending.CUT), stream(Ending.RESET)), {}, FAIL, id="one lost whatever we cut"
        ),
        pytest.param(
            (*streams(80), stream(Ending.CUT, at=110)), {}, PASS, id="one cut by us that did not cross"
        ),
        pytest.param((*streams(80), stream(Ending.ABORTED, at=70)), {}, PASS, id="one lost long before"),
        pytest.param((*streams(80), pulse(99.8, Ending.RESET)), {}, FAIL, id="a crossing pulse lost"),
        pytest.param(
            (*streams(58), *(pulse(99.8),) * 9), {}, INCONCLUSIVE, id="pulses do not help to have enough"
        ),
        pytest.param(
            streams(80),
            {"ledger": LedgerCount(opened=81, closed=80, still_open=1)},
            INCONCLUSIVE,
            id="one without a record may have crossed",
        ),
        pytest.param(streams(80), {"timeline": Timeline()}, INCONCLUSIVE, id="no cutover"),
        pytest.param(
            streams(80, Ending.RESET, at=80, lasts=19.99), {}, FAIL, id="cut by the data plane as it switched"
        ),
    ],
)
def test_crossing_lost(records, changes, status):
    assert ask(crossing_lost, records, **changes).status is status


def test_too_few_crossing_streams_say_what_to_do():
    assert "raise -u to 59 or more" in ask(crossing_lost, streams(10)).why


def test_streams_that_only_may_have_crossed_say_how_vague_the_cutover_is():
    """More users would not help there."""
    why = ask(crossing_lost, streams(80, lasts=9.0), timeline=timeline(width=10)).why
    assert "80 more ended or began within the 10 s in which the cutover lies" in why
    assert "raise -u" not in why


def test_the_own_delay_makes_a_stalled_stream_a_doubt_and_a_reset_one_none():
    late = (LateSpell(from_ns=ns(110), to_ns=ns(120)),)
    stalled = stream(Ending.STALLED, at=95, lasts=30, last_token_ns=ns(106))
    assert ask(crossing_lost, (*streams(80), stalled)).status is FAIL
    assert ask(crossing_lost, (*streams(80), stalled), late=late).status is INCONCLUSIVE
    reset = stream(Ending.RESET, at=95, lasts=30)
    assert ask(crossing_lost, (*streams(80), reset, stalled), late=late).status is FAIL


@pytest.mark.parametrize("question", [crossing_lost, at_sigterm])
def test_after_an_unfit_preview_there_is_no_cutover_to_ask_about(question):
    unfit = PreviewFinding(fit=False, why="garbage")
    assert ask(question, timeline=Timeline(), preview=unfit).status is NOT_EXAMINED


EASY = structs.replace(LIMITS, require_drain=False)


@pytest.mark.parametrize(
    ("records", "changes", "status"),
    [
        pytest.param((stream(**LONG),), {}, PASS, id="one open and whole"),
        pytest.param((stream(**LONG), stream(Ending.ABORTED, **LONG)), {}, FAIL, id="one lost"),
        pytest.param(
            (stream(**LONG), stream(Ending.ABORTED, **LONG)),
            {"limits": structs.replace(LIMITS, max_crossing_lost=9)},
            FAIL,
            id="one lost, whatever may be lost crossing",
        ),
        pytest.param((stream(**LONG), stream(Ending.CUT, **LONG)), {}, INCONCLUSIVE, id="one cut by us"),
        pytest.param(
            (stream(**LONG),),
            {"ledger": LedgerCount(opened=2, closed=1, still_open=1)},
            INCONCLUSIVE,
            id="one without a record may have been lost",
        ),
        pytest.param(
            (stream(**LONG),), {"timeline": timeline(width=12)}, INCONCLUSIVE, id="SIGTERM known to 12 s only"
        ),
        pytest.param(streams(80), {}, INCONCLUSIVE, id="none open"),
        pytest.param(streams(80), {"limits": EASY}, NOT_EXAMINED, id="none open, and none demanded"),
        pytest.param(
            (stream(**LONG),), {"timeline": timeline(marks=())}, INCONCLUSIVE, id="SIGTERM not seen"
        ),
        pytest.param((stream(**LONG),), {"timeline": Timeline()}, INCONCLUSIVE, id="no cutover"),
    ],
)
def test_at_sigterm(records, changes, status):
    assert ask(at_sigterm, records, **changes).status is status


def test_a_sigterm_that_was_not_seen_is_not_said_to_have_met_no_stream():
    """Longer streams would not help: scaleDownDelaySeconds 0 for one never ends the old pods."""
    why = ask(at_sigterm, timeline=timeline(without=[MarkName.T13])).why
    assert "no SIGTERM was seen" in why
    assert "--stream-seconds" not in why


def test_none_open_at_sigterm_says_how_long_streams_were_proven():
    assert "the longest one was whole 5 s after the cutover" in ask(at_sigterm, streams(80)).why


VAGUE = timeline(width=8.0)  # T13 lies within 8 s


def test_a_vague_sigterm_is_not_said_to_have_met_no_stream():
    why = ask(at_sigterm, streams(80, lasts=12.0), timeline=VAGUE).why
    assert "80 streams may have been open at SIGTERM, none surely" in why
    assert "within 8 s: see the gaps of the watches" in why


@pytest.mark.parametrize("question", [crossing_lost, at_sigterm])
def test_a_moment_that_is_vague_by_our_own_delay_is_said_to_be_so(question):
    late = (LateSpell(from_ns=ns(98), to_ns=ns(106)),)
    why = ask(question, streams(80, at=93.0, lasts=6.0), timeline=VAGUE, late=late).why
    assert "the load generator was too slow: " in why
    assert "Give it more CPU" in why


def test_old_pods_that_stay_for_ever_get_no_sigterm():
    never = structs.replace(BUDGET, scale_down_delay_s=None)
    why = ask(at_sigterm, timeline=timeline(without=[MarkName.T13]), budget=never).why
    assert "scaleDownDelaySeconds is 0" in why
