"""The API server's own view of k8s/: it takes every overlay, Argo's CRD included, and knows each field."""

import pytest
import yaml

from tests.cluster.commands import kubectl


@pytest.mark.parametrize("folder", ["base", "overlays/gpu", "overlays/sim"])
def test_the_server_takes_each_overlay_as_it_is_written(namespace, folder):
    objects = list(yaml.safe_load_all(kubectl("kustomize", f"k8s/{folder}")))
    kinds = {each["kind"] for each in objects}
    assert {"Namespace", "Rollout", "Service", "ConfigMap"} <= kinds
    inside = [each for each in objects if each["metadata"].get("namespace")]
    for each in inside:
        each["metadata"]["namespace"] = namespace
    taken = kubectl(
        "apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_dump_all(inside)
    )
    assert len(taken.splitlines()) == len(inside)
