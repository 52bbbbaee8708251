"""Two recorded runs that every renderer is shown: one PASS, one FAIL."""

from msgspec import structs

from midstream.reports.report import Report, read_report
from midstream.run import Run
from midstream.streams.ending import Ending
from midstream.streams.gaps import bucket_of
from midstream.streams.record import Evidence, Gap, StreamRecord
from midstream.verdict import judge
from tests.midstream.builders import BUDGET, SUBJECT, WITHOUT_TIMEOUT, ns, run, streams

GAP = Gap(start_ns=ns(99.9), end_ns=ns(100.3), certain=True)


def _measured(records: tuple[StreamRecord, ...]) -> tuple[StreamRecord, ...]:
    """With the gaps of 20 tokens a second and one silence at the cutover."""
    counts = {bucket_of(ns(0.05)): 98, bucket_of(GAP.length_ns): 1}
    return tuple(structs.replace(record, gap_counts=counts, longest_gaps=(GAP,)) for record in records)


def passed() -> Run:
    whole = _measured((*streams(72), *streams(8, lasts=15.0), *streams(40, at=110.0)))
    return run(
        whole,
        subject=structs.replace(SUBJECT, rehearsal=True),
        notes=("the Rollout was left as it is",),
        traits_missing=("token ids",),
    )


def failed() -> Run:
    aborted = streams(41, Ending.ABORTED, lasts=11.4, evidence=Evidence(error="finish_reason abort"))
    return run(
        _measured((*streams(39), *aborted)),
        subject=structs.replace(SUBJECT, old=WITHOUT_TIMEOUT, path_proves_not="your ingress was not tested"),
        budget=structs.replace(BUDGET, engine_drain_s=None),
    )


def report_of(judged: Run) -> Report:
    return read_report(judged, judge(judged))
