"""Why a pod is not ready, as real ones say it."""

from typing import Any

import pytest

from midstream.rollouts.unready import Hold, held_up, obstacles

NO_GPU = (
    "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes are available: "
    "3 No preemption victims found for incoming pod."
)


def pod(name: str = "p", **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": status}


def unscheduled(**more: str) -> list[dict[str, str]]:
    return [{"type": "PodScheduled", "status": "False", **more}]


def waiting(reason: str, **more: str) -> list[dict[str, Any]]:
    return [{"name": "vllm", "state": {"waiting": {"reason": reason, **more}}}]


@pytest.mark.parametrize(
    ("pods", "said"),
    [
        pytest.param([], "", id="no pod yet"),
        pytest.param([pod()], "", id="nothing told"),
        pytest.param([{"metadata": {"name": "p"}, "status": None}], "", id="no status"),
        pytest.param(
            [
                pod(
                    conditions=[
                        {"type": "PodScheduled", "status": "True"},
                        {"type": "Ready", "status": "False"},
                    ]
                )
            ],
            "",
            id="scheduled, not ready yet",
        ),
        pytest.param([pod(containerStatuses=waiting("ContainerCreating"))], "", id="on its way"),
        pytest.param(
            [pod(conditions=unscheduled(reason="Unschedulable", message=NO_GPU))],
            "pod p is held up, Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu",
            id="no room",
        ),
        pytest.param(
            [pod(conditions=unscheduled())], "pod p is held up, not scheduled", id="no reason given"
        ),
        pytest.param(
            [pod(containerStatuses=waiting("ImagePullBackOff", message='Back-off pulling image "vllm:v9"'))],
            'pod p is held up, container vllm ImagePullBackOff: Back-off pulling image "vllm:v9"',
            id="no such image",
        ),
        pytest.param(
            [pod("q", conditions=unscheduled(reason="Unschedulable")), pod("p", containerStatuses=[])],
            "pod q is held up, Unschedulable",
            id="one of two pods",
        ),
    ],
)
def test_the_reason_in_the_pods_own_words(pods, said):
    assert held_up(pods) == said


def container(**changes: Any) -> dict[str, Any]:
    return {"name": "vllm", "restartCount": 0, "state": {}, "lastState": {}} | changes


def end(code: int, reason: str = "Error", **more: str) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, **more}}


LOOP = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container=vllm"}}
NO_SUCH_FILE = 'exec: "/no/such": stat /no/such: no such file or directory: unknown'
START_ERROR = end(128, "StartError", message=NO_SUCH_FILE)

# States as Kubernetes 1.34 with containerd showed them
OBSTACLES: dict[str, tuple[dict[str, Any], Hold | None, bool, str]] = {
    "runs, not ready yet": (container(state={"running": {}}), None, False, ""),
    "runs again": (container(state={"running": {}}, lastState=end(3), restartCount=1), None, False, ""),
    "ended once": (
        container(state=end(3)),
        Hold.ENDED,
        True,
        "container vllm ended with exit code 3",
    ),
    "ended for the third time": (
        container(state=end(3), lastState=end(3), restartCount=2),
        Hold.ENDED_AGAIN,
        True,
        "container vllm ended with exit code 3, restarts so far: 2",
    ),
    "in its back-off": (
        container(state=LOOP, lastState=end(137, "OOMKilled"), restartCount=1),
        Hold.ENDED,
        True,
        "container vllm CrashLoopBackOff: it ended with exit code 137 (OOMKilled), restarts so far: 1",
    ),
    "no such command": (
        container(state=LOOP, lastState=START_ERROR, restartCount=2),
        Hold.ENDED_AGAIN,
        False,
        f"container vllm CrashLoopBackOff: it cannot be started: {NO_SUCH_FILE}, restarts so far: 2",
    ),
    "no such command, first seen": (
        container(state={"waiting": {"reason": "RunContainerError", "message": NO_SUCH_FILE}}),
        Hold.NOT_STARTED,
        False,
        f"container vllm RunContainerError: {NO_SUCH_FILE}",
    ),
    "image gone before a restart": (
        container(state={"waiting": {"reason": "ErrImagePull"}}, lastState=end(1), restartCount=1),
        Hold.IMAGE,
        False,
        "container vllm ErrImagePull",
    ),
    "image name that is none": (
        container(state={"waiting": {"reason": "InvalidImageName"}}),
        Hold.IMAGE_NAME,
        False,
        "container vllm InvalidImageName",
    ),
    "ConfigMap missing": (
        container(
            state={
                "waiting": {
                    "reason": "CreateContainerConfigError",
                    "message": 'configmap "nope" not found',
                }
            }
        ),
        Hold.NOT_CREATED,
        False,
        'container vllm CreateContainerConfigError: configmap "nope" not found',
    ),
}


@pytest.mark.parametrize(("state", "hold", "has_log", "words"), OBSTACLES.values(), ids=OBSTACLES)
def test_each_state_of_a_container(state, hold, has_log, words):
    found = list(obstacles(pod(containerStatuses=[state])))
    assert [(each.hold, each.has_log, each.words) for each in found] == (
        [] if hold is None else [(hold, has_log, words)]
    )


def test_an_init_container_that_is_done_holds_nothing_up():
    done, failed = container(state=end(0, "Completed")), container(state=end(1))
    assert list(obstacles(pod(initContainerStatuses=[done]))) == []
    assert [each.hold for each in obstacles(pod(initContainerStatuses=[failed]))] == [Hold.ENDED]


def test_a_pod_that_is_over():
    [found] = obstacles(pod(phase="Failed", reason="Evicted", message="The node was low on memory. Usage: 1"))
    assert found == (Hold.POD_OVER, "Evicted: The node was low on memory", "", False)
