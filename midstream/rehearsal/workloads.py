"""ReplicaSets become Pods: as many as the spec says, and the status says how far that is."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from midstream.rehearsal.loop import keep_reconciling
from midstream.rehearsal.rollout_status import replicas_of
from midstream.rehearsal.store import Object, Store
from midstream.rehearsal.templates import Owner, owner_reference, owner_uid
from midstream.rehearsal.timestamps import parse_time, utc_now

ENDED = ("Failed", "Succeeded")
# Whose end takes these along (the garbage collector's work).
OWNED = ("replicasets", "pods", "endpointslices")
OWNERS = ("rollouts", "replicasets", "services")


class Plan(NamedTuple):
    """What one ReplicaSet needs."""

    create: int
    delete: tuple[str, ...]  # names of pods
    status: Object
    due: datetime | None  # when a ready pod becomes available


def is_ready(pod: Object) -> bool:
    """The pod's Ready condition holds."""
    return _ready_since(pod) is not None


def is_active(pod: Object) -> bool:
    """Neither ended nor asked to end."""
    return "deletionTimestamp" not in pod["metadata"] and pod["status"].get("phase") not in ENDED


def plan(replica_set: Object, pods: list[Object], now: datetime) -> Plan:
    """From a ReplicaSet and the pods it owns to what must change; pure.

    Pods that are being deleted or have ended are not counted and are replaced (kube-controller-manager,
    replicaset/replica_set.go).
    """
    active = sorted(filter(is_active, pods), key=_keeping_order)
    missing = replicas_of(replica_set) - len(active)
    moments = [_available_at(replica_set, pod) for pod in active]
    later = [moment for moment in moments if moment is not None and moment > now]
    counts = {
        "replicas": len(active),
        "fullyLabeledReplicas": len(active),
        "readyReplicas": sum(map(is_ready, active)),
        "availableReplicas": sum(moment is not None and moment <= now for moment in moments),
    }
    status: Object = {field: number for field, number in counts.items() if number or field == "replicas"}
    status["observedGeneration"] = replica_set["metadata"]["generation"]
    surplus = active[replicas_of(replica_set) :] if missing < 0 else []
    names = tuple(pod["metadata"]["name"] for pod in surplus)
    return Plan(max(0, missing), names, status, min(later, default=None))


def _ready_since(pod: Object) -> datetime | None:
    for condition in pod["status"].get("conditions", ()):
        if condition["type"] == "Ready" and condition["status"] == "True":
            return parse_time(condition["lastTransitionTime"])
    return None


def _available_at(replica_set: Object, pod: Object) -> datetime | None:
    since = _ready_since(pod)
    return since and since + timedelta(seconds=replica_set["spec"].get("minReadySeconds") or 0)


def _keeping_order(pod: Object) -> tuple[bool, bool, str, str]:
    """Those to keep first: running, ready, old (controller_utils.go, ActivePodsWithRanks)."""
    metadata, running = pod["metadata"], pod["status"].get("phase") == "Running"
    return not running, not is_ready(pod), metadata["creationTimestamp"], metadata["name"]


def pod_of(replica_set: Object) -> Object:
    """A new pod from the ReplicaSet's template, still without its suffix."""
    metadata, template = replica_set["metadata"], replica_set["spec"]["template"]
    return {
        "metadata": {
            **template.get("metadata", {}),
            "generateName": f"{metadata['name']}-",
            "namespace": metadata["namespace"],
            "ownerReferences": [owner_reference(Owner("replicasets", metadata["name"], metadata["uid"]))],
        },
        "spec": template["spec"],
    }


class ReplicaSetController:
    """What kube-controller-manager does for every ReplicaSet in the store, with its garbage collector."""

    def __init__(self, store: Store, *, now: Callable[[], datetime] = utc_now) -> None:
        self._store = store
        self._now = now

    async def run(self) -> None:
        """Reconcile until cancelled."""
        await keep_reconciling(self._store, {*OWNERS, *OWNED}, self.sync, self._now)

    def sync(self) -> datetime | None:
        """One pass for each ReplicaSet; returns when time alone makes the next one due."""
        self._collect_garbage()
        dues = [self._reconcile(replica_set) for replica_set in self._store.list("replicasets")[0]]
        return min((due for due in dues if due is not None), default=None)

    def _reconcile(self, replica_set: Object) -> datetime | None:
        namespace, name = replica_set["metadata"]["namespace"], replica_set["metadata"]["name"]
        pods, _ = self._store.list("pods", namespace)
        owned = [pod for pod in pods if owner_uid(pod) == replica_set["metadata"]["uid"]]
        wanted = plan(replica_set, owned, self._now())
        for _ in range(wanted.create):
            self._store.create("pods", pod_of(replica_set))
        for pod in wanted.delete:
            self._store.delete("pods", namespace, pod)

        def set_status(obj: Object) -> None:
            obj["status"] = wanted.status

        self._store.edit("replicasets", namespace, name, set_status, status=True)
        return wanted.due

    def _collect_garbage(self) -> None:
        owners = {obj["metadata"]["uid"] for plural in OWNERS for obj in self._store.list(plural)[0]}
        for plural in OWNED:
            for obj in self._store.list(plural)[0]:
                metadata = obj["metadata"]
                if owner_uid(obj) not in owners | {None} and "deletionTimestamp" not in metadata:
                    self._store.delete(plural, metadata["namespace"], metadata["name"])
