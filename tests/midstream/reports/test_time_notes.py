import pytest

from midstream.cohorts import read_cohorts
from midstream.metrics import read_metrics
from midstream.reports.time_notes import time_notes
from midstream.streams.clock import Clocks
from midstream.streams.gaps import bucket_of
from tests.midstream.builders import ns, plain, stream

STAMPED = Clocks(reads=1000)
SINGLE = {"gap_counts": {bucket_of(ns(0.05)): 99}}


def notes_of(clocks=STAMPED, **changes):
    judged = plain([stream(**(SINGLE | changes))])
    return time_notes(clocks, read_metrics(judged, read_cohorts(judged)))


@pytest.mark.parametrize(
    "clocks",
    [Clocks(), STAMPED, Clocks(reads=1000, undated_reads=9)],
    ids=["nothing read", "all stamped", "the first reads before the kernel stamped"],
)
def test_times_that_are_well_known_need_no_note(clocks):
    assert notes_of(clocks) == ()


@pytest.mark.parametrize(
    ("clocks", "words"),
    [
        pytest.param(Clocks(reads=10, undated_reads=10), "times are user-space stamps", id="no stamps"),
        pytest.param(Clocks(reads=100, undated_reads=4), "all reads but 4 %", id="some missing"),
        pytest.param(Clocks(reads=100, steps=1), "the wall clock was set once", id="set once"),
        pytest.param(Clocks(reads=100, steps=3), "the wall clock was set 3 times", id="set often"),
    ],
)
def test_what_dated_the_reads_is_said(clocks, words):
    (note,) = notes_of(clocks)
    assert words in note


@pytest.mark.parametrize(
    ("certain", "uncertain", "words"),
    [
        pytest.param(40, 60, "ITL of the main lane rests on 40 % of the gaps: 60 of 100 tokens", id="few"),
        pytest.param(5, 95, "is not told, it would rest on 5 % of the gaps: 95 of 100 tokens", id="too few"),
    ],
)
def test_figures_that_rest_on_few_tokens_say_so(certain, uncertain, words):
    (note,) = notes_of(gap_counts={bucket_of(ns(0.05)): certain}, uncertain_tokens=uncertain)
    assert words in note
