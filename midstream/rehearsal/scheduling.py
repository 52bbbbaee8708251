"""Whether the rehearsal's one node has room for a pod, as kube-scheduler decides and says it."""

from collections import Counter
from collections.abc import Iterable, Mapping

from midstream.rehearsal.podspec import PodSpecError, read_spec
from midstream.rehearsal.store import Object
from midstream.rehearsal.timestamps import time_text, utc_now


def no_room(pod: Object, placed: Iterable[Object], node: Mapping[str, int]) -> str:
    """Why the node cannot take the pod beside those it has; "" where it can.

    Extended resources alone count ("nvidia.com/gpu"): of one that the node does not name it has none. CPU and
    memory are this machine's own.
    """
    taken = sum((_requests(other) for other in placed), Counter[str]())
    short = [
        name for name, wanted in sorted(_requests(pod).items()) if taken[name] + wanted > node.get(name, 0)
    ]
    if not short:
        return ""
    return (
        f"0/1 nodes are available: 1 {', 1 '.join(f'Insufficient {name}' for name in short)}. "
        "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
    )


def unscheduled(pod: Object, message: str) -> Object:
    """The status of a pod that waits for room; an unchanged reason keeps its time."""
    known: list[Object] = pod.get("status", {}).get("conditions", [])
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    for old in known:
        if old.items() >= condition.items():
            condition = old
    return {"phase": "Pending", "conditions": [{"lastTransitionTime": time_text(utc_now()), **condition}]}


def _requests(pod: Object) -> Counter[str]:
    """What its containers ask for, in whole numbers; of extended resources a limit is a request too."""
    try:
        containers = read_spec(pod).containers
    except PodSpecError:
        return Counter()  # the kubelet refuses it, with the reason
    wanted = Counter[str]()
    for container in containers:
        asked = {**container.resources.limits, **container.resources.requests}
        wanted.update({name: int(amount) for name, amount in asked.items() if "/" in name})
    return wanted
