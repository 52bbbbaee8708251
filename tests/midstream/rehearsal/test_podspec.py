"""What the kubelet reads in a pod: variables as Kubernetes expands them, nothing half understood."""

import pytest

from midstream.rehearsal.podspec import PodSpecError, expand, read_spec

ENV = {"A": "1", "B": "$(A)"}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)", "1"),
        ("x$(A)y$(A)", "x1y1"),
        ("$(NONE)", "$(NONE)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A ${A}", "$A ${A}"),
        ("$(A", "$(A"),
        ("$(B)", "$(A)"),
        ("", ""),
    ],
)
def test_variables_are_expanded_once(text, expanded) -> None:
    assert expand(text, ENV) == expanded


def container(**fields: object) -> dict[str, object]:
    return {"spec": {"containers": [{"name": "c", "image": "i", **fields}]}}


def test_what_does_not_matter_here_is_let_through() -> None:
    spec = read_spec(container(resources={"limits": {}}, imagePullPolicy="Never"))
    assert spec.termination_grace_period_seconds == 30


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"readinessProbe": {"exec": {"command": ["true"]}}}, "readinessProbe"),
        ({"lifecycle": {"preStop": {"httpGet": {"port": 1}}}}, "preStop"),
        ({"lifecycle": {"postStart": {}}}, "postStart"),
        ({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {}}}]}, "secretKeyRef"),
    ],
)
def test_what_would_be_done_wrong_is_refused_by_name(fields, named) -> None:
    with pytest.raises(PodSpecError, match=named):
        read_spec(container(**fields))
