"""What losses are set beside: the marks of the promotion, the budget, the command of the engine."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from midstream.causes.paths import CommonAge, Reached, common_age, cut_on_old, reached, standing_since
from midstream.checks.doubt import last_wait_ns
from midstream.cohorts import NS_PER_S, Cohort, Cohorts, Member, Place, pod_marks
from midstream.credential import FEWEST, is_key_refused, was_accepted
from midstream.rollouts.timeline import Cutover, Mark, MarkName
from midstream.run import Run
from midstream.streams.ending import Ending, Outcome
from midstream.streams.record import Lane, StreamRecord

# vLLM ends its streams within 0.5 s of SIGTERM (facts 2); the kubelet may send it a second later than T13.
SIGTERM_REACTION_S = 2.0
KUBELET_BEAT_S = 1.0  # it looks at its containers once a second, so SIGTERM may come that long after T13
# A stream that falls silent at SIGTERM had its last token up to so long before. Where a connection breaks
# after a longer pause, the engine had stopped before.
TOKEN_PAUSE_S = 1.0
CHANCE = 0.01  # what is less likely than this was no chance
COLD_WITHIN_S = 1.0  # a revision that is not warm shows it to the first who come


class Loss(NamedTuple):
    """One lost or refused stream with the cutover it can be set beside."""

    member: Member
    place: Place
    cutover: Cutover | None

    @property
    def ending(self) -> Ending:
        """How the stream ended."""
        return self.member.stream.ending

    @property
    def fell_silent(self) -> bool:
        """Nothing came any more, until a limit of ours passed or the connection broke.

        An engine that hangs at SIGTERM is killed with its sockets when the grace period is over, often sooner
        than the idle limit (vLLM 0.32, facts 2).
        """
        stream = self.member.stream
        if stream.ending not in (Ending.TRUNCATED, Ending.RESET):
            return stream.ending.is_deadline
        last_ns = stream.last_token_ns
        return last_ns is not None and stream.end_ns - last_ns > TOKEN_PAUSE_S * NS_PER_S

    @property
    def failed_ns(self) -> int:
        """When it went wrong: a limit of ours passes long after the last sign of life."""
        stream = self.member.stream
        if stream.ending.is_deadline:
            return last_wait_ns(stream)
        silent_ns = stream.last_token_ns if self.fell_silent else None
        return stream.end_ns if silent_ns is None else silent_ns


class Scene(NamedTuple):
    """What losses are set beside, sorted once for all of them."""

    run: Run
    marks: dict[tuple[MarkName, int], tuple[Mark, ...]]  # of the old pods, by promotion
    totals: Counter[tuple[Place, Lane]]
    deaf: dict[int, int]  # promotion -> streams that the old pods began after their SIGTERM
    since: dict[str, int]  # stream id -> when its connection was opened
    reached: dict[int, Reached]  # by promotion
    cut_on_old: dict[int, tuple[int, ...]]  # by promotion, when streams of its old revision were cut
    common_age: CommonAge | None  # at which connections were cut
    keyless: frozenset[int]  # promotions whose new revision refused the key, and nobody had before
    sound_before: dict[int, frozenset[Ending]]  # by promotion: endings that no stream had before it
    limited: frozenset[int]  # promotions since which, and not before, new connections are answered 429
    of_new_alone: dict[int, frozenset[Ending]]  # by promotion: endings that only its new revision has
    cold_ns: dict[int, int]  # by promotion: the last 5xx of a new revision that then served


class Sighting(NamedTuple):
    """What in the evidence a loss agrees with."""

    marks: tuple[Mark, ...]  # of one name, one a pod: the moments that it is set beside
    also: tuple[Mark, ...] = ()  # others that show the same
    words: tuple[str, ...] = ()
    pods: tuple[str, ...] = ()  # named, where no mark is of a pod


class Rule(NamedTuple):
    """One misconfiguration: when the evidence shows it, how it is said, how it is mended."""

    name: str
    shown_by: Callable[[Loss, Scene], Sighting | None]
    sentence: str
    mend: str


def read_scene(run: Run, cohorts: Cohorts) -> Scene:
    """What the losses of a run are set beside."""
    marks = {
        (name, cutover.number): pod_marks(run.timeline, name, cutover)
        for name in (MarkName.T12, MarkName.T13, MarkName.T14)
        for cutover in run.timeline.cutovers
    }
    since = standing_since(run.streams)
    return Scene(
        run,
        marks,
        Counter((place, member.stream.lane) for member in cohorts.members for place in member.places),
        {cutover.number: _begun_after_sigterm(cutover, run, marks) for cutover in run.timeline.cutovers},
        since,
        {cutover.number: reached(cutover, cohorts.members, since, run) for cutover in run.timeline.cutovers},
        {cutover.number: cut_on_old(cutover, cohorts.members, run) for cutover in run.timeline.cutovers},
        common_age(run.streams, since),
        frozenset(cutover.number for cutover in run.timeline.cutovers if _refuses_key(cutover, run)),
        {cutover.number: _unmet_before(cutover, run) for cutover in run.timeline.cutovers},
        frozenset(cutover.number for cutover in run.timeline.cutovers if _is_limited_since(cutover, run)),
        {cutover.number: _endings_of_new_alone(cutover, cohorts) for cutover in run.timeline.cutovers},
        {
            cutover.number: last_ns
            for cutover in run.timeline.cutovers
            if (last_ns := _last_cold_ns(cutover, run, cohorts)) is not None
        },
    )


def _unmet_before(cutover: Cutover, run: Run) -> frozenset[Ending]:
    """The endings that came after a cutover alone; none where no stream was whole before it."""
    before = {stream.ending for stream in run.streams if stream.end_ns <= cutover.at.not_before_ns}
    return frozenset(Ending) - before if Ending.COMPLETE in before else frozenset()


def _is_limited_since(cutover: Cutover, run: Run) -> bool:
    return Ending.HTTP_429 in _unmet_before(cutover, run) and any(
        stream.ending is Ending.HTTP_429 and stream.fresh and stream.opened_ns > cutover.at.not_before_ns
        for stream in run.streams
    )


def _endings_of_new_alone(cutover: Cutover, cohorts: Cohorts) -> frozenset[Ending]:
    """None where no stream of another revision was whole: then nothing shows that the other one is well."""
    of_new = {member.stream.ending for member in cohorts.members if is_of_new(member, cutover)}
    others = {member.stream.ending for member in cohorts.members if not is_of_new(member, cutover)}
    return frozenset(of_new - others) if Ending.COMPLETE in others else frozenset()


def is_of_new(member: Member, cutover: Cutover) -> bool:
    """Whether its label says so, or, where a gateway hides labels, that it was begun after the cutover."""
    if member.revision is not None:
        return member.revision == cutover.new
    return member.stream.fresh and member.stream.opened_ns > cutover.at.seen_ns


def _last_cold_ns(cutover: Cutover, run: Run, cohorts: Cohorts) -> int | None:
    """When the new revision answered 5xx last, if it did so from the cutover on and served after that.

    It did where so many whole streams in a row were less likely than CHANCE with the share of 5xx from
    before. Not where old pods were deleted by then: a 5xx may be of a data plane that still sends to them.
    """
    cold_ns = [
        stream.opened_ns
        for stream in run.streams
        if stream.fresh and stream.ending is Ending.HTTP_5XX and stream.opened_ns > cutover.at.not_before_ns
    ]
    if not cold_ns or min(cold_ns) > cutover.at.seen_ns + round(COLD_WITHIN_S * NS_PER_S):
        return None
    deleted = pod_marks(run.timeline, MarkName.T12, cutover)
    if any(mark.not_before_ns < min(cold_ns) for mark in deleted):
        return None
    last_ns = max(cold_ns)
    served_ns = [
        member.stream.opened_ns
        for member in cohorts.members
        if is_of_new(member, cutover) and member.stream.outcome is Outcome.COMPLETE
    ]
    later = sum(opened_ns > last_ns for opened_ns in served_ns)
    share = len(cold_ns) / (len(cold_ns) + len(served_ns) - later)
    return last_ns if later and (1 - share) ** later < CHANCE else None


def _begun_after_sigterm(
    cutover: Cutover, run: Run, marks: Mapping[tuple[MarkName, int], tuple[Mark, ...]]
) -> int:
    """Streams that the old revision began, with a token, when all its pods had been told to end."""
    told = marks[MarkName.T13, cutover.number]
    if not told:
        return 0
    from_ns = max(mark.seen_ns for mark in told) + round(KUBELET_BEAT_S * NS_PER_S)
    to_ns = max((mark.seen_ns for mark in marks[MarkName.T14, cutover.number]), default=0)
    return sum(
        from_ns < stream.opened_ns < to_ns
        for stream in run.streams
        if stream.revisions == (cutover.old,) and stream.first_token_ns is not None
    )


def _refuses_key(cutover: Cutover, run: Run) -> bool:
    """No key was refused before the cutover; after it, on new connections, several were and none accepted."""
    from_ns = cutover.at.seen_ns + round(run.limits.max_propagation_s * NS_PER_S)
    later_ns = (other.at.not_before_ns for other in run.timeline.cutovers if other.number > cutover.number)
    to_ns = min(later_ns, default=run.stopped_ns)
    of_new = [stream for stream in run.streams if stream.fresh and from_ns < stream.opened_ns < to_ns]
    refused_before = any(
        is_key_refused(stream) and stream.end_ns <= cutover.at.not_before_ns for stream in run.streams
    )
    several = sum(map(is_key_refused, of_new)) >= FEWEST
    return several and not refused_before and not any(map(was_accepted, of_new))


def losses(run: Run, cohorts: Cohorts) -> Iterator[Loss]:
    """Every stream lost or refused, in the cohort that it is named after."""
    cutovers = {cutover.number: cutover for cutover in run.timeline.cutovers}
    for member in cohorts.members:
        if member.stream.outcome in (Outcome.LOST, Outcome.REFUSED):
            place = min(_met(member), key=lambda place: (_ORDER[place.cohort], place.cutover))
            yield Loss(member, place, cutovers.get(place.cutover) or _before(member.stream, run))


def _met(member: Member) -> frozenset[Place]:
    """A refused stream was open on no pod: one that is new is told as that alone."""
    if member.stream.outcome is not Outcome.REFUSED:
        return member.places
    return frozenset(place for place in member.places if place.cohort is Cohort.NEW) or member.places


def _before(stream: StreamRecord, run: Run) -> Cutover | None:
    """The cutover that a steady stream was opened after: drains outlast the time that is watched."""
    earlier = [each for each in run.timeline.cutovers if each.at.seen_ns <= stream.opened_ns]
    return earlier[-1] if earlier else None


_ORDER = {cohort: number for number, cohort in enumerate(Cohort)}


def old_pod_marks(loss: Loss, scene: Scene, name: MarkName) -> tuple[Mark, ...]:
    """The marks of that name for the pods of the old revision, if the loss may be theirs."""
    if loss.cutover is None or loss.member.revision not in (None, loss.cutover.old):
        return ()
    return scene.marks[name, loss.cutover.number]


def at_sigterm(loss: Loss, scene: Scene, later_s: float = 0.0) -> tuple[Mark, ...]:
    """T13 of the old pods whose SIGTERM, or a time `later_s` after it, the loss follows at once."""
    later_ns = round(later_s * NS_PER_S)
    before_ns = round(TOKEN_PAUSE_S * NS_PER_S) if loss.fell_silent else 0
    after_ns = round(SIGTERM_REACTION_S * NS_PER_S)
    return tuple(
        mark
        for mark in old_pod_marks(loss, scene, MarkName.T13)
        if mark.not_before_ns - before_ns < loss.failed_ns - later_ns <= mark.seen_ns + after_ns
    )


def old_command(run: Run) -> str:
    """What the serving container of the old revision runs; "" where that is not known."""
    return "" if run.subject.old is None else " ".join(run.subject.old.command)
