"""The objects of the rehearsal's cluster under optimistic concurrency, each change one numbered event."""

import asyncio
import copy
import random
import uuid
from collections import deque
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeAlias

from midstream.rehearsal.timestamps import time_text, utc_now

Object: TypeAlias = dict[str, Any]
Key: TypeAlias = tuple[str, str]  # namespace, name


class Kind(NamedTuple):
    """One resource type that the cluster serves."""

    group: str  # "" is the core group
    version: str
    plural: str
    kind: str
    has_status: bool  # status is written through /status alone
    read_only: bool = False  # nothing here would run it: there is never one, and none can be made

    @property
    def api_version(self) -> str:
        """As objects carry it: "v1", "apps/v1"."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """As messages call it: "pods", "rollouts.argoproj.io"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


# Argo's CRDs: a Rollout has a status subresource, an AnalysisRun has none (`subresources: {}`).
KINDS: dict[str, Kind] = {
    kind.plural: kind
    for kind in (
        Kind("argoproj.io", "v1alpha1", "rollouts", "Rollout", True),
        Kind("argoproj.io", "v1alpha1", "analysisruns", "AnalysisRun", False),
        Kind("apps", "v1", "replicasets", "ReplicaSet", True),
        Kind("", "v1", "pods", "Pod", True),
        Kind("", "v1", "services", "Service", True),
        Kind("", "v1", "events", "Event", False),
        Kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", False),
        Kind("coordination.k8s.io", "v1", "leases", "Lease", False),
        # `kubectl argo rollouts get` lists these two, and waits for ever where they are unknown.
        Kind("argoproj.io", "v1alpha1", "experiments", "Experiment", False, read_only=True),
        Kind("apps", "v1", "deployments", "Deployment", False, read_only=True),
    )
}

HISTORY_EVENTS = 4096  # a promotion of two pods makes some hundred; etcd keeps 5 minutes
DEFAULT_GRACE_S = 30  # Kubernetes default: terminationGracePeriodSeconds

# metadata that a client's object never changes (apiserver, registry/rest/update.go)
KEPT_METADATA = (
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "resourceVersion",
)


class StoreError(Exception):
    """A request that the cluster refuses, in the words of a Kubernetes Status."""

    code = 500
    reason = "InternalError"


class NotFoundError(StoreError):
    """No object of that name."""

    code = 404
    reason = "NotFound"


class AlreadyExistsError(StoreError):
    """The name is taken."""

    code = 409
    reason = "AlreadyExists"


class ConflictError(StoreError):
    """The object was changed since it was read."""

    code = 409
    reason = "Conflict"


class ExpiredError(StoreError):
    """The events since that resourceVersion are no longer known: list again."""

    code = 410
    reason = "Expired"


class InvalidError(StoreError):
    """The object cannot be stored as it is."""

    code = 422
    reason = "Invalid"


FORGOTTEN = "FORGOTTEN"  # the type of the event that tells of it, and the kind to subscribe to for it


class Event(NamedTuple):
    """One change, numbered by the resourceVersion it made."""

    type: str  # ADDED | MODIFIED | DELETED
    plural: str
    object: Object
    resource_version: int
    before: Object | None = None  # the object until then: a selector may have meant that one alone


class Store:
    """Every object of the cluster.

    Objects handed out and taken in are shared and never mutated: a change makes a new object. One
    asyncio loop owns the store; nothing here awaits, so each method is atomic.
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime] = utc_now,
        rng: random.Random | None = None,
        history: int = HISTORY_EVENTS,
    ) -> None:
        self._now = now
        self._rng = rng or random.Random()
        self._objects: dict[str, dict[Key, Object]] = {plural: {} for plural in KINDS}
        self._version = 1  # 0 means "any version" to a client, so no list may carry it
        self._events: deque[Event] = deque(maxlen=history)
        self._forgotten = self._version  # the newest version whose event is no longer kept
        self._queues: dict[asyncio.Queue[Event], frozenset[str]] = {}

    @property
    def version(self) -> int:
        """The resourceVersion of the newest change."""
        return self._version

    def list(self, plural: str, namespace: str | None = None) -> tuple[list[Object], int]:
        """The objects of one kind by namespace and name, with the resourceVersion they are true at."""
        found = sorted(
            (key, obj) for key, obj in self._objects[plural].items() if namespace in (None, key[0])
        )
        return [obj for _, obj in found], self._version

    def get(self, plural: str, namespace: str, name: str) -> Object | None:
        """One object; None when there is none of that name."""
        return self._objects[plural].get((namespace, name))

    def create(self, plural: str, obj: Object) -> Object:
        """Store a new object and return it with uid, resourceVersion, creationTimestamp, generation 1.

        A status is dropped where it has a subresource; a Pod starts as Pending. `generateName` gets a
        suffix. Raises AlreadyExistsError, InvalidError.
        """
        kind = KINDS[plural]
        new = copy.deepcopy(obj)
        metadata = new.setdefault("metadata", {})
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + name_suffix(self._rng)
        key = _key_of(kind, metadata)
        if key in self._objects[plural]:
            raise AlreadyExistsError(f'{kind.resource} "{key[1]}" already exists')
        if kind.has_status:
            new["status"] = {"phase": "Pending"} if plural == "pods" else {}
        metadata.pop("deletionTimestamp", None)
        metadata.pop("deletionGracePeriodSeconds", None)
        metadata["uid"] = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        metadata["creationTimestamp"] = time_text(self._now())
        metadata["generation"] = 1
        return self._write("ADDED", plural, key, {"apiVersion": kind.api_version, "kind": kind.kind, **new})

    def replace(self, plural: str, obj: Object, status: bool = False) -> Object:
        """Store another state of an object: all but its status, or with `status` that alone.

        An object without resourceVersion is written whatever the stored one is. Nothing happens when
        nothing changes. Raises NotFoundError; ConflictError for a stale resourceVersion or another uid.
        """
        kind = KINDS[plural]
        metadata = obj.get("metadata", {})
        key = _key_of(kind, metadata)
        old = self._existing(plural, key)
        for field in ("resourceVersion", "uid"):
            if metadata.get(field) not in (None, "", old["metadata"][field]):
                raise ConflictError(
                    f'Operation cannot be fulfilled on {kind.resource} "{key[1]}": '
                    "the object has been modified; please apply your changes to the latest version"
                )
        new = _status_replaced(old, obj) if status else _body_replaced(old, obj, kind)
        if new == old:
            return old
        if _body_of(new, kind) != _body_of(old, kind):
            new["metadata"]["generation"] = old["metadata"]["generation"] + 1
        return self._write("MODIFIED", plural, key, new)

    def edit(
        self,
        plural: str,
        namespace: str,
        name: str,
        change: Callable[[Object], None],
        status: bool = False,
    ) -> Object:
        """Apply `change` to a copy of the newest object and store it; as `replace`, but never a conflict."""
        new = copy.deepcopy(self._existing(plural, (namespace, name)))
        change(new)
        return self.replace(plural, new, status)

    def delete(self, plural: str, namespace: str, name: str, grace_s: float | None = None) -> Object:
        """Ask for an object's end, and return it as it is after that.

        A Pod gets deletionTimestamp = now + grace (the deadline, facts 4) and lives until `remove`; its
        spec gives the grace unless told, another request can only shorten it, 0 removes at once. Other
        kinds are removed at once. Raises NotFoundError.
        """
        old = self._existing(plural, (namespace, name))
        if plural != "pods":
            return self.remove(plural, namespace, name)
        if grace_s is None:
            grace_s = old.get("spec", {}).get("terminationGracePeriodSeconds", DEFAULT_GRACE_S)
        period_s = max(0, int(grace_s))
        if period_s == 0:
            return self.remove(plural, namespace, name)
        known_s = old["metadata"].get("deletionGracePeriodSeconds")
        if known_s is not None and period_s >= known_s:
            return old
        new = copy.deepcopy(old)
        asked = self._now() if known_s is None else _deletion_asked(old)
        new["metadata"]["deletionTimestamp"] = time_text(asked + timedelta(seconds=period_s))
        new["metadata"]["deletionGracePeriodSeconds"] = period_s
        return self._write("MODIFIED", plural, (namespace, name), new)

    def remove(self, plural: str, namespace: str, name: str) -> Object:
        """Take an object out at once and return its last state. Raises NotFoundError."""
        old = self._existing(plural, (namespace, name))
        return self._write("DELETED", plural, (namespace, name), copy.deepcopy(old))

    def subscribe(self, plurals: Collection[str], since: int | None = None) -> asyncio.Queue[Event]:
        """A queue that gets every event of these kinds from now on, or after the version `since`.

        Raises ExpiredError when events after `since` are no longer kept, or `since` was never ours.
        """
        wanted = frozenset(plurals)
        queue: asyncio.Queue[Event] = asyncio.Queue()
        if since is not None:
            if not self._forgotten <= since <= self._version:
                raise ExpiredError(f"too old resource version: {since} ({self._forgotten})")
            for event in self._events:
                if event.resource_version > since and event.plural in wanted:
                    queue.put_nowait(event)
        self._queues[queue] = wanted
        return queue

    def forget(self) -> None:
        """Forget every event until now, as a cluster does whose other objects change a lot.

        Whoever subscribed to FORGOTTEN gets an event of that type.
        """
        self._version += 1
        self._forgotten = self._version
        self._events.clear()
        for queue, wanted in self._queues.items():
            if FORGOTTEN in wanted:
                queue.put_nowait(Event(FORGOTTEN, FORGOTTEN, {}, self._version))

    def unsubscribe(self, queue: asyncio.Queue[Event]) -> None:
        """No more events for this queue."""
        self._queues.pop(queue, None)

    def _existing(self, plural: str, key: Key) -> Object:
        found = self._objects[plural].get(key)
        if found is None:
            raise NotFoundError(f'{KINDS[plural].resource} "{key[1]}" not found')
        return found

    def _write(self, change: str, plural: str, key: Key, new: Object) -> Object:
        self._version += 1
        new["metadata"]["resourceVersion"] = str(self._version)
        before = self._objects[plural].pop(key, None)
        if change != "DELETED":
            self._objects[plural][key] = new
        event = Event(change, plural, new, self._version, before)
        if len(self._events) == self._events.maxlen:
            self._forgotten = self._events[0].resource_version
        self._events.append(event)
        for queue, wanted in self._queues.items():
            if plural in wanted:
                queue.put_nowait(event)
        return new


# No vowels and no digits that look like letters, so that no word appears (apimachinery, util/rand).
NAME_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


def name_suffix(rng: random.Random) -> str:
    """Five characters that make a generated name unique."""
    return "".join(rng.choices(NAME_ALPHABET, k=5))


def _key_of(kind: Kind, metadata: Object) -> Key:
    namespace, name = metadata.get("namespace"), metadata.get("name")
    if not name or not namespace:
        raise InvalidError(f"{kind.kind}: metadata.name and metadata.namespace are required")
    return namespace, name


def _body_of(obj: Object, kind: Kind) -> Object:
    """What counts for the generation: all but metadata, and status where it is a subresource."""
    apart = {"metadata", "status"} if kind.has_status else {"metadata"}
    return {field: value for field, value in obj.items() if field not in apart}


def _body_replaced(old: Object, obj: Object, kind: Kind) -> Object:
    new = copy.deepcopy(obj)
    new["apiVersion"], new["kind"] = kind.api_version, kind.kind
    for field in KEPT_METADATA:
        new["metadata"].pop(field, None)
        if field in old["metadata"]:
            new["metadata"][field] = old["metadata"][field]
    if kind.has_status:
        new["status"] = old["status"]
    return new


def _status_replaced(old: Object, obj: Object) -> Object:
    return {**old, "metadata": dict(old["metadata"]), "status": copy.deepcopy(obj.get("status", {}))}


def _deletion_asked(pod: Object) -> datetime:
    metadata = pod["metadata"]
    deadline = datetime.fromisoformat(metadata["deletionTimestamp"])
    return deadline - timedelta(seconds=metadata["deletionGracePeriodSeconds"])
