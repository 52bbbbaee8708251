"""The list -> watch loops that keep seeing a Rollout through 410s, cuts, silence, an API server away."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol, TypeAlias

import msgspec

from midstream.rollouts.client import (
    WATCH_S,
    Cluster,
    ClusterError,
    CredentialError,
    ForbiddenError,
    GoneError,
    InvalidError,
    NotFoundError,
    UnreachableError,
    Watch,
    WatchEvent,
)
from midstream.rollouts.marks import read_timeline
from midstream.rollouts.observation import Observation, OwnPatch, WatchLog
from midstream.rollouts.sightings import Sightings
from midstream.rollouts.timeline import Connect, Mark, MarkName, Timeline, WatchGap

Object: TypeAlias = dict[str, Any]

WATCHED_KINDS = ("rollouts", "replicasets", "pods", "services", "endpointslices", "analysisruns")
OPTIONAL_KINDS = frozenset({"endpointslices", "analysisruns"})  # the marks that matter need neither

NS_PER_S = 1_000_000_000
LATE_NS = NS_PER_S  # a watch that resumes sooner than this has hidden nothing worth telling
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0
FIRST_LIST = "first list"

_NO_ACCESS = (ForbiddenError, CredentialError, NotFoundError, InvalidError)


class Stop(Protocol):
    """What ends a loop: threading.Event as well as gevent's."""

    def is_set(self) -> bool:
        """Whether to end."""

    def wait(self, timeout: float) -> object:
        """Wait until it is set, at most this many seconds."""


class _Place(NamedTuple):
    name: MarkName
    cutover: int
    pod: str | None


class _Line:
    """How far one kind has been followed."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.version: str | None = None  # to watch from; None: list first
        self.listed_ns: int | None = None  # request of the last list
        self.known_ns = time.monotonic_ns()  # until then nothing can have gone unseen
        self.opened = False  # at least once
        self.pause_s = FIRST_PAUSE_S
        self.why = FIRST_LIST  # why the next connection is opened


class RolloutWatcher:
    """Sees one Rollout with all that belongs to it; every method may be called from any thread.

    `labels` is the Rollout's own selector (`argo.label_selector`), so that a large namespace is not
    read whole. `on_mark` is called once for each new mark, in the thread that fed it; a T13 is computed
    from its T12 and may lie ahead.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        rollout: str,
        *,
        labels: str = "",
        on_mark: Callable[[Mark], None] | None = None,
        watch_s: float = WATCH_S,
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._rollout = rollout
        self._labels = labels
        self._on_mark = on_mark
        self._watch_s = watch_s
        self._lock = threading.Lock()
        self._observations: list[Observation] = []
        self._patches: list[OwnPatch] = []
        self._connects: list[Connect] = []
        self._gaps: list[WatchGap] = []
        self._sightings: dict[str, Sightings] = defaultdict(Sightings)
        self._told: Counter[_Place] = Counter()
        self._away: dict[str, _Line] = {}  # kinds that are not seen now
        self._timeline: Timeline | None = None  # of the present notes; None: they have grown

    def run_kind(self, kind: str, stop: Stop) -> None:
        """List, then watch one kind until `stop` is set; the longest wait for it is one watch.

        Raises `ClusterError` only where the very first connection shows that this kind will never be seen
        (no credentials, no RBAC, no such kind); an optional kind then just ends. Later, every failure is
        outlived: expired credentials can be renewed, an API server can come back.
        """
        line = _Line(kind)
        try:
            self._run(line, stop)
        finally:
            self._note_end(line)

    def look(self, kind: str, name: str) -> Object | None:
        """Read one object now: when it has not changed, its next change is known to be later than this."""
        asked_ns = time.monotonic_ns()
        found = self._cluster.get(kind, self._namespace, name)
        if found is not None:
            self.feed(
                Observation(
                    kind=kind,
                    type="GET",
                    object=_slim(found),
                    seen_ns=time.monotonic_ns(),
                    not_before_ns=asked_ns,
                )
            )
        return found

    def feed(self, observation: Observation) -> None:
        """Take one observation in, from a watch or from a stored run."""
        with self._lock:
            self._observations.append(observation)
            self._sightings[observation.kind].see(observation)
            self._timeline = None
        self._tell()

    def note(self, patch: OwnPatch) -> None:
        """Take in that a write of ours was accepted."""
        with self._lock:
            self._patches.append(patch)
            self._timeline = None
        self._tell()

    def latest(self, kind: str, name: str) -> Object | None:
        """The newest known state of an object; None when it is not there, or not seen yet."""
        with self._lock:
            return self._sightings[kind].now().get(name)

    def present(self, kind: str) -> list[Object]:
        """Every object of a kind that is there now, as far as it was seen."""
        with self._lock:
            return list(self._sightings[kind].now().values())

    def has_listed(self, kind: str) -> bool:
        """Whether the first list of a kind is in: before that nothing of it is watched."""
        with self._lock:
            return self._sightings[kind].has_listed

    def timeline(self) -> Timeline:
        """The marks, cutovers, gaps, events that the notes show at this moment, open gaps to this moment."""
        with self._lock:
            read = self._read()
            return msgspec.structs.replace(read, gaps=(*read.gaps, *self._open_gaps()))

    def log(self) -> WatchLog:
        """All notes, to be stored."""
        with self._lock:
            log = self._log()
            return msgspec.structs.replace(log, gaps=(*log.gaps, *self._open_gaps()))

    def _run(self, line: _Line, stop: Stop) -> None:
        while not stop.is_set():
            try:
                self._follow(line, stop)
            except GoneError as error:
                line.version = None
                self._pause(line, str(error), stop)
            except _NO_ACCESS as error:
                if not line.opened:
                    return self._give_up(line, error)
                self._pause(line, str(error), stop)
            except UnreachableError as error:
                self._pause(line, str(error), stop)
        return None

    def _follow(self, line: _Line, stop: Stop) -> None:
        if line.version is None:
            self._list(line)
        assert line.version is not None  # the list has set it
        watch = self._cluster.watch(
            line.kind, self._namespace, line.version, watch_s=self._watch_s, **self._selectors(line.kind)
        )
        self._note_open(line, watch.opened_ns)
        try:
            heard = self._read_watch(line, watch, stop)
        finally:
            watch.close()
        line.why = "the server ended the watch"
        if not heard and time.monotonic_ns() - watch.opened_ns < LATE_NS:
            stop.wait(FIRST_PAUSE_S)  # a server that ends every watch at once is not asked in a tight loop

    def _list(self, line: _Line) -> None:
        asked_ns = time.monotonic_ns()
        listing = self._cluster.list(line.kind, self._namespace, **self._selectors(line.kind))
        seen_ns = time.monotonic_ns()
        if line.why != FIRST_LIST:
            self._note_gap(line, seen_ns, line.why)
        line.pause_s = FIRST_PAUSE_S
        line.version, line.listed_ns, line.known_ns = listing.resource_version, asked_ns, seen_ns
        self.feed(
            Observation(
                kind=line.kind,
                type="LIST",
                object={"items": [_slim(item) for item in listing.items]},
                seen_ns=seen_ns,
                not_before_ns=asked_ns,
            )
        )

    def _read_watch(self, line: _Line, watch: Watch, stop: Stop) -> bool:
        """Read to the watch's end; whether anything came."""
        heard = False
        try:
            for event in watch:
                heard = True
                self._take(line, event)
                if stop.is_set():
                    return heard
        except GoneError:
            if heard or time.monotonic_ns() - watch.opened_ns > LATE_NS:
                line.known_ns = time.monotonic_ns()  # it was alive to the end: what came before was sent
            raise
        line.known_ns = time.monotonic_ns()
        return heard

    def _take(self, line: _Line, event: WatchEvent) -> None:
        line.known_ns = event.received_ns
        line.version = event.object["metadata"]["resourceVersion"]
        match event.type:
            case "ADDED" | "MODIFIED" | "DELETED":
                self.feed(
                    Observation(
                        kind=line.kind,
                        type=event.type,
                        object=_slim(event.object),
                        seen_ns=event.received_ns,
                        not_before_ns=line.listed_ns or 0,
                    )
                )

    def _note_open(self, line: _Line, opened_ns: int) -> None:
        if opened_ns - line.known_ns > LATE_NS:
            self._note_gap(line, opened_ns, f"{line.why}; resumed, nothing lost but seen late")
            line.known_ns = opened_ns
        line.opened, line.pause_s = True, FIRST_PAUSE_S
        with self._lock:
            self._away.pop(line.kind, None)
            self._connects.append(Connect(kind=line.kind, at_ns=opened_ns, why=line.why))
            self._timeline = None

    def _note_gap(self, line: _Line, until_ns: int, why: str) -> None:
        with self._lock:
            self._gaps.append(WatchGap(kind=line.kind, from_ns=line.known_ns, to_ns=until_ns, why=why))
            self._timeline = None

    def _note_end(self, line: _Line) -> None:
        """Nobody looks any more: what went unseen until now stays on record, what comes is no gap."""
        with self._lock:
            if self._away.pop(line.kind, None) is not None:
                self._gaps += _unseen(line)
                self._timeline = None

    def _pause(self, line: _Line, why: str, stop: Stop) -> None:
        with self._lock:
            line.why = why
            self._away[line.kind] = line
        stop.wait(line.pause_s)
        line.pause_s = min(2 * line.pause_s, LONGEST_PAUSE_S)

    def _give_up(self, line: _Line, error: ClusterError) -> None:
        if line.kind not in OPTIONAL_KINDS:
            raise error
        with self._lock:
            self._away.pop(line.kind, None)
            at_ns = time.monotonic_ns()
            self._connects.append(Connect(kind=line.kind, at_ns=at_ns, why=f"not watched: {error}"))
            self._timeline = None

    def _selectors(self, kind: str) -> dict[str, str]:
        match kind:
            case "rollouts":
                return {"fields": f"metadata.name={self._rollout}"}
            case "replicasets" | "pods":
                return {"labels": self._labels}
            case _:
                return {}

    def _tell(self) -> None:
        """Hand on the marks that are new; outside the lock, since the receiver may ask us things."""
        if self._on_mark is None:
            return
        with self._lock:
            fresh = self._untold(self._read().marks)
        for mark in fresh:
            self._on_mark(mark)

    def _untold(self, marks: Iterable[Mark]) -> list[Mark]:
        """By count, since a mark may learn its revision after it was told."""
        seen: Counter[_Place] = Counter()
        fresh = []
        for mark in marks:
            place = _Place(mark.name, mark.cutover, mark.pod)
            seen[place] += 1
            if seen[place] > self._told[place]:
                fresh.append(mark)
        self._told |= seen
        return fresh

    def _read(self) -> Timeline:
        if self._timeline is None:
            self._timeline = read_timeline(self._log())
        return self._timeline

    def _open_gaps(self) -> list[WatchGap]:
        return [gap for line in self._away.values() for gap in _unseen(line)]

    def _log(self) -> WatchLog:
        return WatchLog(
            rollout=self._rollout,
            observations=tuple(self._observations),
            patches=tuple(self._patches),
            connects=tuple(self._connects),
            gaps=tuple(self._gaps),
        )


def _unseen(line: _Line) -> list[WatchGap]:
    """What of a kind has gone unseen until now, once it is long enough to tell."""
    now_ns = time.monotonic_ns()
    if now_ns - line.known_ns <= LATE_NS:
        return []
    why = f"{line.why}; not seen again"
    return [WatchGap(kind=line.kind, from_ns=line.known_ns, to_ns=now_ns, why=why)]


def _slim(item: Object) -> Object:
    """Without managedFields, which are half of an object and tell no moment."""
    metadata = {key: value for key, value in item["metadata"].items() if key != "managedFields"}
    return item | {"metadata": metadata}
