"""Deployments that cannot succeed: the reason in time, in one line, with the right exit code."""

import json
from collections.abc import Iterator

import pytest

from tests.cluster.commands import kubectl, script

REASON_WITHIN_S = 60.0
NOT_THERE = "registry.invalid/nobody/nothing:1"  # RFC 2606: a name that never resolves


def test_an_image_that_cannot_be_pulled_is_told_within_a_minute(fresh_name):
    name = fresh_name("no-image")
    ended = script("deploy.sh", "up", "--overlay", "sim", "--image", NOT_THERE, NAMESPACE=name)
    assert ended.code == 1, ended.said
    assert ended.seconds < REASON_WITHIN_S
    assert NOT_THERE in ended.out
    assert "ErrImagePull" in ended.out or "ImagePullBackOff" in ended.out
    down = script("deploy.sh", "down", "--overlay", "sim", NAMESPACE=name)
    assert down.code == 0, down.said
    assert kubectl("get", "namespace", name, "--ignore-not-found") == ""


@pytest.fixture
def namespace_being_deleted(namespace) -> Iterator[str]:
    """Held by an object whose finalizer nobody takes away, until the test has."""
    held = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "held", "finalizers": ["midstream.example/held"]},
    }
    kubectl("-n", namespace, "create", "-f", "-", stdin=json.dumps(held))
    kubectl("delete", "namespace", namespace, "--wait=false")
    yield namespace
    kubectl(
        "-n",
        namespace,
        "patch",
        "configmap",
        "held",
        "--type=merge",
        "-p",
        '{"metadata":{"finalizers":null}}',
    )


@pytest.mark.parametrize(
    "command",
    [("deploy.sh", "up", "--overlay", "sim"), ("cluster_bootstrap.sh", "--no-gpu")],
    ids=["deploy.sh", "cluster_bootstrap.sh"],
)
def test_a_namespace_that_is_being_deleted_is_refused(namespace_being_deleted, command):
    ended = script(*command, NAMESPACE=namespace_being_deleted)
    assert ended.code == 2, ended.said
    assert f"{namespace_being_deleted} is being deleted" in ended.complaint
    assert len(ended.complaint.splitlines()) == 1


def test_verify_cluster_finds_a_namespace_that_is_being_deleted(namespace_being_deleted):
    ended = script("verify_cluster.sh", "--no-gpu", NAMESPACE=namespace_being_deleted)
    assert ended.code == 1, ended.said
    found = next(line for line in ended.out.splitlines() if line.split()[1] == "namespace")
    assert "is being deleted" in found
    assert "mend: " in found
