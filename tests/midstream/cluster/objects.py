"""Objects of a cluster, as small as the checks allow."""

from typing import Any

from midstream.rollouts.client import Access, ForbiddenError, Object

DENIED = ForbiddenError(Access("list", "apps", "deployments", ""), "deployments is forbidden")


def node(name: str = "a", *, gpus: int = 0, ready: str = "True", labels: Any = None, **spec: Any) -> Object:
    """A node; Ready unless said."""
    ready_condition = {
        "type": "Ready",
        "status": ready,
        "reason": "KubeletReady" if ready == "True" else "Away",
    }
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": spec,
        "status": {
            "allocatable": {"cpu": "2"} | ({"nvidia.com/gpu": str(gpus)} if gpus else {}),
            "conditions": [{"type": "MemoryPressure", "status": "False"}, ready_condition],
        },
    }


def taint(key: str, effect: str = "NoSchedule") -> Object:
    """A taint."""
    return {"key": key, "effect": effect}


def daemon_set(name: str, namespace: str = "kube-system", *, ready: int = 1, owner: str = "") -> Object:
    """A DaemonSet for one node."""
    owners = {"ownerReferences": [{"kind": owner}]} if owner else {}
    return {
        "metadata": {"name": name, "namespace": namespace, **owners},
        "status": {"numberReady": ready, "desiredNumberScheduled": 1},
    }


def controller(
    image: str = "quay.io/argoproj/argo-rollouts:v1.9.1",
    *,
    namespace: str = "argo-rollouts",
    name: str = "argo-rollouts",
    labelled: bool = True,
    available: int = 1,
    replicas: int = 1,
    args: tuple[str, ...] = (),
) -> Object:
    """Argo's controller, as its release installs it."""
    labels = {"app.kubernetes.io/name": "argo-rollouts"} if labelled else {}
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "replicas": replicas,
            "template": {"spec": {"containers": [{"name": "c", "image": image, "args": list(args)}]}},
        },
        "status": {"availableReplicas": available} if available else {},
    }


def held_pod(reason: str, *, namespace: str = "argo-rollouts", message: str = "no such host") -> Object:
    """A pod whose container waits."""
    waiting = {"name": "c", "state": {"waiting": {"reason": reason, "message": message}}}
    return {
        "metadata": {"name": "pod-x", "namespace": namespace},
        "status": {"phase": "Pending", "containerStatuses": [waiting]},
    }
