from midstream.reports.report import read_report
from midstream.verdict import Verdict
from tests.midstream.reports.recorded import failed


def test_a_report_takes_the_verdict_as_it_was_given():
    report = read_report(failed(), Verdict())
    assert report.verdict == Verdict()
    assert len(report.cohorts.members) == 80
    assert report.metrics.main.streams == 80
