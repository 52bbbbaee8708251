"""A spec that the controller cannot carry out is refused by name."""

import pytest

from midstream.rehearsal.validation import spec_fault
from tests.midstream.rehearsal.cluster import rollout

SERVICES = ("vllm", "vllm-preview")


def test_plain_blue_green_spec_is_fine():
    assert spec_fault(rollout()["spec"], SERVICES) is None


@pytest.mark.parametrize(
    ("change", "services", "said"),
    [
        ({"strategy": {"canary": {}}}, SERVICES, "blueGreen"),
        ({"strategy": None}, SERVICES, "strategy"),
        ({"template": None}, SERVICES, "template"),
        ({"replicas": "two"}, SERVICES, "replicas"),
        ({"restartAt": "2026-11-03T12:00:00Z"}, SERVICES, "restartAt"),
        ({"selector": {"matchLabels": {"app": "other"}}}, SERVICES, "selector"),
        ({"selector": {}}, SERVICES, "selector"),
        ({}, ("vllm",), "vllm-preview"),
        ({}, (), 'activeService: Invalid value: "vllm"'),
    ],
)
def test_fault_names_what_is_wrong(change, services, said):
    assert said in (spec_fault({**rollout()["spec"], **change}, services) or "")


@pytest.mark.parametrize(
    ("field", "value"), [("prePromotionAnalysis", {}), ("previewReplicaCount", 1), ("activeService", "")]
)
def test_fault_of_the_strategy(field, value):
    assert field in (spec_fault(rollout(**{field: value})["spec"], SERVICES) or "")


def test_preview_service_is_optional():
    assert spec_fault(rollout(previewService=None)["spec"], ("vllm",)) is None
