"""ReplicaSets have the pods they ask for, and say so truthfully."""

from datetime import timedelta

import pytest

from midstream.rehearsal.workloads import plan, pod_of
from tests.midstream.rehearsal.cluster import NOON, NS, Cluster

LATER = "2026-11-03T12:00:10Z"


def pod(name: str, *, phase: str = "Running", ready: str | None = "2026-11-03T11:59:00Z", **metadata):
    conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": ready}] if ready else []
    known = {"name": name, "creationTimestamp": "2026-11-03T11:00:00Z", **metadata}
    return {"metadata": known, "status": {"phase": phase, "conditions": conditions}}


def replica_set(replicas: int, min_ready_s: int = 0):
    return {
        "metadata": {"generation": 4, "name": "rs", "namespace": NS, "uid": "u"},
        "spec": {"replicas": replicas, "minReadySeconds": min_ready_s},
    }


@pytest.mark.parametrize(
    ("replicas", "pods", "created"),
    [
        (2, [], 2),
        (2, [pod("a")], 1),
        (2, [pod("a"), pod("b")], 0),
        (2, [pod("a"), pod("b", phase="Failed")], 1),
        (2, [pod("a"), pod("b", deletionTimestamp=LATER)], 1),
        (0, [], 0),
    ],
    ids=["none yet", "one short", "complete", "failed", "being deleted", "zero"],
)
def test_missing_pods_are_created(replicas, pods, created):
    wanted = plan(replica_set(replicas), pods, NOON)
    assert (wanted.create, wanted.delete) == (created, ())


@pytest.mark.parametrize(
    ("replicas", "pods", "deleted"),
    [
        (0, [pod("a"), pod("b")], {"a", "b"}),
        (1, [pod("a"), pod("b", ready=None)], {"b"}),
        (1, [pod("a", phase="Pending", ready=None), pod("b", ready=None)], {"a"}),
        (1, [pod("a", creationTimestamp="2026-11-03T11:30:00Z"), pod("b")], {"a"}),
        (0, [pod("a", deletionTimestamp=LATER)], set()),
        (0, [pod("a", phase="Failed")], set()),
    ],
    ids=["all", "unready first", "pending first", "young first", "not twice", "ended stay"],
)
def test_surplus_pods_are_deleted(replicas, pods, deleted):
    wanted = plan(replica_set(replicas), pods, NOON)
    assert (wanted.create, set(wanted.delete)) == (0, deleted)


def test_status_counts_what_lives():
    pods = [pod("a"), pod("b", ready=None), pod("c", deletionTimestamp=LATER), pod("d", phase="Failed")]
    assert plan(replica_set(2), pods, NOON).status == {
        "replicas": 2,
        "fullyLabeledReplicas": 2,
        "readyReplicas": 1,
        "availableReplicas": 1,
        "observedGeneration": 4,
    }


def test_pod_is_available_only_after_min_ready_seconds():
    fresh = [pod("a", ready="2026-11-03T11:59:55Z")]
    waiting = plan(replica_set(1, 10), fresh, NOON)
    assert waiting.status.get("availableReplicas", 0) == 0
    assert waiting.status["readyReplicas"] == 1
    assert waiting.due == NOON + timedelta(seconds=5)
    over = plan(replica_set(1, 10), fresh, waiting.due)
    assert (over.status["availableReplicas"], over.due) == (1, None)


def test_pod_carries_template_owner_and_name():
    cluster = Cluster()
    cluster.settle()
    owner = cluster.replica_set("engine:1")
    for made in cluster.pods("engine:1"):
        assert made["metadata"]["name"].startswith(owner["metadata"]["name"] + "-")
        assert made["metadata"]["labels"] == owner["spec"]["template"]["metadata"]["labels"]
        assert made["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"]
        assert made["spec"] == owner["spec"]["template"]["spec"]
    assert "annotations" not in pod_of(owner)["metadata"]


def test_scaled_down_pod_gets_the_templates_grace():
    cluster = Cluster().promoted()
    cluster.advance(30)
    assert [p["metadata"]["deletionGracePeriodSeconds"] for p in cluster.pods("engine:1")] == [60, 60]


def test_deleted_pod_is_replaced_at_once():
    cluster = Cluster().deployed()
    gone = cluster.pods("engine:1")[0]["metadata"]["name"]
    cluster.store.delete("pods", NS, gone)
    cluster.settle()
    assert len(cluster.pods("engine:1")) == 3
    cluster.finish_pods()
    assert gone not in [p["metadata"]["name"] for p in cluster.pods("engine:1")]
    assert len(cluster.pods("engine:1")) == 2


def test_deleted_rollout_takes_everything_along():
    cluster = Cluster().promoted()
    cluster.store.delete("rollouts", NS, "vllm")
    cluster.settle()
    assert cluster.store.list("replicasets")[0] == []
    cluster.finish_pods()
    assert cluster.store.list("pods")[0] == []
