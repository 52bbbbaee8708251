"""Where our own delay may have made what looks like the service's fault."""

from bisect import bisect_right
from itertools import islice, takewhile

from midstream.checks.check import percent
from midstream.cohorts import NS_PER_S
from midstream.run import Run
from midstream.streams.clock import Clocks
from midstream.streams.ending import Ending
from midstream.streams.record import StreamRecord

OWN_DELAY_SHARE = 0.2  # of the limit that ended a stream (design 6)
MORE_CPU = "Give it more CPU, or lower -u"


def is_doubtful(stream: StreamRecord, run: Run) -> bool:
    """Whether our own delay may have made a limit of ours pass.

    Only endings by a limit can be doubtful: when our loop was late by more than 20 % of that limit
    during the stream's last wait. What the server wrote itself stays its own.
    """
    limit_s = run.deadlines.limit_s(stream.ending)
    if limit_s is None:
        return False
    late_ns = own_delay_ns(run, last_wait_ns(stream), stream.end_ns)
    return late_ns > OWN_DELAY_SHARE * limit_s * NS_PER_S


def own_delay_ns(run: Run, from_ns: int, to_ns: int) -> int:
    """By how much our own loop was late within an interval."""
    first = bisect_right(run.late, from_ns, key=lambda spell: spell.to_ns)
    met = takewhile(lambda spell: spell.from_ns < to_ns, islice(run.late, first, None))
    return sum(min(spell.to_ns, to_ns) - max(spell.from_ns, from_ns) for spell in met)


def dated_by(clocks: Clocks) -> str:
    """What the times of tokens rest on, in words."""
    if not clocks.reads:
        return "no read was dated"
    if not clocks.undated_reads:
        return "kernel stamps"
    if clocks.undated_reads == clocks.reads:
        return "user-space stamps"
    return f"kernel stamps, {percent(clocks.undated_share)} of the reads by user-space stamps"


def last_wait_ns(stream: StreamRecord) -> int:
    """When the wait began whose limit ended the stream: its last sign of life, or its start."""
    begun = {
        Ending.STALLED: stream.last_token_ns,
        Ending.NO_FIRST_TOKEN: stream.headers_ns,
        Ending.NO_HEADERS: stream.sent_ns,
    }.get(stream.ending)
    return stream.opened_ns if begun is None else begun
