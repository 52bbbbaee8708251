"""Phase, roles, what is waited for, by what the cluster's objects say."""

from typing import Any

import pytest

from midstream.rollouts.standing import Role, read_standing
from tests.midstream.rollouts.objects import NEW, OLD, THIRD, merged, pod, replica_set, rollout, service
from tests.midstream.rollouts.scenes import HALF, PAUSED, event, scene, updating

SWITCHED: Any = {"status": {"currentPodHash": NEW, "stableRS": NEW, "blueGreen": {"activeSelector": NEW}}}
DUE: Any = {"metadata": {"annotations": {"scale-down-deadline": "2026-11-03T12:01:08Z"}}}
NEVER: Any = {"spec": {"strategy": {"blueGreen": {"scaleDownDelaySeconds": 0}}}}


def ready():
    return pod("n1", NEW, 2), pod("n2", NEW, 2)


AWAITS = {
    "at rest": (scene(), ""),
    "changed a moment ago": (
        scene(rollout(metadata={"generation": 2})),
        "the Argo Rollouts controller to look at it",
    ),
    "pods to come": (
        updating(rollout(**HALF), pod("n1", NEW, 2), pod("n2", NEW, 2, ready=False)),
        f"the pods of revision {NEW} (1 of 2 ready)",
    ),
    "no ReplicaSet yet": (scene(rollout(**HALF)), "the ReplicaSet of its newest revision"),
    "promotion": (updating(rollout(**PAUSED), *ready()), "its promotion"),
    "promotion under way": (
        updating(rollout(**merged(PAUSED, {"status": {"pauseConditions": None}})), *ready()),
        "the controller to act on the promotion",
    ),
    "switched, not stable yet": (
        updating(rollout(**merged(HALF, {"status": {"blueGreen": {"activeSelector": NEW}}})), *ready()),
        f"the controller to call revision {NEW} stable",
    ),
    "old pods to leave": (
        updating(
            rollout(**SWITCHED), *ready(), replica_sets=[replica_set(OLD, 1, **DUE), replica_set(NEW, 2)]
        ),
        f"the end of the pods of revision {OLD} (2 left)",
    ),
    "aborted": (
        updating(rollout(**merged(HALF, {"status": {"abort": True, "phase": "Degraded"}}))),
        "somebody: an aborted update does not go on by itself",
    ),
    "invalid": (
        scene(rollout(status={"conditions": [{"type": "InvalidSpec", "status": "True"}]})),
        "its spec to be mended",
    ),
}


@pytest.mark.parametrize(("found", "words"), AWAITS.values(), ids=AWAITS)
def test_what_it_waits_for(found, words):
    assert read_standing(found).awaits == words


ROLES = {
    "at rest": (scene(), {OLD: Role.STABLE}, True),
    "first deployment": (
        scene(rollout(status={"phase": "Progressing", "blueGreen": {"activeSelector": None}})),
        {OLD: Role.FIRST},
        False,
    ),
    "update": (updating(rollout(**HALF)), {OLD: Role.STABLE, NEW: Role.PREVIEW}, False),
    "paused": (updating(rollout(**PAUSED)), {OLD: Role.STABLE, NEW: Role.PREVIEW}, True),
    "aborted": (
        updating(rollout(**merged(HALF, {"status": {"abort": True}}))),
        {OLD: Role.STABLE, NEW: Role.ABORTED},
        False,
    ),
    "switched": (
        updating(rollout(**merged(HALF, {"status": {"blueGreen": {"activeSelector": NEW}}}))),
        {OLD: Role.STABLE, NEW: Role.SERVING},
        False,
    ),
    "draining": (updating(rollout(**SWITCHED), *ready()), {OLD: Role.LEAVING, NEW: Role.STABLE}, False),
    "never scaled down": (
        updating(rollout(**merged(SWITCHED, NEVER)), *ready()),
        {OLD: Role.KEPT, NEW: Role.STABLE},
        True,
    ),
    "an older one without pods": (
        scene(replica_sets=[replica_set(OLD, 1), replica_set(THIRD, 1, spec={"replicas": 0})]),
        {OLD: Role.STABLE},
        True,
    ),
    "canary": (
        scene(rollout(spec={"strategy": {"blueGreen": None, "canary": {}}}, status={"blueGreen": None})),
        {OLD: Role.STABLE},
        True,
    ),
}


@pytest.mark.parametrize(("found", "roles", "at_rest"), ROLES.values(), ids=ROLES)
def test_roles_and_rest(found, roles, at_rest):
    standing = read_standing(found)
    assert {revision.hash: revision.role for revision in standing.revisions} == roles
    assert standing.is_at_rest is at_rest


def test_a_revision_with_its_pods():
    changes = {"metadata": {"creationTimestamp": "2026-11-03T12:00:30Z"}}
    booting = pod("n1", NEW, 2, ready=False, **changes)
    found = updating(
        rollout(**HALF),
        booting,
        replica_sets=[replica_set(OLD, 1, **DUE), replica_set(NEW, 2, number=7)],
        events=[event("n1", "Unhealthy", "Startup probe failed"), event("p1", "Unhealthy", "long ago")],
    )
    newest, old = read_standing(found).revisions
    assert (newest.number, newest.wanted, newest.ready) == (7, 2, 0)
    assert (newest.images, newest.model) == ({"vllm": "vllm/vllm-openai:v1"}, "facebook/opt-125m")
    [shown] = newest.pods
    assert (shown.age_s, shown.ready, shown.probed) == (30.0, False, "Unhealthy: Startup probe failed")
    assert [each.probed for each in old.pods] == ["", ""]
    assert old.scaled_down_in_s == 8.0


def test_services_lead_to_revisions():
    found = scene(services={"vllm-stable": service("vllm-stable", OLD, 1), "vllm-preview": None})
    active, preview = read_standing(found).services
    assert (active.role, active.there, active.revision) == ("active", True, OLD)
    assert (preview.role, preview.there, preview.revision) == ("preview", False, None)
    assert read_standing(found).active == OLD


def test_how_long_it_is_paused():
    assert read_standing(updating(rollout(**PAUSED))).paused_s == 40.0
    assert read_standing(scene()).paused_s is None
