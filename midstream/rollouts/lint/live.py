"""A workload of a cluster as a case: what is denied or unknown there is told as not examined."""

import re
from collections.abc import Sequence

from midstream.rollouts.client import Cluster, ForbiddenError, NotFoundError
from midstream.rollouts.lint.analysis import referenced
from midstream.rollouts.lint.case import DEPLOYMENT, ROLLOUT, STATEFUL_SET, Case, Object, Version
from midstream.rollouts.lint.drain import drain_budget
from midstream.rollouts.lint.manifests import Examined, with_template
from midstream.rollouts.named import NoRolloutError, RolloutName, find_rollout

PLURALS = {ROLLOUT: "rollouts", DEPLOYMENT: "deployments", STATEFUL_SET: "statefulsets"}


def look_around(cluster: Cluster, kind: str, name: RolloutName, stream_s: float | None) -> Examined:
    """Reads only. Raises `NoRolloutError`, and `ClusterError` from the API server for the workload itself."""
    workload = _workload(cluster, kind, name)
    unseen: list[str] = []

    def listed(plural: str, namespace: str) -> Sequence[Object]:
        try:
            return cluster.list(plural, namespace).items
        except ForbiddenError as denied:
            unseen.append(f"{plural}: get the rule {denied.access.rule}")
        except NotFoundError:
            unseen.append(f"{plural}: the cluster does not know them")
        return ()

    nodes: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    quotas: Sequence[Object] = ()
    if kind == ROLLOUT and _is_updating(workload):
        unseen.append("room for a second revision: one is there already")
    else:
        quotas = listed("resourcequotas", name.namespace)
        nodes = listed("nodes", "")
        pods = listed("pods", "") if nodes else ()
        nodes = nodes if pods else ()  # without the pods all of it would seem free
    case = Case(
        workload=workload,
        budget=drain_budget(workload),
        kubernetes=version(cluster.version()),
        stream_s=stream_s,
        autoscalers=listed("horizontalpodautoscalers", name.namespace),
        quotas=quotas,
        analyses=_analyses(cluster, workload, name.namespace, unseen),
        nodes=nodes,
        pods=pods,
    )
    return Examined(case, tuple(unseen))


def version(told: Object) -> Version | None:
    """Major and minor of the API server's answer to /version."""
    numbers = re.match(r"v?(\d+)\.(\d+)", str(told.get("gitVersion", "")))
    return (int(numbers[1]), int(numbers[2])) if numbers else None


def _workload(cluster: Cluster, kind: str, name: RolloutName) -> Object:
    if kind == ROLLOUT:
        return _with_template(cluster, find_rollout(cluster, name) | {"kind": kind}, name.namespace)
    found = cluster.get(PLURALS[kind], name.namespace, name.name)
    if found is None:
        raise NoRolloutError(f"there is no {kind} {name.name} in namespace {name.namespace}")
    return found | {"kind": kind}


def _with_template(cluster: Cluster, rollout: Object, namespace: str) -> Object:
    reference = rollout["spec"].get("workloadRef")
    if reference is None:
        return rollout
    plural = PLURALS.get(str(reference.get("kind")))
    return with_template(rollout, cluster.get(plural, namespace, reference["name"]) if plural else None)


def _is_updating(rollout: Object) -> bool:
    status = rollout.get("status") or {}
    return bool(status.get("stableRS")) and status.get("currentPodHash") != status.get("stableRS")


def _analyses(cluster: Cluster, workload: Object, namespace: str, unseen: list[str]) -> list[Object]:
    found = []
    for kind, name in sorted(referenced(workload)):
        plural, where = f"{kind.lower()}s", namespace if kind == "AnalysisTemplate" else ""
        try:
            template = cluster.get(plural, where, name)
        except ForbiddenError as denied:
            unseen.append(f"{kind} {name}: get the rule {denied.access.rule}")
            continue
        if template is None:
            unseen.append(f"{kind} {name}: there is none, though the Rollout names it")
        else:
            found.append(template | {"kind": kind})
    return found
