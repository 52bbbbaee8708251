import json
import os
from datetime import datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstream.reports.json import stream_lines, timeline_json, verdict_json, wall_time
from midstream.streams.ending import Ending
from midstream.streams.record import Evidence, StreamRecord
from tests.midstream.builders import NS, SUBJECT, ns, plain, run, stream
from tests.midstream.reports.recorded import failed, passed, report_of

KEYS = {"verdict", "exit_code", "subject", "target", "checks", "causes", "metrics", "cohorts"}
OF_A_CHECK = {"name", "status", "observed", "limit", "why"}


@pytest.mark.parametrize(
    "judged", [passed(), failed(), run([]), plain([])], ids=["pass", "fail", "empty", "plain"]
)
def test_verdict_json_always_has_the_same_keys(judged):
    found = json.loads(verdict_json(report_of(judged)))
    assert found.keys() >= KEYS
    assert found["checks"]
    assert all(check.keys() >= OF_A_CHECK for check in found["checks"])


def test_verdict_json_has_what_a_pipeline_reads():
    found = json.loads(verdict_json(report_of(failed())))
    assert (found["verdict"], found["exit_code"], found["target"]) == ("FAIL", 1, "http://127.20.1.2:8000")
    assert found["subject"]["old"]["revision"] == "7c9f"
    assert {"metrics", "cohorts", "reasons", "sentence"} < set(found)
    (crossing,) = [check for check in found["checks"] if check["name"] == "crossing_lost"]
    assert crossing | {"evidence": ""} == {
        "name": "crossing_lost",
        "status": "fail",
        "observed": "41 lost of 80",
        "limit": "<= 0 lost of >= 59",
        "why": "41 of 80 crossing streams were lost",
        "evidence": "",
    }
    (cause,) = found["causes"]
    assert (cause["cause"], cause["streams"]) == ("no_shutdown_timeout", 41)
    crossed = [row for row in found["cohorts"] if row["cohort"] == "crossing"]
    assert crossed[0]["outcomes"] == {"complete": 39, "lost": 41, "refused": 0, "ours": 0}


def test_statuses_are_the_four_words():
    found = json.loads(verdict_json(report_of(passed())))
    assert {check["status"] for check in found["checks"]} <= {"pass", "fail", "inconclusive", "not_examined"}
    assert found["exit_code"] == 0


def test_timeline_json_has_source_and_both_times_of_each_mark():
    judged = passed()
    found = json.loads(timeline_json(report_of(judged)))
    (cutover,) = [mark for mark in found["marks"] if mark["name"] == "T8"]
    assert cutover["source"] == "watch Service/vllm-stable spec.selector"
    assert (cutover["seen_ns"], cutover["not_before_ns"]) == (ns(100), ns(99.98))
    seen_s = (cutover["seen_ns"] + judged.wall_minus_monotonic_ns) / NS
    assert datetime.fromisoformat(cutover["wall"]).timestamp() == pytest.approx(seen_s, abs=0.001)
    assert {"cutovers", "gaps", "events", "connects", "late"} < set(found)


def test_each_stream_is_one_line_from_which_its_record_can_be_read_again():
    judged = failed()
    lines = list(stream_lines(report_of(judged)))
    assert len(lines) == 80
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    found = json.loads(lines[-1])
    assert (found["ending"], found["outcome"], found["revision"]) == ("aborted", "lost", "7c9f")
    assert found["cohorts"] == ["crossing", "at SIGTERM", "draining", "new"]
    assert msgspec.json.decode(lines[-1], type=StreamRecord) == judged.streams[-1]


_TIMES = st.none() | st.integers(min_value=0, max_value=2**62)
_ANY_STREAM = st.builds(
    stream,
    st.sampled_from(Ending),
    sent_ns=_TIMES,
    first_token_ns=_TIMES,
    gap_counts=st.dictionaries(st.integers(0, 2000), st.integers(1, 10**9)),
    revisions=st.lists(st.text(), max_size=2).map(tuple),
    evidence=st.builds(Evidence, last_bytes=st.text(), error=st.text(), errno=st.text()),
)


@given(_ANY_STREAM)
def test_any_record_comes_back_from_its_line(record):
    (line,) = stream_lines(report_of(run([record])))
    assert line.count(b"\n") == 1
    assert msgspec.json.decode(line, type=StreamRecord) == record


def test_a_command_line_of_bytes_that_are_no_text_is_no_reason_to_fail():
    subject = msgspec.structs.replace(SUBJECT, command=("locust", os.fsdecode(b"--plan=\xff")))
    found = json.loads(verdict_json(report_of(run(subject=subject))))
    assert found["subject"]["command"] == ["locust", "--plan=?"]


@pytest.mark.parametrize("judged", [run([]), plain([])], ids=["promotion", "plain"])
def test_an_empty_run_is_still_a_report(judged):
    report = report_of(judged)
    assert json.loads(verdict_json(report))["verdict"] == "INCONCLUSIVE"
    assert json.loads(timeline_json(report))
    assert list(stream_lines(report)) == []


def test_wall_times_are_utc():
    assert wall_time(ns(0.5), run(wall_minus_monotonic_ns=0)) == "1970-01-01T00:00:00.500Z"
