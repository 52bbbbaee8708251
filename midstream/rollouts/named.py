"""Finding a Rollout that a person named, with one line on why it is not there."""

from typing import Any, NamedTuple, Self, TypeAlias

from midstream.rollouts import argo
from midstream.rollouts.client import Cluster, ForbiddenError, NotFoundError

Object: TypeAlias = dict[str, Any]


class NoRolloutError(Exception):
    """There is nothing of that name to look at; the text says what is missing, with what to type."""


class RolloutName(NamedTuple):
    """What `--rollout NAMESPACE/NAME` names."""

    namespace: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError."""
        namespace, _, name = text.partition("/")
        if not namespace or not name or "/" in name:
            raise ValueError(f"--rollout {text}: write NAMESPACE/NAME, such as llm-serving/vllm")
        return cls(namespace, name)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def find_rollout(cluster: Cluster, rollout: RolloutName) -> Object:
    """The Rollout as it is now. Raises `NoRolloutError`, and `ClusterError` from the API server."""
    namespace = _namespace(cluster, rollout.namespace)
    if namespace is not None and namespace.get("status", {}).get("phase") == "Terminating":
        raise NoRolloutError(
            f"namespace {rollout.namespace} is being deleted: wait until it is gone"
            f" (kubectl wait --for=delete namespace/{rollout.namespace}), then deploy again"
        )
    found = cluster.get("rollouts", rollout.namespace, rollout.name)
    if found is not None:
        return found
    try:
        others = cluster.list("rollouts", rollout.namespace).items
    except NotFoundError:
        raise NoRolloutError(
            f"the cluster {cluster.server} knows no Rollouts: install Argo Rollouts (make bootstrap)"
        ) from None
    if namespace is None:
        raise NoRolloutError(f"there is no namespace {rollout.namespace}: kubectl get rollouts -A")
    there = ", ".join(sorted(item["metadata"]["name"] for item in others)) or "none"
    raise NoRolloutError(
        f"there is no Rollout {rollout.name} in namespace {rollout.namespace} (Rollouts there: {there})"
    )


def find_service(rollout: Object, *, preview: bool) -> str:
    """The Service that a blue/green Rollout names. Raises `NoRolloutError` where it names none."""
    service = argo.preview_service(rollout) if preview else argo.active_service(rollout)
    if service is None:
        kind = "preview" if preview else "active"
        raise NoRolloutError(
            f"the Rollout {rollout['metadata']['name']} names no {kind} Service (strategy.blueGreen)"
        )
    return service


def _namespace(cluster: Cluster, name: str) -> Object | None:
    """None where there is none; an empty object where RBAC hides it: a Role within it cannot allow that."""
    try:
        return cluster.get("namespaces", "", name)
    except ForbiddenError:
        return {}
