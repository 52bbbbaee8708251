"""The changes of each object of one kind, made out of lists, single reads, watch lines in any mixture."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

from midstream.rollouts.observation import Observation

Object: TypeAlias = dict[str, Any]


class Change(NamedTuple):
    """An object went from one state to another within (not_before_ns, seen_ns]; None: not there."""

    kind: str  # as in a manifest: "ReplicaSet"
    name: str
    before: Object | None
    after: Object | None
    seen_ns: int
    not_before_ns: int
    via: str  # "watch" | "list" | "get"

    def source(self, where: str) -> str:
        """Where it was read: "watch Service/vllm-stable spec.selector"."""
        return f"{self.via} {self.kind}/{self.name} {where}"

    @property
    def last(self) -> Object:
        """The newest state that is known."""
        known = self.after or self.before
        assert known is not None  # a change has two sides, one of them there
        return known


class History(NamedTuple):
    """One kind during a run."""

    initial: dict[str, Object]  # by name, from the first list: no moments of this run
    changes: list[Change]
    now: dict[str, Object]

    def ever(self) -> list[Object]:
        """Every object that was ever there, in some state."""
        return [*self.initial.values(), *(change.last for change in self.changes)]


def history(observations: Iterable[Observation]) -> History:
    """All that was seen of one kind, in the order it was delivered."""
    sightings = Sightings()
    seen = [change for observation in observations for change in sightings.see(observation)]
    return History(sightings.initial, seen, sightings.now())


class _Known(NamedTuple):
    object: Object
    held_ns: int  # the object was still in this state at that instant or later


class Sightings:
    """What is known of one kind, advanced by one observation at a time."""

    def __init__(self) -> None:
        self.initial: dict[str, Object] = {}
        self._known: dict[str, _Known] = {}
        self._gone: set[str] = set()  # uids, since a single read may be answered before and come after
        self._listed_ns: int | None = None

    @property
    def has_listed(self) -> bool:
        """Whether the first list is in."""
        return self._listed_ns is not None

    def now(self) -> dict[str, Object]:
        """Every object that is there now, by name."""
        return {name: known.object for name, known in self._known.items()}

    def see(self, observation: Observation) -> list[Change]:
        """The changes that this observation shows, in order."""
        match observation.type:
            case "LIST":
                return list(self._see_list(observation))
            case "DELETED":
                return list(self._see_deleted(observation))
            case _:
                return list(self._see_object(observation, observation.object))

    def _see_list(self, observation: Observation) -> Iterator[Change]:
        items = {item["metadata"]["name"]: item for item in observation.object["items"]}
        if self._listed_ns is None:
            self.initial = items
            self._known = {name: _Known(item, observation.not_before_ns) for name, item in items.items()}
        for name in self._known.keys() - items.keys():
            yield self._lose(name, observation)
        for item in items.values():
            yield from self._see_object(observation, item)
        self._listed_ns = observation.not_before_ns

    def _see_deleted(self, observation: Observation) -> Iterator[Change]:
        """A deletion's object is its last state, which may show more than was known before."""
        name = observation.object["metadata"]["name"]
        known = self._known.get(name)
        if known is not None and _uid(known.object) == _uid(observation.object):
            yield from self._see_object(observation, observation.object)
            yield self._lose(name, observation)

    def _see_object(self, observation: Observation, item: Object) -> Iterator[Change]:
        name = item["metadata"]["name"]
        if observation.type == "GET" and _uid(item) in self._gone:
            return
        known = self._known.get(name)
        if known is not None and _uid(known.object) != _uid(item):
            yield self._lose(name, observation)
            known = None
        if known is not None and _version(item) <= _version(known.object):
            # A single read can overtake the watch: what the watch then brings late is no change back.
            if _version(item) == _version(known.object):
                held_ns = max(known.held_ns, observation.not_before_ns)
                self._known[name] = _Known(known.object, held_ns)
            return
        self._known[name] = _Known(item, observation.not_before_ns)
        before, floor_ns = (known.object, known.held_ns) if known else (None, self._floor_ns(observation))
        yield Change(
            KIND_WORDS[observation.kind], name, before, item, observation.seen_ns, floor_ns, _via(observation)
        )

    def _lose(self, name: str, observation: Observation) -> Change:
        known = self._known.pop(name)
        self._gone.add(_uid(known.object))
        return Change(
            KIND_WORDS[observation.kind],
            name,
            known.object,
            None,
            observation.seen_ns,
            known.held_ns,
            _via(observation),
        )

    def _floor_ns(self, observation: Observation) -> int:
        return observation.not_before_ns if self._listed_ns is None else self._listed_ns


KIND_WORDS = {
    "rollouts": "Rollout",
    "replicasets": "ReplicaSet",
    "pods": "Pod",
    "services": "Service",
    "endpointslices": "EndpointSlice",
    "analysisruns": "AnalysisRun",
}


def _uid(item: Object) -> str:
    return str(item["metadata"]["uid"])


def _version(item: Object) -> int:
    """resourceVersion as the number that it is (Kubernetes 1.35 promises it, all servers did before)."""
    return int(item["metadata"]["resourceVersion"])


def _via(observation: Observation) -> str:
    return {"LIST": "list", "GET": "get"}.get(observation.type, "watch")
