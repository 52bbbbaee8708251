import pytest
from msgspec import structs

from midstream.checks import examine
from midstream.checks.check import Status
from midstream.cohorts import read_cohorts
from midstream.run import PreviewFinding, ScriptEnd, State
from midstream.streams.ending import Ending
from tests.midstream.builders import LIMITS, plain, run, streams


def statuses(asked):
    return {check.name: check.status for check in examine(asked, read_cohorts(asked))}


def test_a_promotion_is_asked_everything():
    asked = statuses(run())
    assert list(asked) == [
        "preview",
        "crossing_lost",
        "at_sigterm",
        "reachability",
        "routing",
        "rollout",
        "error_rate",
        "5xx_rate",
        "completion",
        "script",
        "baseline",
        "ledger",
        "ourselves",
        "second_witness",
    ]
    assert {name for name, status in asked.items() if status is Status.NOT_EXAMINED} == {
        "reachability",
        "second_witness",
    }


def test_a_plain_load_is_asked_the_thresholds_and_what_makes_them_true():
    assert list(statuses(plain(streams(5)))) == [
        "error_rate",
        "5xx_rate",
        "completion",
        "script",
        "ledger",
        "ourselves",
    ]


def test_optional_limits_are_asked_when_they_are_set():
    limits = structs.replace(LIMITS, max_ttft_p95_s=1.0, max_gap_s=2.0)
    assert {"ttft_p95", "max_gap"} < set(statuses(plain(streams(5), limits=limits)))


BROKEN = ScriptEnd(state=State.BASELINE, reason="9 of 20 lost", baseline_failed=True)


@pytest.mark.parametrize("records", [streams(80), streams(80, Ending.RESET)], ids=["all whole", "all lost"])
def test_a_broken_baseline_voids_every_check_on_the_service(records):
    asked = statuses(run(records, script=BROKEN, preview=PreviewFinding(fit=False)))
    assert Status.FAIL not in asked.values()
    assert {name for name, status in asked.items() if status is Status.PASS} == {"ledger", "ourselves"}


def test_a_broken_baseline_voids_what_was_not_examined_too():
    """Found by the law: a stream less at SIGTERM turned this check from void into not examined."""
    easy = structs.replace(LIMITS, require_drain=False)
    asked = statuses(run(streams(80), script=BROKEN, limits=easy))
    assert asked["at_sigterm"] is Status.INCONCLUSIVE
