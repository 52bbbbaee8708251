"""What keeps a Rollout from going on, by kind."""

from typing import Any

import pytest

from midstream.rollouts.blocks import Stop, blocks
from midstream.rollouts.unready import Hold
from tests.midstream.rollouts.objects import NEW, OLD, THIRD, deleted, merged, pod, replica_set, rollout
from tests.midstream.rollouts.scenes import HALF, PAUSED, event, scene, updating, waiting

REFUSED: Any = {
    "status": {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]}
}
NO_NODE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
PENDING = {"status": {"conditions": [NO_NODE], "containerStatuses": []}}


def told(kind: str, status: str, **more: str) -> dict[str, Any]:
    return {"status": {"conditions": [{"type": kind, "status": status, **more}]}}


def new(**changes: Any) -> Any:
    return pod("n1", NEW, 2, ready=False, **changes)


UPDATE = rollout(**HALF)
REASONS = {
    "at rest": (scene(), []),
    "paused for its promotion": (updating(rollout(**PAUSED), pod("n1", NEW, 2)), []),
    "nobody looks": (scene(rollout(metadata={"generation": 2})), [Stop.NOT_LOOKED_AT]),
    "never looked at": (scene(rollout(status=None)), [Stop.NOT_LOOKED_AT]),
    "invalid": (
        scene(rollout(**told("InvalidSpec", "True", message="no Service"))),
        [Stop.INVALID],
    ),
    "deadline over": (
        scene(rollout(**told("Progressing", "False", reason="ProgressDeadlineExceeded"))),
        [Stop.TOO_LATE],
    ),
    "aborted": (updating(rollout(**merged(HALF, {"status": {"abort": True}}))), [Stop.ABORTED]),
    "held by its spec": (
        updating(rollout(spec={"paused": True}, **merged(HALF, {"status": {"phase": "Paused"}}))),
        [Stop.HELD],
    ),
    "quota": (
        updating(UPDATE, replica_sets=[replica_set(OLD, 1), replica_set(NEW, 2, **REFUSED)]),
        [Stop.NO_PODS],
    ),
    "quota that a leaving pod gives back": (
        updating(
            UPDATE,
            deleted("x", THIRD, 1),
            replica_sets=[replica_set(OLD, 1), replica_set(NEW, 2, **REFUSED)],
        ),
        [Stop.NO_ROOM_YET],
    ),
    "image": (updating(UPDATE, new(**waiting("ErrImagePull"))), [Hold.IMAGE]),
    "image of a pod on its way out": (
        updating(UPDATE, deleted("n1", NEW, 2, **waiting("ErrImagePull"))),
        [],
    ),
    "image of an older revision": (
        updating(
            UPDATE,
            pod("x", THIRD, 1, **waiting("ErrImagePull")),
            replica_sets=[replica_set(revision, 1) for revision in (OLD, NEW, THIRD)],
        ),
        [],
    ),
    "no room": (updating(UPDATE, new(**PENDING)), [Hold.NO_ROOM]),
    "no room, autoscaler at work": (
        updating(UPDATE, new(**PENDING), events=[event("n1", "TriggeredScaleUp", "0->1")]),
        [Stop.NO_ROOM_YET],
    ),
    "no room, an older revision leaves": (
        updating(UPDATE, new(**PENDING), pod("x", THIRD, 1)),
        [Stop.NO_ROOM_YET],
    ),
    "no room, an older revision is kept for ever": (
        updating(
            rollout(**HALF, spec={"strategy": {"blueGreen": {"scaleDownDelaySeconds": 0}}}),
            new(**PENDING),
            pod("x", THIRD, 1),
        ),
        [Hold.NO_ROOM],
    ),
    "volume": (
        updating(
            UPDATE,
            new(**waiting("ContainerCreating")),
            events=[event("n1", "FailedMount", 'configmap "nope" not found')],
        ),
        [Hold.NOT_SET_UP],
    ),
    "volume that came": (
        updating(UPDATE, pod("n1", NEW, 2), events=[event("n1", "FailedMount", "not found")]),
        [],
    ),
}


@pytest.mark.parametrize(("found", "kinds"), REASONS.values(), ids=REASONS)
def test_kinds(found, kinds):
    assert [block.kind for block in blocks(found)] == kinds


def test_a_pod_is_named_with_what_it_says():
    [block] = blocks(updating(UPDATE, new(**waiting("ErrImagePull", "not found"))))
    assert block.words == "pod n1: container vllm ErrImagePull: not found"
    assert block.key == (Hold.IMAGE, NEW, "vllm")
