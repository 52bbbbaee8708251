"""What a person does to a promotion leads to the state that a real Argo Rollouts 1.9.1 left.

Each row was carried out on Kubernetes 1.34.1 with Argo 1.9.1 (November 2026, scaleDownDelaySeconds 30), and
these are the states seen there some seconds later. Revision N is image engine:N.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest

from midstream.rehearsal.store import Object
from midstream.rehearsal.templates import SCALE_DOWN_DEADLINE
from tests.midstream.rehearsal.cluster import Cluster, rollout

Step = Callable[[Cluster], None]


class Left(NamedTuple):
    """The state at the end: which revision each Service and status field names, and the phase."""

    active: int
    preview: int
    stable: int
    phase: tuple[str, str]
    scaled: dict[int, bool]  # revision with pods -> whether it has a scale-down deadline


HEALTHY, PAUSED = ("Healthy", ""), ("Paused", "BlueGreenPause")
ABORTED = ("Degraded", "RolloutAborted: Rollout aborted update to revision 2")


def update(revision: int) -> Step:
    """Another template, and its pods become ready."""

    def step(cluster: Cluster) -> None:
        cluster.set_image(f"engine:{revision}")
        cluster.start_pods()

    return step


def wait(seconds: float) -> Step:
    def step(cluster: Cluster) -> None:
        cluster.advance(seconds)
        cluster.finish_pods()

    return step


def point(service: str, revision: int) -> Step:
    return lambda cluster: cluster.point(service, f"engine:{revision}")


def abort(cluster: Cluster) -> None:
    cluster.patch_status(abort=True)


def retry(cluster: Cluster) -> None:
    cluster.patch_status(abort=False)
    cluster.start_pods()


def hold(cluster: Cluster) -> None:
    cluster.patch_spec(paused=True)


promote = Cluster.promote

MEASURED: dict[str, tuple[dict[str, object], Sequence[Step], Left]] = {
    "abort before the cutover": (
        {},
        [update(2), abort],
        Left(1, 2, 1, ABORTED, {1: False, 2: True}),
    ),
    "abort before the cutover, its delay over": (
        {"abortScaleDownDelaySeconds": 5},
        [update(2), abort, wait(12)],
        Left(1, 2, 1, ABORTED, {1: False}),
    ),
    "retry inside the delay goes straight to the cutover": (
        {},
        [update(2), abort, wait(4), retry],
        Left(2, 2, 2, HEALTHY, {1: True, 2: False}),
    ),
    "retry after the delay pauses again": (
        {"abortScaleDownDelaySeconds": 5},
        [update(2), abort, wait(12), retry],
        Left(1, 2, 1, PAUSED, {1: False, 2: False}),
    ),
    "retry without a delay pauses again": (
        {"abortScaleDownDelaySeconds": 0},
        [update(2), abort, wait(6), retry],
        Left(1, 2, 1, PAUSED, {1: False, 2: False}),
    ),
    "abort after the cutover is taken back": (
        {},
        [update(2), promote, abort],
        Left(2, 2, 2, HEALTHY, {1: True, 2: False}),
    ),
    "undo inside the delay: no pause": (
        {},
        [update(2), promote, wait(10), update(1)],
        Left(1, 1, 1, HEALTHY, {1: False, 2: True}),
    ),
    "third revision inside the delay: a pause": (
        {},
        [update(2), promote, wait(4), update(3)],
        Left(2, 3, 2, PAUSED, {1: True, 2: False, 3: False}),
    ),
    "first revision back from the third's pause: no pause": (
        {},
        [update(2), promote, wait(4), update(3), wait(6), update(1)],
        Left(1, 1, 1, HEALTHY, {1: False, 2: True, 3: True}),
    ),
    "template put back in the pause": (
        {},
        [update(2), update(1)],
        Left(1, 1, 1, HEALTHY, {1: False, 2: True}),
    ),
    "template put back and set again inside the delay: no pause": (
        {},
        [update(2), update(1), wait(4), update(2)],
        Left(2, 2, 2, HEALTHY, {1: True, 2: False}),
    ),
    "active Service moved back by hand: a pause, it stays moved": (
        {},
        [update(2), promote, point("vllm", 1), wait(10)],
        Left(1, 2, 2, PAUSED, {1: True, 2: False}),
    ),
    "active Service moved back by hand, then promoted": (
        {},
        [update(2), promote, point("vllm", 1), wait(10), promote],
        Left(2, 2, 2, HEALTHY, {1: True, 2: False}),
    ),
    "active Service moved back by hand under auto-promotion: put back": (
        {"autoPromotionEnabled": True},
        [update(2), point("vllm", 1)],
        Left(2, 2, 2, HEALTHY, {1: True, 2: False}),
    ),
    "active Service moved back by hand under spec.paused: it stays": (
        {},
        [update(2), promote, hold, point("vllm", 1)],
        Left(1, 2, 2, ("Paused", "manually paused"), {1: True, 2: False}),
    ),
    "active Service moved forward by hand in the pause: promoted": (
        {},
        [update(2), point("vllm", 2)],
        Left(2, 2, 2, HEALTHY, {1: True, 2: False}),
    ),
    "preview Service moved by hand in the pause: put back": (
        {},
        [update(2), point("vllm-preview", 1)],
        Left(1, 2, 1, PAUSED, {1: False, 2: False}),
    ),
}


@pytest.mark.parametrize(("strategy", "steps", "left"), MEASURED.values(), ids=MEASURED)
def test_state_is_the_one_that_argo_left(strategy, steps, left) -> None:
    cluster = Cluster(rollout(**strategy)).deployed()
    for step in steps:
        step(cluster)
    assert state(cluster) == left


def state(cluster: Cluster) -> Left:
    sets = cluster.store.list("replicasets")[0]
    revisions = {rs["metadata"]["labels"]["rollouts-pod-template-hash"]: revision_of(rs) for rs in sets}
    scaled = {
        revision_of(rs): SCALE_DOWN_DEADLINE in rs["metadata"]["annotations"]
        for rs in sets
        if rs["spec"]["replicas"]
    }
    return Left(
        revisions[cluster.selected()],
        revisions[cluster.selected("vllm-preview")],
        revisions[cluster.status["stableRS"]],
        cluster.phase,
        scaled,
    )


def revision_of(replica_set: Object) -> int:
    image: str = replica_set["spec"]["template"]["spec"]["containers"][0]["image"]
    return int(image.removeprefix("engine:"))
