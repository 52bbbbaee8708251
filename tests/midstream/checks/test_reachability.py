import pytest
from msgspec import structs

from midstream.checks.check import Status
from midstream.checks.reachability import kept_connections, reachability
from midstream.cohorts import read_cohorts
from midstream.rollouts.timeline import Timeline
from midstream.streams.ending import Ending
from midstream.verdict import judge
from tests.midstream.builders import LIMITS, pulse, run, streams

PASS, FAIL, INCONCLUSIVE = Status.PASS, Status.FAIL, Status.INCONCLUSIVE


def pulses(*failed, step=0.1, ending=Ending.CONNECT_REFUSED, until=131.0):
    """Pulses from before the cutover on; those in a [from, to] of `failed` were not answered."""
    times = [95 + step * number for number in range(round((until - 95) / step))]
    bad = [any(since <= round(at, 6) <= to for since, to in failed) for at in times]
    return [pulse(at, ending if is_bad else Ending.COMPLETE) for at, is_bad in zip(times, bad, strict=True)]


def ask(records, **changes):
    asked = run(records, **changes)
    return reachability(asked, read_cohorts(asked))


@pytest.mark.parametrize(
    ("records", "status"),
    [
        pytest.param(pulses(), PASS, id="always answered"),
        pytest.param(pulses((100.5, 100.9)), PASS, id="half a second, printed only"),
        pytest.param(
            pulses((100.5, 101.5)), INCONCLUSIVE, id="at the limit by the pulses, beyond it perhaps"
        ),
        pytest.param(pulses((100.5, 101.6)), FAIL, id="surely beyond the limit"),
        pytest.param(pulses((100.5, 100.9), (102, 102.4)), PASS, id="two short ones do not add up"),
        pytest.param(pulses((100.5, 105), ending=Ending.HTTP_5XX), FAIL, id="503 is no answer"),
        pytest.param(pulses((100.5, 105), ending=Ending.RESET), FAIL, id="a lost pulse is no answer"),
        pytest.param(
            pulses((100.5, 105), ending=Ending.MIXED_REVISION), PASS, id="an answer of two labels is one"
        ),
        pytest.param(pulses((100.5, 105), ending=Ending.CUT), INCONCLUSIVE, id="pulses we cut tell nothing"),
        pytest.param(pulses((95, 99.8)), PASS, id="unreachable only before the cutover"),
        pytest.param(pulses(step=1.5), INCONCLUSIVE, id="too few to tell"),
        pytest.param(pulses(until=110.0), INCONCLUSIVE, id="ended before the watch was over"),
        pytest.param([pulse(90)], INCONCLUSIVE, id="none after the cutover"),
    ],
)
def test_the_longest_time_without_an_answer(records, status):
    assert ask(records).status is status


def test_kept_connections_do_not_hide_that_new_ones_are_refused():
    fresh = pulses((100.5, 105))
    kept = [structs.replace(each, fresh=False, opened_ns=each.opened_ns + 50_000_000) for each in pulses()]
    assert ask([*fresh, *kept]).status is FAIL


def test_kept_connections_alone_show_nothing_of_new_ones():
    kept = [structs.replace(each, fresh=False) for each in pulses()]
    answer = ask(kept)
    assert answer.status is INCONCLUSIVE
    assert "new connections" in answer.why


LATE = (100.5, 105)  # when kept connections got no answer


def kept(*failed):
    return [structs.replace(each, fresh=False) for each in pulses(*failed, ending=Ending.HTTP_5XX)]


def test_kept_connections_that_fail_while_new_ones_are_served_are_no_blackout():
    assert ask([*pulses(), *kept(LATE)]).status is PASS


@pytest.mark.parametrize(
    ("records", "limit_s", "status"),
    [
        pytest.param(kept(LATE), 1, FAIL, id="for longer than the limit"),
        pytest.param(kept(LATE), 5, PASS, id="not for so long"),
        pytest.param(kept(LATE), 4.55, INCONCLUSIVE, id="perhaps for longer"),
        pytest.param(pulses(LATE), 1, Status.NOT_EXAMINED, id="no pulse kept its connection"),
    ],
)
def test_kept_connections_have_a_limit_of_their_own(records, limit_s, status):
    limits = structs.replace(LIMITS, max_kept_blackout_s=limit_s)
    asked = run(records, limits=limits)
    assert kept_connections(asked, read_cohorts(asked)).status is status


def test_kept_connections_are_only_asked_for_with_a_limit():
    names = [check.name for check in judge(run((*streams(80), *kept(LATE)))).checks]
    assert "kept_connections" not in names


def test_length_moment_resolution_are_printed():
    answer = ask(pulses((101.5, 101.9)))
    assert answer.observed == "between 0.4 s and 0.6 s, from T8 +1.5 s"
    assert answer.evidence == "360 pulses on new connections, one every 0.1 s"


def test_without_pulses_nothing_is_known():
    answer = ask(streams(80))
    assert answer.status is Status.NOT_EXAMINED
    assert "--pulse" in answer.why


def test_without_a_cutover_it_is_not_known_either():
    assert ask(pulses(), timeline=Timeline()).status is INCONCLUSIVE
