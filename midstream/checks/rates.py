"""Shares of the main lane's streams against the seed's thresholds."""

from collections.abc import Iterable
from typing import NamedTuple

from midstream.checks.check import Answer, Status, at_most, nothing_finished, percent
from midstream.checks.doubt import is_doubtful
from midstream.cohorts import Cohorts
from midstream.run import Run
from midstream.streams.ending import Ending, Outcome
from midstream.streams.record import Lane, StreamRecord


class Count(NamedTuple):
    """How many main-lane streams ended in which way; `ours` are in none of them."""

    streams: int
    complete: int
    lost: int
    refused_5xx: int
    doubtful: int  # lost or refused at a limit that our own delay may have made pass
    doubtful_lost: int


def count_endings(streams: Iterable[StreamRecord], run: Run) -> Count:
    """Count the main lane of `streams`; empty input counts as 0."""
    judged = [stream for stream in streams if stream.lane is Lane.MAIN and stream.outcome is not Outcome.OURS]
    doubtful = [stream for stream in judged if is_doubtful(stream, run)]
    return Count(
        streams=len(judged),
        complete=sum(stream.outcome is Outcome.COMPLETE for stream in judged),
        lost=sum(stream.outcome is Outcome.LOST for stream in judged),
        refused_5xx=sum(stream.ending is Ending.HTTP_5XX for stream in judged),
        doubtful=len(doubtful),
        doubtful_lost=sum(stream.outcome is Outcome.LOST for stream in doubtful),
    )


_TOO_SLOW = {
    Status.INCONCLUSIVE: "; the load generator was too slow to tell: give it more CPU, or lower -u",
}


def error_rate(run: Run, _: Cohorts) -> Answer:
    """(N - complete) / N over the main lane, N = complete + lost + refused."""
    count, limit = count_endings(run.streams, run), run.limits.max_error_rate
    if not count.streams:
        return nothing_finished(f"<= {percent(limit)}")
    errors = count.streams - count.complete
    status = at_most((errors - count.doubtful) / count.streams, errors / count.streams, limit)
    return Answer(
        status,
        percent(errors / count.streams),
        f"<= {percent(limit)}",
        f"{errors} of {count.streams} streams lost or refused" + _TOO_SLOW.get(status, ""),
        "endings of the main lane",
    )


def rate_5xx(run: Run, _: Cohorts) -> Answer:
    """http_5xx / N over the main lane."""
    count, limit = count_endings(run.streams, run), run.limits.max_5xx_rate
    if not count.streams:
        return nothing_finished(f"<= {percent(limit)}")
    share = count.refused_5xx / count.streams
    return Answer(
        at_most(share, share, limit),
        percent(share),
        f"<= {percent(limit)}",
        f"{count.refused_5xx} of {count.streams} streams answered with 500 or above",
        "HTTP status of the main lane",
    )


def completion(run: Run, _: Cohorts) -> Answer:
    """complete / (complete + lost) over the main lane."""
    count, limit = count_endings(run.streams, run), run.limits.min_stream_completion
    begun = count.complete + count.lost
    if not begun:
        return nothing_finished(f">= {percent(limit)}")
    most = (count.complete + count.doubtful_lost) / begun
    status = at_most(
        -most, -count.complete / begun, -limit
    )  # a floor: the same question with its sign turned
    return Answer(
        status,
        percent(count.complete / begun),
        f">= {percent(limit)}",
        f"{count.complete} of {begun} streams that began were complete" + _TOO_SLOW.get(status, ""),
        "endings of the main lane",
    )
