"""`scripts/verify_cluster.sh` on a cluster that has everything, no GPU, two of them, too few rights."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster.commands import Ended, kubectl, make, script

GPU = "nvidia.com~1gpu"  # as a JSON pointer writes it


def node_with_gpus() -> str:
    nodes = json.loads(kubectl("get", "nodes", "-o", "json"))["items"]
    owners = [node["metadata"]["name"] for node in nodes if "nvidia.com/gpu" in node["status"]["allocatable"]]
    return owners[0] if owners else ""


def patch_node(node: str, *operations: dict[str, str]) -> None:
    kubectl("patch", "node", node, "--subresource=status", "--type=json", "-p", json.dumps(operations))


@pytest.fixture
def no_gpu() -> None:
    if node_with_gpus():
        pytest.skip("this cluster has GPUs")


@pytest.fixture
def two_gpus(no_gpu: None) -> Iterator[None]:
    """As a device plugin would tell them: the kubelet leaves what others advertise alone."""
    node = kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
    places = [f"/status/{each}/{GPU}" for each in ("capacity", "allocatable")]
    patch_node(node, *({"op": "add", "path": place, "value": "2"} for place in places))
    yield
    # The kubelet itself drops what is allocatable without a capacity, perhaps before us.
    patch_node(node, {"op": "remove", "path": places[0]})
    if node_with_gpus() == node:
        patch_node(node, {"op": "add", "path": places[1], "value": "0"}, {"op": "remove", "path": places[1]})


def states(ended: Ended) -> dict[str, str]:
    """What was looked at, each with its first word."""
    return {line.split()[1]: line.split()[0] for line in ended.out.splitlines()}


def test_without_gpus_wanted_all_is_well(namespace):
    ended = make("verify-cluster", NAMESPACE=namespace, ARGS="--no-gpu")
    assert ended.code == 0, ended.said
    expected = {"api", "nodes", "argo", "namespace", "deploying", "promoting"}
    assert states(ended) == dict.fromkeys(expected, "ok")


def test_a_missing_gpu_is_the_one_finding(namespace, no_gpu):
    ended = script("verify_cluster.sh", NAMESPACE=namespace)
    assert ended.code == 1, ended.said
    found = states(ended)
    assert found.pop("gpu") == "MISSING"
    assert set(found.values()) == {"ok"}
    assert "mend: " in ended.out


def test_two_gpus_are_enough_for_blue_and_green(namespace, two_gpus):
    ended = script("verify_cluster.sh", NAMESPACE=namespace)
    assert ended.code == 0, ended.said
    assert states(ended)["gpu"] == "ok"


def test_more_gpus_than_there_are_are_missed(namespace, two_gpus):
    ended = script("verify_cluster.sh", "--gpus", "3", NAMESPACE=namespace)
    assert ended.code == 1, ended.said
    assert states(ended)["gpu"] != "ok"


def test_a_missing_namespace_is_told(fresh_name):
    ended = script("verify_cluster.sh", "--no-gpu", NAMESPACE=fresh_name("nowhere"))
    assert ended.code == 1, ended.said
    assert states(ended)["namespace"] == "MISSING"


@pytest.fixture
def reader(namespace, tmp_path) -> Path:
    """The kubeconfig of somebody who may look at that namespace, and no more."""
    kubectl("-n", namespace, "create", "serviceaccount", "reader")
    kubectl(
        *("-n", namespace, "create", "rolebinding", "reader", "--clusterrole=view"),
        f"--serviceaccount={namespace}:reader",
    )
    token = kubectl("-n", namespace, "create", "token", "reader", "--duration=10m").strip()
    config = yaml.safe_load(kubectl("config", "view", "--raw", "--flatten", "--minify"))
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    assert base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"])
    file: Path = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    file.chmod(0o600)
    return file


def test_rights_that_are_missing_are_named(namespace, reader):
    ended = script("verify_cluster.sh", "--no-gpu", NAMESPACE=namespace, KUBECONFIG=str(reader))
    assert ended.code == 1, ended.said
    found = states(ended)
    assert found["deploying"] not in ("ok", "unknown")
    assert found["promoting"] not in ("ok", "unknown")
    assert "rollouts" in ended.out
