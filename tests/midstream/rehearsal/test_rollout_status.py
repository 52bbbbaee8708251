"""Conditions move as Argo's do, and the progress deadline counts only what should be moving."""

from datetime import timedelta

import pytest

from midstream.rehearsal.rollout_status import Condition, condition, set_condition, set_phase
from midstream.rehearsal.store import Object
from midstream.rehearsal.timestamps import time_text
from tests.midstream.rehearsal.cluster import NOON, Cluster, rollout

LATER = NOON + timedelta(seconds=9)


@pytest.mark.parametrize(
    ("new", "renew", "updated", "moved"),
    [
        (Condition("Healthy", "True", "R", "other words"), False, NOON, NOON),
        (Condition("Healthy", "True", "R", "m"), True, LATER, NOON),
        (Condition("Healthy", "True", "Other", "m"), False, LATER, NOON),
        (Condition("Healthy", "False", "R", "m"), False, LATER, LATER),
    ],
    ids=["same status and reason", "renewed", "other reason", "other status"],
)
def test_times_of_a_condition(new, renew, updated, moved):
    status: Object = {}
    set_condition(status, Condition("Healthy", "True", "R", "m"), NOON)
    set_condition(status, new, LATER, renew=renew)
    (found,) = status["conditions"]
    assert (found["lastUpdateTime"], found["lastTransitionTime"]) == (time_text(updated), time_text(moved))


HEALTHY = {
    "updatedReplicas": 2,
    "availableReplicas": 2,
    "currentPodHash": "b",
    "stableRS": "b",
    "blueGreen": {"activeSelector": "b"},
}
PAUSE = [{"reason": "BlueGreenPause"}]
ABORTED = [{"type": "Progressing", "reason": "RolloutAborted", "message": "m"}]
INVALID = [{"type": "InvalidSpec", "reason": "InvalidSpec", "message": "m"}]


@pytest.mark.parametrize(
    ("change", "phase", "message"),
    [
        ({}, "Healthy", ""),
        ({"stableRS": "a"}, "Progressing", "waiting for post-promotion verification to complete"),
        ({"blueGreen": {"activeSelector": "a"}}, "Progressing", "active service cutover pending"),
        ({"blueGreen": {}}, "Progressing", "active service cutover pending"),
        ({"availableReplicas": 1}, "Progressing", "updated replicas are still becoming available"),
        ({"updatedReplicas": 1}, "Progressing", "more replicas need to be updated"),
        ({"updatedReplicas": 1, "pauseConditions": PAUSE}, "Paused", "BlueGreenPause"),
        ({"pauseConditions": PAUSE, "conditions": ABORTED}, "Degraded", "RolloutAborted: m"),
        ({"conditions": INVALID}, "Degraded", "InvalidSpec: m"),
    ],
)
def test_phase(change, phase, message):
    status = {**HEALTHY, **change}
    set_phase(rollout(), status)
    assert (status["phase"], status["message"]) == (phase, message)


def progressing(cluster: Cluster) -> str:
    found = condition(cluster.status, "Progressing")
    assert found is not None
    reason: str = found["reason"]
    return reason


def stated(cluster: Cluster, kind: str) -> object:
    return {found["type"]: found["status"] for found in cluster.status["conditions"]}[kind]


def unready(limit_s: int = 60) -> Cluster:
    """A new revision whose pods do not become ready."""
    source = rollout()
    source["spec"]["progressDeadlineSeconds"] = limit_s
    cluster = Cluster(source).deployed()
    cluster.set_image("engine:2")
    return cluster


def test_no_progress_until_the_deadline_degrades():
    cluster = unready()
    due = cluster.rollouts.sync()
    assert due == cluster.now + timedelta(seconds=61)
    cluster.advance(60)
    assert progressing(cluster) == "ReplicaSetUpdated"
    cluster.advance(1)
    name = cluster.replica_set("engine:2")["metadata"]["name"]
    assert cluster.phase == (
        "Degraded",
        f'ProgressDeadlineExceeded: ReplicaSet "{name}" has timed out progressing.',
    )


def test_progress_moves_the_deadline():
    cluster = unready()
    cluster.advance(50)
    cluster.set_image("engine:3")
    cluster.advance(50)
    assert cluster.phase[0] == "Progressing"


def test_degraded_rollout_recovers_when_its_pods_come_up():
    cluster = unready()
    cluster.advance(100)
    assert cluster.phase[0] == "Degraded"
    cluster.start_pods()
    assert cluster.phase == ("Paused", "BlueGreenPause")


def test_scale_down_that_is_still_due_does_not_count():
    source = rollout(scaleDownDelaySeconds=100)
    source["spec"]["progressDeadlineSeconds"] = 60
    cluster = Cluster(source).promoted()
    cluster.set_image("engine:3")
    cluster.advance(70)
    assert cluster.phase[0] == "Progressing"
    cluster.advance(30)
    cluster.finish_pods()  # the old pods' end is progress: the deadline starts anew
    cluster.advance(60)
    assert cluster.phase[0] == "Progressing"
    cluster.advance(1)
    assert cluster.phase[0] == "Degraded"


def test_paused_time_does_not_count():
    source = rollout()
    source["spec"]["progressDeadlineSeconds"] = 60
    cluster = Cluster(source).paused()
    cluster.advance(3600)
    assert progressing(cluster) == "RolloutPaused"
    assert stated(cluster, "Paused") == "True"
    cluster.promote()
    assert cluster.phase == ("Healthy", "")


def test_conditions_of_a_healthy_rollout():
    cluster = Cluster().promoted()
    assert {c["type"]: c["status"] for c in cluster.status["conditions"]} == {
        "Available": "True",
        "Completed": "True",
        "Healthy": "True",
        "Paused": "False",
        "Progressing": "True",
    }


def test_lost_pod_makes_a_healthy_rollout_progress_again():
    cluster = Cluster().deployed()
    cluster.set_ready(cluster.pods("engine:1")[0], False)
    cluster.settle()
    assert progressing(cluster) == "ReplicaSetNotAvailable"
    assert stated(cluster, "Available") == "False"
    cluster.start_pods()
    assert progressing(cluster) == "NewReplicaSetAvailable"
