"""Which answers 401 and 403 say that our own key died, not that a revision refuses its clients."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence

import msgspec

from midstream.cohorts import NS_PER_S
from midstream.rollouts.timeline import Cutover
from midstream.run import Run
from midstream.streams.ending import Ending
from midstream.streams.record import StreamRecord

KEY_REFUSALS = frozenset({401, 403})
FEWEST = 3  # answers that show what a revision does; one may have strayed

_Episode = list[StreamRecord]


def is_key_refused(record: StreamRecord) -> bool:
    """Whether the server refused the request for its key."""
    return record.ending is Ending.HTTP_4XX and record.status in KEY_REFUSALS


def with_credential(run: Run) -> Run:
    """The run with the ending `credential` where nothing but a dead key explains its 401 and 403.

    A key dies for all at once. So they are read anew only when every one of them belongs to an episode in
    which whatever was begun was refused, the key had been accepted before the first, none came in the
    baseline, and, where a cutover was seen, both revisions refused within the episode (design 3). What
    else happened meanwhile to any stream leaves them what they were.
    """
    episodes = list(_episodes(run.streams))
    if not episodes or not _begins_well(episodes[0], run):
        return run
    if not all(_is_of_key(episode, run) for episode in episodes):
        return run
    return msgspec.structs.replace(
        run,
        streams=tuple(
            msgspec.structs.replace(record, ending=Ending.CREDENTIAL) if is_key_refused(record) else record
            for record in run.streams
        ),
    )


def _episodes(records: Sequence[StreamRecord]) -> Iterator[_Episode]:
    """Refusals by the time of their answer, apart wherever any other stream was opened in between."""
    refused = sorted(filter(is_key_refused, records), key=lambda record: record.end_ns)
    others_ns = sorted(record.opened_ns for record in records if not is_key_refused(record))
    episode: _Episode = []
    for record in refused:
        if episode and _opened_between(others_ns, episode[0].end_ns, record.opened_ns):
            yield episode
            episode = []
        episode.append(record)
    if episode:
        yield episode


def _opened_between(opened_ns: Sequence[int], after_ns: int, before_ns: int) -> bool:
    following = bisect_right(opened_ns, after_ns)
    return following < len(opened_ns) and opened_ns[following] < before_ns


def _begins_well(first: _Episode, run: Run) -> bool:
    """Whether the key was accepted before its first refusal, which came after the baseline."""
    refused_ns = first[0].end_ns
    if run.baseline_ns is not None and refused_ns <= run.baseline_ns[1]:
        return False
    return any(was_accepted(record) and (record.headers_ns or 0) < refused_ns for record in run.streams)


def was_accepted(record: StreamRecord) -> bool:
    """Whether the server took the request, whatever became of the stream."""
    return record.headers_ns is not None and record.status is not None and 200 <= record.status < 300


def _is_of_key(episode: _Episode, run: Run) -> bool:
    cutovers = run.timeline.cutovers
    if not cutovers:
        return len(episode) >= FEWEST
    return any(_both_refuse(episode, number, run) for number in range(len(cutovers)))


def _both_refuse(episode: _Episode, number: int, run: Run) -> bool:
    """Whether both revisions of a cutover refused; by time, since a refusal carries no label.

    The old one: opened once it was surely the active one, answered before T8. The new one: on a
    connection opened after T8 had reached every node, answered before it was switched away from. A kept
    connection after T8 may lead to either.
    """
    cutovers = run.timeline.cutovers
    cutover = cutovers[number]
    old_from_ns = _reached_ns(cutovers[number - 1], run) if number else run.started_ns
    new_to_ns = cutovers[number + 1].at.not_before_ns if number + 1 < len(cutovers) else run.stopped_ns
    by_old = sum(
        record.opened_ns >= old_from_ns and record.end_ns <= cutover.at.not_before_ns for record in episode
    )
    by_new = sum(
        record.fresh and record.opened_ns > _reached_ns(cutover, run) and record.end_ns <= new_to_ns
        for record in episode
    )
    return min(by_old, by_new) >= FEWEST


def _reached_ns(cutover: Cutover, run: Run) -> int:
    return cutover.at.seen_ns + round(run.limits.max_propagation_s * NS_PER_S)
