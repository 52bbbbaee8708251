"""The phase is the plugin's, question by question in its order."""

import pytest

from midstream.rollouts import argo
from midstream.rollouts.argo import Phase
from tests.midstream.rollouts.objects import NEW, rollout

PAUSE = {"reason": "BlueGreenPause", "startTime": "2026-11-03T12:00:10Z"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, Phase.HEALTHY, id="the controller's own word"),
        pytest.param(
            {"metadata": {"generation": 2}}, Phase.PROGRESSING, id="a spec not yet observed hides Healthy"
        ),
        pytest.param(
            {"status": {"observedGeneration": "3"}}, Phase.HEALTHY, id="an all-numeric hash above generation"
        ),
        pytest.param({"status": {"observedGeneration": "6f7d8c"}}, Phase.HEALTHY, id="a hash of Argo < 0.10"),
        pytest.param(
            {"status": {"controllerPause": True, "phase": "Paused"}},
            Phase.PROGRESSING,
            id="a lifted pause not yet acted on",
        ),
        pytest.param(
            {"status": {"controllerPause": True, "pauseConditions": [PAUSE], "phase": "Paused"}},
            Phase.PAUSED,
            id="a pause",
        ),
        pytest.param(
            {
                "metadata": {"annotations": {"rollout.argoproj.io/workload-generation": "2"}},
                "spec": {"workloadRef": {"kind": "Deployment", "name": "vllm"}},
                "status": {"workloadObservedGeneration": "1"},
            },
            Phase.PROGRESSING,
            id="a Deployment's generation not yet observed",
        ),
        pytest.param(
            {"metadata": {"annotations": {"rollout.argoproj.io/workload-generation": "2"}}},
            Phase.HEALTHY,
            id="that annotation without workloadRef says nothing",
        ),
        pytest.param({"status": {"phase": "Degraded"}}, Phase.DEGRADED, id="degraded"),
        pytest.param({"status": None}, Phase.PROGRESSING, id="no status yet"),
    ],
)
def test_phase(changes, expected):
    assert argo.phase(rollout(**changes)) is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param({"pauseConditions": [PAUSE], "controllerPause": True}, True, id="waits for a promotion"),
        pytest.param({"pauseConditions": [PAUSE]}, False, id="not set by the controller"),
        pytest.param({"controllerPause": True}, False, id="already lifted"),
        pytest.param(
            {"pauseConditions": [{"reason": "InconclusiveAnalysisRun"}], "controllerPause": True},
            False,
            id="paused for another reason",
        ),
    ],
)
def test_paused_for_promotion(status, expected):
    assert argo.is_paused_for_promotion(rollout(status=status)) is expected


def test_half_updated_until_the_newest_revision_is_stable():
    assert not argo.is_half_updated(rollout())
    assert argo.is_half_updated(rollout(status={"currentPodHash": NEW}))


def test_label_selector_holds_labels_and_expressions():
    expressions = [
        {"key": "tier", "operator": "In", "values": ["a", "b"]},
        {"key": "old", "operator": "DoesNotExist"},
        {"key": "new", "operator": "Exists"},
        {"key": "zone", "operator": "NotIn", "values": ["c"]},
    ]
    changed = rollout(spec={"selector": {"matchExpressions": expressions}})
    assert argo.label_selector(changed) == "app=vllm,tier in (a,b),!old,new,zone notin (c)"


def test_canary_is_not_blue_green():
    canary = rollout(spec={"strategy": {"blueGreen": None, "canary": {}}})
    assert argo.is_blue_green(rollout())
    assert not argo.is_blue_green(canary)
    assert argo.active_service(canary) is None
