"""Whether the second revision finds room beside the first: quotas, nodes."""

import math
import re
from collections.abc import Iterator, Sequence

from midstream.rollouts.lint.case import DEPLOYMENT, Case, Object
from midstream.rollouts.lint.finding import Finding, error, warning

DEFAULT_SURGE = 0.25  # Kubernetes' default of maxSurge, rounded up

_POWERS = {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_POWERS |= {f"{letter}i": 1024 ** (power + 1) for power, letter in enumerate("KMGTPE")}
_QUANTITY = re.compile(r"([0-9.]+(?:[eE][-+]?[0-9]+)?)([A-Za-z]*)")
_OVER = frozenset({"Succeeded", "Failed"})


def quota_full(case: Case) -> Iterator[Finding]:
    """A quota with a scope is left out: whether these pods count in it is not told here.

    Without a status (a manifest) the workload's own pods are all that uses it.
    """
    count = extra_pods(case)
    if not count:
        return
    for quota in case.quotas:
        spec = quota.get("spec") or {}
        if spec.get("scopes") or spec.get("scopeSelector"):
            continue
        used = (quota.get("status") or {}).get("used")
        for key, hard in (spec.get("hard") or {}).items():
            each = _counted(key, case.pod_spec)
            taken = each * case.replicas if used is None else quantity(used.get(key, 0))
            if each and taken + each * count > quantity(hard):
                yield error(
                    f"ResourceQuota {quota['metadata']['name']} has {key} {hard}, {_short(taken)} taken,"
                    f" {_short(each * count)} more for the new revision",
                    "its pods are not created: the update waits until it has failed",
                    f"{key}: {_short(taken + each * count)}",
                )


def nodes_full(case: Case) -> Iterator[Finding]:
    """By requests, nodeSelector, taints; affinity would only leave less room."""
    count = extra_pods(case)
    if not count or not case.nodes:
        return
    wanted = requests(case.pod_spec)
    fitting = sum(_fits(node, case, wanted) for node in case.nodes)
    if fitting < count:
        asked = ", ".join(f"{key} {_short(value)}" for key, value in sorted(wanted.items()))
        yield warning(
            f"the nodes have room for {fitting} of {count} more pods ({asked})",
            "unless an autoscaler adds a node the new revision stays Pending until the update has failed",
            "smaller requests, a freed or shared GPU, another node",
        )


def extra_pods(case: Case) -> int:
    """How many pods an update needs beside those that are there; a canary's number is not told here."""
    if case.blue_green is not None:
        return case.replicas
    if case.kind != DEPLOYMENT or (case.spec.get("strategy") or {}).get("type") == "Recreate":
        return 0
    surge = ((case.spec.get("strategy") or {}).get("rollingUpdate") or {}).get("maxSurge")
    if surge is None:
        return math.ceil(case.replicas * DEFAULT_SURGE)
    if isinstance(surge, str) and surge.endswith("%"):
        return math.ceil(case.replicas * float(surge[:-1]) / 100)
    return int(surge)


def requests(pod_spec: Object) -> dict[str, float]:
    """What one pod asks of its node; a limit without a request is the request, too (Kubernetes' default)."""
    return _sums(pod_spec, "requests")


def quantity(text: object) -> float:
    """Kubernetes' spelling of a number: 500m, 8Gi, 2. Raises ValueError."""
    found = _QUANTITY.fullmatch(str(text))
    if not found or found[2] not in _POWERS:
        raise ValueError(f"{text!r} is no quantity: write one such as 500m or 8Gi")
    return float(found[1]) * _POWERS[found[2]]


def _counted(key: str, pod_spec: Object) -> float:
    """How much of a quota's resource one pod takes."""
    if key in ("pods", "count/pods"):
        return 1.0
    if key.startswith("limits."):
        return _sums(pod_spec, "limits").get(key.removeprefix("limits."), 0.0)
    return requests(pod_spec).get(key.removeprefix("requests."), 0.0)


def _sums(pod_spec: Object, field: str) -> dict[str, float]:
    total: dict[str, float] = {}
    sidecars = [
        each for each in pod_spec.get("initContainers") or [] if each.get("restartPolicy") == "Always"
    ]
    for container in [*pod_spec["containers"], *sidecars]:
        resources = container.get("resources") or {}
        asked = resources.get(field) or {}
        if field == "requests":
            asked = (resources.get("limits") or {}) | asked
        for key, value in asked.items():
            total[key] = total.get(key, 0.0) + quantity(value)
    return total


def _fits(node: Object, case: Case, wanted: dict[str, float]) -> int:
    """How many more of these pods the node takes."""
    if not _is_open(node, case.pod_spec):
        return 0
    on_node = [pod for pod in case.pods if _is_on(pod, str(node["metadata"]["name"]))]
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    taken: dict[str, float] = {}
    for pod in on_node:
        for key, value in requests(pod["spec"]).items():
            taken[key] = taken.get(key, 0.0) + value
    room = [quantity(allocatable.get("pods", 110)) - len(on_node)]
    for key, each in wanted.items():
        if each:
            room.append((quantity(allocatable.get(key, 0)) - taken.get(key, 0.0)) / each)
    return max(0, math.floor(min(room) + 1e-9))


def _is_on(pod: Object, node: str) -> bool:
    return pod["spec"].get("nodeName") == node and (pod.get("status") or {}).get("phase") not in _OVER


def _is_open(node: Object, pod_spec: Object) -> bool:
    spec, metadata = node.get("spec") or {}, node["metadata"]
    conditions = (node.get("status") or {}).get("conditions") or []
    is_ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    wanted = pod_spec.get("nodeSelector") or {}
    is_selected = wanted.items() <= (metadata.get("labels") or {}).items()
    taints = [each for each in spec.get("taints") or [] if each["effect"] != "PreferNoSchedule"]
    tolerations = pod_spec.get("tolerations") or []
    is_tolerated = all(_tolerates(tolerations, taint) for taint in taints)
    return is_ready and is_selected and is_tolerated and not spec.get("unschedulable")


def _tolerates(tolerations: Sequence[Object], taint: Object) -> bool:
    return any(
        each.get("key") in (None, taint["key"])
        and each.get("effect") in (None, "", taint["effect"])
        and (each.get("operator") == "Exists" or each.get("value", "") == taint.get("value", ""))
        for each in tolerations
    )


def _short(value: float) -> str:
    """In the largest binary unit that divides it."""
    for unit in ("Ti", "Gi", "Mi"):
        if value >= _POWERS[unit] and value % _POWERS[unit] == 0:
            return f"{value / _POWERS[unit]:g}{unit}"
    return f"{value:g}"
