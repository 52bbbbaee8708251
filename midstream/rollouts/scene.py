"""What was read of the cluster around one Rollout at one moment, with the questions put to it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

from midstream.rollouts import argo

Object: TypeAlias = dict[str, Any]


class Scene(NamedTuple):
    """One Rollout with what belongs to it."""

    rollout: Object
    replica_sets: Sequence[Object]
    pods: Sequence[Object]
    services: Mapping[str, Object | None]  # each that the Rollout names; None: it is not there
    events: Sequence[Object]  # of pods
    now: datetime

    def pods_of(self, revision: str) -> list[Object]:
        """The pods of one revision, by name."""
        found = [pod for pod in self.pods if argo.labels(pod).get(argo.HASH_LABEL) == revision]
        return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))

    def events_of(self, pod: str, reasons: Collection[str]) -> list[Object]:
        """The events of one pod with one of these reasons, in their order."""
        found = [
            event
            for event in self.events
            if event.get("involvedObject", {}).get("name") == pod and event.get("reason") in reasons
        ]
        return sorted(found, key=_told_at)

    def last_word(self, pod: str, reasons: Collection[str]) -> str:
        """What the newest of these events says; "" without one."""
        told = self.events_of(pod, reasons)
        return f"{told[-1]['reason']}: {told[-1].get('message', '')}" if told else ""


def conditions(item: Object, kind: str, status: str) -> list[Object]:
    """The conditions of that type which have that status: one or none."""
    told = (item.get("status") or {}).get("conditions") or []
    return [entry for entry in told if (entry["type"], entry["status"]) == (kind, status)]


def _told_at(event: Object) -> str:
    """Some recorders fill the one field, some the other."""
    series = event.get("series") or {}
    times = (event.get("lastTimestamp"), series.get("lastObservedTime"), event.get("eventTime"))
    return next(filter(None, times), "")
