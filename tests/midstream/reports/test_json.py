import json
from datetime import datetime

import msgspec
import pytest

from midstream.reports.json import stream_lines, timeline_json, verdict_json, wall_time
from midstream.streams.record import StreamRecord
from tests.midstream.builders import NS, ns, plain, run
from tests.midstream.reports.recorded import failed, passed, report_of


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
    assert cutover["source"] == "watch services/vllm-stable spec.selector"
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


@pytest.mark.parametrize("judged", [run([]), plain([])], ids=["promotion", "plain"])
def test_an_empty_run_is_still_a_report(judged):
    report = report_of(judged)
    assert json.loads(verdict_json(report))["verdict"] == "INCONCLUSIVE"
    assert json.loads(timeline_json(report))
    assert list(stream_lines(report)) == []


def test_wall_times_are_utc():
    assert wall_time(ns(0.5), run(wall_minus_monotonic_ns=0)) == "1970-01-01T00:00:00.500Z"
