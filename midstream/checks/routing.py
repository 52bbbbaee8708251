"""Whether only the active revision answered."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from midstream.checks.check import Answer, Status, no_cutover, seconds
from midstream.cohorts import NS_PER_S, Cohorts
from midstream.rollouts.timeline import Cutover
from midstream.run import Run
from midstream.streams.record import StreamRecord


class _Span(NamedTuple):
    """A time in which one revision was the active one, as wide as the marks allow."""

    revision: str
    from_ns: float
    to_ns: float


def routing(run: Run, cohorts: Cohorts) -> Answer:
    """Whether only the active revision answered.

    Wrong: a revision that answers before the cutover to it, or one that still answers on a connection
    opened later than MAX_PROPAGATION after the cutover away from it.
    """
    limit = f"<= {run.limits.max_propagation_s:g} s"
    if not run.timeline.cutovers:
        return Answer(Status.NOT_EXAMINED, "none", limit, no_cutover(run, limit).why)
    spans = _spans(run.timeline.cutovers)
    known = {span.revision for span in spans}
    labelled = [
        member.stream
        for member in cohorts.members
        if member.stream.first_event_ns is not None and known.intersection(member.stream.revisions)
    ]
    if not labelled:
        return Answer(
            Status.NOT_EXAMINED,
            "no labels",
            limit,
            "no stream told its revision (vLLM: --served-model-name $(REVISION) NAME)",
        )
    early = sum(_is_early(stream, spans) for stream in labelled)
    lag_ns = max(_lag_ns(stream, spans) for stream in labelled)
    is_late = lag_ns > run.limits.max_propagation_s * NS_PER_S
    observed = f"old on new connections until T8 + {seconds(lag_ns)}" if lag_ns else "old never after T8"
    if early:
        return Answer(
            Status.FAIL,
            f"{early} on the new before T8",
            limit,
            f"{early} streams were answered by the new revision before the cutover",
            "labels of the streams",
        )
    why = f"the old revision was still reached by new connections {seconds(lag_ns)} after the cutover"
    if not is_late and not _shows_new(labelled, spans):
        return Answer(
            Status.NOT_EXAMINED,
            "no label after T8",
            limit,
            "no stream begun after the cutover told its revision",
        )
    if not is_late:
        why = "every new connection went to the active revision in time"
    return Answer(Status.FAIL if is_late else Status.PASS, observed, limit, why, "labels of the streams")


def _shows_new(labelled: Iterable[StreamRecord], spans: tuple[_Span, ...]) -> bool:
    """Whether after each cutover some new connection told where it went."""
    opened_ns = [stream.opened_ns for stream in labelled if stream.fresh]
    return all(any(span.from_ns <= at_ns <= span.to_ns for at_ns in opened_ns) for span in spans[1:])


def _spans(cutovers: tuple[Cutover, ...]) -> tuple[_Span, ...]:
    if not cutovers:
        return ()
    ends = [*(float(cutover.at.seen_ns) for cutover in cutovers), math.inf]
    first = _Span(cutovers[0].old, -math.inf, ends[0])
    later = (
        _Span(cutover.new, cutover.at.not_before_ns, end)
        for cutover, end in zip(cutovers, ends[1:], strict=True)
    )
    return (first, *later)


def _of_stream(stream: StreamRecord, spans: Iterable[_Span]) -> list[_Span]:
    known = {span.revision for span in spans}
    label = next(label for label in stream.revisions if label in known)
    return [span for span in spans if span.revision == label]


def _is_early(stream: StreamRecord, spans: tuple[_Span, ...]) -> bool:
    answered_ns = stream.first_event_ns or 0
    return all(span.from_ns > answered_ns for span in _of_stream(stream, spans))


def _lag_ns(stream: StreamRecord, spans: tuple[_Span, ...]) -> int:
    """How long after its revision's time a new connection was opened; 0 within it, or on a kept one."""
    if not stream.fresh:
        return 0
    answered_ns = stream.first_event_ns or 0
    begun = [span for span in _of_stream(stream, spans) if span.from_ns <= answered_ns]
    return max(0, int(stream.opened_ns - max(span.to_ns for span in begun))) if _bounded(begun) else 0


def _bounded(spans: list[_Span]) -> bool:
    return bool(spans) and all(math.isfinite(span.to_ns) for span in spans)
