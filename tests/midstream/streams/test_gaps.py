import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstream.streams.gaps import GROWTH, bucket_ns, bucket_of, merged, quantile_ns

lengths = st.integers(1, 10**12)


@given(lengths)
def test_a_bucket_is_at_most_one_percent_off(length_ns):
    assert bucket_ns(bucket_of(length_ns)) == pytest.approx(length_ns, rel=GROWTH**0.5 - 1 + 1e-9)


@given(lengths, lengths)
def test_longer_gaps_never_fall_into_lower_buckets(one, other):
    assert (bucket_of(one) <= bucket_of(other)) or one > other


@pytest.mark.parametrize("length_ns", [0, -5, 1])
def test_no_length_is_the_lowest_bucket(length_ns):
    assert bucket_of(length_ns) == 0


def test_merged_adds_up():
    assert merged([{1: 2, 5: 1}, {}, {5: 3}]) == {1: 2, 5: 4}
    assert merged([]) == {}


def test_no_gaps_have_no_quantile():
    assert quantile_ns({}, 0.5) is None


@given(st.lists(lengths, min_size=1, max_size=60), st.floats(0, 1))
def test_quantile_is_the_nearest_rank_within_a_bucket(gaps, share):
    counts = merged({bucket_of(gap): 1} for gap in gaps)
    exact = sorted(gaps)[max(1, math.ceil(share * len(gaps))) - 1]
    found = quantile_ns(counts, share)
    assert found == pytest.approx(exact, rel=0.0101)
