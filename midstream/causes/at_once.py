"""What can be said of a lost stream at the moment it is lost, when nothing later is known yet."""

from midstream.causes.evidence import SIGTERM_REACTION_S, TOKEN_PAUSE_S
from midstream.causes.words import ENDING_WORDS, FINEST_S, PODS_NAMED, away
from midstream.checks.doubt import last_wait_ns
from midstream.cohorts import NS_PER_S, revision_of
from midstream.rollouts.timeline import Mark, MarkName, Timeline
from midstream.streams.ending import Ending
from midstream.streams.record import StreamRecord

ERROR_LENGTH = 100  # characters: this is one line, the report has more
# How long after a moment a loss is still told beside it; the rules of the report decide what it means.
NEAR_S: dict[MarkName, float] = {
    MarkName.T13: SIGTERM_REACTION_S,
    MarkName.T12: SIGTERM_REACTION_S,
    MarkName.T8: 10.0,  # MAX_PROPAGATION
}
_MOMENT_WORDS: dict[MarkName, str] = {
    MarkName.T13: "SIGTERM",
    MarkName.T12: "the deletion was asked",
    MarkName.T8: "the cutover",
}


def loss_words(record: StreamRecord, timeline: Timeline) -> str:
    """How it ended, on which revision, after how much, how far from which moment: what was seen, no cause."""
    revision = revision_of(record, timeline.cutovers)
    parts = [
        _ending(record),
        f"on rev {revision}" if revision else "",
        f"after {record.tokens} tokens" if record.tokens else "",
    ]
    told = [" ".join(filter(None, parts)), _moment(record, revision, timeline), _error(record)]
    return ", ".join(filter(None, told))


def _ending(record: StreamRecord) -> str:
    words = ENDING_WORDS[record.ending]
    status = f" ({record.status})" if record.ending in (Ending.HTTP_4XX, Ending.HTTP_5XX) else ""
    return words if words == record.outcome else f"{record.outcome}: {words}{status}"


def _error(record: StreamRecord) -> str:
    error = record.evidence.error or record.evidence.errno
    return error if len(error) <= ERROR_LENGTH else f"{error[:ERROR_LENGTH]}..."


def _moment(record: StreamRecord, revision: str | None, timeline: Timeline) -> str:
    """The nearest moment before the loss, with the pods that it is of."""
    failed_ns = last_wait_ns(record) if record.ending.is_deadline else record.end_ns
    silent_ns = round(TOKEN_PAUSE_S * NS_PER_S) if record.ending is Ending.STALLED else 0
    for name, near_s in NEAR_S.items():
        near = [
            mark
            for mark in timeline.marks
            if mark.name is name
            and (name is MarkName.T8 or (revision is not None and mark.revision == revision))
            and mark.not_before_ns - silent_ns < failed_ns <= mark.seen_ns + near_s * NS_PER_S
        ]
        if near:
            begun = "begun " if record.ending.is_deadline and record.ending is not Ending.STALLED else ""
            return f"{begun}{_beside(failed_ns, name, near)}"
    return ""


def _beside(failed_ns: int, name: MarkName, near: list[Mark]) -> str:
    nearest = min(near, key=lambda mark: abs(failed_ns - mark.seen_ns))
    finest_s = max(FINEST_S, (nearest.seen_ns - nearest.not_before_ns) / NS_PER_S)
    distance_s = (failed_ns - nearest.seen_ns) / NS_PER_S
    pods = list(dict.fromkeys(mark.pod for mark in near if mark.pod is not None))
    return away([distance_s], finest_s, _MOMENT_WORDS[name]) + _pods(pods)


def _pods(pods: list[str]) -> str:
    """Which of several served the stream is not known: each is named, or their number."""
    match pods:
        case []:
            return ""
        case [pod]:
            return f" (pod {pod})"
        case _ if len(pods) <= PODS_NAMED:
            return f" (pods {', '.join(pods)})"
        case _:
            return f" ({len(pods)} pods)"
