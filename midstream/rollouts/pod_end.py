"""What one pod's changes tell: ready, deletion asked, SIGTERM, gone, containers that ended before."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import msgspec

from midstream.rollouts import argo
from midstream.rollouts.argo import Object
from midstream.rollouts.budget import Reading, pre_stop, serving_container
from midstream.rollouts.sightings import Change
from midstream.rollouts.timeline import ContainerEnd, Mark, MarkName

NS_PER_S = 1_000_000_000


def pod_marks(changes: Sequence[Change]) -> Iterator[Mark]:
    """T4, T12, T13, T14 of one pod from its changes in order; which promotion they belong to is not said."""
    ready = next(filter(_turns_ready, changes), None)
    if ready is not None:
        yield _mark(
            MarkName.T4,
            ready,
            "status.conditions Ready",
            _ready_condition(ready.last).get("lastTransitionTime"),
        )
    asked = next(filter(_turns_deleted, changes), None)
    ended = next(filter(_turns_ended, changes), None)
    gone = None if ended is None else _gone(ended)
    if asked is not None:
        deleted = _mark(MarkName.T12, asked, "metadata.deletionTimestamp", _asked_at(asked))
        yield deleted
        yield from _sigterm(deleted, asked, gone)
    if gone is not None:
        yield gone


def container_ends(changes: Sequence[Change]) -> Iterator[ContainerEnd]:
    """The ends of this pod's containers, as long as its deletion was not asked, each once.

    The kubelet may tell of one in two steps (terminated, then restarted) or of the restart alone.
    """
    told = {_life(entry) for entry in _container_statuses(changes[0].before or {})}
    for place, change in enumerate(changes):
        if change.before is None or change.after is None or _is_deleted(change.after):
            continue
        ready = next(filter(_turns_ready, changes[place:]), None)
        for entry in _container_statuses(change.after):
            ended = _last_end(entry)
            if not ended or _life(entry) in told:
                continue
            told.add(_life(entry))
            yield ContainerEnd(
                pod=change.name,
                revision=argo.labels(change.last).get(argo.HASH_LABEL),
                container=entry["name"],
                exit_code=ended.get("exitCode"),
                reason=ended.get("reason"),
                restarts=entry.get("restartCount", 0),
                seen_ns=change.seen_ns,
                not_before_ns=change.not_before_ns,
                ready_ns=None if ready is None else ready.seen_ns,
                source=change.source("status.containerStatuses"),
            )


def _last_end(entry: Object) -> Object:
    ends = (entry.get(state, {}).get("terminated") for state in ("state", "lastState"))
    return next(filter(None, ends), {})


def _life(entry: Object) -> tuple[str, str, str]:
    """What tells one life of a container, once it is over, from the next."""
    ended = _last_end(entry)
    return entry["name"], ended.get("startedAt", ""), ended.get("finishedAt", "")


def _turns_ready(change: Change) -> bool:
    return _is_ready(change.after) and not _is_ready(change.before)


def _turns_deleted(change: Change) -> bool:
    asked_before = change.before is not None and _is_deleted(change.before)
    return not asked_before and (change.after is None or _is_deleted(change.after))


def _turns_ended(change: Change) -> bool:
    return change.after is None or _has_ended(change.after)


def _is_deleted(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _has_ended(pod: Object) -> bool:
    """No process of it is left that could come back: a crashed container alone is restarted."""
    over = _is_deleted(pod) or pod.get("status", {}).get("phase") in ("Failed", "Succeeded")
    states = [entry.get("state", {}) for entry in _container_statuses(pod)]
    return over and bool(states) and all("terminated" in state for state in states)


def _sigterm(deleted: Mark, asked: Change, gone: Mark | None) -> Iterator[Mark]:
    """T13 = T12 + preStop of the pod's own spec, never after the grace period nor after the pod's end.

    Nothing in the API tells it: exact is only the pod's log. Until the pod has ended it may lie ahead.
    """
    pod = asked.last
    hook = pre_stop(pod["spec"])
    grace_s = float(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
    slept_s = grace_s if hook.seconds is None else min(hook.seconds, grace_s)
    earliest_s = 0.0 if hook.seconds is None else slept_s
    not_before_ns = deleted.not_before_ns + round(earliest_s * NS_PER_S)
    seen_ns = deleted.seen_ns + round(slept_s * NS_PER_S)
    at = None if hook.seconds is None else _later(deleted.object_time, slept_s)
    if gone is not None:
        if gone.seen_ns <= not_before_ns or _is_earlier(gone.object_time, at):
            return  # its process ended by itself, or was killed, before any SIGTERM
        seen_ns = min(seen_ns, gone.seen_ns)
    yield msgspec.structs.replace(
        deleted,
        name=MarkName.T13,
        seen_ns=seen_ns,
        not_before_ns=not_before_ns,
        source=f"T12 + {_held_back(hook, grace_s)}",
        object_time=at,
    )


def _held_back(hook: Reading, grace_s: float) -> str:
    """What comes before SIGTERM, in words."""
    if hook.seconds is not None and hook.seconds <= grace_s:
        return f"preStop {hook.seconds:g} s ({hook.source})"
    known = "" if hook.seconds is None else f"preStop {hook.seconds:g} s, "
    return f"the grace period of {grace_s:g} s, the most that preStop can take ({known}{hook.source})"


def _gone(ended: Change) -> Mark:
    terminated = _terminated(ended.last)
    mark = _mark(MarkName.T14, ended, "containerStatuses terminated" if terminated else "DELETED")
    return msgspec.structs.replace(
        mark,
        object_time=terminated.get("finishedAt"),
        exit_code=terminated.get("exitCode"),
        reason=ended.last.get("status", {}).get("reason") or terminated.get("reason"),
    )


def _terminated(pod: Object) -> Object:
    """How the serving container ended; empty when the API server was never told."""
    serving = serving_container(pod["spec"])["name"]
    states = {entry["name"]: entry.get("state", {}) for entry in _container_statuses(pod)}
    found: Object = states.get(serving, {}).get("terminated") or {}
    return found


def _container_statuses(pod: Object) -> list[Object]:
    return pod.get("status", {}).get("containerStatuses") or []


def _is_ready(pod: Object | None) -> bool:
    return _ready_condition(pod or {}).get("status") == "True"


def _ready_condition(pod: Object) -> Object:
    conditions = pod.get("status", {}).get("conditions") or []
    return next((entry for entry in conditions if entry["type"] == "Ready"), {})


def _asked_at(change: Change) -> str | None:
    """deletionTimestamp is the deadline: the request came deletionGracePeriodSeconds earlier (facts 4).

    0 tells nothing: the kubelet sets it when it removes a pod whose containers have ended.
    """
    metadata = change.last["metadata"]
    grace_s = metadata.get("deletionGracePeriodSeconds")
    return _later(metadata.get("deletionTimestamp"), -float(grace_s)) if grace_s else None


def _later(time: str | None, seconds: float) -> str | None:
    if time is None:
        return None
    moved = datetime.fromisoformat(time) + timedelta(seconds=seconds)
    return moved.isoformat().replace("+00:00", "Z")


def _is_earlier(time: str | None, other: str | None) -> bool:
    """By more than the second that object times are cut to."""
    if time is None or other is None:
        return False
    return datetime.fromisoformat(time) + timedelta(seconds=1) < datetime.fromisoformat(other)


def _mark(name: MarkName, change: Change, where: str, object_time: str | None = None) -> Mark:
    return Mark(
        name=name,
        seen_ns=change.seen_ns,
        not_before_ns=change.not_before_ns,
        source=change.source(where),
        object_time=object_time,
        revision=argo.labels(change.last).get(argo.HASH_LABEL),
        pod=change.name,
    )
