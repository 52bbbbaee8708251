"""The figures of each stream as rows of their own in Locust's tables, beside the row of its requests.

They are entered past Locust's request event, so Aggregated, the failure ratio and the requests per second
stay those of the streams alone. Locust rounds what it keeps; the exact values stand in the records.
"""

from collections.abc import Callable

from locust.stats import RequestStats

from midstream.metrics import tokens_per_s
from midstream.streams.gaps import quantile_ns
from midstream.streams.record import StreamRecord

NS_PER_MS = 1_000_000


def ttft_ms(record: StreamRecord) -> float | None:
    """(first token - sent) in ms."""
    return _ms(record.ttft_ns)


def tpot_ms(record: StreamRecord) -> float | None:
    """((last token - first token) / (tokens - 1)) in ms."""
    return _ms(record.tpot_ns)


def itl_p50_ms(record: StreamRecord) -> float | None:
    """The median of the stream's certain gaps between token-bearing events, in ms, from buckets of 2 %."""
    return _ms(quantile_ns(record.gap_counts, 0.5))


def max_gap_ms(record: StreamRecord) -> float | None:
    """The longest certain gap, or the silence that a limit of ours ended the stream in, in ms."""
    lengths_ns = [gap.length_ns for gap in record.longest_gaps if gap.certain]
    if record.ending.is_deadline and record.last_token_ns is not None:
        lengths_ns.append(record.end_ns - record.last_token_ns)
    return _ms(max(lengths_ns, default=None))


def own_tokens_per_s(record: StreamRecord) -> float | None:
    """(tokens - 1) / (last token - first token), by the tokens' own time."""
    return tokens_per_s([record])


# What stands in Locust's column "Type"; its columns of times hold ms, or tokens/s where that is the type.
ROWS: dict[str, Callable[[StreamRecord], float | None]] = {
    "TTFT": ttft_ms,
    "TPOT": tpot_ms,
    "ITL p50": itl_p50_ms,
    "max gap": max_gap_ms,
    "tokens/s": own_tokens_per_s,
}


def enter_rows(stats: RequestStats, record: StreamRecord) -> None:
    """Enter what the stream shows under its scenario's name; a figure that it lacks is left out."""
    for kind, figure in ROWS.items():
        value = figure(record)
        if value is not None:
            row = stats.entries[(record.scenario, kind)]  # (name, type) in Locust 2.47
            row.log(value, 0)  # type: ignore[arg-type] # an int by its types; its own events hand it floats


def _ms(length_ns: float | None) -> float | None:
    return None if length_ns is None else length_ns / NS_PER_MS
