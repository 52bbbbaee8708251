"""What keeps a pod from being ready, in the words of its own status."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

Object: TypeAlias = dict[str, Any]

# A container that is on its way tells nothing by these (kubelet)
_ON_ITS_WAY = ("ContainerCreating", "PodInitializing")


def held_up(pods: Iterable[Object]) -> str:
    """The first reason that a pod gives, with its name; "" where none gives one."""
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"])):
        for reason in _reasons(pod.get("status") or {}):
            return f"pod {pod['metadata']['name']} is held up, {reason}"
    return ""


def _reasons(status: Object) -> Iterator[str]:
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield _told(condition.get("reason") or "not scheduled", condition.get("message"))
    for container in status.get("containerStatuses") or []:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") and waiting["reason"] not in _ON_ITS_WAY:
            yield _told(f"container {container['name']} {waiting['reason']}", waiting.get("message"))


def _told(reason: str, message: str | None) -> str:
    """With the first sentence of the message: kube-scheduler goes on with what it tried besides."""
    return reason + (f": {message.partition('. ')[0].rstrip('.')}" if message else "")
