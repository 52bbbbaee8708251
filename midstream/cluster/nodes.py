"""The nodes: which of them take pods."""

from collections.abc import Sequence

from midstream.cluster.found import Found, State, amiss, hidden, well
from midstream.rollouts.client import ForbiddenError, Object

CHECK = "nodes"
GPU = "nvidia.com/gpu"


def judge_nodes(nodes: Sequence[Object] | ForbiddenError) -> Found:
    """At least one node must take pods; those that do not are named with their reason."""
    if isinstance(nodes, ForbiddenError):
        return hidden(CHECK, nodes)
    usable = [name(node) for node in nodes if not refusal(node)]
    others = "; ".join(f"{name(node)} is {refusal(node)}" for node in nodes if refusal(node))
    if not usable:
        return amiss(CHECK, State.UNFIT, f"no node takes pods: {others or 'there is none'}", MEND)
    words = f"{len(usable)} of {len(nodes)} ready and schedulable" + (f" ({others})" if others else "")
    return well(CHECK, words)


MEND = "kubectl describe nodes tells why; a cordoned one: kubectl uncordon NODE"


def refusal(node: Object) -> str:
    """Why it takes no new pod of ours; "" when it does.

    A taint for GPU pods alone is none: the device plugin and the overlays tolerate it.
    """
    conditions = node.get("status", {}).get("conditions") or []
    ready: Object = next((each for each in conditions if each["type"] == "Ready"), {})
    if ready.get("status") != "True":
        return "not Ready" + (f", {ready['reason']}" if ready.get("reason") else "")
    if node.get("spec", {}).get("unschedulable"):
        return "cordoned"
    taints = [
        each["key"]
        for each in node.get("spec", {}).get("taints") or []
        if each["effect"] in ("NoSchedule", "NoExecute") and each["key"] != GPU
    ]
    return f"tainted {', '.join(taints)}" if taints else ""


def name(node: Object) -> str:
    """The node's name."""
    return str(node["metadata"]["name"])
