"""Why a pod is not ready, as real ones say it."""

from typing import Any

import pytest

from midstream.rollouts.unready import held_up

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
