"""The moments of a promotion as marks T0-T14, folded from what the watches saw."""

from enum import StrEnum

import msgspec


class MarkName(StrEnum):
    """The moments of one promotion, in order (facts 4)."""

    T0 = "T0"
    T1 = "T1"
    T2 = "T2"
    T3 = "T3"
    T4 = "T4"
    T5 = "T5"
    T6 = "T6"
    T7 = "T7"
    T8 = "T8"
    T9 = "T9"
    T10 = "T10"
    T11 = "T11"
    T12 = "T12"
    T13 = "T13"
    T14 = "T14"


MARK_WORDS: dict[MarkName, str] = {
    MarkName.T0: "template changed",
    MarkName.T1: "new ReplicaSet",
    MarkName.T2: "preview Service selects the new revision",
    MarkName.T3: "new ReplicaSet scaled up",
    MarkName.T4: "new pods ready",
    MarkName.T5: "pre-promotion analysis",
    MarkName.T6: "paused",
    MarkName.T7: "promotion accepted",
    MarkName.T8: "cutover: active Service selects the new revision",
    MarkName.T9: "status names the new revision stable",
    MarkName.T10: "scale-down deadline set",
    MarkName.T11: "old ReplicaSet scaled to 0",
    MarkName.T12: "deletion of an old pod asked",
    MarkName.T13: "SIGTERM to an old pod",
    MarkName.T14: "old pod gone",
}


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """One moment: it lies within (not_before_ns, seen_ns] on CLOCK_MONOTONIC."""

    name: MarkName
    seen_ns: int  # when the watch delivered it to us
    not_before_ns: int  # the last instant at which it was known not to have happened yet
    source: str  # "watch Service/vllm-stable spec.selector"
    cutover: int = 1  # which promotion of this run it belongs to, from 1
    object_time: str | None = None  # RFC 3339, as the object itself tells it
    revision: str | None = None  # pod-template-hash it is about
    pod: str | None = None
    exit_code: int | None = None
    reason: str | None = None  # OOMKilled, Evicted, Error, Completed


class ContainerEnd(msgspec.Struct, frozen=True, kw_only=True):
    """A container ended while its pod was to live on; it lies within (not_before_ns, seen_ns]."""

    pod: str
    revision: str | None  # pod-template-hash
    container: str
    exit_code: int | None
    reason: str | None  # OOMKilled, Error, Completed
    restarts: int  # how often it had been started again when this was seen
    seen_ns: int
    not_before_ns: int
    ready_ns: int | None  # when the pod was seen ready again; None: it was not
    source: str


class WatchGap(msgspec.Struct, frozen=True, kw_only=True):
    """An interval in which changes of one kind could go unseen."""

    kind: str
    from_ns: int
    to_ns: int
    why: str

    @property
    def length_ns(self) -> int:
        """How long it was: milliseconds for a mere re-list, seconds for an API server that was away."""
        return self.to_ns - self.from_ns


class Connect(msgspec.Struct, frozen=True, kw_only=True):
    """A watch of one kind was opened."""

    kind: str
    at_ns: int
    why: str  # "first list" | why the one before it ended


class RolloutEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something the Rollout did that is no mark of a clean promotion."""

    what: str  # aborted | degraded | switched_back | deleted | unexpected_cutover
    seen_ns: int
    source: str
    detail: str = ""


class Cutover(msgspec.Struct, frozen=True, kw_only=True):
    """One switch of the active Service from a revision to another."""

    number: int
    old: str
    new: str
    at: Mark  # its T8
    old_pods: tuple[str, ...]


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of the Rollout's moments during a run."""

    marks: tuple[Mark, ...] = ()
    cutovers: tuple[Cutover, ...] = ()
    gaps: tuple[WatchGap, ...] = ()
    events: tuple[RolloutEvent, ...] = ()
    connects: tuple[Connect, ...] = ()
    container_ends: tuple[ContainerEnd, ...] = ()

    def first(self, name: MarkName, cutover: int = 1) -> Mark | None:
        """The earliest mark of that name in that promotion."""
        found = [mark for mark in self.marks if mark.name is name and mark.cutover == cutover]
        return min(found, key=lambda mark: mark.seen_ns, default=None)

    def of_pod(self, name: MarkName, pod: str) -> Mark | None:
        """The mark of that name for one pod."""
        return next((mark for mark in self.marks if mark.name is name and mark.pod == pod), None)
