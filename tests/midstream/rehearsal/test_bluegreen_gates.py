"""Each gate of a promotion holds, however long, until its own condition is met."""

from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

import pytest

from midstream.rehearsal.store import Object
from midstream.rehearsal.templates import HASH_LABEL, SCALE_DOWN_DEADLINE
from midstream.rehearsal.timestamps import time_text
from tests.midstream.rehearsal.cluster import NS, Cluster, rollout


class Gate(NamedTuple):
    """What one gate keeps from happening, and what opens it."""

    shut: Callable[[], Cluster]
    holds: Callable[[Cluster], bool]
    opened: Callable[[Cluster], None]
    wait_s: float = 500  # how long it is seen to hold; less than the progress deadline


def updating(**blue_green: object) -> Cluster:
    cluster = Cluster(rollout(**blue_green)).deployed()
    cluster.set_image("engine:2")
    return cluster


def one_pod_ready() -> Cluster:
    cluster = updating()
    cluster.set_ready(cluster.pods("engine:2")[0], True)
    cluster.settle()
    return cluster


def promoted_by_spec_paused() -> Cluster:
    cluster = Cluster().paused()
    cluster.patch_spec(paused=True)
    cluster.promote()
    return cluster


def fully_promoted_before_ready() -> Cluster:
    cluster = updating()
    cluster.patch_status(promoteFull=True)
    return cluster


def auto_promoted_after(seconds: int) -> Cluster:
    cluster = updating(autoPromotionEnabled=True, autoPromotionSeconds=seconds)
    cluster.start_pods()
    return cluster


def aborted_while_stable_is_short() -> Cluster:
    cluster = Cluster().paused()
    cluster.set_ready(cluster.pods("engine:1")[0], False)
    cluster.settle()
    cluster.patch_status(abort=True)
    return cluster


def aborted() -> Cluster:
    cluster = Cluster().paused()
    cluster.patch_status(abort=True)
    return cluster


def still_selected() -> Cluster:
    cluster = Cluster().promoted()
    cluster.point("vllm", "engine:1")
    return cluster


def with_deadline(at_s: float) -> Cluster:
    cluster = Cluster().promoted()
    edit_deadline(cluster, time_text(cluster.now + timedelta(seconds=at_s)))
    return cluster


def edit_deadline(cluster: Cluster, text: str | None) -> None:
    def change(obj: Object) -> None:
        annotations = obj["metadata"]["annotations"]
        annotations.pop(SCALE_DOWN_DEADLINE)
        if text:
            annotations[SCALE_DOWN_DEADLINE] = text

    name = cluster.replica_set("engine:1")["metadata"]["name"]
    cluster.store.edit("replicasets", NS, name, change)
    cluster.settle()


def without_deadline() -> Cluster:
    cluster = Cluster().promoted()
    cluster.advance(20)
    edit_deadline(cluster, None)
    return cluster


def resume_and_promote(cluster: Cluster) -> None:
    cluster.patch_spec(paused=False)
    cluster.promote()


def is_not_paused(cluster: Cluster) -> bool:
    return "pauseConditions" not in cluster.status


def serves_old(cluster: Cluster) -> bool:
    return cluster.selected() == cluster.hash_of("engine:1")


def size(cluster: Cluster, image: str) -> int:
    replicas: int = cluster.replica_set(image)["spec"]["replicas"]
    return replicas


def old_is_up(cluster: Cluster) -> bool:
    return size(cluster, "engine:1") == 2


def new_is_up(cluster: Cluster) -> bool:
    return size(cluster, "engine:2") == 2


def aborted_new_has_no_deadline(cluster: Cluster) -> bool:
    return SCALE_DOWN_DEADLINE not in cluster.replica_set("engine:2")["metadata"]["annotations"]


def preview_is_on_old(cluster: Cluster) -> bool:
    return cluster.selected("vllm-preview") == cluster.hash_of("engine:1")


def held_update() -> Cluster:
    cluster = Cluster().deployed()
    cluster.patch_spec(paused=True)
    cluster.set_image("engine:2")
    cluster.start_pods()
    return cluster


def waits(seconds: float) -> Callable[[Cluster], None]:
    return lambda cluster: cluster.advance(seconds)


GATES = {
    "no pause before a pod is ready (bluegreen.go, ReadyForPause)": Gate(
        updating, is_not_paused, Cluster.start_pods
    ),
    "no pause before every pod is ready (bluegreen.go, ReadyForPause)": Gate(
        one_pod_ready, is_not_paused, Cluster.start_pods
    ),
    "no cutover without a promotion (pause.go, CompletedBlueGreenPause)": Gate(
        lambda: Cluster().paused(), serves_old, Cluster.promote, wait_s=86_400
    ),
    "no cutover before autoPromotionSeconds are over (pause.go, CompletedBlueGreenPause)": Gate(
        lambda: auto_promoted_after(20), serves_old, waits(1), wait_s=19
    ),
    "a full promotion waits for the pods too (service.go, reconcileActiveService)": Gate(
        fully_promoted_before_ready, serves_old, Cluster.start_pods
    ),
    "spec.paused holds a promotion back (sync.go, haltProgress)": Gate(
        promoted_by_spec_paused, serves_old, resume_and_promote
    ),
    "spec.paused holds the preview Service (service.go, reconcilePreviewService)": Gate(
        held_update, preview_is_on_old, lambda c: c.patch_spec(paused=False)
    ),
    "old pods live until their deadline (replicaset.go, scaleDownDelayHelper)": Gate(
        lambda: Cluster().promoted(), old_is_up, waits(1), wait_s=29
    ),
    "a deadline edited to later moves the scale-down (replicaset.go, scaleDownDelayHelper)": Gate(
        lambda: with_deadline(90), old_is_up, waits(1), wait_s=89
    ),
    "a deadline edited to the past scales down at once (replicaset.go, scaleDownDelayHelper)": Gate(
        lambda: Cluster().promoted(),
        old_is_up,
        lambda c: edit_deadline(c, time_text(c.now - timedelta(seconds=5))),
        wait_s=5,
    ),
    "a deadline taken away is set anew from now (replicaset.go, scaleDownDelayHelper)": Gate(
        without_deadline,
        old_is_up,
        waits(1),
        wait_s=29,
    ),
    "a revision that a Service selects is not scaled down (replicaset.go, isReplicaSetReferenced)": Gate(
        still_selected, old_is_up, lambda c: c.promote()
    ),
    "an aborted revision lives until the stable one is whole (replicaset.go, reconcileNewReplicaSet)": Gate(
        aborted_while_stable_is_short, aborted_new_has_no_deadline, Cluster.start_pods
    ),
    "an aborted revision lives until its own deadline (replicaset.go, reconcileNewReplicaSet)": Gate(
        aborted, new_is_up, waits(1), wait_s=29
    ),
}


@pytest.mark.parametrize("gate", GATES.values(), ids=GATES)
def test_gate_holds_until_it_is_opened(gate) -> None:
    cluster = gate.shut()
    assert gate.holds(cluster)
    cluster.advance(gate.wait_s)
    assert gate.holds(cluster)
    gate.opened(cluster)
    assert not gate.holds(cluster)


@pytest.mark.parametrize(
    "missing",
    [
        pytest.param(lambda c: c.set_ready(c.pods("engine:2")[0], False), id="a pod that is not ready"),
        pytest.param(lambda c: c.patch_spec(replicas=3), id="spec.replicas that were just raised"),
    ],
)
def test_promotion_that_meets_missing_pods_is_lost(missing) -> None:
    """The pass that cannot switch forgets controllerPause (pause.go, CalculatePauseConditions)."""
    cluster = Cluster().paused()
    missing(cluster)
    cluster.settle()
    cluster.promote()
    assert serves_old(cluster)
    cluster.start_pods()
    assert serves_old(cluster)
    assert cluster.phase == ("Paused", "BlueGreenPause")
    cluster.promote()
    assert not serves_old(cluster)


def test_replicas_edited_in_mid_promotion_stop_the_switch_of_that_pass() -> None:
    """While the ReplicaSets follow spec.replicas nothing else moves (context.go, isScalingEvent)."""
    cluster = Cluster().paused()
    cluster.store.edit("rollouts", NS, "vllm", lambda obj: obj["status"].pop("pauseConditions"), status=True)
    cluster.store.edit("rollouts", NS, "vllm", lambda obj: obj["spec"].update(replicas=3))
    cluster.rollouts.sync()  # tells of the resume
    cluster.rollouts.sync()  # would be the cutover
    assert (size(cluster, "engine:1"), size(cluster, "engine:2")) == (3, 3)
    assert serves_old(cluster)
    cluster.settle()
    cluster.start_pods()
    assert serves_old(cluster)
    cluster.promote()
    assert cluster.selected() == cluster.replica_set("engine:2")["metadata"]["labels"][HASH_LABEL]
