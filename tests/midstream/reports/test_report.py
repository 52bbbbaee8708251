from msgspec import structs

from midstream.arrivals import OpenLoop
from midstream.reports.report import read_report
from midstream.verdict import Verdict, judge
from tests.midstream.builders import run, streams
from tests.midstream.reports.recorded import failed


def test_a_report_takes_the_verdict_as_it_was_given():
    report = read_report(failed(), Verdict())
    assert report.verdict == Verdict()
    assert len(report.cohorts.members) == 80
    assert report.metrics.main.streams == 80


def test_what_an_open_loop_shed_is_noted():
    loop = OpenLoop(rate=5, ramp_up_s=0, most_open=60, offered=335, shed=149)
    asked = run(streams(80), open_loop=loop)
    (note,) = [note for note in read_report(asked, judge(asked)).notes if "shed" in note]
    assert note.startswith("149 of 335 arrivals were shed")
    kept = run(streams(80), open_loop=structs.replace(loop, shed=0))
    assert not [note for note in read_report(kept, judge(kept)).notes if "shed" in note]
