"""What of a stream enters which row of Locust's tables, and what stays as it was."""

import pytest
from locust.stats import RequestStats, get_percentile_stats_summary, get_stats_summary, sort_stats

from hooks.figure_rows import ROWS, enter_rows
from midstream.streams.ending import Ending
from midstream.streams.gaps import bucket_of
from midstream.streams.record import Gap
from tests.midstream.builders import ns, stream


def gap(length_s: float, certain: bool = True) -> Gap:
    return Gap(start_ns=ns(96), end_ns=ns(96 + length_s), certain=certain)


WHOLE = stream(
    at=95,
    lasts=10,
    tokens=101,
    first_token_ns=ns(95.25),
    last_token_ns=ns(100.25),
    gap_counts={bucket_of(ns(0.05)): 60, bucket_of(ns(0.4)): 40},
    longest_gaps=(gap(0.9, certain=False), gap(0.4)),
)
SHOWN = {
    "all five": (WHOLE, {"TTFT": 250, "TPOT": 50, "ITL p50": 50, "max gap": 400, "tokens/s": 20}),
    "one token has no pace": (
        stream(tokens=1, first_token_ns=ns(95.5), last_token_ns=ns(95.5)),
        {"TTFT": 500},
    ),
    "refused": (stream(Ending.CONNECT_REFUSED), {}),
    "the silence it ended in": (
        stream(Ending.STALLED, lasts=30, tokens=1, first_token_ns=ns(96), last_token_ns=ns(96)),
        {"TTFT": 1000, "max gap": 29_000},
    ),
    "no first token": (
        stream(Ending.NO_FIRST_TOKEN, tokens=0, first_token_ns=None, last_token_ns=None),
        {},
    ),
}


@pytest.mark.parametrize(("record", "shown"), SHOWN.values(), ids=SHOWN)
def test_a_row_for_each_figure_that_a_stream_has(record, shown):
    stats = RequestStats()
    enter_rows(stats, record)
    rows = {kind: entry.avg_response_time for (name, kind), entry in stats.entries.items()}
    assert rows == {kind: pytest.approx(value, rel=0.02) for kind, value in shown.items()}
    assert {name for name, _ in stats.entries} <= {"default"}


def test_scenarios_stand_apart():
    stats = RequestStats()
    for name in ("short", "long", "long"):
        enter_rows(stats, stream(scenario=name))
    assert {key: entry.num_requests for key, entry in stats.entries.items() if key[1] == "TTFT"} == {
        ("short", "TTFT"): 1,
        ("long", "TTFT"): 2,
    }


def test_aggregated_stays_as_it_was():
    stats = RequestStats()
    enter_rows(stats, WHOLE)
    assert (stats.num_requests, stats.num_failures, stats.total.total_response_time) == (0, 0, 0)
    assert stats.total.response_times == {}
    assert stats.last_request_timestamp is None


def test_locust_prints_the_rows():
    stats = RequestStats()
    enter_rows(stats, WHOLE)
    for table in (get_stats_summary(stats, current=False), get_percentile_stats_summary(stats)):
        text = "\n".join(table)
        assert [kind for kind in ROWS if kind in text] == list(ROWS)


def test_the_web_page_shows_each_figure_as_a_type_of_its_scenario():
    stats = RequestStats()
    enter_rows(stats, WHOLE)
    rows = [entry.to_dict() for entry in sort_stats(stats.entries)]
    assert {(row["name"], row["method"]) for row in rows} == {("default", kind) for kind in ROWS}
    assert stats.total.to_dict()["num_requests"] == 0
