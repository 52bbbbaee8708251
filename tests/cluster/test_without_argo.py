"""A cluster without Argo Rollouts: each command says so, and bootstrap installs it from a file.

Only with MIDSTREAM_TEST_ARGO_MANIFEST: taking Argo away takes every Rollout of the cluster with it.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.commands import kubectl, make, run, script


@pytest.fixture(scope="module")
def argo_taken_away(argo_manifest: Path) -> Iterator[Path]:
    """Without its CRDs and its namespace; there again afterwards, whatever happens."""
    rollouts = json.loads(kubectl("get", "rollouts.argoproj.io", "--all-namespaces", "-o", "json"))["items"]
    if rollouts:
        pytest.fail(f"{len(rollouts)} Rollouts of this cluster would go with Argo: delete them first")
    try:
        kubectl(
            "-n", "argo-rollouts", "delete", "-f", str(argo_manifest), "--ignore-not-found", "--timeout=60s"
        )
        kubectl("delete", "namespace", "argo-rollouts", "--ignore-not-found", "--timeout=90s")
        yield argo_manifest
    finally:
        run("kubectl", "create", "namespace", "argo-rollouts")
        run("kubectl", "-n", "argo-rollouts", "apply", "--server-side", "-f", str(argo_manifest))
        kubectl("-n", "argo-rollouts", "rollout", "status", "deployment/argo-rollouts", "--timeout=120s")


def test_what_needs_argo_says_so_and_bootstrap_installs_it(argo_taken_away, namespace):
    seen = script("verify_cluster.sh", "--no-gpu", NAMESPACE=namespace)
    assert seen.code == 1, seen.said
    assert "MISSING  argo" in seen.out
    deployed = script("deploy.sh", "up", "--overlay", "sim", NAMESPACE=namespace)
    assert deployed.code == 2, deployed.said
    assert "Argo Rollouts" in deployed.complaint
    assert len(deployed.complaint.splitlines()) == 1

    installed = make("bootstrap", NAMESPACE=namespace, ARGS=f"--no-gpu --argo-manifest {argo_taken_away}")
    assert installed.code == 0, installed.said
    assert "applied  argo" in installed.out
    well = make("verify-cluster", NAMESPACE=namespace, ARGS="--no-gpu")
    assert well.code == 0, well.said
