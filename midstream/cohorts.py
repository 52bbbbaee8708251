"""Which streams met which moment of a cutover: a loss means something else in each group."""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from midstream.rollouts.timeline import Cutover, Mark, MarkName, Timeline
from midstream.run import Run
from midstream.streams.ending import Outcome
from midstream.streams.record import Lane, StreamRecord

NS_PER_S = 1_000_000_000
NEW_BEFORE_S = 5  # a stream begun this shortly before the cutover already counts as new (design 6)
# T13 is T12 + preStop as the API tells it; the kubelet looks at its containers once a second.
SIGTERM_LAG_S = 1.0


class Cohort(StrEnum):
    """The groups, in the order in which a loss is named after one of them."""

    CROSSING = "crossing"  # open at T8 on the old revision
    AT_SIGTERM = "at SIGTERM"  # open at T13 on the old revision
    DRAINING = "draining"  # open at T12 on the old revision
    NEW = "new"  # begun in [T8 - 5 s, T8 + W]
    STEADY = "steady"  # the rest


class Place(NamedTuple):
    """A cohort of one cutover; `cutover` counts from 1 and is 0 for steady."""

    cohort: Cohort
    cutover: int


STEADY = frozenset({Place(Cohort.STEADY, 0)})


class Member(NamedTuple):
    """One stream with the groups it belongs to.

    A mark is an interval, hence two readings: `certain` holds wherever in it the moment lay, `possible`
    somewhere in it. A stream proves something only where it certainly was, and a loss counts wherever it
    may have been: so no uncertainty ever turns a loss into a pass.
    """

    stream: StreamRecord
    revision: str | None
    certain: frozenset[Place]
    possible: frozenset[Place]

    @property
    def places(self) -> frozenset[Place]:
        """The reading that counts for this stream's outcome."""
        return self.certain if self.stream.outcome is Outcome.COMPLETE else self.possible

    @property
    def cohorts(self) -> tuple[Cohort, ...]:
        """The names of its groups, in the enum's order."""
        names = {place.cohort for place in self.places}
        return tuple(cohort for cohort in Cohort if cohort in names)


class Cohorts(NamedTuple):
    """Every stream of a run in its groups."""

    members: tuple[Member, ...]

    def of(self, cohort: Cohort) -> tuple[Member, ...]:
        """The streams that count in a cohort of any cutover."""
        return tuple(
            member for member in self.members if any(place.cohort is cohort for place in member.places)
        )

    def at(self, place: Place) -> tuple[Member, ...]:
        """The streams that count in a cohort of one cutover."""
        return tuple(member for member in self.members if place in member.places)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """How the streams of one cohort, lane and revision ended."""

    cohort: Cohort
    cutover: int
    lane: Lane
    revision: str | None
    streams: int
    outcomes: dict[Outcome, int]


class _Window(NamedTuple):
    """Moments that lie somewhere in (from_ns, to_ns]."""

    from_ns: int
    to_ns: int


class _Scene(NamedTuple):
    """What tells the groups of one cutover."""

    cutover: Cutover
    came_ns: int  # when its old revision was certainly the active one
    known: frozenset[str]  # every revision that a label can name
    propagation_ns: int
    windows: dict[Cohort, _Window]
    new: _Window


def read_cohorts(run: Run) -> Cohorts:
    """Put every stream of the run in its groups."""
    scenes = tuple(_scenes(run))
    return Cohorts(tuple(_member(stream, scenes) for stream in run.streams))


def revision_of(stream: StreamRecord, cutovers: Sequence[Cutover]) -> str | None:
    """The revision that served a stream; None: not known.

    Its first label that is a revision of a cutover. Unlabelled: the revision that was active when its
    first token came, as long as that was before a cutover; after one, a connection may reach either.
    Without any cutover a label is taken as it is.
    """
    if not cutovers:
        return next(iter(stream.revisions), None)
    label = _label(stream, _revisions(cutovers))
    if label is not None:
        return label
    came_ns = 0
    for cutover in cutovers:
        if _had_token(stream, came_ns, cutover):
            return cutover.old
        came_ns = cutover.at.seen_ns
    return None


def table(cohorts: Cohorts) -> tuple[Row, ...]:
    """The cohorts by cutover, lane, revision, each with the number of streams per outcome."""
    counts: dict[tuple[Place, Lane, str | None], dict[Outcome, int]] = {}
    for member in cohorts.members:
        for place in member.places:
            key = (place, member.stream.lane, member.revision)
            outcomes = counts.setdefault(key, dict.fromkeys(Outcome, 0))
            outcomes[member.stream.outcome] += 1
    order = {cohort: number for number, cohort in enumerate(Cohort)}
    keys = sorted(counts, key=lambda key: (key[0].cutover or 1, order[key[0].cohort], key[1], key[2] or ""))
    return tuple(
        Row(
            cohort=place.cohort,
            cutover=place.cutover,
            lane=lane,
            revision=revision,
            streams=sum(counts[place, lane, revision].values()),
            outcomes=counts[place, lane, revision],
        )
        for place, lane, revision in keys
    )


def pod_marks(timeline: Timeline, name: MarkName, cutover: Cutover) -> tuple[Mark, ...]:
    """The marks of that name for the old pods of one cutover."""
    return tuple(
        mark
        for mark in timeline.marks
        if mark.name is name and mark.cutover == cutover.number and mark.revision in (None, cutover.old)
    )


def _revisions(cutovers: Iterable[Cutover]) -> frozenset[str]:
    return frozenset(revision for cutover in cutovers for revision in (cutover.old, cutover.new))


def _label(stream: StreamRecord, known: frozenset[str]) -> str | None:
    return next((label for label in stream.revisions if label in known), None)


def _had_token(stream: StreamRecord, came_ns: int, cutover: Cutover) -> bool:
    if stream.first_token_ns is None:
        return False
    return came_ns <= stream.opened_ns and stream.first_token_ns <= cutover.at.not_before_ns


def _scenes(run: Run) -> Iterator[_Scene]:
    cutovers = run.timeline.cutovers
    came_ns = 0
    for cutover in cutovers:
        at = cutover.at
        windows = {Cohort.CROSSING: _Window(at.not_before_ns, at.seen_ns)}
        for cohort, name in ((Cohort.DRAINING, MarkName.T12), (Cohort.AT_SIGTERM, MarkName.T13)):
            marks = pod_marks(run.timeline, name, cutover)
            if marks:
                windows[cohort] = _Window(
                    min(mark.not_before_ns for mark in marks), max(mark.seen_ns for mark in marks)
                )
        yield _Scene(
            cutover=cutover,
            came_ns=came_ns,
            known=_revisions(cutovers),
            propagation_ns=round(run.limits.max_propagation_s * NS_PER_S),
            windows=windows,
            new=_Window(
                at.not_before_ns - NEW_BEFORE_S * NS_PER_S,
                at.seen_ns + round(run.limits.watch_after_s * NS_PER_S),
            ),
        )
        came_ns = at.seen_ns


def _member(stream: StreamRecord, scenes: Sequence[_Scene]) -> Member:
    certain: set[Place] = set()
    possible: set[Place] = set()
    for scene in scenes:
        number = scene.cutover.number
        if scene.new.from_ns <= stream.opened_ns <= scene.new.to_ns:
            certain.add(Place(Cohort.NEW, number))
            possible.add(Place(Cohort.NEW, number))
        surely_old, maybe_old = _on_old(stream, scene)
        for cohort, window in scene.windows.items():
            if surely_old and _surely_open(stream, cohort, window):
                certain.add(Place(cohort, number))
            if maybe_old and _maybe_open(stream, window):
                possible.add(Place(cohort, number))
    revision = revision_of(stream, [scene.cutover for scene in scenes])
    return Member(stream, revision, frozenset(certain) or STEADY, frozenset(possible) or STEADY)


def _on_old(stream: StreamRecord, scene: _Scene) -> tuple[bool, bool]:
    """Whether the old revision surely served the stream, then whether it may have.

    An unlabelled stream may be on the old one when it was on a kept connection, or was opened before the
    cutover had reached every node.
    """
    label = _label(stream, scene.known)
    if label is not None:
        return label == scene.cutover.old, scene.cutover.old in stream.revisions
    surely = _had_token(stream, scene.came_ns, scene.cutover)
    reached_ns = scene.cutover.at.seen_ns + scene.propagation_ns
    return surely, surely or not stream.fresh or stream.opened_ns <= reached_ns


def _surely_open(stream: StreamRecord, cohort: Cohort, window: _Window) -> bool:
    lag_ns = round(SIGTERM_LAG_S * NS_PER_S) if cohort is Cohort.AT_SIGTERM else 0
    return (
        stream.sent_ns is not None
        and stream.sent_ns <= window.from_ns
        and stream.end_ns > window.to_ns + lag_ns
    )


def _maybe_open(stream: StreamRecord, window: _Window) -> bool:
    return stream.sent_ns is not None and stream.sent_ns <= window.to_ns and stream.end_ns > window.from_ns
