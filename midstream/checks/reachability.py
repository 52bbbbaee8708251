"""Whether the service could be reached at each moment after a cutover."""

from collections.abc import Iterable
from typing import NamedTuple

from midstream.checks.check import Answer, Status, at_most, no_cutover, seconds
from midstream.checks.doubt import is_doubtful
from midstream.cohorts import NS_PER_S, Cohorts
from midstream.rollouts.timeline import Cutover
from midstream.run import Run
from midstream.streams.ending import Outcome
from midstream.streams.record import Lane, StreamRecord


def reachability(run: Run, _: Cohorts) -> Answer:
    """The longest time without an answered pulse in [T8, T8 + W].

    Between two failed pulses in a row nothing answered: that long it was at least. Between the answered
    ones around them: that long it may have been, and so with pulses that are missing. Fresh and kept
    connections are judged apart, since a kept one goes on to the old pod while new ones are refused; that
    the service could be reached is shown by fresh ones alone.
    """
    limit = f"<= {run.limits.max_blackout_s:g} s"
    pulses = sorted(
        (stream for stream in run.streams if stream.lane is Lane.PULSE), key=lambda stream: stream.opened_ns
    )
    if not pulses:
        return Answer(
            Status.NOT_EXAMINED,
            "no pulses ran",
            limit,
            "long streams cannot tell whether new ones could begin",
        )
    if not run.timeline.cutovers:
        return no_cutover(run, limit)
    fresh = [pulse for pulse in pulses if pulse.fresh]
    kept = [pulse for pulse in pulses if not pulse.fresh]
    at_fresh = [_silence(fresh, cutover, run) for cutover in run.timeline.cutovers]
    at_kept = [_silence(kept, cutover, run) for cutover in run.timeline.cutovers]
    least_ns = max(silence.least_ns for silence in (*at_fresh, *at_kept))
    most_ns = max(least_ns, *(silence.most_ns for silence in at_fresh))
    status = at_most(least_ns, most_ns, run.limits.max_blackout_s * NS_PER_S)
    words = f"between {seconds(least_ns)} and {seconds(most_ns)}"
    why = {
        Status.PASS: f"the service was never unreachable for longer than {seconds(most_ns)}",
        Status.FAIL: f"the service could not be reached for {words}",
        Status.INCONCLUSIVE: f"too few pulses on new connections: it may have been unreachable for {words}; "
        "raise --pulse",
    }[status]
    return Answer(status, words, limit, why, f"{len(pulses)} pulses, {len(fresh)} on new connections")


class _Silence(NamedTuple):
    """The longest time without an answer after one cutover."""

    least_ns: int
    most_ns: int


def _silence(pulses: Iterable[StreamRecord], cutover: Cutover, run: Run) -> _Silence:
    from_ns = cutover.at.not_before_ns
    to_ns = cutover.at.seen_ns + round(run.limits.watch_after_s * NS_PER_S)
    least_ns = most_ns = 0
    answered_ns, failed_ns = from_ns, None
    for pulse in pulses:
        if not from_ns <= pulse.opened_ns <= to_ns or _says_nothing(pulse, run):
            continue
        if pulse.outcome is Outcome.COMPLETE:
            most_ns = max(most_ns, pulse.opened_ns - answered_ns)
            answered_ns, failed_ns = pulse.opened_ns, None
        else:
            failed_ns = pulse.opened_ns if failed_ns is None else failed_ns
            least_ns = max(least_ns, pulse.opened_ns - failed_ns)
    return _Silence(least_ns, max(most_ns, to_ns - answered_ns))


def _says_nothing(pulse: StreamRecord, run: Run) -> bool:
    return pulse.outcome is Outcome.OURS or is_doubtful(pulse, run)
