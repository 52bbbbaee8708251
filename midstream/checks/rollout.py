"""Whether the Rollout did what a clean promotion does."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from midstream.checks.check import Answer, Status, is_in_doubt, is_unfit, no_cutover, seconds
from midstream.cohorts import NS_PER_S, Cohorts, pod_marks
from midstream.rollouts.timeline import MarkName, WatchGap
from midstream.run import Run

# A fast rollback takes about 1 s (facts 4): what fits into a shorter gap cannot have been there and back.
UNSEEN_S = 1.0
JUDGED_KINDS = frozenset({"rollouts", "services", "pods"})  # those that the checks on a rollout rest on


def preview(run: Run, _: Cohorts) -> Answer:
    """Whether the new revision streamed well before its promotion."""
    limit = "fit"
    if run.preview is None:
        return Answer(Status.NOT_EXAMINED, "not validated", limit, "the new revision was not validated")
    evidence = f"{run.preview.streams} streams through the preview Service"
    promoted = "but promoted" if run.timeline.cutovers else "not promoted"
    if is_in_doubt(run):
        why = f"new revision in doubt, {promoted}: {run.preview.why}"
        return Answer(Status.INCONCLUSIVE, "in doubt", limit, why, evidence)
    if run.preview.fit is None:
        return Answer(Status.NOT_EXAMINED, "not reached", limit, run.preview.why)
    if run.preview.fit:
        return Answer(Status.PASS, "fit", limit, "the new revision streamed well", evidence)
    return Answer(Status.FAIL, "unfit", limit, f"new revision unfit, {promoted}: {run.preview.why}", evidence)


class _Finding(NamedTuple):
    status: Status
    words: str


# What an event means once the cutover was seen; before it, nothing of ours was tested yet.
_FAILS_AFTER_CUTOVER = frozenset({"aborted", "degraded", "switched_back"})


def rollout(run: Run, _: Cohorts) -> Answer:
    """Whether the promotion went through, and was seen doing so without a gap."""
    limit = "promoted, old pods gone, seen throughout"
    if not run.timeline.cutovers and is_unfit(run):
        return no_cutover(run, limit)
    findings = [*_event_findings(run), *_third_revision(run), *_drain_findings(run), *_gap_findings(run)]
    for status in (Status.FAIL, Status.INCONCLUSIVE):
        words = [finding.words for finding in findings if finding.status is status]
        if words:
            return Answer(status, words[0], limit, "; ".join(words), "watches of the Rollout")
    cutovers = ", ".join(f"{cutover.old} -> {cutover.new}" for cutover in run.timeline.cutovers)
    return Answer(Status.PASS, cutovers, limit, f"promoted {cutovers}", "watches of the Rollout")


_EVENT_WORDS = {
    "aborted": "the Rollout was aborted",
    "degraded": "the Rollout was Degraded",
    "deleted": "the Rollout was deleted",
    "switched_back": "somebody else switched the active Service back to the old revision",
    "unexpected_cutover": "somebody else had the active Service switched again",
}


def _event_findings(run: Run) -> Iterator[_Finding]:
    cutovers = run.timeline.cutovers
    if not cutovers:
        yield _Finding(Status.INCONCLUSIVE, "no cutover was seen")
    for event in run.timeline.events:
        after = bool(cutovers) and event.seen_ns > cutovers[0].at.seen_ns
        status = Status.FAIL if after and event.what in _FAILS_AFTER_CUTOVER else Status.INCONCLUSIVE
        when = f"{seconds(event.seen_ns - cutovers[0].at.seen_ns)} after" if after else "before"
        detail = f" ({event.detail})" if event.detail else ""
        yield _Finding(status, f"{_EVENT_WORDS[event.what]} {when} the cutover{detail}")


def _third_revision(run: Run) -> Iterator[_Finding]:
    """A cutover to another revision than the update made: what was validated is not what serves."""
    since_ns = 0
    for cutover in run.timeline.cutovers:
        made = [
            mark
            for mark in run.timeline.marks
            if mark.name is MarkName.T0 and since_ns < mark.seen_ns <= cutover.at.seen_ns
        ]
        since_ns = cutover.at.seen_ns
        first = made[0].revision if made else cutover.new
        if first != cutover.new and (first is not None or len(made) > 1):
            told = f" ({first})" if first is not None else ""
            yield _Finding(
                Status.INCONCLUSIVE,
                f"the cutover went to a third revision, {cutover.new}, not to that of the update{told}",
            )


def _drain_findings(run: Run) -> Iterator[_Finding]:
    for cutover in run.timeline.cutovers:
        left = [pod for pod in cutover.old_pods if run.timeline.of_pod(MarkName.T14, pod) is None]
        if run.budget is not None and run.budget.scale_down_delay_s is None and left:
            yield _Finding(
                Status.INCONCLUSIVE,
                "scaleDownDelaySeconds is 0, so the old pods stay for ever: the drain was not judged",
            )
        elif left:
            yield _Finding(
                Status.INCONCLUSIVE,
                f"the end of {', '.join(left)} was not seen (T14): raise --drain-limit",
            )
        elif not cutover.old_pods:
            yield _Finding(Status.INCONCLUSIVE, f"no pod of {cutover.old} was seen, so none to drain")


def _gap_findings(run: Run) -> Iterator[_Finding]:
    for cutover in run.timeline.cutovers:
        ends = [mark.seen_ns for mark in pod_marks(run.timeline, MarkName.T14, cutover)]
        last_ns = max(ends, default=run.stopped_ns)
        blind = [
            gap
            for gap in run.timeline.gaps
            if gap.kind in JUDGED_KINDS
            and gap.from_ns <= last_ns
            and gap.to_ns >= cutover.at.not_before_ns
            and gap.length_ns > UNSEEN_S * NS_PER_S
        ]
        if blind:
            yield _Finding(Status.INCONCLUSIVE, _gaps_told(blind))


def _gaps_told(gaps: list[WatchGap]) -> str:
    kinds = list(dict.fromkeys(gap.kind for gap in gaps))
    named = " and ".join(filter(None, [", ".join(kinds[:-1]), kinds[-1]]))
    longest = max(gaps, key=lambda gap: gap.length_ns)
    often = max(Counter(gap.kind for gap in gaps).values())
    how_long = f"{often} times, once for" if often > 1 else "for up to" if len(gaps) > 1 else "for"
    return f"{named} went unwatched {how_long} {seconds(longest.length_ns)} from T8 to T14 ({longest.why})"


def second_witness(_: Run, __: Cohorts) -> Answer:
    """Whether the engine's own count agrees with ours."""
    return Answer(
        Status.NOT_EXAMINED, "none", "agrees", "neither engine metrics nor logs of the old pods were read"
    )
