from typing import Any

import pytest
from msgspec import structs

from midstream.causes import find_causes
from midstream.cohorts import read_cohorts
from midstream.first_tokens import slower_starts
from midstream.reports.report import read_report
from midstream.run import Run
from midstream.streams.clock import Clocks
from midstream.streams.record import Lane, StreamRecord
from midstream.verdict import judge
from tests.midstream.builders import LIMITS, ns, run, streams


def starts(count: int, ttft_s: float, *, at: float, **changes: Any) -> tuple[StreamRecord, ...]:
    return streams(count, at=at, first_token_ns=ns(at + ttft_s), **changes)


def promotion(old_s: float = 0.05, new_s: float = 0.52, *, count: int = 20, **changes: Any) -> Run:
    of_new = changes.pop("of_new", {})
    records = (*starts(80, old_s, at=95.0, lasts=15.0), *starts(count, new_s, at=110.0, **of_new))
    return run(records, **changes)


def sentences(judged: Run) -> list[str]:
    return [found.sentence for found in slower_starts(judged, read_cohorts(judged))]


def test_the_sentence_has_both_revisions_and_medians():
    assert sentences(promotion()) == [
        "first tokens on revision b2d4 took 10.4 times as long as on 7c9f: p50 0.52 s against 0.05 s"
    ]


@pytest.mark.parametrize(
    ("judged", "told"),
    [
        pytest.param(promotion(new_s=0.1), 1, id="twice"),
        pytest.param(promotion(new_s=0.09), 0, id="less than twice"),
        pytest.param(promotion(new_s=0.02), 0, id="faster"),
        pytest.param(promotion(count=9), 0, id="too few"),
        pytest.param(promotion(of_new={"uncertain_tokens": 1}), 1, id="read late, yet surely slower"),
        pytest.param(
            promotion(new_s=0.18, of_new={"uncertain_tokens": 1}), 0, id="read late, by that much perhaps"
        ),
        pytest.param(promotion(clocks=Clocks(reads=99, steps=1)), 0, id="the wall clock was set"),
        pytest.param(promotion(of_new={"lane": Lane.PULSE}), 0, id="pulses alone"),
        pytest.param(promotion(of_new={"revisions": ("alias",)}), 0, id="labels that name no revision"),
    ],
)
def test_it_is_told_when_it_is_sure(judged, told):
    assert len(sentences(judged)) == told


def test_without_a_limit_it_is_a_note_of_a_pass():
    judged = promotion()
    report = read_report(judged, judge(judged))
    assert report.verdict.decision == "PASS"
    assert report.verdict.causes == ()
    assert sentences(judged)[0] in report.notes


def test_beyond_the_limit_it_is_the_cause():
    slow = {"max_ttft_p95_s": 0.3}
    judged = promotion(limits=structs.replace(LIMITS, **slow))
    (cause,) = find_causes(judged, read_cohorts(judged))
    assert (cause.cause, cause.streams) == ("slow_first_tokens", 20)
    assert cause.line == (
        "20 of 20 first tokens on revision b2d4 took longer than 0.3 s, 0 of 80 on 7c9f: the new revision is "
        "slow to its first tokens"
    )
    assert sentences(judged)[0] in cause.evidence
    assert "warm" in cause.mend
    assert judge(judged).decision == "FAIL"


@pytest.mark.parametrize(
    "judged",
    [
        pytest.param(promotion(limits=structs.replace(LIMITS, max_ttft_p95_s=0.6)), id="within the limit"),
        pytest.param(
            promotion(old_s=0.4, limits=structs.replace(LIMITS, max_ttft_p95_s=0.3)), id="both are late"
        ),
        pytest.param(promotion(count=9, limits=structs.replace(LIMITS, max_ttft_p95_s=0.3)), id="too few"),
    ],
)
def test_what_does_not_show_a_slow_revision_is_no_cause(judged):
    assert find_causes(judged, read_cohorts(judged)) == ()
