"""Argo Rollouts: served, one controller, available."""

import pytest

from midstream.cluster.controller import judge_controller, numbers
from midstream.cluster.found import State
from tests.midstream.cluster.objects import DENIED, controller, held_pod

OTHER = controller(namespace="other", name="rollouts")


def judge(*deployments, served=True, pods=(), namespace="llm"):
    return judge_controller(served, deployments, pods, namespace)


@pytest.mark.parametrize(
    ("image", "state", "version", "note"),
    [
        ("quay.io/argoproj/argo-rollouts:v1.9.1", State.OK, "v1.9.1", ""),
        ("quay.io/argoproj/argo-rollouts:v1.10.0-rc1", State.OK, "v1.10.0-rc1", ""),
        ("registry:5000/argo-rollouts:v1.7.2@sha256:00", State.OK, "v1.7.2", "tried with v1.9.1"),
        ("argo-rollouts:v1.6.6", State.UNFIT, "v1.6.6", "a Rollout loses its preStop.sleep"),
        ("registry:5000/argo-rollouts@sha256:00", State.OK, "of unknown version", ""),
        ("argo-rollouts:latest", State.OK, "latest", ""),
    ],
)
def test_the_version_is_the_image_tag(image, state, version, note):
    found = judge(controller(image))
    assert (found.state, found.source) == (state, "argo-rollouts/argo-rollouts")
    words, _, rest = found.words.partition("; ")
    assert words == f"Argo Rollouts {version}, controller argo-rollouts/argo-rollouts available"
    assert note in rest
    assert bool(rest) is bool(note)


@pytest.mark.parametrize(
    ("deployment", "is_one"),
    [
        (controller(name="renamed"), True),
        (controller("mirror/argo-rollouts:v1.9.1", labelled=False), True),
        (controller("quay.io/argoproj/kubectl-argo-rollouts:v1.9.1", labelled=False), False),
        (controller("nginx", labelled=False), False),
    ],
    ids=["by its label", "by its image", "the dashboard", "anything else"],
)
def test_what_is_a_controller(deployment, is_one):
    assert judge(deployment).ok is is_one


@pytest.mark.parametrize(
    ("served", "deployments", "state", "words"),
    [
        (False, [], State.MISSING, "the API serves no kind Rollout (rollouts.argoproj.io)"),
        (True, [], State.MISSING, "its kind Rollout is served, but no controller is there"),
        (False, [controller()], State.UNFIT, "runs, but the API serves no kind Rollout"),
        (True, [controller(), OTHER], State.UNFIT, "2 controllers act on the same Rollouts"),
        (True, [controller(available=0)], State.PENDING, "is not available yet"),
        (True, [controller(available=0, replicas=0)], State.UNFIT, "is scaled to 0"),
        (True, [controller(args=("--namespaced",))], State.UNFIT, "does not act in namespace llm"),
        (True, [controller(args=("--instance-id=x",))], State.UNFIT, "does not act in namespace llm"),
        (
            True,
            [controller(args=("--namespaced",), namespace="llm")],
            State.OK,
            "llm/argo-rollouts available",
        ),
        (True, [controller(), controller(args=("--namespaced",), namespace="x")], State.OK, "available"),
    ],
    ids=[
        "nothing",
        "no controller",
        "no CRD",
        "two",
        "starting",
        "scaled away",
        "of another namespace",
        "for labelled Rollouts",
        "of this namespace",
        "beside one of another namespace",
    ],
)
def test_states(served, deployments, state, words):
    found = judge(*deployments, served=served)
    assert (found.state, found.ok) == (state, state is State.OK)
    assert words in found.words
    assert bool(found.mend) is not found.ok


def test_what_holds_its_pod_up_is_said():
    found = judge(controller(available=0), pods=[held_pod("ErrImagePull"), held_pod("X", namespace="z")])
    assert found.state is State.UNFIT
    assert found.words.endswith(
        "is not available: pod pod-x is held up, container c ErrImagePull: no such host"
    )
    assert judge_controller(True, [controller(available=0)], DENIED, "llm").state is State.PENDING


@pytest.mark.parametrize(("served", "state"), [(True, State.UNKNOWN), (False, State.MISSING)])
def test_one_that_may_not_be_seen_is_unknown_but_a_kind_that_is_not_served_is_missing(served, state):
    assert judge_controller(served, DENIED, [], "llm").state is state


@pytest.mark.parametrize(
    ("tag", "expected"), [("v1.9.1", (1, 9, 1)), ("1.10.0-rc1", (1, 10, 0)), ("latest", ()), ("", ())]
)
def test_versions_compare_by_number(tag, expected):
    assert numbers(tag) == expected
