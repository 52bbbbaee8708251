"""Objects shaped like those of a real Argo Rollouts 1.9 cluster, as small as the readers allow."""

from typing import Any

OLD, NEW, THIRD = "7c9f5d", "5b8d6c", "66fd8b"
HASH = "rollouts-pod-template-hash"
Object = dict[str, Any]


def merged(base: Object, changes: Object) -> Object:
    """The base with nested changes; None removes a key."""
    result = dict(base)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def rollout(version: int = 1, **changes: Any) -> Object:
    """Healthy on OLD, one container `vllm`."""
    base: Object = {
        "metadata": {
            "name": "vllm",
            "namespace": "llm",
            "uid": "uid-vllm",
            "generation": 1,
            "resourceVersion": str(version),
        },
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "vllm"}},
            "strategy": {
                "blueGreen": {
                    "activeService": "vllm-stable",
                    "previewService": "vllm-preview",
                    "autoPromotionEnabled": False,
                    "scaleDownDelaySeconds": 10,
                }
            },
            "template": template("vllm/vllm-openai:v1"),
        },
        "status": {
            "phase": "Healthy",
            "observedGeneration": "1",
            "currentPodHash": OLD,
            "stableRS": OLD,
            "blueGreen": {"activeSelector": OLD, "previewSelector": OLD},
        },
    }
    return merged(base, changes)


def template(image: str, **container: Any) -> Object:
    """A pod template of one container."""
    serving = {
        "name": "vllm",
        "image": image,
        "command": ["vllm", "serve", "facebook/opt-125m"],
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
    } | container
    return {
        "metadata": {"labels": {"app": "vllm"}},
        "spec": {"terminationGracePeriodSeconds": 30, "containers": [serving]},
    }


def replica_set(revision: str, version: int, *, number: int = 1, **changes: Any) -> Object:
    """Owned by the Rollout, scaled to 2."""
    base = {
        "metadata": {
            "name": f"vllm-{revision}",
            "uid": f"uid-rs-{revision}",
            "resourceVersion": str(version),
            "creationTimestamp": "2026-11-03T12:00:00Z",
            "labels": {"app": "vllm", HASH: revision},
            "annotations": {"rollout.argoproj.io/revision": str(number)},
            "ownerReferences": [{"kind": "Rollout", "name": "vllm", "uid": "uid-vllm"}],
        },
        "spec": {"replicas": 2, "template": with_hash(template("vllm/vllm-openai:v1"), revision)},
        "status": {"replicas": 2},
    }
    return merged(base, changes)


def with_hash(pod_template: Object, revision: str) -> Object:
    """As Argo stores a template in its ReplicaSet."""
    return merged(pod_template, {"metadata": {"labels": {HASH: revision}}})


def service(name: str, revision: str | None, version: int) -> Object:
    """Selecting one revision; None: not yet narrowed by Argo."""
    selector = {"app": "vllm"} | ({HASH: revision} if revision else {})
    return {
        "metadata": {
            "name": name,
            "namespace": "llm",
            "uid": f"uid-{name}",
            "resourceVersion": str(version),
        },
        "spec": {"selector": selector, "ports": [{"name": "http", "port": 80, "targetPort": 8000}]},
    }


def pod(name: str, revision: str, version: int, *, ready: bool = True, **changes: Any) -> Object:
    """Running, one container, owned by the ReplicaSet of its revision."""
    condition = {
        "type": "Ready",
        "status": str(ready),
        "lastTransitionTime": "2026-11-03T12:00:05Z",
    }
    base = {
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": str(version),
            "labels": {"app": "vllm", HASH: revision},
            "ownerReferences": [{"kind": "ReplicaSet", "name": f"vllm-{revision}"}],
        },
        "spec": template("vllm/vllm-openai:v1")["spec"],
        "status": {
            "phase": "Running",
            "conditions": [condition],
            "containerStatuses": [{"name": "vllm", "imageID": "sha256:1", "state": {"running": {}}}],
        },
    }
    return merged(base, changes)


def deleted(name: str, revision: str, version: int, **changes: Any) -> Object:
    """A pod whose deletion was asked at 12:01:00 with 30 s of grace."""
    marks = {"deletionTimestamp": "2026-11-03T12:01:30Z", "deletionGracePeriodSeconds": 30}
    return merged(pod(name, revision, version), {"metadata": marks} | changes)


def ended(
    name: str, revision: str, version: int, *, code: int = 0, reason: str = "Completed", at: str = "12:01:07"
) -> Object:
    """A deleted pod whose container has ended."""
    terminated = {"exitCode": code, "reason": reason, "finishedAt": f"2026-11-03T{at}Z"}
    statuses = [{"name": "vllm", "state": {"terminated": terminated}}]
    return deleted(name, revision, version, status={"containerStatuses": statuses})
