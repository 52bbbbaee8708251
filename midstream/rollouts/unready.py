"""What keeps a pod from being ready, in the words of its own status."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

Object: TypeAlias = dict[str, Any]

# A container that is on its way tells nothing by these (kubelet)
_ON_ITS_WAY = ("ContainerCreating", "PodInitializing")
RESTARTS_OF_A_LOOP = 2  # three ends: the first start, the restart at once, the one after 10 s of back-off


class Hold(StrEnum):
    """Kinds of what holds something up: they differ in whether waiting can mend them."""

    NO_ROOM = "no room"
    NOT_SET_UP = "volumes or network not set up"
    IMAGE_NAME = "image name"
    IMAGE = "image"
    NOT_CREATED = "not created"
    NOT_STARTED = "not started"
    ENDED = "ended"
    ENDED_AGAIN = "ended again and again"
    POD_OVER = "pod over"


class Obstacle(NamedTuple):
    """One thing that holds a pod up; `container` is empty where it is the whole pod."""

    hold: Hold
    words: str
    container: str = ""
    has_log: bool = False  # the container ran, so that its last lines may say why


# Reasons of a waiting container, from the kubelet's pkg/kubelet/images and kuberuntime (Kubernetes 1.34)
_WAITING = {
    "InvalidImageName": Hold.IMAGE_NAME,
    "ErrImageNeverPull": Hold.IMAGE,
    "ErrImagePull": Hold.IMAGE,
    "ImagePullBackOff": Hold.IMAGE,
    "ImageInspectError": Hold.IMAGE,
    "RegistryUnavailable": Hold.IMAGE,
    "SignatureValidationFailed": Hold.IMAGE,
    "CreateContainerConfigError": Hold.NOT_CREATED,
    "CreateContainerError": Hold.NOT_CREATED,
}


def is_ready(pod: Object) -> bool:
    """Whether its Ready condition holds."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)


def held_up(pods: Iterable[Object]) -> str:
    """The first reason that a pod gives, with its name; "" where none gives one."""
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"])):
        for obstacle in obstacles(pod):
            return f"pod {pod['metadata']['name']} is held up, {obstacle.words}"
    return ""


def obstacles(pod: Object) -> Iterator[Obstacle]:
    """Everything that the pod's status says of why it is not ready, the scheduler's words first."""
    status = pod.get("status") or {}
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            words = _told(condition.get("reason") or "not scheduled", condition.get("message"))
            yield Obstacle(Hold.NO_ROOM, words)
    if status.get("phase") == "Failed" or status.get("reason"):
        reason = status.get("reason") or "Failed"
        yield Obstacle(_WAITING.get(reason, Hold.POD_OVER), _told(reason, status.get("message")))
    for field in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(field) or []:
            yield from _of_container(container, is_init=field == "initContainerStatuses")


def _of_container(container: Object, *, is_init: bool) -> Iterator[Obstacle]:
    name, state = container["name"], container.get("state") or {}
    waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
    last = (container.get("lastState") or {}).get("terminated") or {}
    if ended and not (is_init and ended.get("exitCode") == 0):
        yield _ended(container, ended, f"container {name} {_end(ended)}")
    elif last and waiting.get("reason") and waiting["reason"] not in _WAITING:
        yield _ended(container, last, f"container {name} {waiting['reason']}: it {_end(last)}")
    elif waiting.get("reason") and waiting["reason"] not in _ON_ITS_WAY:
        words = _told(f"container {name} {waiting['reason']}", waiting.get("message"))
        yield Obstacle(_WAITING.get(waiting["reason"], Hold.NOT_STARTED), words, name)


def _ended(container: Object, end: Object, words: str) -> Obstacle:
    restarts = container.get("restartCount", 0)
    hold = Hold.ENDED if restarts < RESTARTS_OF_A_LOOP else Hold.ENDED_AGAIN
    times = f", restarts so far: {restarts}" if restarts else ""
    return Obstacle(hold, words + times, container["name"], has_log=end.get("reason") != "StartError")


def _end(ended: Object) -> str:
    if ended.get("reason") == "StartError":  # containerd: there was no process, exit code 128 is made up
        return _told("cannot be started", ended.get("message"))
    reason = ended.get("reason")
    why = f" ({reason})" if reason not in (None, "Error", "Completed") else ""
    return f"ended with exit code {ended.get('exitCode')}{why}"


def _told(reason: str, message: str | None) -> str:
    """With the first sentence of the message: kube-scheduler goes on with what it tried besides."""
    return reason + (f": {message.partition('. ')[0].rstrip('.')}" if message else "")
