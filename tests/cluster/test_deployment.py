"""One deployment of the bundled engine through the targets, from `make up` to `make down`, in their order."""

import json

import pytest

from tests.cluster.commands import Ended, kubectl, make, run

POD = {
    "runAsNonRoot": True,
    "runAsUser": 12345,
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}
SMOKE_STEPS = ("health", "completion", "stream")


@pytest.fixture(scope="module")
def deployed(fresh_name, image: str) -> tuple[str, Ended]:
    """Its namespace, which `make up` made, with what that said; `nothing_left` removes what is left."""
    name = fresh_name("deployment")
    return name, make("up", OVERLAY="sim", NAMESPACE=name, IMAGE=image)


@pytest.fixture
def home(deployed: tuple[str, Ended]) -> str:
    """The namespace of a deployment that is well."""
    name, up = deployed
    if up.code:
        pytest.fail("the deployment is not up: see the first test")
    return name


def revision(namespace: str) -> str:
    return kubectl("-n", namespace, "get", "rollout", "vllm", "-o", "jsonpath={.status.stableRS}")


def test_up_ends_healthy(deployed):
    name, up = deployed
    assert up.code == 0, up.said
    phase = kubectl("-n", name, "get", "rollout", "vllm", "-o", "jsonpath={.status.phase}")
    assert phase == "Healthy"


def test_up_again_changes_nothing(home, image):
    before = kubectl("-n", home, "get", "rollout", "vllm", "-o", "jsonpath={.metadata.generation}")
    again = make("up", OVERLAY="sim", NAMESPACE=home, IMAGE=image)
    assert again.code == 0, again.said
    after = kubectl("-n", home, "get", "rollout", "vllm", "-o", "jsonpath={.metadata.generation}")
    assert after == before


def test_status_shows_the_revision_that_serves(home):
    status = make("status", NAMESPACE=home)
    assert status.code == 0, status.said
    assert "Healthy" in status.out
    assert revision(home) in status.out


def test_smoke_passes_every_step(home):
    smoke = make("smoke", NAMESPACE=home)
    assert smoke.code == 0, smoke.said
    well = [line.split()[1] for line in smoke.out.splitlines() if line.startswith("ok ")]
    assert set(SMOKE_STEPS) <= set(well), smoke.said


def test_the_image_judges_from_inside_the_cluster(home, image):
    """As any user, with a read-only root file system, by the Service's own name."""
    container = {
        "name": "judge",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "midstream", "smoke", "--host", f"http://vllm-stable.{home}:8000"],
        "securityContext": POD,
    }
    overrides = json.dumps({"spec": {"containers": [container], "automountServiceAccountToken": False}})
    judged = run(
        *("kubectl", "-n", home, "run", "judge", "--image", image, "--restart=Never", "--rm", "--attach"),
        *("--quiet", "--pod-running-timeout=60s", "--overrides", overrides),
    )
    assert judged.code == 0, judged.said
    assert "FAILED" not in judged.out


def test_load_passes_with_its_own_numbers(home):
    load = make("load", NAMESPACE=home, LOAD_CONCURRENCY="3", LOAD_DURATION="5")
    assert load.code == 0, load.said
    assert "PASS" in load.out
    assert "3 total users" in load.err


def test_logs_show_what_the_pods_wrote(home):
    logs = make("logs", NAMESPACE=home)
    assert logs.code == 0, logs.said
    pod = kubectl("-n", home, "get", "pods", "-l", "app=vllm", "-o", "jsonpath={.items[0].metadata.name}")
    assert pod in logs.out
    assert "Started server process [1]" in logs.out


def test_verify_loses_no_stream_under_a_promotion(home):
    before = revision(home)
    verified = make(
        "verify",
        NAMESPACE=home,
        PROMOTE="1",
        MODEL="midstream/other",
        MIDSTREAM_PLAN="config/plans/quick.yaml",
    )
    assert verified.code == 0, verified.said
    assert "PASS: " in verified.out
    assert "rehearsal: nothing of yours" not in verified.out
    assert revision(home) != before


def test_an_update_waits_for_its_promotion_by_hand(home):
    before = revision(home)
    started = make("update", NAMESPACE=home, MODEL="midstream/third")
    assert started.code == 0, started.said
    assert revision(home) == before
    promoted = make("update", NAMESPACE=home, PROMOTE="1")
    assert promoted.code == 0, promoted.said
    assert revision(home) != before


def test_down_leaves_nothing(home):
    down = make("down", OVERLAY="sim", NAMESPACE=home)
    assert down.code == 0, down.said
    assert kubectl("get", "namespace", home, "--ignore-not-found") == ""
    again = make("down", OVERLAY="sim", NAMESPACE=home)
    assert again.code == 0, again.said
