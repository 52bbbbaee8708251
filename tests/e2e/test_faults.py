"""Each fault of the rehearsal comes out as the right verdict with its cause, whatever it is called."""

import pytest

from tests.e2e.fault_table import EXIT_CODES, ROWS
from tests.e2e.scenarios import SCENARIOS

# Every drain shows it by pulses on kept connections, which a fast end of the old pods may leave out.
OF_POOLING = {"kept_connection_drained"}
CASES = [
    pytest.param(
        row, id=row.name, marks=[pytest.mark.whole_run(row.name), *[pytest.mark.rare] * (not row.always)]
    )
    for row in ROWS
]


def test_make_test_stays_within_its_budget_of_whole_runs():
    others = SCENARIOS.keys() - {row.name for row in ROWS}
    of_scripts = 2  # tests/scripts/test_on_a_rehearsal.py: a promotion, a plain load
    assert len(others) + sum(row.always for row in ROWS) + of_scripts <= 30


@pytest.mark.parametrize("found", CASES)
def test_verdict_and_exit_code(ended, found):
    assert ended.verdict["verdict"] == found.verdict, ended.output
    assert ended.exit_code == ended.verdict["exit_code"] == EXIT_CODES[found.verdict]
    assert found.words in ended.verdict["sentence"]
    assert not ended.survivors


@pytest.mark.parametrize("found", CASES)
def test_cause_with_its_evidence(ended, found):
    causes = ended.verdict["causes"]
    assert {cause["cause"] for cause in causes} - OF_POOLING == found.causes
    assert all(cause["evidence"] and cause["mend"] for cause in causes)
    shown = {cause["cause"] for cause in causes if cause["line"] in _flat(ended.output)}
    assert shown >= found.causes  # of many groups the console shows the largest


@pytest.mark.parametrize("found", CASES)
def test_failed_streams_by_their_endings(ended, found):
    failed = {stream["ending"] for stream in ended.streams if stream["outcome"] in ("lost", "refused")}
    assert found.endings <= failed <= found.endings | found.perhaps


@pytest.mark.whole_run("bad-preview")
def test_an_unfit_revision_is_never_promoted(ended):
    assert not {"T7", "T8"} & ended.marks.keys()


@pytest.mark.rare
@pytest.mark.whole_run("stale-keep-alive")
def test_requests_that_met_the_end_of_a_kept_connection_were_repeated(ended):
    repeated = [record for record in ended.records if record["stale_retried"]]
    assert {stream["lane"] for stream in repeated} == {"main", "pulse"}
    assert {stream["outcome"] for stream in repeated} == {"complete"}


@pytest.mark.whole_run("promote-ignored")
def test_a_promotion_that_is_ignored_makes_no_cutover(ended):
    assert "T6" in ended.marks
    assert "T8" not in ended.marks


@pytest.mark.whole_run("ten-users")
def test_ten_users_are_too_few_to_say(ended):
    assert ended.exit_code == 3
    assert ended.verdict["verdict"] == "INCONCLUSIVE"
    check = ended.check("crossing_lost")
    assert check["status"] == "inconclusive"
    assert "59" in check["why"]
    assert "raise -u" in check["why"]


def _flat(output: str) -> str:
    return " ".join(output.split())
