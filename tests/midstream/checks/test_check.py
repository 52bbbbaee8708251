import pytest

from midstream.checks.check import Status, at_most, bound, percent, seconds


@pytest.mark.parametrize(
    ("streams", "rate"),
    [(59, 0.05), (299, 0.01), (2995, 0.001)],
    ids=["59 streams: 5 %", "299 streams: 1 %", "2995 streams: 0.1 %"],
)
def test_no_loss_bounds_the_loss_rate(streams, rate):
    assert bound(streams) <= rate < bound(streams - 1)


@pytest.mark.parametrize(
    ("least", "most", "status"),
    [
        pytest.param(0, 0, Status.PASS, id="nothing"),
        pytest.param(2, 2, Status.PASS, id="at the limit"),
        pytest.param(1, 3, Status.INCONCLUSIVE, id="the limit lies within what is known"),
        pytest.param(3, 3, Status.FAIL, id="surely beyond"),
    ],
)
def test_a_figure_that_is_known_within_bounds(least, most, status):
    assert at_most(least, most, 2) is status


def test_figures_in_words():
    assert percent(0.0125) == "1.25 %"
    assert percent(1) == "100 %"
    assert seconds(1_234_000_000) == "1.23 s"
