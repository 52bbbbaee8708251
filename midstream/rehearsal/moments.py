"""Which moments of a promotion one event of the store is."""

from collections.abc import Callable, Collection, Iterator

from midstream.rehearsal.draft import selected_hash
from midstream.rehearsal.rollout_status import replicas_of
from midstream.rehearsal.steps import Moment
from midstream.rehearsal.store import Event, Object
from midstream.rehearsal.workloads import is_ready

WATCHED = ("rollouts", "replicasets", "pods", "services")


def moments_of(event: Event, active_services: Collection[str]) -> Iterator[Moment]:
    """The moments that this event is; `active_services` are the names of those that clients use.

    A new object is none of them: only a change of one that was there is.
    """
    if event.before is None:
        return
    if event.plural == "services" and event.object["metadata"]["name"] not in active_services:
        return
    for moment, (plural, holds) in _SIGNS.items():
        if event.plural == plural and holds(event.before, event.object, event.type == "DELETED"):
            yield moment


def _turned_healthy(before: Object, after: Object, _: bool) -> bool:
    return _phase(before) != "Healthy" == _phase(after)


def _phase(rollout: Object) -> str:
    return str(rollout.get("status", {}).get("phase"))


def _updated(before: Object, after: Object, _: bool) -> bool:
    return bool(before["spec"].get("template") != after["spec"].get("template"))


def _turned_ready(before: Object, after: Object, gone: bool) -> bool:
    return not gone and is_ready(after) and not is_ready(before)


def _paused(before: Object, after: Object, _: bool) -> bool:
    was, now = (bool(obj.get("status", {}).get("pauseConditions")) for obj in (before, after))
    return now and not was


def _switched(before: Object, after: Object, _: bool) -> bool:
    was, now = selected_hash(before), selected_hash(after)
    return bool(was) and bool(now) and was != now


def _scaled_down(before: Object, after: Object, gone: bool) -> bool:
    return replicas_of(before) > 0 and (gone or replicas_of(after) == 0)


def _deleted(before: Object, after: Object, gone: bool) -> bool:
    asked = "deletionTimestamp"
    return asked not in before["metadata"] and (gone or asked in after["metadata"])


_SIGNS: dict[Moment, tuple[str, Callable[[Object, Object, bool], bool]]] = {
    Moment.HEALTHY: ("rollouts", _turned_healthy),
    Moment.UPDATED: ("rollouts", _updated),
    Moment.READY: ("pods", _turned_ready),
    Moment.PAUSED: ("rollouts", _paused),
    Moment.CUTOVER: ("services", _switched),
    Moment.SCALE_DOWN: ("replicasets", _scaled_down),
    Moment.OLD_POD_DELETED: ("pods", _deleted),
}
