"""Whether the service could be reached at each moment after a cutover."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from midstream.checks.check import Answer, Status, at_most, no_cutover, seconds
from midstream.checks.doubt import is_doubtful
from midstream.cohorts import NS_PER_S, Cohorts
from midstream.dark import was_answered
from midstream.run import Run
from midstream.streams.ending import Outcome
from midstream.streams.record import Lane, StreamRecord


class Silence(NamedTuple):
    """The longest time without an answered pulse in a window.

    Between two failed pulses in a row nothing answered: that long it was at least. Between the answered
    ones around them: that long it may have been, and so with pulses that are missing.
    """

    least_ns: int
    most_ns: int
    from_ns: int = 0  # when the first of those that failed in a row was opened


def reachability(run: Run, _: Cohorts) -> Answer:
    """The longest time in [T8, T8 + W] without an answered pulse on a new connection.

    Kept connections go on to the old pods, so they show nothing of who connects now: they are asked for
    apart.
    """
    limit = f"<= {run.limits.max_blackout_s:g} s"
    if not any(stream.lane is Lane.PULSE for stream in run.streams):
        why = "long streams cannot tell whether new ones could begin (--pulse)"
        return Answer(Status.NOT_EXAMINED, "no pulses ran", limit, why)
    if not run.timeline.cutovers:
        return no_cutover(run, limit)
    pulses = pulses_of(run, fresh=True)
    silence = _after_cutovers(pulses, run)
    status = at_most(silence.least_ns, silence.most_ns, run.limits.max_blackout_s * NS_PER_S)
    between = f"between {seconds(silence.least_ns)} and {seconds(silence.most_ns)}"
    when = f", from {_since_cutover(silence, run)}" if silence.least_ns else ""
    why = {
        Status.PASS: f"the service was never unreachable for longer than {seconds(silence.most_ns)}",
        Status.FAIL: f"the service could not be reached for {between}{when}",
        Status.INCONCLUSIVE: f"too few pulses on new connections: it may have been unreachable for {between}"
        f"{when}; raise --pulse, or give the load generator more CPU",
    }[status]
    evidence = f"{len(pulses)} pulses on new connections, {_resolution(pulses)}"
    return Answer(status, between + when, limit, why, evidence)


def kept_connections(run: Run, _: Cohorts) -> Answer:
    """The longest time after a cutover without an answer to clients that keep their connections.

    A real vLLM that drains answers 500 on connections that were opened before SIGTERM, until it exits, while
    new ones are served (0.32; facts 2). Whether that matters depends on the clients, hence it has a limit
    only where one is given.
    """
    limit_s = run.limits.max_kept_blackout_s or 0.0
    limit = f"<= {limit_s:g} s"
    if not run.timeline.cutovers:
        return no_cutover(run, limit)
    pulses = pulses_of(run, fresh=False)
    if not pulses:
        return Answer(Status.NOT_EXAMINED, "no pulses ran", limit, "no pulse kept its connection (--pulse)")
    silence = kept_silence(run)
    between = f"between {seconds(silence.least_ns)} and {seconds(silence.most_ns)}"
    status = at_most(silence.least_ns, silence.most_ns, limit_s * NS_PER_S)
    when = f", from {_since_cutover(silence, run)}" if silence.least_ns else ""
    why = f"clients that keep their connections got no answer for {between}{when}"
    return Answer(status, between + when, limit, why, f"{len(pulses)} pulses on kept connections")


def kept_silence(run: Run) -> Silence:
    """The longest silence on kept connections from the first cutover to the last pulse: drains outlast W."""
    pulses = pulses_of(run, fresh=False)
    from_ns = run.timeline.cutovers[0].at.not_before_ns
    last_ns = max((pulse.opened_ns for pulse in pulses), default=from_ns)
    return longest_silence(pulses, from_ns, max(from_ns, last_ns), run)


def pulses_of(run: Run, *, fresh: bool) -> list[StreamRecord]:
    """The pulses on new or on kept connections, in the order in which they were opened."""
    pulses = (stream for stream in run.streams if stream.lane is Lane.PULSE and stream.fresh is fresh)
    return sorted(pulses, key=lambda pulse: pulse.opened_ns)


def longest_silence(pulses: Iterable[StreamRecord], from_ns: int, to_ns: int, run: Run) -> Silence:
    """The longest time in [from_ns, to_ns] without an answer; `pulses` in order of opening."""
    longest, most_ns = Silence(0, 0), 0
    answered_ns, failed_ns = from_ns, None
    for pulse in pulses:
        if not from_ns <= pulse.opened_ns <= to_ns or _says_nothing(pulse, run):
            continue
        if was_answered(pulse):
            most_ns = max(most_ns, pulse.opened_ns - answered_ns)
            answered_ns, failed_ns = pulse.opened_ns, None
        else:
            failed_ns = pulse.opened_ns if failed_ns is None else failed_ns
            longest = max(longest, Silence(pulse.opened_ns - failed_ns, 0, failed_ns))
    return longest._replace(most_ns=max(longest.least_ns, most_ns, to_ns - answered_ns))


def _after_cutovers(pulses: Sequence[StreamRecord], run: Run) -> Silence:
    """The longest of all cutovers; what is possible may lie elsewhere than what is certain."""
    watched_ns = round(run.limits.watch_after_s * NS_PER_S)
    silences = [
        longest_silence(pulses, cutover.at.not_before_ns, cutover.at.seen_ns + watched_ns, run)
        for cutover in run.timeline.cutovers
    ]
    return max(silences)._replace(most_ns=max(silence.most_ns for silence in silences))


def _since_cutover(silence: Silence, run: Run) -> str:
    cutover = max(
        (each for each in run.timeline.cutovers if each.at.not_before_ns <= silence.from_ns),
        key=lambda each: each.number,
    )
    return f"T8 {(silence.from_ns - cutover.at.seen_ns) / NS_PER_S:+.1f} s"


def _resolution(pulses: Sequence[StreamRecord]) -> str:
    if len(pulses) < 2:
        return "too few to tell how often"
    apart = median(b.opened_ns - a.opened_ns for a, b in pairwise(pulses))
    return f"one every {seconds(round(apart))}"


def _says_nothing(pulse: StreamRecord, run: Run) -> bool:
    return pulse.outcome is Outcome.OURS or is_doubtful(pulse, run)
