"""The pods that serve before a test: how many are ready, how long they took to become so."""

from datetime import datetime
from statistics import median
from typing import Any, TypeAlias

import msgspec

Object: TypeAlias = dict[str, Any]


class ServingPods(msgspec.Struct, frozen=True, kw_only=True):
    """What the present pods tell of the next ones."""

    ready: int
    became_ready_s: float | None = None  # the median from creation to Ready; None: not told


def serving_pods(pods: list[Object]) -> ServingPods:
    """Read them from the pods of the revision that serves."""
    ready = [pod for pod in pods if (condition := _ready(pod)) and condition.get("status") == "True"]
    took = [seconds for pod in ready if (seconds := _took_s(pod)) is not None]
    return ServingPods(ready=len(ready), became_ready_s=median(took) if took else None)


def _ready(pod: Object) -> Object | None:
    conditions: list[Object] = pod.get("status", {}).get("conditions") or []
    return next((entry for entry in conditions if entry["type"] == "Ready"), None)


def _took_s(pod: Object) -> float | None:
    """From creation to its last change to Ready; None once a container has restarted: that change is late."""
    statuses = pod.get("status", {}).get("containerStatuses") or []
    if any(status.get("restartCount") for status in statuses):
        return None
    condition = _ready(pod) or {}
    try:
        began = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
        ended = datetime.fromisoformat(condition["lastTransitionTime"])
        return max(0.0, (ended - began).total_seconds())
    except (KeyError, TypeError, ValueError):  # not told, or of another form (naive against aware)
        return None
