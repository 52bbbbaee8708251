"""The cluster as one pass of the controller sees it, and sees it change by its own writes."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from midstream.rehearsal.patches import merged
from midstream.rehearsal.rollout_status import is_completed, replicas_of
from midstream.rehearsal.store import Object
from midstream.rehearsal.templates import (
    DESIRED_REPLICAS,
    HASH_LABEL,
    REVISION,
    SCALE_DOWN_DEADLINE,
    pod_template_hash,
)
from midstream.rehearsal.timestamps import parse_time, time_text

ABORT_SCALE_DOWN_DELAY_S = 30  # Argo default: docs, abortScaleDownDelaySeconds


class Seen(NamedTuple):
    """The objects one pass looks at."""

    rollout: Object
    replica_sets: tuple[Object, ...]  # those the Rollout owns
    services: Mapping[str, Object]  # of its namespace, by name


class Write(NamedTuple):
    """One change to make; `body` is the object, a merge patch, or the whole new status."""

    verb: Literal["create", "patch", "status", "delete"]
    plural: str
    name: str
    body: Object


class Draft:
    """The objects as they will be once this pass's writes are done."""

    def __init__(self, seen: Seen, now: datetime, ignore: frozenset[str]) -> None:
        self.rollout = seen.rollout
        self.now = now
        self.ignore = ignore  # gates not looked at
        self.replica_sets = {rs["metadata"]["name"]: rs for rs in seen.replica_sets}
        self.services = dict(seen.services)
        self.writes: list[Write] = []
        self.due: list[datetime] = []
        self.adds_pause = False
        self.removes_pause = False
        self.clears_pauses = False
        # A Rollout that is promoted through has nothing left to abort (Argo, newRolloutContext).
        self.drops_abort = is_completed(self.status)
        # As the pass found it, for the pass itself removes it (Argo 1.9.1, HasScaleDownDeadline).
        self.had_deadline = self.new is not None and annotation(self.new, SCALE_DOWN_DEADLINE) is not None

    @property
    def status(self) -> Object:
        """The Rollout's status as the pass found it."""
        status: Object = self.rollout.get("status", {})
        return status

    @property
    def strategy(self) -> Object:
        """spec.strategy.blueGreen."""
        strategy: Object = self.rollout["spec"]["strategy"]["blueGreen"]
        return strategy

    @property
    def replicas(self) -> int:
        """spec.replicas of the Rollout."""
        return replicas_of(self.rollout)

    @property
    def new_hash(self) -> str:
        """Hash of the template that the Rollout asks for."""
        return pod_template_hash(self.rollout["spec"].get("template", {}))

    @property
    def new(self) -> Object | None:
        """The ReplicaSet of that template."""
        return self.of_hash(self.new_hash)

    @property
    def stable(self) -> Object | None:
        """The ReplicaSet that an abort goes back to; None on a first deployment."""
        return self.of_hash(self.status.get("stableRS"))

    @property
    def others(self) -> list[Object]:
        """ReplicaSets that are neither, newest revision first."""
        kept = {hash_of(rs) for rs in (self.new, self.stable) if rs}
        return sorted(
            (rs for rs in self.replica_sets.values() if hash_of(rs) not in kept),
            key=lambda rs: (revision_of(rs), rs["metadata"]["creationTimestamp"]),
            reverse=True,
        )

    @property
    def active(self) -> Object:
        """The Service that clients use."""
        return self.services[self.strategy["activeService"]]

    @property
    def preview(self) -> Object | None:
        """The Service of the revision that waits; None where the Rollout has none."""
        name = self.strategy.get("previewService")
        return self.services[name] if name else None

    @property
    def aborted(self) -> bool:
        """An abort stands and nothing in this pass took it back."""
        return bool(self.status.get("abort")) and not self.drops_abort

    @property
    def halted(self) -> bool:
        """spec.paused holds the Services where they are."""
        return bool(self.rollout["spec"].get("paused"))

    @property
    def promotion_asked(self) -> bool:
        """A client removed the pause, or asked for a full promotion (facts 4)."""
        unpaused = self.status.get("controllerPause") and not self.status.get("pauseConditions")
        return bool(unpaused or self.status.get("promoteFull"))

    def of_hash(self, template_hash: str | None) -> Object | None:
        """The ReplicaSet with that hash."""
        found = (rs for rs in self.replica_sets.values() if hash_of(rs) == template_hash)
        return next(found, None)

    def patch(self, plural: str, name: str, patch: Object) -> None:
        """Write a merge patch and see its result from here on."""
        self.writes.append(Write("patch", plural, name, patch))
        match plural:
            case "rollouts":
                self.rollout = merged(self.rollout, patch)
            case "replicasets":
                self.replica_sets[name] = merged(self.replica_sets[name], patch)
            case _:
                self.services[name] = merged(self.services[name], patch)

    def set_status(self, status: Object) -> None:
        """Write the status where it differs; fields at their zero value are left out as Go does."""
        written = {field: value for field, value in status.items() if value not in (None, "", 0, [], {})}
        if written != self.status:
            self.writes.append(Write("status", "rollouts", self.rollout["metadata"]["name"], written))

    def annotate(self, replica_set: Object, annotations: Mapping[str, str | None]) -> None:
        """Write or (None) remove annotations of a ReplicaSet."""
        self.patch("replicasets", name_of(replica_set), {"metadata": {"annotations": dict(annotations)}})

    def scale(self, replica_set: Object, replicas: int) -> bool:
        """Scale a ReplicaSet and note how many the Rollout wants; returns whether its size changed."""
        resized = replicas_of(replica_set) != replicas
        if not resized and annotation(replica_set, DESIRED_REPLICAS) == str(self.replicas):
            return False
        annotations: dict[str, str | None] = {DESIRED_REPLICAS: str(self.replicas)}
        if replicas == 0 and not delays_abort(self):
            annotations[SCALE_DOWN_DEADLINE] = None
        patch: Object = {"metadata": {"annotations": annotations}, "spec": {"replicas": replicas}}
        self.patch("replicasets", name_of(replica_set), patch)
        return resized

    def add_deadline(self, replica_set: Object, delay_s: int) -> None:
        """Let a ReplicaSet live that much longer; 0 means that it is never scaled down (facts 4)."""
        if delay_s:
            deadline = self.now + timedelta(seconds=delay_s)
            self.annotate(replica_set, {SCALE_DOWN_DEADLINE: time_text(deadline)})
            self.due.append(deadline)


def name_of(obj: Object) -> str:
    """metadata.name."""
    name: str = obj["metadata"]["name"]
    return name


def hash_of(replica_set: Object) -> str | None:
    """The pod-template hash that the ReplicaSet is labelled with."""
    found: str | None = replica_set["metadata"].get("labels", {}).get(HASH_LABEL)
    return found


def annotation(obj: Object, key: str) -> str | None:
    """One annotation; None where it is not set."""
    found: str | None = obj["metadata"].get("annotations", {}).get(key)
    return found


def revision_of(obj: Object) -> int:
    """The revision annotation as a number, 0 where there is none."""
    return int(annotation(obj, REVISION) or 0)


def selected_hash(service: Object | None) -> str:
    """The hash that a Service selects; "" where it selects none."""
    selector = (service or {}).get("spec", {}).get("selector") or {}
    found: str = selector.get(HASH_LABEL, "")
    return found


def count(replica_set: Object | None, field: str) -> int:
    """A number of the ReplicaSet's status, 0 where it is left out."""
    return int((replica_set or {}).get("status", {}).get(field, 0))


def time_left(replica_set: Object, now: datetime) -> timedelta | None:
    """How long until its scale-down deadline; None where there is none, it is over or unreadable."""
    text = annotation(replica_set, SCALE_DOWN_DEADLINE)
    try:
        left = parse_time(text) - now if text else timedelta()
    except ValueError:
        return None
    return left if left > timedelta() else None


def is_saturated(draft: Draft, replica_set: Object | None) -> bool:
    """Scaled to what the Rollout wants, and all of it available (Argo, annotations.IsSaturated)."""
    return (
        replica_set is not None
        and replicas_of(replica_set) == draft.replicas
        and annotation(replica_set, DESIRED_REPLICAS) == str(draft.replicas)
        and count(replica_set, "availableReplicas") == draft.replicas
    )


def delays_abort(draft: Draft) -> bool:
    """An aborted revision keeps its pods for a while (Argo, shouldDelayScaleDownOnAbort)."""
    return draft.aborted and draft.stable is not None and abort_delay_s(draft) > 0


def abort_delay_s(draft: Draft) -> int:
    """For how long; 0 means for ever."""
    delay = draft.strategy.get("abortScaleDownDelaySeconds")
    return ABORT_SCALE_DOWN_DELAY_S if delay is None else int(delay)
