"""A Rollout that is not there: one line that tells what is missing."""

import pytest

from midstream.rollouts.client import Access, ForbiddenError, NotFoundError
from midstream.rollouts.named import NoRolloutError, RolloutName, find_rollout, find_service
from tests.midstream.rollouts.objects import rollout
from tests.midstream.rollouts.shelf import Shelf

NAME = RolloutName("llm", "vllm")
THERE = {"metadata": {"name": "llm"}, "status": {"phase": "Active"}}
LEAVING = {"metadata": {"name": "llm"}, "status": {"phase": "Terminating"}}


@pytest.mark.parametrize("text", ["vllm", "/vllm", "llm/", "llm/vllm/x", ""])
def test_what_is_no_name(text):
    with pytest.raises(ValueError, match="write NAMESPACE/NAME"):
        RolloutName.parse(text)


def test_a_name_is_written_as_it_was_read():
    assert str(RolloutName.parse("llm/vllm")) == "llm/vllm"


def test_found():
    assert find_rollout(Shelf(namespaces=[THERE], rollouts=[rollout()]), NAME) == rollout()


class Without(Shelf):
    """No CRD of Argo Rollouts."""

    def list(self, kind, namespace, *, labels="", fields=""):
        if kind == "rollouts":
            raise NotFoundError("get rollouts: 404 page not found")
        return super().list(kind, namespace, labels=labels, fields=fields)


class Hidden(Shelf):
    """RBAC of one namespace does not show namespaces."""

    def get(self, kind, namespace, name):
        if kind == "namespaces":
            raise ForbiddenError(Access("get", "", "namespaces", ""), "forbidden")
        return super().get(kind, namespace, name)


MISSING = {
    "no Rollouts at all": (Shelf(namespaces=[THERE]), r"no Rollout vllm in .* llm \(Rollouts there: none\)"),
    "another Rollout": (
        Shelf(namespaces=[THERE], rollouts=[rollout(metadata={"name": "other"})]),
        r"\(Rollouts there: other\)",
    ),
    "no namespace": (Shelf(), "there is no namespace llm"),
    "namespace on its way out": (
        Shelf(namespaces=[LEAVING], rollouts=[rollout()]),
        "namespace llm is being deleted: wait",
    ),
    "no Argo Rollouts": (Without(namespaces=[THERE]), "knows no Rollouts: install Argo Rollouts"),
    "namespaces hidden": (Hidden(), "there is no Rollout vllm in namespace llm"),
}


@pytest.mark.parametrize(("shelf", "words"), MISSING.values(), ids=MISSING)
def test_missing(shelf, words):
    with pytest.raises(NoRolloutError, match=words):
        find_rollout(shelf, NAME)


def test_services_by_their_role():
    assert find_service(rollout(), preview=False) == "vllm-stable"
    assert find_service(rollout(), preview=True) == "vllm-preview"
    canary = rollout(spec={"strategy": {"blueGreen": None, "canary": {}}})
    with pytest.raises(NoRolloutError, match="names no active Service"):
        find_service(canary, preview=False)
