"""Whether the streams that met a cutover and the end of its old pods came through whole."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from midstream.checks.check import Answer, Status, at_most, bound, no_cutover, percent, seconds
from midstream.checks.doubt import MORE_CPU, OWN_DELAY_SHARE, is_doubtful, own_delay_ns
from midstream.cohorts import NS_PER_S, Cohort, Cohorts, Member, Place, pod_marks
from midstream.rollouts.timeline import Cutover, Mark, MarkName
from midstream.run import Run
from midstream.streams.ending import Outcome
from midstream.streams.record import Lane

VAGUE_S = 1.0  # a moment known to this much is no reason for a stream to have missed it


class _Losses(NamedTuple):
    """How the streams of one cohort fared."""

    whole: int  # complete, and certainly of the cohort
    proven: int  # lost
    doubtful: int  # lost at a limit of ours that own delay may have made pass, or ended by us


def _losses(members: Iterable[Member], run: Run) -> _Losses:
    whole = proven = doubtful = 0
    for member in members:
        match member.stream.outcome:
            case Outcome.COMPLETE:
                whole += member.stream.lane is Lane.MAIN
            case Outcome.OURS:
                doubtful += 1
            case Outcome.LOST if is_doubtful(member.stream, run):
                doubtful += 1
            case Outcome.LOST:
                proven += 1
            case Outcome.REFUSED:
                pass  # it never began: error rate and reachability count it
    return _Losses(whole, proven, doubtful)


_UNKNOWN = "ended by our own doing or delay, or are still open"


def crossing_lost(run: Run, cohorts: Cohorts) -> Answer:
    """Streams lost among those open at T8 on the old revision.

    Losses count on either lane; enough streams must have crossed on the main lane. Those still open
    without a record could be losses.
    """
    limit = f"<= {run.limits.max_crossing_lost} lost of >= {run.limits.min_crossing}"
    if not run.timeline.cutovers:
        return no_cutover(run, limit)
    losses = _losses(cohorts.of(Cohort.CROSSING), run)
    fewest = min(
        (_crossed(cohorts, cutover) for cutover in run.timeline.cutovers), key=lambda met: met.surely
    )
    unknown = losses.doubtful + run.ledger.still_open
    status = at_most(losses.proven, losses.proven + unknown, run.limits.max_crossing_lost)
    why = f"{losses.proven} of {losses.whole + losses.proven} crossing streams were lost"
    if status is Status.INCONCLUSIVE:
        why += f", and {unknown} more {_UNKNOWN}"
    elif status is Status.PASS and fewest.surely < _needed(run):
        status, why = Status.INCONCLUSIVE, _too_few_crossed(fewest, run)
    return Answer(
        status,
        f"{losses.proven} lost of {losses.whole + losses.proven}",
        limit,
        why,
        "; ".join(f"T8 by {cutover.at.source}" for cutover in run.timeline.cutovers),
    )


class _Crossed(NamedTuple):
    """Main-lane streams, whole or lost, that met one cutover."""

    cutover: Cutover
    surely: int  # however the uncertainty of T8 is read
    perhaps: int  # within its uncertainty


def _crossed(cohorts: Cohorts, cutover: Cutover) -> _Crossed:
    place = Place(Cohort.CROSSING, cutover.number)
    met = [
        member
        for member in cohorts.members
        if place in member.possible
        and member.stream.lane is Lane.MAIN
        and member.stream.outcome in (Outcome.COMPLETE, Outcome.LOST)
    ]
    surely = sum(place in member.certain for member in met)
    return _Crossed(cutover, surely, len(met) - surely)


def _needed(run: Run) -> int:
    """At least one: without any, nothing was tested, whatever the limit says."""
    return max(1, run.limits.min_crossing)


def _too_few_crossed(met: _Crossed, run: Run) -> str:
    crossed, at, needed = met.surely, met.cutover.at, _needed(run)
    few = f"{crossed} streams crossed the cutover, fewer than {needed} (MIN_CROSSING)"
    if crossed + met.perhaps >= needed:
        vague = seconds(at.seen_ns - at.not_before_ns)
        if own_delay_ns(run, at.not_before_ns, at.seen_ns) > OWN_DELAY_SHARE * (
            at.seen_ns - at.not_before_ns
        ):
            return f"the load generator was too slow: {few}, {met.perhaps} more may have. {MORE_CPU}"
        return (
            f"{few}, and {met.perhaps} more ended or began within the {vague} in which the cutover lies: "
            "see the gaps of the watches, and run it again"
        )
    proven = (
        f"so few bound the loss rate at {percent(bound(crossed))} only" if crossed else "none proves nothing"
    )
    return (
        f"{few}: {proven}, "
        f"{needed} at {percent(bound(needed))}: raise -u to {needed} or more (each user holds one stream)"
    )


def at_sigterm(run: Run, cohorts: Cohorts) -> Answer:
    """Streams lost among those open on the old revision when its pod was told to end."""
    limit = "0 lost" + (" of >= 1" if run.limits.require_drain else "")
    if not run.timeline.cutovers:
        return no_cutover(run, limit)
    losses = _losses(cohorts.of(Cohort.AT_SIGTERM), run)
    unknown = losses.doubtful + run.ledger.still_open
    marks = [
        mark for cutover in run.timeline.cutovers for mark in pod_marks(run.timeline, MarkName.T13, cutover)
    ]
    answer = Answer(
        at_most(losses.proven, losses.proven + unknown, 0),
        f"{losses.proven} lost of {losses.whole + losses.proven}",
        limit,
        f"{losses.proven} of {losses.whole + losses.proven} streams open at SIGTERM were lost",
        "; ".join(f"T13 by {source}" for source in sorted({mark.source for mark in marks})),
    )
    if answer.status is Status.INCONCLUSIVE:
        return answer._replace(why=answer.why + f", and {unknown} more {_UNKNOWN}")
    if losses.whole or losses.proven:
        return answer
    return answer._replace(
        status=Status.INCONCLUSIVE if run.limits.require_drain else Status.NOT_EXAMINED,
        observed="none open" if marks else "no SIGTERM seen",
        why=f"{_none_open(marks, run, cohorts)} ({_longest_proven(run, cohorts)})",
    )


def _none_open(marks: Sequence[Mark], run: Run, cohorts: Cohorts) -> str:
    if not marks:
        if run.budget is not None and run.budget.scale_down_delay_s is None:
            return "scaleDownDelaySeconds is 0, so the old pods never get SIGTERM: the drain was not judged"
        return "no SIGTERM was seen, so nothing is known of the drain"
    perhaps = sum(
        any(place.cohort is Cohort.AT_SIGTERM for place in member.possible) for member in cohorts.members
    )
    from_ns, to_ns = min(mark.not_before_ns for mark in marks), max(mark.seen_ns for mark in marks)
    if perhaps and _is_own_delay(from_ns, to_ns, run):
        return f"the load generator was too slow: {_vague(perhaps, to_ns - from_ns)}. {MORE_CPU}"
    if perhaps and to_ns - from_ns > VAGUE_S * NS_PER_S:
        return f"{_vague(perhaps, to_ns - from_ns)}: see the gaps of the watches, and run it again"
    return (
        "no stream was surely open at SIGTERM, so nothing is known of the drain: "
        "raise --stream-seconds or --sigterm-streams"
    )


def _is_own_delay(from_ns: int, to_ns: int, run: Run) -> bool:
    """Whether a moment is known so vaguely because our own loop was late."""
    return own_delay_ns(run, from_ns, to_ns) > OWN_DELAY_SHARE * (to_ns - from_ns)


def _vague(perhaps: int, width_ns: int) -> str:
    return (
        f"{perhaps} streams may have been open at SIGTERM, none surely, since it lies somewhere within "
        f"{seconds(width_ns)}"
    )


def _longest_proven(run: Run, cohorts: Cohorts) -> str:
    after_ns = [
        member.stream.end_ns - run.timeline.cutovers[0].at.seen_ns
        for member in cohorts.of(Cohort.CROSSING)
        if member.stream.outcome is Outcome.COMPLETE
    ]
    if not after_ns:
        return "no stream was proven to outlive the cutover"
    return f"the longest one was whole {seconds(max(after_ns))} after the cutover"
