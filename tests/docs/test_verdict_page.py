"""docs/Verdict.md says what the code says."""

from pathlib import Path

import pytest

from midstream.checks import QUESTIONS
from midstream.checks.check import Status
from midstream.rehearsal.faults import bundled_faults
from tests.docs.check_examples import answers, missing
from tests.docs.verdict_page import page, read_lines
from tests.e2e.fault_table import BY_NAME, ROWS

PROJECT = Path(__file__).resolve().parents[2]
PAGE = PROJECT / "docs" / "Verdict.md"


def test_the_page_is_of_today():
    assert PAGE.read_text(encoding="utf-8") == page(), "docs/Verdict.md is stale: `make docs` writes it anew"


def test_every_check_has_examples():
    assert not missing()


@pytest.mark.parametrize(
    "name", [question.name for question in QUESTIONS if question.name != "second_witness"]
)
def test_the_examples_show_a_good_answer_and_another(name):
    statuses = [check.status for check in answers(name)]
    assert Status.PASS in statuses
    assert {Status.FAIL, Status.INCONCLUSIVE} & set(statuses)


def test_every_fault_has_a_row():
    assert {name for row in ROWS for name in row.fault_names} == bundled_faults().keys()


def test_what_runs_said_is_what_the_table_wants():
    for name, said in read_lines().items():
        assert said.sentence.startswith(BY_NAME[name].verdict)
        assert BY_NAME[name].words in said.sentence
