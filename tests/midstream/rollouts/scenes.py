"""What a cluster shows around one Rollout, as test data."""

from datetime import UTC, datetime
from typing import Any

from midstream.rollouts.scene import Scene
from tests.midstream.rollouts.objects import NEW, OLD, Object, pod, replica_set, rollout, service

NOON = datetime(2026, 11, 3, 12, 1, tzinfo=UTC)
HALF: Object = {"status": {"currentPodHash": NEW, "phase": "Progressing", "message": "more replicas"}}
PAUSED: Object = {
    "status": {
        "currentPodHash": NEW,
        "phase": "Paused",
        "message": "BlueGreenPause",
        "controllerPause": True,
        "pauseConditions": [{"reason": "BlueGreenPause", "startTime": "2026-11-03T12:00:20Z"}],
    }
}


def scene(found: Object | None = None, **changes: Any) -> Scene:
    """At rest: one revision of two ready pods, both Services lead to it."""
    parts: dict[str, Any] = {
        "rollout": found or rollout(),
        "replica_sets": [replica_set(OLD, 1)],
        "pods": [pod("p1", OLD, 1), pod("p2", OLD, 1)],
        "services": {name: service(name, OLD, 1) for name in ("vllm-stable", "vllm-preview")},
        "events": [],
        "now": NOON,
    }
    return Scene(**(parts | changes))


def updating(found: Object, *new_pods: Object, **changes: Any) -> Scene:
    """A second revision beside it, which the preview Service selects."""
    services = {
        "vllm-stable": service("vllm-stable", OLD, 1),
        "vllm-preview": service("vllm-preview", NEW, 1),
    }
    parts: dict[str, Any] = {
        "replica_sets": [replica_set(OLD, 1), replica_set(NEW, 2, number=2)],
        "pods": [pod("p1", OLD, 1), pod("p2", OLD, 1), *new_pods],
        "services": services,
    }
    return scene(found, **(parts | changes))


def waiting(reason: str, message: str = "because") -> Object:
    """A pod's status with one container that does not start."""
    container = {"name": "vllm", "state": {"waiting": {"reason": reason, "message": message}}}
    return {"status": {"containerStatuses": [container]}}


def event(name: str, reason: str, message: str, at: str | None = None, **more: Any) -> Object:
    """An event of a pod."""
    return {
        "involvedObject": {"name": name},
        "reason": reason,
        "message": message,
        "lastTimestamp": at,
    } | more
