"""A rehearsal's plan that does not fit, shown and not run."""

import re

import pytest

pytestmark = pytest.mark.whole_run("dry-run")


def test_it_ends_well_and_writes_nothing(ended):
    assert ended.exit_code == 0, ended.output
    assert ended.folder is None
    assert ended.requests is None  # Locust made no table: there was no load
    assert not ended.survivors


def test_what_does_not_fit_is_said_with_what_to_do(ended):
    told = " ".join(ended.output.partition("what does not fit")[2].split())
    assert re.search(r"streams last 40\d s of the 500 s wanted: the model's context holds 8,192 tokens", told)
    assert re.search(r"the engine holds 255 of 300 streams .*: lower -u to 255 or --stream-seconds to", told)
    assert "outlive the 33 s that the old revision has after the cutover" in told


def test_the_page_tells_the_target_and_the_deadlines(ended):
    assert "LoadBalancer 127." in ended.output
    assert re.search(r"cutover +8 s +--cutover-limit", ended.output)
