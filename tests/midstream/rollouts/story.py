"""One promotion told by hand as the notes that watches would take, instants in milliseconds."""

from typing import Any

from midstream.rollouts.observation import Note, Observation, OwnPatch
from tests.midstream.rollouts.objects import (
    NEW,
    OLD,
    Object,
    deleted,
    ended,
    pod,
    replica_set,
    rollout,
    service,
    template,
)

MS = 1_000_000
LISTED_MS = 100  # every kind was first listed at 100, answered at 110
PAUSE = [{"reason": "BlueGreenPause", "startTime": "2026-11-03T12:00:30Z"}]
V2 = template("vllm/vllm-openai:v2")
DEADLINE = {"annotations": {"scale-down-deadline": "2026-11-03T12:01:00Z"}}


def listed(kind: str, *items: Object, at: int = LISTED_MS) -> Observation:
    """A list asked at `at`, answered 10 ms later."""
    return Observation(
        kind=kind, type="LIST", object={"items": list(items)}, seen_ns=(at + 10) * MS, not_before_ns=at * MS
    )


def seen(kind: str, type_: Any, item: Object, at: int, since: int = LISTED_MS) -> Observation:
    """A watch event."""
    return Observation(kind=kind, type=type_, object=item, seen_ns=at * MS, not_before_ns=since * MS)


def looked(kind: str, item: Object, asked: int) -> Observation:
    """A single read, answered 5 ms after it was asked."""
    return Observation(kind=kind, type="GET", object=item, seen_ns=(asked + 5) * MS, not_before_ns=asked * MS)


def patched(verb: str, sent: int, answered: int, version: int) -> OwnPatch:
    """An accepted write of ours."""
    return OwnPatch(verb=verb, sent_ns=sent * MS, answered_ns=answered * MS, resource_version=str(version))


def updated(version: int, **status: Any) -> Object:
    """The Rollout with its second template, not yet promoted."""
    base = {"phase": "Progressing", "observedGeneration": "2", "currentPodHash": NEW}
    return rollout(version, metadata={"generation": 2}, spec={"template": V2}, status=base | status)


def start(active: str = OLD) -> list[Note]:
    """What every run begins with: two pods of OLD, both Services on it."""
    return [
        listed("rollouts", rollout(1)),
        listed("replicasets", replica_set(OLD, 2)),
        listed("pods", pod("old-a", OLD, 3), pod("old-b", OLD, 4)),
        listed("services", service("vllm-stable", active, 5), service("vllm-preview", OLD, 6)),
        listed("endpointslices"),
        listed("analysisruns"),
    ]


def to_the_pause() -> list[Note]:
    """From our set-image to the pause."""
    unobserved = {"phase": "Healthy", "observedGeneration": "1", "currentPodHash": OLD}
    analysis = {
        "metadata": {
            "name": "vllm-pre",
            "uid": "uid-ar",
            "resourceVersion": "26",
            "labels": {"rollout-type": "PrePromotion", "rollouts-pod-template-hash": NEW},
            "ownerReferences": [{"kind": "Rollout", "name": "vllm"}],
        }
    }
    return [
        patched("set-image", 1000, 1008, 10),
        seen("rollouts", "MODIFIED", updated(10, **unobserved), 1020),
        seen("replicasets", "ADDED", replica_set(NEW, 11, number=2, spec={"replicas": 0}), 1100),
        seen("services", "MODIFIED", service("vllm-preview", NEW, 12), 1110),
        seen("rollouts", "MODIFIED", updated(13), 1120),
        seen("replicasets", "MODIFIED", replica_set(NEW, 14, number=2), 1130),
        seen("pods", "ADDED", pod("new-a", NEW, 15, ready=False), 1140),
        seen("pods", "ADDED", pod("new-b", NEW, 16, ready=False), 1145),
        seen("pods", "MODIFIED", pod("new-a", NEW, 20), 3000),
        seen("pods", "MODIFIED", pod("new-b", NEW, 21), 3500),
        seen("analysisruns", "ADDED", analysis, 3600),
        seen("rollouts", "MODIFIED", paused(30), 4000),
    ]


def paused(version: int, **status: Any) -> Object:
    """Waiting for the promotion."""
    return updated(version, phase="Paused", controllerPause=True, pauseConditions=PAUSE, **status)


def promoted() -> list[Note]:
    """From our promote to the new revision being stable."""
    switched = {"blueGreen": {"activeSelector": NEW, "previewSelector": NEW}}
    return [
        patched("promote", 6000, 6010, 31),
        seen("rollouts", "MODIFIED", updated(31, controllerPause=True), 6020),
        seen("services", "MODIFIED", service("vllm-stable", NEW, 32), 6080),
        seen("replicasets", "MODIFIED", replica_set(OLD, 33, metadata=DEADLINE), 6090),
        seen("rollouts", "MODIFIED", updated(34, phase="Healthy", stableRS=NEW, **switched), 6120),
    ]


def drained() -> list[Note]:
    """From the old ReplicaSet's end to its last pod's."""
    return [
        seen("replicasets", "MODIFIED", replica_set(OLD, 40, metadata=DEADLINE, spec={"replicas": 0}), 16100),
        seen("pods", "MODIFIED", deleted("old-a", OLD, 41), 16120),
        seen("pods", "MODIFIED", deleted("old-b", OLD, 42), 16130),
        seen("pods", "MODIFIED", ended("old-a", OLD, 43, code=0, at="12:01:06"), 22000),
        seen("pods", "DELETED", ended("old-a", OLD, 44, code=0, at="12:01:06"), 22100),
        seen("pods", "DELETED", ended("old-b", OLD, 45, code=137, reason="Error", at="12:01:30"), 46500),
    ]


def whole() -> list[Note]:
    """A clean promotion, every moment of it."""
    return [*start(), *to_the_pause(), *promoted(), *drained()]
