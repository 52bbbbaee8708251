import pytest
from msgspec import structs

from midstream.checks.check import Status
from midstream.checks.rates import completion, error_rate, rate_5xx
from midstream.cohorts import read_cohorts
from midstream.run import LateSpell
from midstream.streams.ending import Ending
from tests.midstream.builders import LIMITS, ns, plain, pulse, streams

PASS, FAIL, INCONCLUSIVE = Status.PASS, Status.FAIL, Status.INCONCLUSIVE
WHOLE, LOST, BUSY, DOWN = Ending.COMPLETE, Ending.TRUNCATED, Ending.HTTP_429, Ending.HTTP_5XX


def ask(question, records, **changes):
    asked = plain(records, **changes)
    return question(asked, read_cohorts(asked))


@pytest.mark.parametrize(
    ("question", "counts", "status", "observed"),
    [
        pytest.param(error_rate, {WHOLE: 100}, PASS, "0 %", id="errors: none"),
        pytest.param(error_rate, {WHOLE: 95, LOST: 3, BUSY: 2}, PASS, "5 %", id="errors: at the limit"),
        pytest.param(error_rate, {WHOLE: 94, LOST: 3, BUSY: 3}, FAIL, "6 %", id="errors: beyond"),
        pytest.param(error_rate, {}, INCONCLUSIVE, "none", id="errors: no stream"),
        pytest.param(error_rate, {Ending.CUT: 5}, INCONCLUSIVE, "none", id="errors: only our own endings"),
        pytest.param(
            error_rate, {WHOLE: 95, LOST: 5, Ending.CUT: 900}, PASS, "5 %", id="errors: ours dilute nothing"
        ),
        pytest.param(error_rate, {LOST: 1}, FAIL, "100 %", id="errors: the one stream lost"),
        pytest.param(rate_5xx, {WHOLE: 98, DOWN: 2}, PASS, "2 %", id="5xx: at the limit"),
        pytest.param(rate_5xx, {WHOLE: 97, DOWN: 3}, FAIL, "3 %", id="5xx: beyond"),
        pytest.param(rate_5xx, {WHOLE: 1, BUSY: 99}, PASS, "0 %", id="5xx: 429 is none"),
        pytest.param(rate_5xx, {}, INCONCLUSIVE, "none", id="5xx: no stream"),
        pytest.param(completion, {WHOLE: 90, LOST: 10}, PASS, "90 %", id="completion: at the limit"),
        pytest.param(completion, {WHOLE: 89, LOST: 11}, FAIL, "89 %", id="completion: below"),
        pytest.param(
            completion, {WHOLE: 9, BUSY: 91}, PASS, "100 %", id="completion: refused ones never began"
        ),
        pytest.param(completion, {BUSY: 5}, INCONCLUSIVE, "none", id="completion: none began"),
        pytest.param(completion, {LOST: 5}, FAIL, "0 %", id="completion: all lost"),
    ],
)
def test_rates_of_the_main_lane(question, counts, status, observed):
    records = [record for ending, count in counts.items() for record in streams(count, ending)]
    answer = ask(question, records)
    assert (answer.status, answer.observed) == (status, observed)


@pytest.mark.parametrize("question", [error_rate, rate_5xx, completion])
def test_pulses_dilute_no_rate(question):
    answer = ask(question, [*streams(1, DOWN), *streams(1, LOST), *(pulse(80 + at) for at in range(50))])
    assert answer.status is FAIL


@pytest.mark.parametrize("question", [error_rate, completion])
def test_losses_that_our_own_delay_may_have_made_are_no_proof(question):
    stalled = streams(20, Ending.STALLED, at=90, lasts=30, last_token_ns=ns(100))
    late = (LateSpell(from_ns=ns(105), to_ns=ns(115)),)
    assert ask(question, [*streams(80), *stalled]).status is FAIL
    doubted = ask(question, [*streams(80), *stalled], late=late)
    assert doubted.status is INCONCLUSIVE
    assert "load generator was too slow" in doubted.why
    assert ask(question, [*streams(80), *stalled, *streams(20, LOST)], late=late).status is FAIL


def test_a_limit_of_the_users_own_holds():
    limits = structs.replace(LIMITS, max_error_rate=0.5)
    assert ask(error_rate, [*streams(1), *streams(1, LOST)], limits=limits).status is PASS
