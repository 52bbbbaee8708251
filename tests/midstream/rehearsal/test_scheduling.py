"""Room on the rehearsal's node: what counts, how kube-scheduler says that there is none."""

from typing import Any

import pytest

from midstream.rehearsal.scheduling import no_room, unscheduled
from midstream.rehearsal.store import Object

GPU = "nvidia.com/gpu"
FULL = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. "


def pod(*resources: dict[str, Any]) -> Object:
    containers = [{"name": "c", "image": "i", "resources": each} for each in resources]
    return {"metadata": {"name": "p"}, "spec": {"containers": containers}}


def asks(number: int | str) -> Object:
    return pod({"limits": {GPU: number}})


@pytest.mark.parametrize(
    ("wants", "placed", "node", "said"),
    [
        pytest.param(pod({}), [], {}, "", id="nothing is asked"),
        pytest.param(asks(1), [], {GPU: 1}, "", id="the last one"),
        pytest.param(asks(1), [asks("1")], {GPU: 2}, "", id="one is left"),
        pytest.param(asks(1), [pod({})], {GPU: 1}, "", id="the other one asks for nothing"),
        pytest.param(asks(1), [asks(1)], {GPU: 1}, FULL, id="all are taken"),
        pytest.param(asks(1), [], {}, FULL, id="the node has none"),
        pytest.param(pod({"requests": {GPU: 2}}), [], {GPU: 1}, FULL, id="a request"),
        pytest.param(
            pod({"limits": {GPU: 1}}, {"limits": {GPU: 1}}), [], {GPU: 1}, FULL, id="two containers"
        ),
        pytest.param(
            pod({"limits": {"cpu": "64", "memory": "1Ti"}}), [], {}, "", id="CPU and memory are not counted"
        ),
        pytest.param(
            pod({"limits": {GPU: 1, "a.b/c": 1}}),
            [],
            {},
            "0/1 nodes are available: 1 Insufficient a.b/c, 1 Insufficient nvidia.com/gpu. ",
            id="two resources",
        ),
        pytest.param({"spec": {"containers": 5}}, [], {}, "", id="a pod that the kubelet will refuse"),
    ],
)
def test_room(wants, placed, node, said) -> None:
    assert no_room(wants, placed, node).partition("preemption")[0] == said


def test_a_pod_that_waits_says_so_and_keeps_the_time_while_the_reason_stays() -> None:
    status = unscheduled(asks(1), "full")
    (condition,) = status["conditions"]
    assert status["phase"] == "Pending"
    assert {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "full",
    }.items() <= (condition.items())
    condition["lastTransitionTime"] = "2026-01-01T00:00:00Z"
    waiting = {**asks(1), "status": status}
    assert unscheduled(waiting, "full") == status
    assert unscheduled(waiting, "fuller")["conditions"][0]["lastTransitionTime"] != "2026-01-01T00:00:00Z"
