import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstream.arrivals import offsets_s, steady_open


def first(count, **changes):
    given_ = {"rate": 20.0, "ramp_up_s": 0.0, "seed": 1} | changes
    return list(itertools.islice(offsets_s(**given_), count))


@given(st.floats(0.1, 1000), st.floats(0, 60), st.integers(0, 99))
def test_time_only_goes_forward(rate, ramp_up_s, seed):
    times = first(200, rate=rate, ramp_up_s=ramp_up_s, seed=seed)
    assert times[0] >= 0
    assert all(later >= earlier for earlier, later in itertools.pairwise(times))


def test_a_seed_gives_one_sequence():
    assert first(50) == first(50)
    assert first(50) != first(50, seed=2)


def test_the_rate_is_kept_and_the_gaps_are_exponential():
    times = first(20_000)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    mean = sum(gaps) / len(gaps)
    deviation = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert mean == pytest.approx(1 / 20, rel=0.03)
    assert deviation == pytest.approx(mean, rel=0.05)  # what tells Poisson from a fixed beat


@pytest.mark.parametrize(("until_s", "expected"), [(5, 25), (10, 100), (20, 300)])
def test_the_rate_rises_evenly(until_s, expected):
    """20/s after 10 s: a quarter of the ramp's arrivals come in its first half."""
    counts = [
        sum(time <= until_s for time in itertools.takewhile(lambda time: time <= 20, offsets_s(20, 10, seed)))
        for seed in range(100)
    ]
    assert sum(counts) / len(counts) == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize(("expected", "least"), [(100, 70), (1, 1), (0, 1)])
def test_steady_is_somewhat_less_than_expected_for_chance(expected, least):
    assert steady_open(expected) == least
