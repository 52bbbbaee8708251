import pytest
from msgspec import structs

from midstream.checks.check import Status
from midstream.checks.reachability import reachability
from midstream.cohorts import read_cohorts
from midstream.rollouts.timeline import Timeline
from midstream.streams.ending import Ending
from tests.midstream.builders import pulse, run, streams

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


def test_kept_connections_that_fail_while_new_ones_are_served_are_a_blackout_too():
    kept = [structs.replace(each, fresh=False) for each in pulses((100.5, 105), ending=Ending.HTTP_5XX)]
    assert ask([*pulses(), *kept]).status is FAIL


def test_the_resolution_is_printed():
    assert ask(pulses((100.5, 100.9))).observed == "between 0.4 s and 0.6 s"


def test_without_pulses_nothing_is_known():
    answer = ask(streams(80))
    assert (answer.status, answer.why) == (
        Status.NOT_EXAMINED,
        "long streams cannot tell whether new ones could begin",
    )


def test_without_a_cutover_it_is_not_known_either():
    assert ask(pulses(), timeline=Timeline()).status is INCONCLUSIVE
