"""GPUs: what pods can be given, by whose device plugin, how one card becomes two shares."""

from collections.abc import Sequence

from midstream.cluster import nodes as node_checks
from midstream.cluster.found import Found, State, amiss, hidden, well
from midstream.cluster.nodes import GPU
from midstream.rollouts.client import ForbiddenError, Object
from midstream.rollouts.unready import held_up

CHECK = "gpu"
OUR_PLUGIN = "kube-system/midstream-nvidia-device-plugin"  # k8s/device-plugin
MINIKUBE_LABEL = "minikube.k8s.io/name"  # on every node of it
PREPARED = "driver and NVIDIA container toolkit on the node as docs/ClusterSetup.md says"
WITHOUT = "without a GPU: OVERLAY=sim or --no-gpu"


def judge_gpus(
    nodes: Sequence[Object] | ForbiddenError,
    daemon_sets: Sequence[Object] | ForbiddenError,
    plugin_pods: Sequence[Object],
    wanted: int,
) -> Found:
    """Allocatable nvidia.com/gpu on the nodes that take pods; time-slicing makes several of one card.

    Without the right to list DaemonSets the count is still judged; who provides it stays unsaid.
    `plugin_pods`: those of the device plugin, whose own trouble explains a node without GPUs.
    """
    if isinstance(nodes, ForbiddenError):
        return hidden(CHECK, nodes)
    counts = {node_checks.name(node): allocatable(node) for node in nodes if not node_checks.refusal(node)}
    total = sum(counts.values())
    plugin = None if isinstance(daemon_sets, ForbiddenError) else device_plugin(daemon_sets)
    source = _source(plugin) if plugin else ""
    if total >= wanted:
        return well(CHECK, f"{total} {GPU} allocatable ({_by_node(counts)})", source=source)
    if total:
        return amiss(
            CHECK,
            State.UNFIT,
            f"{total} of {wanted} {GPU} allocatable ({_by_node(counts)}): blue and green take one each",
            _share(plugin, nodes, wanted),
            source=source,
        )
    if plugin:
        return _offers_nothing(plugin, nodes, plugin_pods)
    return _no_plugin(nodes, wanted, is_hidden=isinstance(daemon_sets, ForbiddenError))


def _offers_nothing(plugin: Object, nodes: Sequence[Object], pods: Sequence[Object]) -> Found:
    source, reason = _source(plugin), held_up(pods)
    namespace, _, name = source.partition("/")
    is_starting = not reason and not _is_ready(plugin)
    return amiss(
        CHECK,
        State.PENDING if is_starting else State.UNFIT,
        f"{_none(nodes)}, though the device plugin {source} is there: "
        + (reason or ("it is not ready yet" if is_starting else "it found no driver")),
        f"kubectl logs -n {namespace} daemonset/{name}; {'' if reason else f'{PREPARED}; '}{WITHOUT}",
        source=source,
    )


def _no_plugin(nodes: Sequence[Object], wanted: int, *, is_hidden: bool) -> Found:
    words = _none(nodes)
    if any(map(allocatable, nodes)):
        return amiss(CHECK, State.UNFIT, words, f"{node_checks.MEND}; {WITHOUT}")
    if is_hidden:
        return amiss(CHECK, State.UNFIT, words, f"{PREPARED}; {WITHOUT}")
    return amiss(
        CHECK,
        State.MISSING,
        f"{words}, and there is no NVIDIA device plugin",
        f"{PREPARED}, then scripts/cluster_bootstrap.sh --share-gpu {max(wanted, 2)}; {WITHOUT}",
    )


def _none(nodes: Sequence[Object]) -> str:
    shut = "; ".join(
        f"{node_checks.name(node)} has {allocatable(node)} but is {node_checks.refusal(node)}"
        for node in nodes
        if allocatable(node) and node_checks.refusal(node)
    )
    return f"no node that takes pods has {GPU}" + (f" ({shut})" if shut else "")


def _is_ready(daemon_set: Object) -> bool:
    """It has a pod on every node that it wants one on."""
    status = daemon_set.get("status") or {}
    ready, desired = status.get("numberReady", 0), status.get("desiredNumberScheduled", 0)
    return bool(desired) and ready >= desired


def allocatable(node: Object) -> int:
    """How many pods with one GPU each the node takes when it is empty; shares count."""
    return int((node.get("status", {}).get("allocatable") or {}).get(GPU, 0))


def device_plugin(daemon_sets: Sequence[Object]) -> Object | None:
    """The DaemonSet that offers NVIDIA GPUs, whoever installed it.

    Named nvidia-device-plugin-daemonset by NVIDIA's static manifest, Minikube's addon and the GPU
    operator, ...-nvidia-device-plugin by the Helm chart, nvidia-gpu-device-plugin on GKE; the chart's
    MPS daemon and feature discovery bear the same prefix and offer nothing.
    """
    return next(filter(_offers_gpus, daemon_sets), None)


def _offers_gpus(daemon_set: Object) -> bool:
    name = str(daemon_set["metadata"]["name"])
    return (
        "nvidia" in name
        and "device-plugin" in name
        and "mps-control" not in name
        and "feature-discovery" not in name
    )


def _share(plugin: Object | None, nodes: Sequence[Object], wanted: int) -> str:
    """How these GPUs become enough, by who installed the plugin."""
    bootstrap = f"scripts/cluster_bootstrap.sh --share-gpu {wanted}"
    if plugin is None:
        return f"let whoever installed the device plugin time-slice the card in {wanted}; {WITHOUT}"
    source = _source(plugin)
    namespace, _, name = source.partition("/")
    if source == OUR_PLUGIN:
        return bootstrap
    if any(each.get("kind") == "ClusterPolicy" for each in plugin["metadata"].get("ownerReferences") or []):
        return (
            f"the GPU operator's plugin {source}: give its ClusterPolicy a devicePlugin.config that "
            f"time-slices with replicas: {wanted} (gpu-sharing in NVIDIA's documents of the operator)"
        )
    if source == "kube-system/nvidia-device-plugin-daemonset" and any(
        MINIKUBE_LABEL in (node["metadata"].get("labels") or {}) for node in nodes
    ):
        return (
            f"Minikube's addon cannot share: minikube addons disable nvidia-device-plugin, then {bootstrap}"
        )
    return (
        f"give the plugin {source} a config that time-slices with replicas: {wanted}, or replace it: "
        f"kubectl delete daemonset -n {namespace} {name}, then {bootstrap}"
    )


def _source(daemon_set: Object) -> str:
    metadata = daemon_set["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}"


def _by_node(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()) if count)
