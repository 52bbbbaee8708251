"""What a run saw of the cluster, kept raw so that its timeline can be told again later."""

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import msgspec

from midstream.rollouts.timeline import Connect, WatchGap

Object: TypeAlias = dict[str, Any]


class Observation(msgspec.Struct, frozen=True, kw_only=True, tag_field="note", tag="observation"):
    """One answer of the API server, or one line of a watch.

    The object was in this state at some instant within [not_before_ns, seen_ns]: for an answer from
    its request on, for a watch event from the request of the list that the watch goes on from (the
    order within a watch is certain, how late a line comes is not).
    """

    kind: str  # plural: "replicasets"
    type: Literal["LIST", "GET", "ADDED", "MODIFIED", "DELETED"]
    object: Object  # LIST: {"items": [...]}, all there are, so that a missing one is gone
    seen_ns: int
    not_before_ns: int


class OwnPatch(msgspec.Struct, frozen=True, kw_only=True, tag_field="note", tag="own_patch"):
    """A write of ours that the API server accepted: what it caused happened after `sent_ns`."""

    verb: str  # "promote"
    sent_ns: int
    answered_ns: int
    resource_version: str  # of the answer: the watch shows our own write under it


Note = Observation | OwnPatch


class WatchLog(msgspec.Struct, frozen=True, kw_only=True):
    """All notes on one Rollout, in any order between kinds; the order within a kind is its own."""

    rollout: str
    observations: tuple[Observation, ...] = ()
    patches: tuple[OwnPatch, ...] = ()
    connects: tuple[Connect, ...] = ()
    gaps: tuple[WatchGap, ...] = ()


def write_notes(notes: Iterable[Note]) -> bytes:
    """As JSON lines."""
    return b"".join(msgspec.json.encode(note) + b"\n" for note in notes)


def read_notes(lines: bytes) -> list[Note]:
    """The inverse of `write_notes`. Raises msgspec.ValidationError."""
    decoder = msgspec.json.Decoder(Observation | OwnPatch)
    return [decoder.decode(line) for line in lines.splitlines() if line.strip()]


def replay(rollout: str, notes: Iterable[Note]) -> WatchLog:
    """Stored notes as the log they were taken from (without connects or gaps, which make no marks)."""
    kept = list(notes)
    return WatchLog(
        rollout=rollout,
        observations=tuple(note for note in kept if isinstance(note, Observation)),
        patches=tuple(note for note in kept if isinstance(note, OwnPatch)),
    )
