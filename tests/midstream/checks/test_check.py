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


@pytest.mark.parametrize(
    ("share", "words"),
    [(0, "0 %"), (0.0125, "1.25 %"), (1, "100 %"), (0.99967, "> 99.9 %"), (0.999, "99.9 %"), (1.5, "150 %")],
)
def test_a_share_in_words(share, words):
    assert percent(share) == words


@pytest.mark.parametrize(
    ("length_ns", "words"),
    [
        (0, "0 s"),
        (7_800_000, "0.01 s"),
        (1_234_000_000, "1.23 s"),
        (11_460_000_000, "11.5 s"),
        (480.4e9, "480 s"),
    ],
)
def test_a_duration_in_words(length_ns, words):
    assert seconds(length_ns) == words
