"""Optional limits on how long a stream may keep its reader waiting."""

import math

from midstream.checks.check import Answer, Status, at_most, nothing_finished, percent, seconds
from midstream.checks.doubt import is_doubtful
from midstream.cohorts import NS_PER_S, Cohorts
from midstream.run import Run
from midstream.streams.ending import Outcome
from midstream.streams.record import Gap, Lane, StreamRecord

UNCERTAIN_SHARE = 0.2  # of all tokens: beyond it the time figures say too little


def ttft_p95(run: Run, _: Cohorts) -> Answer:
    """95th percentile of TTFT on the main lane, by nearest rank.

    A stream that never got a first token was slower than any limit: left out, it would make the figure
    better. Those that we ended ourselves count only when they had one.
    """
    limit_s = run.limits.max_ttft_p95_s or math.inf
    limit = f"<= {limit_s:g} s"
    times = sorted(_ttft_ns(stream) for stream in run.streams if _tells_ttft(stream))
    if not times:
        return nothing_finished(limit)
    p95_ns = times[math.ceil(0.95 * len(times)) - 1]
    never = sum(math.isinf(time) for time in times)
    observed = "no first token" if math.isinf(p95_ns) else seconds(p95_ns)
    if _uncertain_share(run) > UNCERTAIN_SHARE:
        return Answer(Status.INCONCLUSIVE, observed, limit, _too_uncertain(run))
    return Answer(
        at_most(p95_ns, p95_ns, limit_s * NS_PER_S),
        observed,
        limit,
        f"95 % of {len(times)} streams had their first token within {observed}; {never} had none",
        "kernel stamps",
    )


def _tells_ttft(stream: StreamRecord) -> bool:
    return stream.lane is Lane.MAIN and (stream.ttft_ns is not None or stream.outcome is not Outcome.OURS)


def _ttft_ns(stream: StreamRecord) -> float:
    return math.inf if stream.ttft_ns is None else stream.ttft_ns


def max_gap(run: Run, _: Cohorts) -> Answer:
    """The longest silence within a main-lane stream; one that ended in a limit of ours counts too."""
    limit_s = run.limits.max_gap_s or math.inf
    limit = f"<= {limit_s:g} s"
    gaps = [gap for stream in run.streams if stream.lane is Lane.MAIN for gap in silences(stream, run)]
    sure_ns = max((gap.length_ns for gap in gaps if gap.certain), default=0)
    most_ns = max((gap.length_ns for gap in gaps), default=0)
    status = at_most(sure_ns, most_ns, limit_s * NS_PER_S)
    if status is Status.PASS and _uncertain_share(run) > UNCERTAIN_SHARE:
        return Answer(Status.INCONCLUSIVE, seconds(sure_ns), limit, _too_uncertain(run))
    if status is Status.INCONCLUSIVE:
        why = f"a silence of up to {seconds(most_ns)} was read too late to be sure"
        return Answer(status, seconds(sure_ns), limit, why)
    return Answer(
        status, seconds(sure_ns), limit, f"the longest silence was {seconds(sure_ns)}", "kernel stamps"
    )


def silences(stream: StreamRecord, run: Run) -> tuple[Gap, ...]:
    """The longest gaps of a stream, with the silence it ended in when a limit of ours ended it."""
    if not stream.ending.is_deadline or stream.last_token_ns is None:
        return stream.longest_gaps
    last = Gap(start_ns=stream.last_token_ns, end_ns=stream.end_ns, certain=not is_doubtful(stream, run))
    return (*stream.longest_gaps, last)


def _uncertain_share(run: Run) -> float:
    """Tokens whose instant is an interval / all tokens, over the main lane."""
    main = [stream for stream in run.streams if stream.lane is Lane.MAIN]
    tokens = sum(stream.tokens for stream in main)
    return sum(stream.uncertain_tokens for stream in main) / tokens if tokens else 0.0


def _too_uncertain(run: Run) -> str:
    return (
        f"the load generator was too slow: {percent(_uncertain_share(run))} of the tokens were read together "
        "with later ones; give it more CPU, or lower -u"
    )
