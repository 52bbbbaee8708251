"""Each thing that would spoil a run is found before it, with what to do."""

import pytest

from midstream.rollouts.client import Cluster
from midstream.rollouts.preflight import needed_access, preflight, subject_images
from midstream.run import Image
from tests.midstream.rollouts.objects import NEW, OLD, deleted, pod, replica_set, rollout, service
from tests.midstream.rollouts.rehearsed import rehearsed
from tests.midstream.rollouts.scripted import write_kubeconfig
from tests.midstream.rollouts.shelf import Shelf

VERBS = frozenset({"set-image", "promote"})


def shelf(**changes) -> Shelf:
    """A cluster at rest, with some kinds replaced."""
    kinds = {
        "rollouts": [rollout()],
        "replicasets": [replica_set(OLD, 1)],
        "pods": [pod("old-a", OLD, 2), pod("old-b", OLD, 3)],
        "services": [service("vllm-stable", OLD, 4), service("vllm-preview", OLD, 5)],
    }
    return Shelf(**(kinds | changes))


def failed(cluster):
    return [finding for finding in preflight(cluster, "llm", "vllm", VERBS) if not finding.ok]


def test_a_cluster_at_rest_passes_every_check():
    findings = preflight(shelf(), "llm", "vllm", VERBS)
    assert [finding.check for finding in findings] == [
        "api",
        "access",
        "rollout",
        "strategy",
        "services",
        "settled",
        "drained",
    ]
    assert all(finding.ok and not finding.mend for finding in findings)


@pytest.mark.parametrize(
    ("cluster", "check", "words", "mend"),
    [
        pytest.param(shelf(away=True), "api", "does not answer", "kubectl version", id="API away"),
        pytest.param(
            shelf(denied=frozenset({"rollouts/status"})),
            "access",
            "1 of 17 permissions",
            'resources: ["rollouts/status"], verbs: ["patch"]',
            id="RBAC",
        ),
        pytest.param(
            shelf(rollouts=[]), "rollout", "no Rollout vllm in namespace llm", "get rollouts", id="no Rollout"
        ),
        pytest.param(
            shelf(rollouts=[rollout(spec={"strategy": {"blueGreen": None, "canary": {}}})]),
            "strategy",
            "not blueGreen",
            "lint and --host still help",
            id="canary",
        ),
        pytest.param(
            shelf(rollouts=[rollout(spec={"workloadRef": {"kind": "Deployment", "name": "vllm"}})]),
            "strategy",
            "workloadRef",
            "--host still helps",
            id="workloadRef",
        ),
        pytest.param(
            shelf(services=[service("vllm-stable", OLD, 4)]),
            "services",
            "vllm-preview does not exist",
            "create it",
            id="no preview Service",
        ),
        pytest.param(
            shelf(services=[service("vllm-stable", NEW, 4), service("vllm-preview", OLD, 5)]),
            "services",
            "vllm-stable selects no ready pod",
            "get rollout vllm",
            id="a Service on nothing",
        ),
        pytest.param(
            shelf(rollouts=[rollout(status={"abort": True, "phase": "Degraded"})]),
            "settled",
            "aborted",
            "retry",
            id="aborted",
        ),
        pytest.param(
            shelf(rollouts=[rollout(spec={"paused": True})]),
            "settled",
            "paused by its spec",
            "spec.paused",
            id="paused by hand",
        ),
        pytest.param(
            shelf(rollouts=[rollout(status={"currentPodHash": NEW, "phase": "Paused"})]),
            "settled",
            "half-updated",
            "promote or abort",
            id="half-updated",
        ),
        pytest.param(
            shelf(rollouts=[rollout(status={"phase": "Degraded", "message": "ImagePullBackOff"})]),
            "settled",
            "Degraded, not Healthy (ImagePullBackOff)",
            "get rollout vllm",
            id="degraded",
        ),
        pytest.param(
            shelf(replicasets=[replica_set(OLD, 1), replica_set(NEW, 2)]),
            "drained",
            f"vllm-{NEW}",
            "wait until it is gone",
            id="an older ReplicaSet within its delay",
        ),
        pytest.param(
            shelf(pods=[pod("old-a", OLD, 2), deleted("gone", NEW, 3)]),
            "drained",
            "gone",
            "wait until it is gone",
            id="a pod on its way out",
        ),
    ],
)
def test_each_finding_says_what_to_do(cluster, check, words, mend):
    [finding] = failed(cluster)
    assert finding.check == check
    assert words in finding.words
    assert mend in finding.mend


def test_watching_alone_needs_no_write():
    assert {access.verb for access in needed_access("llm", frozenset())} == {"get", "list", "watch"}
    writes = [access for access in needed_access("llm", VERBS) if access.verb == "patch"]
    assert [access.resource for access in writes] == ["rollouts/status", "rollouts"]


def test_an_older_revision_scaled_to_0_is_at_rest():
    assert not failed(
        shelf(replicasets=[replica_set(OLD, 1), replica_set(NEW, 2, spec={"replicas": 0}, status=None)])
    )


def test_subject_images_tell_what_a_revision_runs():
    found = subject_images(shelf(), "llm", rollout(), OLD)
    assert found == Image(
        revision=OLD,
        images={"vllm": "vllm/vllm-openai:v1"},
        digests={"vllm": "sha256:1"},
        command=("vllm", "serve", "facebook/opt-125m"),
    )
    assert subject_images(shelf(), "llm", rollout(), "unknown") == Image(revision="unknown")


def test_a_real_api_answers_every_check(tmp_path):
    with rehearsed() as running:
        cluster = Cluster.connect(write_kubeconfig(tmp_path / "config", running.url))
        assert failed(cluster) == []
        found = cluster.get("rollouts", "llm", "vllm")
        assert found is not None
        image = subject_images(cluster, "llm", found, found["status"]["stableRS"])
        assert (image.images, image.digests) == ({"vllm": "engine:1"}, {"vllm": "sha256:abc"})
