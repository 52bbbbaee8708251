"""The cluster that KUBECONFIG names, namespaces of this run alone, the image under test."""

import os
import secrets
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.commands import kubectl, make, run

PREFIX = f"midstream-test-{secrets.token_hex(3)}"
EXIT_USAGE = 2


def pytest_configure() -> None:
    """Refuse a cluster that was not named, and one that does not answer, in one line each."""
    kubeconfig = os.environ.get("KUBECONFIG", "")
    if not kubeconfig:
        pytest.exit(
            "this suite changes the cluster it runs on, hence takes no default: KUBECONFIG=FILE", EXIT_USAGE
        )
    if not shutil.which("kubectl"):
        pytest.exit("this suite needs kubectl: https://kubernetes.io/docs/tasks/tools/", EXIT_USAGE)
    answered = run("kubectl", "version", "--request-timeout=10s")
    if answered.code:
        words = answered.err.strip().splitlines()
        pytest.exit(f"the cluster of {kubeconfig} does not answer: {words[-1] if words else ''}", EXIT_USAGE)
    # As Ctrl-C: fixtures take away what they made.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def image() -> str:
    """Its name on the nodes, which the suite does not put there."""
    return os.environ.get("MIDSTREAM_TEST_IMAGE", "midstream:local")


@pytest.fixture(scope="session")
def built_image(image: str) -> str:
    """The same, built of this clone by the Docker engine at hand."""
    if not shutil.which("docker") or run("docker", "version").code:
        pytest.skip("no Docker engine answers here")
    built = make("image", IMAGE=image)
    assert built.code == 0, built.said
    return image


@pytest.fixture(scope="session")
def fresh_name() -> Callable[[str], str]:
    """Never used twice: Argo's delay for NAMESPACE/NAME outlives a Rollout that was deleted."""
    return lambda purpose: f"{PREFIX}-{purpose}"


@pytest.fixture(scope="session", autouse=True)
def nothing_left() -> Iterator[None]:
    """Whatever a test left, a failed one above all, goes with the suite."""
    yield
    names = kubectl("get", "namespaces", "-o", "name").split()
    left = [name for name in names if name.startswith(f"namespace/{PREFIX}")]
    for name in left:
        namespace = name.removeprefix("namespace/")
        run("kubectl", "-n", namespace, "delete", "rollouts.argoproj.io", "--all", "--timeout=60s")
        run("kubectl", "delete", name, "--timeout=90s")


@pytest.fixture
def namespace(fresh_name) -> Iterator[str]:
    """One that is there, for one test."""
    name: str = fresh_name(secrets.token_hex(3))
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")


@pytest.fixture(scope="session")
def argo_manifest() -> Path:
    """The manifest that puts Argo Rollouts back, where it may be taken away at all."""
    given = os.environ.get("MIDSTREAM_TEST_ARGO_MANIFEST", "")
    if not given:
        pytest.skip("Argo Rollouts is taken away and put back only with MIDSTREAM_TEST_ARGO_MANIFEST=FILE")
    return Path(given)
