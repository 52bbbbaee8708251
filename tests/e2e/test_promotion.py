"""The main job: a whole promotion under live streams, by the real command line."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

PASS = "PASS (rehearsal: nothing of yours was tested)"
ORDER = ("T0", "T1", "T3", "T4", "T6", "T7", "T8", "T11", "T12", "T13", "T14")
STATES = ("baseline", "trigger", "preview", "promote", "drain", "quiet", "done")
PSS_LIMIT = 600_000_000

pytestmark = pytest.mark.whole_run("promotion")


def test_passes_with_exit_code_0(ended):
    assert ended.exit_code == 0, ended.output
    assert ended.verdict["verdict"] == "PASS"
    assert ended.verdict["exit_code"] == 0
    assert ended.verdict["sentence"].startswith(PASS)
    assert PASS in ended.output


def test_enough_streams_cross_the_cutover_and_meet_sigterm(ended):
    cohorts = [stream["cohorts"] for stream in ended.streams]
    assert sum("crossing" in names for names in cohorts) >= 59
    assert sum("at SIGTERM" in names for names in cohorts) >= 1
    assert {stream["outcome"] for stream in ended.streams} == {"complete"}


def test_says_each_state_and_each_mark_as_it_comes(ended):
    states = [line.split()[3].rstrip(":") for line in ended.output.splitlines() if re.match(r"\[ +\d", line)]
    assert [state for state in dict.fromkeys(states) if state in STATES] == list(STATES)
    for mark in ORDER:
        assert re.search(rf"\] {mark} ", ended.output), mark
    assert re.search(r"\| open: \w+ \d+, \w+ \d+", ended.output), "streams open per revision"


def test_marks_come_in_argos_order(ended):
    """Marks of different kinds come on watches of their own: each moment is known as an interval."""
    marks = {mark["name"]: mark for mark in reversed(ended.timeline["marks"])}
    for earlier, later in pairwise(ORDER):
        assert marks[earlier]["not_before_ns"] < marks[later]["seen_ns"], (earlier, later)
    for earlier, later in (("T0", "T4"), ("T4", "T8"), ("T8", "T12"), ("T12", "T14")):
        assert marks[earlier]["seen_ns"] < marks[later]["seen_ns"], (earlier, later)


def test_promotes_through_the_api_alone(ended):
    sources = {mark["name"]: mark["source"] for mark in ended.timeline["marks"]}
    assert sources["T7"].startswith("own patch (promote)")
    assert sources["T8"] == "watch Service/vllm-stable spec.selector"
    assert "midstream-rehearsal" in ended.verdict["subject"]["kubernetes"]


def test_each_stream_is_one_request_of_locust_and_one_record(ended):
    assert ended.requests == len(ended.streams)
    assert len(ended.records) == ended.verdict["ledger"]["opened"]
    assert len({record["id"] for record in ended.records}) == len(ended.records)


def test_tells_both_revisions_with_their_images(ended):
    subject = ended.verdict["subject"]
    assert subject["old"]["images"] == {"vllm": "midstream/engine:v1"}
    assert subject["new"]["images"] == {"vllm": "midstream/engine:v2"}
    assert all("sha256:" in subject[side]["digests"]["vllm"] for side in ("old", "new"))
    labels = {label for stream in ended.streams for label in stream["revisions"]}
    assert labels == {subject["old"]["revision"], subject["new"]["revision"]}


@pytest.mark.parametrize(
    "words",
    [
        "TTFT p50",
        "TTFT p95",
        "ITL p50",
        "ITL p99",
        "tokens/s",
        "completion rate",
        "error rate",
        "HTTP status",
    ],
)
def test_prints_the_figures(ended, words):
    assert words in ended.output


def test_prints_headroom_and_files(ended):
    assert "headroom" in ended.output
    assert f"{ended.folder.parent.name}/" in ended.output
    assert {"verdict.json", "timeline.json", "streams.jsonl"} <= {
        file.name for file in ended.folder.iterdir()
    }


def test_checks_have_their_parts(ended):
    for check in ended.verdict["checks"]:
        assert {"name", "status", "observed", "limit", "why"} <= check.keys()
        assert check["status"] in ("pass", "fail", "inconclusive", "not_examined")


def test_the_seeds_summary_is_written():
    content = json.loads(Path("/tmp/stream_load_results.json").read_text())
    assert {"total", "completed", "completion_rate", "error_rate", "5xx_rate", "verdict"} <= content.keys()


def test_the_whole_tree_is_small_and_ends_with_the_run(ended):
    assert 0 < ended.peak_pss < PSS_LIMIT
    assert not ended.survivors


def test_pulses_tell_that_the_service_could_be_reached(ended):
    pulses = [record for record in ended.records if record["lane"] == "pulse"]
    assert {True, False} == {pulse["fresh"] for pulse in pulses}
    assert ended.check("reachability")["status"] == "pass"
    assert {row for row in ended.rows if row[0] == "pulse"}  # in Locust's table, yet no request
    assert ("pulse", "SSE") not in ended.rows


def test_the_pass_is_proven_by_a_pod_that_was_killed_on_purpose(ended):
    assert ended.check("negative_control")["status"] == "pass"
    assert "killed on purpose" in ended.verdict["sentence"]
