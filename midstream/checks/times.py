"""Optional limits on how long a stream may keep its reader waiting."""

import math

from midstream.checks.check import Answer, Status, at_most, nothing_finished, seconds
from midstream.checks.doubt import is_doubtful, own_delay_ns
from midstream.cohorts import NS_PER_S, Cohorts
from midstream.run import Run
from midstream.streams.ending import Outcome
from midstream.streams.record import Gap, Lane, StreamRecord


def ttft_p95(run: Run, _: Cohorts) -> Answer:
    """95th percentile of TTFT on the main lane, by nearest rank.

    A stream that never got a first token was slower than any limit: left out, it would make the figure
    better. Those that we ended ourselves count only when they had one. What we may have read late counts
    with both its bounds.
    """
    limit_s = run.limits.max_ttft_p95_s or math.inf
    limit = f"<= {limit_s:g} s"
    bounds = [_ttft_bounds(stream, run) for stream in run.streams if _tells_ttft(stream)]
    if not bounds:
        return nothing_finished(limit)
    least_ns, most_ns = (_p95(sorted(ends)) for ends in zip(*bounds, strict=True))
    status = at_most(least_ns, most_ns, limit_s * NS_PER_S)
    observed = "no first token" if math.isinf(most_ns) else seconds(most_ns)
    if status is Status.INCONCLUSIVE:
        why = f"between {seconds(least_ns)} and {observed}: {_TOO_SLOW}"
    else:
        never = sum(math.isinf(most) for _, most in bounds)
        why = f"the 95th percentile of {len(bounds)} streams, {never} of them without a first token"
    return Answer(status, observed, limit, why, "kernel stamps")


_TOO_SLOW = "the load generator read too late to be sure; give it more CPU, or lower -u"


def _tells_ttft(stream: StreamRecord) -> bool:
    return stream.lane is Lane.MAIN and (stream.ttft_ns is not None or stream.outcome is not Outcome.OURS)


def _ttft_bounds(stream: StreamRecord, run: Run) -> tuple[float, float]:
    """(at least, at most) ns. A stamp is never early, so only the lower bound moves with our delay."""
    if stream.ttft_ns is None or stream.sent_ns is None or stream.first_token_ns is None:
        return math.inf, math.inf
    late_ns = own_delay_ns(run, stream.sent_ns, stream.first_token_ns) if stream.uncertain_tokens else 0
    return max(0, stream.ttft_ns - late_ns), stream.ttft_ns


def _p95(ordered: list[float]) -> float:
    return ordered[math.ceil(0.95 * len(ordered)) - 1]


def max_gap(run: Run, _: Cohorts) -> Answer:
    """The longest silence within a main-lane stream; one that ended in a limit of ours counts too.

    An uncertain gap is an upper bound: it can show that none was longer, never that one was.
    """
    limit_s = run.limits.max_gap_s or math.inf
    gaps = [gap for stream in run.streams if stream.lane is Lane.MAIN for gap in silences(stream, run)]
    sure_ns = max((gap.length_ns for gap in gaps if gap.certain), default=0)
    most_ns = max((gap.length_ns for gap in gaps), default=0)
    status = at_most(sure_ns, most_ns, limit_s * NS_PER_S)
    why = f"the longest silence was {seconds(sure_ns)}"
    if status is Status.INCONCLUSIVE:
        why = f"a silence of up to {seconds(most_ns)}: {_TOO_SLOW}"
    return Answer(status, seconds(sure_ns), f"<= {limit_s:g} s", why, "kernel stamps")


def silences(stream: StreamRecord, run: Run) -> tuple[Gap, ...]:
    """The longest gaps of a stream, with the silence it ended in when a limit of ours ended it."""
    if not stream.ending.is_deadline or stream.last_token_ns is None:
        return stream.longest_gaps
    last = Gap(start_ns=stream.last_token_ns, end_ns=stream.end_ns, certain=not is_doubtful(stream, run))
    return (*stream.longest_gaps, last)
