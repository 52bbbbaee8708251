"""Selectors mean what Kubernetes means by them."""

import pytest

from midstream.rehearsal.selectors import field_selector, label_selector, matches_labels
from midstream.rehearsal.store import InvalidError

LABELS = {"app": "vllm", "rollouts-pod-template-hash": "7c9f", "tier": ""}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("", True),
        ("app=vllm", True),
        ("app==vllm", True),
        ("app=other", False),
        ("app!=other", True),
        ("nothing!=other", True),
        ("app=vllm,rollouts-pod-template-hash=7c9f", True),
        ("app=vllm,rollouts-pod-template-hash=aaaa", False),
        ("app in (a, vllm)", True),
        ("app in (a,b),app", False),
        ("app notin (a,b)", True),
        ("nothing notin (a)", True),
        ("app", True),
        ("!app", False),
        ("!nothing", True),
        ("tier=", True),
        ("nothing=", False),
    ],
)
def test_label_selector(text, selected):
    assert label_selector(text)(LABELS) is selected


@pytest.mark.parametrize("text", ["app in", "app in (a", "=x", "a=b c", "app > 3"])
def test_unreadable_label_selector_is_refused(text):
    with pytest.raises(InvalidError):
        label_selector(text)


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("", True),
        ("metadata.name=a", True),
        ("metadata.name=b", False),
        ("metadata.name!=b,metadata.namespace==ns", True),
        ("status.phase=Running", False),
        ("involvedObject.name=x", True),
    ],
)
def test_field_selector(text, selected):
    obj = {"metadata": {"name": "a", "namespace": "ns"}, "involvedObject": {"name": "x"}}
    assert field_selector(text)(obj) is selected


@pytest.mark.parametrize("text", ["spec.replicas=1", "metadata.name", "metadata.name=a b"])
def test_unknown_field_is_refused(text):
    with pytest.raises(InvalidError):
        field_selector(text)


@pytest.mark.parametrize(
    ("labels", "selected"), [({"a": "1", "b": "2"}, True), ({"a": "2"}, False), ({}, False), (None, False)]
)
def test_service_selector(labels, selected):
    assert matches_labels(labels, {"a": "1"}) is selected
