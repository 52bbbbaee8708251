"""The namespace: there, and not on its way out."""

import pytest

from midstream.cluster.found import State
from midstream.cluster.namespace import judge_namespace
from tests.midstream.cluster.objects import DENIED

HELD = [
    {
        "type": "NamespaceDeletionDiscoveryFailure",
        "status": "False",
        "message": "All resources successfully discovered",
    },
    {
        "type": "NamespaceContentRemaining",
        "status": "True",
        "message": "Some resources are remaining: pods. has 1 resource instances",
    },
    {
        "type": "NamespaceFinalizersRemaining",
        "status": "True",
        "message": "Some content in the namespace has finalizers remaining: a/b in 1 resource instances",
    },
]
LEAVING = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("namespace", "state", "words"),
    [
        ({"metadata": {}, "status": {"phase": "Active"}}, State.OK, "llm"),
        (None, State.MISSING, "there is no namespace llm"),
        ({"metadata": LEAVING}, State.UNFIT, "namespace llm is being deleted"),
        ({"metadata": {}, "status": {"phase": "Terminating"}}, State.UNFIT, "namespace llm is being deleted"),
        (
            {"metadata": LEAVING, "status": {"phase": "Terminating", "conditions": HELD}},
            State.UNFIT,
            "namespace llm is being deleted, held by: Some resources are remaining: pods. has 1 resource "
            "instances; Some content in the namespace has finalizers remaining: a/b in 1 resource instances",
        ),
    ],
    ids=["there", "not there", "asked to go", "going", "held"],
)
def test_states(namespace, state, words):
    found = judge_namespace(namespace, "llm")
    assert (found.state, found.words) == (state, words)


def test_one_that_may_not_be_seen_is_unknown():
    assert judge_namespace(DENIED, "llm").state is State.UNKNOWN
