from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from midstream.arrivals import OpenLoop
from midstream.cohorts import read_cohorts
from midstream.metrics import figures, quantile, read_metrics
from midstream.run import LateSpell
from midstream.streams.ending import Ending
from midstream.streams.gaps import bucket_of
from midstream.streams.record import Gap, Lane
from tests.midstream.builders import BUDGET, NEW, NS, OLD, ns, plain, pulse, run, stream, streams, timeline


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        pytest.param([], 0.5, None, id="nothing"),
        pytest.param([7], 0.95, 7, id="one"),
        pytest.param([1, 2, 3, 4], 0.5, 2, id="half of four do not exceed the second"),
        pytest.param(list(range(1, 101)), 0.95, 95, id="the 95th of a hundred"),
        pytest.param(list(range(1, 102)), 0.95, 96, id="one more moves it"),
        pytest.param([1, 2], 0.0, 1, id="the least"),
    ],
)
def test_quantiles_by_nearest_rank(values, share, expected):
    assert quantile(values, share) == expected


def test_rates_are_of_what_the_service_was_asked():
    records = [
        *streams(6),
        *streams(2, Ending.RESET),
        stream(Ending.HTTP_5XX),
        stream(Ending.HTTP_429),
        *streams(9, Ending.CUT),
    ]
    found = figures(records, plain(records))
    assert (found.streams, found.error_rate, found.rate_5xx, found.completion) == (19, 0.4, 0.1, 0.75)
    assert found.endings == {"complete": 6, "cut": 9, "http_429": 1, "http_5xx": 1, "reset": 2}
    assert found.statuses == {"200": 17, "429": 1, "503": 1}


def test_an_empty_group_has_no_figures():
    found = figures([], plain([]))
    assert (found.streams, found.error_rate, found.completion, found.ttft_p50_s) == (0, None, None, None)
    assert (found.tokens_per_s, found.itl_p99_s, found.longest_gap) == (None, None, None)


def test_ttft_and_tpot_are_exact():
    records = [
        stream(at=90, first_token_ns=ns(90 + ttft), last_token_ns=ns(100)) for ttft in (0.1, 0.2, 0.3, 1)
    ]
    found = figures(records, plain(records))
    assert (found.ttft_p50_s, found.ttft_p95_s) == (0.2, 1.0)
    assert found.tpot_p50_s == pytest.approx(9.7 / 99)  # the second fastest: (last - first) / (n - 1)


def test_itl_comes_from_the_merged_histograms():
    usual, slow = bucket_of(ns(0.05)), bucket_of(ns(0.5))
    records = [stream(gap_counts={usual: 49}), stream(gap_counts={usual: 49, slow: 2})]
    found = figures(records, plain(records))
    assert found.itl_p50_s == pytest.approx(0.05, rel=0.01)
    assert found.itl_p99_s == pytest.approx(0.5, rel=0.01)


_GAPS_NS = st.lists(st.integers(min_value=1_000, max_value=ns(60)), min_size=1, max_size=60)


@given(st.lists(_GAPS_NS, min_size=1, max_size=4))
def test_itl_is_within_two_percent_of_the_exact_quantile(gaps_of_streams):
    records = [
        stream(gap_counts=Counter(bucket_of(gap) for gap in gaps), id=str(number))
        for number, gaps in enumerate(gaps_of_streams)
    ]
    found = figures(records, plain(records))
    ordered = sorted(gap / NS for gaps in gaps_of_streams for gap in gaps)
    assert found.itl_p50_s == pytest.approx(quantile(ordered, 0.50), rel=0.02)
    assert found.itl_p99_s == pytest.approx(quantile(ordered, 0.99), rel=0.02)


def test_tokens_per_second_are_counted_by_the_tokens_own_time():
    records = [
        stream(at=90, first_token_ns=ns(91), last_token_ns=ns(96), tokens=51),
        stream(at=90, first_token_ns=ns(93), last_token_ns=ns(101), tokens=50),
    ]
    assert figures(records, plain(records)).tokens_per_s == 10.0


def test_one_token_alone_has_no_rate():
    records = [stream(first_token_ns=ns(96), last_token_ns=ns(96), tokens=1)]
    assert figures(records, plain(records)).tokens_per_s is None


def test_the_longest_gap_has_its_moment():
    short = Gap(start_ns=ns(96), end_ns=ns(97), certain=True)
    long = Gap(start_ns=ns(98), end_ns=ns(101), certain=False)
    records = [stream(longest_gaps=(long, short)), stream()]
    found = figures(records, plain(records)).longest_gap
    assert found is not None
    assert (found.length_s, found.from_ns, found.stream, found.certain) == (3.0, ns(98), records[0].id, False)


def test_the_silence_that_a_stream_ended_in_is_a_gap():
    stalled = stream(Ending.STALLED, at=90, lasts=30, last_token_ns=ns(100))
    late = (LateSpell(from_ns=ns(105), to_ns=ns(115)),)
    for spells, certain in (((), True), (late, False)):
        found = figures([stalled], plain([stalled], late=spells)).longest_gap
        assert found is not None
        assert (found.length_s, found.certain) == (20.0, certain)


def test_groups_are_told_apart_by_lane_and_revision():
    judged = run([*streams(3), stream(at=110), pulse(110), stream(Ending.CONNECT_REFUSED, at=110)])
    found = read_metrics(judged, read_cohorts(judged))
    assert [(group.lane, group.revision, group.figures.streams) for group in found.groups] == [
        (Lane.MAIN, None, 1),
        (Lane.MAIN, OLD, 3),
        (Lane.MAIN, NEW, 1),
        (Lane.PULSE, NEW, 1),
    ]
    assert found.main.streams == 5


def test_scenarios_stand_apart_only_where_a_lane_has_several():
    long = streams(2, scenario="long")
    judged = run([*streams(3), *long, pulse(110)])
    found = read_metrics(judged, read_cohorts(judged))
    assert [(g.lane, g.revision, g.scenario, g.figures.streams) for g in found.groups] == [
        (Lane.MAIN, OLD, None, 5),
        (Lane.MAIN, OLD, "default", 3),
        (Lane.MAIN, OLD, "long", 2),
        (Lane.PULSE, NEW, None, 1),
    ]


@pytest.mark.parametrize(
    ("certain", "uncertain", "share", "is_told"),
    [
        pytest.param(99, 0, 1.0, True, id="every read held one event"),
        pytest.param(40, 60, 0.4, True, id="two fifths"),
        pytest.param(10, 90, 0.1, True, id="just enough"),
        pytest.param(9, 91, 0.09, False, id="too few to stand for the others"),
        pytest.param(0, 100, 0.0, False, id="none"),
        pytest.param(0, 0, None, False, id="nothing was measured"),
    ],
)
def test_itl_says_how_much_it_rests_on(certain, uncertain, share, is_told):
    counts = {bucket_of(ns(0.05)): certain} if certain else {}
    records = [stream(gap_counts=counts, uncertain_tokens=uncertain)]
    found = figures(records, plain(records))
    assert found.itl_from == share
    assert (found.itl_p50_s is not None, found.itl_p99_s is not None) == (is_told, is_told)


def headroom_of(records, **changes):
    judged = run(records, **changes)
    return read_metrics(judged, read_cohorts(judged)).headroom


def test_the_headroom_is_what_the_budget_leaves_beyond_the_longest_proven_stream():
    found = headroom_of([stream(at=95, lasts=10), stream(at=95, lasts=16), stream(Ending.RESET, lasts=20)])
    assert found.budget_s == 4 + 2 + 30
    assert (found.proven_s, found.proven_past_sigterm_s, found.left_s) == (11.0, 5.0, 25.0)


def test_without_a_proven_stream_there_is_no_headroom():
    found = headroom_of([stream(Ending.RESET)])
    assert (found.proven_s, found.proven_past_sigterm_s, found.left_s) == (None, None, None)


@pytest.mark.parametrize(
    "budget",
    [None, structs.replace(BUDGET, engine_drain_s=None), structs.replace(BUDGET, scale_down_delay_s=None)],
    ids=["no budget", "unknown engine", "never scaled down"],
)
def test_an_unknown_budget_is_said_to_be_unknown(budget):
    found = headroom_of([stream()], budget=budget)
    assert (found.budget_s, found.left_s) == (None, None)
    assert found.proven_s == 5.0


def test_without_a_seen_sigterm_nothing_is_proven_past_it():
    assert headroom_of([stream(lasts=20)], timeline=timeline(marks=())).proven_past_sigterm_s is None


def test_in_an_open_loop_ttft_is_also_told_since_a_stream_was_due():
    """Sent 2 s late by our own doing, then answered in 0.05 s as all others."""
    late = [structs.replace(each, scheduled_ns=each.opened_ns - ns(2) + ns(0)) for each in streams(80)]
    loop = OpenLoop(rate=10, ramp_up_s=0, most_open=100)
    asked = run(late, open_loop=loop)
    main = read_metrics(asked, read_cohorts(asked)).main
    assert main.ttft_p95_s == pytest.approx(0.05)
    assert main.ttft_due_p95_s == pytest.approx(2.05)
    closed = run(late)
    assert read_metrics(closed, read_cohorts(closed)).main.ttft_due_p95_s is None
