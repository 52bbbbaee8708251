"""Reading from the API server where a Rollout stands."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeAlias

from midstream.rollouts import argo
from midstream.rollouts.blocks import Block
from midstream.rollouts.client import Cluster, ClusterError, ForbiddenError, NotFoundError
from midstream.rollouts.named import RolloutName, find_rollout
from midstream.rollouts.scene import Scene
from midstream.rollouts.standing import Standing, named_services, read_standing
from midstream.rollouts.unready import is_ready

Object: TypeAlias = dict[str, Any]

LOG_LINES = 10


def look(cluster: Cluster, name: RolloutName) -> Standing:
    """Where it stands now. Raises `NoRolloutError`, and `ClusterError` from the API server."""
    rollout = find_rollout(cluster, name)
    labels = argo.label_selector(rollout)
    pods = cluster.list("pods", name.namespace, labels=labels).items
    names = dict.fromkeys(named_services(rollout).values())
    return read_standing(
        Scene(
            rollout=rollout,
            replica_sets=cluster.list("replicasets", name.namespace, labels=labels).items,
            pods=pods,
            services={each: cluster.get("services", name.namespace, each) for each in names},
            events=() if all(map(is_ready, pods)) else _events(cluster, name.namespace),
            now=datetime.now(UTC),
        )
    )


def last_lines(
    cluster: Cluster, namespace: str, blocks: Iterable[Block]
) -> dict[tuple[str, str], tuple[str, ...]]:
    """What each container that ended wrote last, by pod and container; nothing where there is no log."""
    found = {}
    for block in blocks:
        if block.has_log:
            with suppress(ClusterError):  # a log is a help, no need
                lines = cluster.log(namespace, block.pod, block.container, lines=LOG_LINES)
                found[block.pod, block.container] = lines
    return found


def _events(cluster: Cluster, namespace: str) -> list[Object]:
    try:
        return cluster.list("events", namespace, fields="involvedObject.kind=Pod").items
    except (ForbiddenError, NotFoundError):
        return []
