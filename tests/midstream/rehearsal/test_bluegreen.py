"""Each gate of a promotion holds until its own condition is met, and for nothing else."""

from datetime import timedelta

import pytest

from midstream.rehearsal.bluegreen import reconcile
from midstream.rehearsal.draft import Seen, Write
from midstream.rehearsal.templates import SCALE_DOWN_DEADLINE, owner_uid
from midstream.rehearsal.timestamps import time_text
from tests.midstream.rehearsal.cluster import NOON, NS, Cluster, rollout


def seen(cluster: Cluster) -> Seen:
    uid = cluster.rollout["metadata"]["uid"]
    owned = tuple(rs for rs in cluster.store.list("replicasets")[0] if owner_uid(rs) == uid)
    return Seen(cluster.rollout, owned, {s["metadata"]["name"]: s for s in cluster.store.list("services")[0]})


def writes(cluster: Cluster, **later: float) -> list[tuple[str, str, str]]:
    outcome = reconcile(seen(cluster), cluster.now + timedelta(**later))
    return [(write.verb, write.plural, write.name) for write in outcome.writes]


# --- a pass is a pure function --------------------------------------------------------------------------


@pytest.mark.parametrize("state", [Cluster.deployed, Cluster.paused, Cluster.promoted])
def test_settled_cluster_gets_no_write(state):
    assert writes(state(Cluster())) == []


def test_pass_changes_nothing_it_was_given():
    cluster = Cluster().paused()
    cluster.store.edit("rollouts", NS, "vllm", lambda obj: obj["status"].pop("pauseConditions"), status=True)
    given = seen(cluster)
    before = repr(given)
    assert reconcile(given, cluster.now) == reconcile(given, cluster.now)
    assert repr(given) == before


def test_first_pass_over_a_new_template_creates_its_replica_set_and_stops():
    cluster = Cluster().deployed()
    cluster.store.edit("rollouts", NS, "vllm", lambda o: o["spec"]["template"]["spec"].update(hostname="x"))
    first = reconcile(seen(cluster), cluster.now).writes
    assert [(w.verb, w.plural) for w in first] == [
        ("create", "replicasets"),
        ("patch", "rollouts"),
        ("status", "rollouts"),
    ]
    assert first[0].body["spec"]["replicas"] == 0
    assert first[1].body == {"metadata": {"annotations": {"rollout.argoproj.io/revision": "2"}}}


def test_cutover_is_a_patch_of_the_active_service_before_the_status_follows():
    cluster = Cluster().paused()
    new = cluster.hash_of("engine:2")
    cluster.store.edit("rollouts", NS, "vllm", lambda obj: obj["status"].pop("pauseConditions"), status=True)
    cluster.rollouts.sync()  # tells of the resume first, as Argo does
    assert "RolloutResumed" in [found["reason"] for found in cluster.status["conditions"]]
    cutover = reconcile(seen(cluster), cluster.now).writes
    patch = {"spec": {"selector": {"rollouts-pod-template-hash": new}}}
    switched = [write for write in cutover if write.plural == "services"]
    assert [(w.verb, w.name, w.body["spec"]) for w in switched] == [("patch", "vllm", patch["spec"])]
    assert cutover.index(switched[0]) < len(cutover) - 1
    assert cutover[-1].body["stableRS"] == new


def test_unknown_gate_is_refused():
    with pytest.raises(ValueError, match="promotions"):
        reconcile(seen(Cluster().deployed()), NOON, frozenset({"promotions"}))


# --- first deployment -----------------------------------------------------------------------------------


def test_first_deployment_is_not_paused():
    cluster = Cluster()
    cluster.settle()
    assert cluster.selected() == ""
    assert cluster.selected("vllm-preview") == cluster.hash_of("engine:1")
    cluster.start_pods()
    assert cluster.selected() == cluster.hash_of("engine:1")
    assert cluster.phase == ("Healthy", "")
    assert "pauseConditions" not in cluster.status


def test_first_revision_is_stable_before_it_serves():
    cluster = Cluster()
    cluster.settle()
    assert cluster.status["stableRS"] == cluster.hash_of("engine:1")
    assert cluster.phase[0] == "Progressing"


def test_status_of_a_healthy_rollout_has_argos_fields():
    cluster = Cluster().deployed()
    current = cluster.hash_of("engine:1")
    known = {field: value for field, value in cluster.status.items() if field != "conditions"}
    assert known == {
        "observedGeneration": str(cluster.rollout["metadata"]["generation"]),  # a string, by Argo's CRD
        "currentPodHash": current,
        "stableRS": current,
        "blueGreen": {"activeSelector": current, "previewSelector": current},
        "selector": f"app=vllm,rollouts-pod-template-hash={current}",
        "replicas": 2,
        "updatedReplicas": 2,
        "readyReplicas": 2,
        "availableReplicas": 2,
        "HPAReplicas": 2,
        "phase": "Healthy",
    }


# --- the gates ------------------------------------------------------------------------------------------


def test_pause_tells_reason_and_start():
    cluster = Cluster().paused()
    assert cluster.status["pauseConditions"] == [
        {"reason": "BlueGreenPause", "startTime": time_text(cluster.now)}
    ]
    assert cluster.status["controllerPause"] is True


def test_full_promotion_skips_the_pause():
    cluster = Cluster().deployed()
    cluster.set_image("engine:2")
    cluster.patch_status(promoteFull=True)
    assert cluster.selected() == cluster.hash_of("engine:1")  # availability is still asked for
    cluster.start_pods()
    assert cluster.selected() == cluster.hash_of("engine:2")
    assert "promoteFull" not in cluster.status


@pytest.mark.parametrize(
    ("strategy", "wait_s", "switched"),
    [
        ({"autoPromotionEnabled": None}, 0, True),
        ({"autoPromotionEnabled": True, "autoPromotionSeconds": 20}, 19, False),
        ({"autoPromotionEnabled": True, "autoPromotionSeconds": 20}, 20, True),
    ],
    ids=["by default at once", "seconds not over", "seconds over"],
)
def test_auto_promotion(strategy, wait_s, switched):
    cluster = Cluster(rollout(**strategy)).deployed()
    cluster.set_image("engine:2")
    cluster.start_pods()
    cluster.advance(wait_s)
    assert (cluster.selected() == cluster.hash_of("engine:2")) is switched


def test_auto_promotion_says_when_it_is_due():
    cluster = Cluster(rollout(autoPromotionEnabled=True, autoPromotionSeconds=20)).deployed()
    cluster.set_image("engine:2")
    cluster.start_pods()
    assert cluster.rollouts.sync() == cluster.now + timedelta(seconds=20)


@pytest.mark.parametrize("aborted", [False, True], ids=["paused", "aborted"])
def test_another_template_forgets_pause_and_abort(aborted):
    cluster = Cluster().paused()
    if aborted:
        cluster.patch_status(abort=True)
    cluster.set_image("engine:3")
    assert cluster.phase == ("Progressing", "active service cutover pending")
    assert not {"pauseConditions", "controllerPause", "abort", "abortedAt"} & cluster.status.keys()


def test_paused_spec_holds_both_services():
    cluster = Cluster().deployed()
    cluster.patch_spec(paused=True)
    cluster.set_image("engine:2")
    cluster.start_pods()
    assert cluster.phase == ("Paused", "manually paused")
    old = cluster.hash_of("engine:1")
    assert (cluster.selected(), cluster.selected("vllm-preview")) == (old, old)
    cluster.patch_spec(paused=False)
    assert cluster.selected("vllm-preview") == cluster.hash_of("engine:2")
    assert cluster.phase == ("Paused", "BlueGreenPause")


@pytest.mark.parametrize("ignored", [False, True], ids=["gate kept", "gate ignored"])
def test_ignored_promotion_leaves_everything_as_the_client_left_it(ignored):
    cluster = Cluster(ignore=frozenset({"promotion"} if ignored else ())).paused()
    cluster.promote()
    assert (cluster.selected() == cluster.hash_of("engine:1")) is ignored
    assert ("controllerPause" in cluster.status) is ignored
    assert "pauseConditions" not in cluster.status


def test_ignored_promotion_still_lets_a_template_go_back():
    cluster = Cluster(ignore=frozenset({"promotion"})).paused()
    cluster.promote()
    cluster.set_image("engine:1")
    assert cluster.phase == ("Healthy", "")
    assert cluster.selected("vllm-preview") == cluster.hash_of("engine:1")


# --- scale-down -----------------------------------------------------------------------------------------


def size(cluster: Cluster, image: str) -> int:
    replicas: int = cluster.replica_set(image)["spec"]["replicas"]
    return replicas


def deadline(cluster: Cluster, image: str) -> str | None:
    found: str | None = cluster.replica_set(image)["metadata"]["annotations"].get(SCALE_DOWN_DEADLINE)
    return found


@pytest.mark.parametrize(
    ("delay_s", "expected_s"), [(None, 30), (5, 5)], ids=["Argo's default", "as the spec says"]
)
def test_scale_down_delay(delay_s, expected_s):
    cluster = Cluster(rollout(scaleDownDelaySeconds=delay_s)).promoted()
    assert deadline(cluster, "engine:1") == time_text(cluster.now + timedelta(seconds=expected_s))


def test_delay_of_zero_means_never():
    cluster = Cluster(rollout(scaleDownDelaySeconds=0)).promoted()
    cluster.advance(86_400)
    assert size(cluster, "engine:1") == 2
    assert deadline(cluster, "engine:1") is None


def test_revision_limit_scales_down_without_delay():
    cluster = Cluster(rollout(scaleDownDelayRevisionLimit=1)).promoted()
    cluster.advance(10)
    cluster.set_image("engine:3")
    cluster.start_pods()
    cluster.promote()
    assert (size(cluster, "engine:1"), size(cluster, "engine:2")) == (0, 2)


def test_old_replica_sets_beyond_the_history_limit_are_deleted():
    source = rollout(scaleDownDelaySeconds=1)
    source["spec"]["revisionHistoryLimit"] = 1
    cluster = Cluster(source).promoted()
    for image in ("engine:3", "engine:4"):
        cluster.advance(60)
        cluster.finish_pods()
        cluster.set_image(image)
        cluster.start_pods()
        cluster.promote()
    cluster.advance(60)
    cluster.finish_pods()
    images = [
        rs["spec"]["template"]["spec"]["containers"][0]["image"]
        for rs in cluster.store.list("replicasets")[0]
    ]
    assert sorted(images) == ["engine:3", "engine:4"]


# --- going back -----------------------------------------------------------------------------------------


def test_rollback_after_the_delay_pauses_again():
    cluster = Cluster().promoted()
    cluster.advance(30)
    cluster.finish_pods()
    cluster.set_image("engine:1")
    cluster.start_pods()
    assert cluster.phase == ("Paused", "BlueGreenPause")
    assert cluster.selected() == cluster.hash_of("engine:2")


def test_revision_that_comes_back_gets_the_newest_number():
    cluster = Cluster().promoted()
    cluster.set_image("engine:1")
    annotations = cluster.replica_set("engine:1")["metadata"]["annotations"]
    assert annotations["rollout.argoproj.io/revision"] == "3"
    assert annotations["rollout.argoproj.io/revision-history"] == "1"
    assert cluster.rollout["metadata"]["annotations"]["rollout.argoproj.io/revision"] == "3"


def test_abort_before_the_cutover_keeps_the_old_revision():
    cluster = Cluster().paused()
    cluster.patch_status(abort=True)
    assert cluster.phase == ("Degraded", "RolloutAborted: Rollout aborted update to revision 2")
    assert cluster.selected() == cluster.hash_of("engine:1")
    assert cluster.status["abortedAt"] == time_text(cluster.now)
    assert "pauseConditions" not in cluster.status
    cluster.advance(29)
    assert size(cluster, "engine:2") == 2
    cluster.advance(1)
    assert (size(cluster, "engine:2"), size(cluster, "engine:1")) == (0, 2)


def test_abort_delay_of_zero_means_never():
    cluster = Cluster(rollout(abortScaleDownDelaySeconds=0)).paused()
    cluster.patch_status(abort=True)
    cluster.advance(86_400)
    assert size(cluster, "engine:2") == 2


def test_aborted_rollout_that_is_paused_by_hand_stays_degraded():
    cluster = Cluster().paused()
    cluster.patch_status(abort=True)
    cluster.patch_spec(paused=True)
    assert cluster.phase[1].startswith("RolloutAborted: ")


def switched_but_not_stable() -> Cluster:
    """The moment between T8 and T9, which Argo's own pass closes at once."""
    cluster = Cluster().paused()
    new = cluster.hash_of("engine:2")
    cluster.store.edit(
        "services",
        NS,
        "vllm",
        lambda obj: obj["spec"]["selector"].update({"rollouts-pod-template-hash": new}),
    )
    return cluster


@pytest.mark.parametrize(
    ("ready", "back_to"), [(True, "engine:1"), (False, "engine:2")], ids=["saturated", "unsaturated"]
)
def test_abort_right_after_the_cutover_turns_back_only_when_saturated(ready, back_to):
    cluster = switched_but_not_stable()
    cluster.set_ready(cluster.pods("engine:2")[0], ready)
    for sync in cluster.syncs[1:]:
        sync()
    cluster.patch_status(abort=True)
    assert cluster.selected() == cluster.hash_of(back_to)
    assert cluster.status["stableRS"] == cluster.hash_of("engine:1")
    assert cluster.phase[0] == "Degraded"


# --- replicas -------------------------------------------------------------------------------------------


def test_pass_over_changed_replicas_scales_and_does_nothing_else():
    cluster = Cluster().paused()
    cluster.store.edit("rollouts", NS, "vllm", lambda obj: obj["status"].pop("pauseConditions"), status=True)
    cluster.rollouts.sync()  # tells of the resume: the cutover would come next
    cluster.store.edit("rollouts", NS, "vllm", lambda obj: obj["spec"].update(replicas=3))
    assert {(verb, plural) for verb, plural, _ in writes(cluster)} == {("patch", "replicasets")}


def test_changed_replicas_of_a_healthy_rollout():
    cluster = Cluster().deployed()
    cluster.patch_spec(replicas=3)
    assert cluster.phase[0] == "Progressing"
    cluster.start_pods()
    assert cluster.phase == ("Healthy", "")
    assert cluster.status["HPAReplicas"] == 3


def test_missing_replicas_mean_one():
    source = rollout()
    del source["spec"]["replicas"]
    cluster = Cluster(source)
    cluster.settle()
    assert size(cluster, "engine:1") == 1


def test_invalid_spec_is_degraded_and_comes_back():
    cluster = Cluster().deployed()
    cluster.patch_spec(restartAt="2026-11-03T12:00:00Z")
    assert cluster.phase[0] == "Degraded"
    assert cluster.phase[1].startswith("InvalidSpec: ")
    cluster.patch_spec(restartAt=None)
    assert cluster.phase == ("Healthy", "")


def test_writes_are_data():
    cluster = Cluster().promoted()
    (scaled,) = reconcile(seen(cluster), cluster.now + timedelta(seconds=30)).writes[:1]
    assert scaled == Write(
        "patch",
        "replicasets",
        cluster.replica_set("engine:1")["metadata"]["name"],
        {
            "metadata": {
                "annotations": {"rollout.argoproj.io/desired-replicas": "2", SCALE_DOWN_DEADLINE: None}
            },
            "spec": {"replicas": 0},
        },
    )
