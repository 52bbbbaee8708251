"""What streams show of the way to the pods: which revision it led to, when and at which age it was cut."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from midstream.cohorts import NS_PER_S, Member
from midstream.rollouts.timeline import Cutover
from midstream.run import Run
from midstream.streams.ending import Ending
from midstream.streams.record import StreamRecord

# On a real cluster new connections met the old pod for up to 1.1 s after the switch (facts 4).
USUAL_LAG_S = 2.0
CUT = frozenset({Ending.TRUNCATED, Ending.RESET})
REFUSED = frozenset(
    {
        Ending.CONNECT_REFUSED,
        Ending.CONNECT_TIMEOUT,
        Ending.RESET_BEFORE_HEADERS,
        Ending.NO_HEADERS,
        Ending.HTTP_5XX,
    }
)

ALIKE_AGES = 5  # streams cut at one age, before that age is more than chance
AGE_SPREAD = 0.03  # of an age, at least AGE_SPREAD_S: how far ages lie apart that are the same
AGE_SPREAD_S = 0.3
TIMED_OUT = frozenset({Ending.TRUNCATED, Ending.RESET, Ending.ENDED_EARLY})


class Reached(NamedTuple):
    """Where the new connections led that were opened after one cutover, before the next; in order of time."""

    by_old: tuple[int, ...]  # when those were opened that the old revision answered
    by_new: tuple[int, ...]
    refused: tuple[int, ...]  # those that nobody answered as asked


class CommonAge(NamedTuple):
    """An age at which connections ended, whenever they had begun."""

    least_ns: int
    most_ns: int
    from_ns: int  # the first of them was opened then
    streams: int


def standing_since(streams: Iterable[StreamRecord]) -> dict[str, int]:
    """When the connection of each stream was opened, by the stream's id; unknown ones are left out.

    A request that may use a kept connection opens one where none is kept: its own address tells, which an
    earlier stream had on the same connection.
    """
    opened: dict[tuple[str, str], int] = {}
    since: dict[str, int] = {}
    for stream in sorted(streams, key=lambda stream: stream.opened_ns):
        connected_ns = stream.opened_ns if stream.connected_ns is None else stream.connected_ns
        if stream.fresh or stream.connected_ns is None:
            since[stream.id] = connected_ns
        elif stream.local:
            since[stream.id] = opened.setdefault((stream.local, stream.peer), connected_ns)
    return since


def is_new(stream: StreamRecord, since: Mapping[str, int]) -> bool:
    """Whether its connection was opened for it, or was to be."""
    return since.get(stream.id) == (stream.opened_ns if stream.connected_ns is None else stream.connected_ns)


def reached(cutover: Cutover, members: Iterable[Member], since: Mapping[str, int], run: Run) -> Reached:
    """What new connections reached after a cutover, by the labels of the answers."""
    later_ns = [other.at.not_before_ns for other in run.timeline.cutovers if other.number > cutover.number]
    to_ns = min(later_ns, default=run.stopped_ns)
    after = [
        member
        for member in members
        if is_new(member.stream, since) and cutover.at.seen_ns < member.stream.opened_ns < to_ns
    ]
    answered = [member for member in after if member.stream.first_event_ns is not None]
    return Reached(
        _opened(member.stream for member in answered if member.revision == cutover.old),
        _opened(member.stream for member in answered if member.revision == cutover.new),
        _opened(member.stream for member in after if member.stream.ending in REFUSED),
    )


def _opened(streams: Iterable[StreamRecord]) -> tuple[int, ...]:
    return tuple(sorted(stream.opened_ns for stream in streams))


def cut_on_old(cutover: Cutover, members: Iterable[Member], run: Run) -> tuple[int, ...]:
    """When streams of the old revision were cut, from the cutover on until it has reached every node."""
    to_ns = cutover.at.seen_ns + round(run.limits.max_propagation_s * NS_PER_S)
    return tuple(
        sorted(
            member.stream.end_ns
            for member in members
            if member.stream.ending in CUT
            and member.revision == cutover.old
            and cutover.at.not_before_ns < member.stream.end_ns <= to_ns
        )
    )


def within(instants: Sequence[int], from_ns: int, to_ns: int) -> int:
    """How many of these, in order, lie in [from_ns, to_ns]."""
    return bisect_right(instants, to_ns) - bisect_left(instants, from_ns)


def age_ns(stream: StreamRecord, since: Mapping[str, int]) -> int | None:
    """How old its connection was when the stream ended; None: not known."""
    begun_ns = since.get(stream.id)
    return None if begun_ns is None or stream.connected_ns is None else stream.end_ns - begun_ns


def common_age(streams: Iterable[StreamRecord], since: Mapping[str, int]) -> CommonAge | None:
    """The age at which most connections were cut, if it is one; None: they have none in common.

    They must have ended at moments further apart than their ages are, else one event cut them all; and no
    connection of that time may have lived longer.
    """
    aged = [(age, stream) for stream in streams if (age := age_ns(stream, since)) is not None]
    cut = sorted(
        ((age, stream) for age, stream in aged if stream.ending in TIMED_OUT), key=lambda pair: pair[0]
    )
    alike = _densest(cut)
    if len(alike) < ALIKE_AGES:
        return None
    least_ns, most_ns = alike[0][0], alike[-1][0]
    ends = [stream.end_ns for _, stream in alike]
    from_ns = min(since[stream.id] for _, stream in alike)
    lived_on = any(
        age > most_ns + _spread_ns(most_ns) and since[stream.id] >= from_ns for age, stream in aged
    )
    if lived_on or max(ends) - min(ends) < 3 * _spread_ns(most_ns):
        return None
    return CommonAge(least_ns, most_ns, from_ns, len(alike))


def _densest(cut: Sequence[tuple[int, StreamRecord]]) -> Sequence[tuple[int, StreamRecord]]:
    """The longest run of ages, in order, that are the same within the spread."""
    best: Sequence[tuple[int, StreamRecord]] = ()
    first = 0
    for last, (age, _) in enumerate(cut):
        while age - cut[first][0] > _spread_ns(age):
            first += 1
        if last + 1 - first > len(best):
            best = cut[first : last + 1]
    return best


def _spread_ns(age: int) -> int:
    return round(max(AGE_SPREAD_S * NS_PER_S, AGE_SPREAD * age))
