"""Silences between tokens as a sparse logarithmic histogram that can be added up over streams."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping

GROWTH = 1.02  # each bucket is 2 % wide: finer than any figure that is printed
_PER_LOG = 1 / math.log(GROWTH)


def bucket_of(length_ns: int) -> int:
    """The bucket of a gap: floor(log(ns) / log 1.02). Lengths below 1 ns count as 1 ns."""
    return int(math.log(length_ns) * _PER_LOG) if length_ns > 1 else 0


def bucket_ns(bucket: int) -> float:
    """The geometric middle of a bucket in ns, at most 1 % from every gap in it."""
    return math.exp((bucket + 0.5) / _PER_LOG)


def merged(histograms: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """The sum of several histograms."""
    total: Counter[int] = Counter()
    for counts in histograms:
        total.update(counts)
    return dict(total)


def quantile_ns(counts: Mapping[int, int], share: float) -> float | None:
    """The gap that `share` (0 to 1) of all gaps do not exceed, by nearest rank; None without gaps."""
    rank = max(1, math.ceil(share * sum(counts.values())))
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= rank:
            return bucket_ns(bucket)
    return None
