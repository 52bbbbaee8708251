"""Optional limits on how long a stream may keep its reader waiting."""

import math

from midstream.checks.check import Answer, Status, at_most, nothing_finished, seconds
from midstream.checks.doubt import dated_by, is_doubtful, own_delay_ns
from midstream.cohorts import NS_PER_S, Cohorts
from midstream.run import UNNOTED_DELAY_NS, Run
from midstream.streams.ending import Outcome
from midstream.streams.record import Gap, Lane, StreamRecord

_TOO_SLOW = "the load generator read too late to be sure; give it more CPU, or lower -u"
_NO_STAMPS = "the kernel dated too few reads to be sure; run it on Linux, where sockets can be stamped"
_STEPPED = "the wall clock was set during the test, which may have moved any stamp; run it again"


def ttft_p95(run: Run, _: Cohorts) -> Answer:
    """95th percentile of TTFT (first token - sent) on the main lane, by nearest rank.

    A stream that never got a first token was slower than any limit: left out, it would make the figure
    better. Those that we ended ourselves count only when they had one. What we may have read late counts
    with both its bounds.
    """
    limit_s = run.limits.max_ttft_p95_s or math.inf
    limit = f"<= {limit_s:g} s"
    told = [stream for stream in run.streams if _tells_ttft(stream)]
    if not told:
        return nothing_finished(limit)
    least_ns, most_ns = (
        _p95(sorted(ends)) for ends in zip(*(ttft_bounds(stream, run) for stream in told), strict=True)
    )
    seen_ns = _p95(sorted(math.inf if stream.ttft_ns is None else stream.ttft_ns for stream in told))
    status = at_most(least_ns, most_ns, limit_s * NS_PER_S)
    observed = "no first token" if math.isinf(seen_ns) else seconds(seen_ns)
    if status is Status.INCONCLUSIVE:
        why = f"{_between(least_ns, most_ns, observed)}: {_unsure(run)}"
    else:
        never = sum(stream.ttft_ns is None for stream in told)
        without = f", {never} of them had none" if never else ""
        took = "came too late or never" if math.isinf(seen_ns) else f"took {observed}"
        why = f"the first tokens of {len(told)} streams {took} at the 95th percentile{without}"
    return Answer(status, observed, limit, why, dated_by(run.clocks))


def _tells_ttft(stream: StreamRecord) -> bool:
    return stream.lane is Lane.MAIN and (stream.ttft_ns is not None or stream.outcome is not Outcome.OURS)


def ttft_bounds(stream: StreamRecord, run: Run) -> tuple[float, float]:
    """(at least, at most) ns.

    A time that we took is never early: only the lower bound moves with our delay. A stamp of the kernel
    may lie on either side once its clock was set.
    """
    if stream.ttft_ns is None or stream.sent_ns is None or stream.first_token_ns is None:
        return math.inf, math.inf
    if run.clocks.steps:
        return 0, math.inf
    late_ns = 0
    if stream.uncertain_tokens:
        late_ns = UNNOTED_DELAY_NS + own_delay_ns(run, stream.sent_ns, stream.first_token_ns)
    return max(0, stream.ttft_ns - late_ns), stream.ttft_ns


def _p95(ordered: list[float]) -> float:
    return ordered[math.ceil(0.95 * len(ordered)) - 1]


def max_gap(run: Run, _: Cohorts) -> Answer:
    """The longest silence within a main-lane stream; one that ended in a limit of ours counts too.

    An uncertain gap is an upper bound: it can show that none was longer, never that one was.
    """
    limit_s = run.limits.max_gap_s or math.inf
    limit = f"<= {limit_s:g} s"
    main = [stream for stream in run.streams if stream.lane is Lane.MAIN]
    gaps = [gap for stream in main for gap in silences(stream, run)]
    sure_ns = max((gap.length_ns for gap in gaps if gap.certain), default=0)
    most_ns = max((gap.length_ns for gap in gaps), default=0)
    observed = _seen(sure_ns, most_ns)
    status = Status.INCONCLUSIVE if run.clocks.steps else at_most(sure_ns, most_ns, limit_s * NS_PER_S)
    if status is not Status.FAIL and all(stream.first_token_ns is None for stream in main):
        return nothing_finished(limit)
    why = f"the longest silence was {observed}"
    if status is Status.INCONCLUSIVE:
        why = f"a silence of {observed}: {_unsure(run)}"
    return Answer(status, observed, limit, why, dated_by(run.clocks))


def silences(stream: StreamRecord, run: Run) -> tuple[Gap, ...]:
    """The longest gaps of a stream, with the silence it ended in when a limit of ours ended it."""
    if not stream.ending.is_deadline or stream.last_token_ns is None:
        return stream.longest_gaps
    last = Gap(start_ns=stream.last_token_ns, end_ns=stream.end_ns, certain=not is_doubtful(stream, run))
    return (*stream.longest_gaps, last)


def _seen(sure_ns: int, most_ns: int) -> str:
    """What is known of the longest silence: "0.42 s", "0.42 s, perhaps 3.1 s", "up to 3.1 s"."""
    if sure_ns == most_ns:
        return seconds(sure_ns)
    return f"{seconds(sure_ns)}, perhaps {seconds(most_ns)}" if sure_ns else f"up to {seconds(most_ns)}"


def _between(least_ns: float, most_ns: float, seen: str) -> str:
    return f"about {seen}" if math.isinf(most_ns) else f"between {seconds(least_ns)} and {seconds(most_ns)}"


def _unsure(run: Run) -> str:
    """Why a time is not known better, with the next step."""
    if run.clocks.steps:
        return _STEPPED
    return _NO_STAMPS if run.clocks.undated_share > 0.5 else _TOO_SLOW
