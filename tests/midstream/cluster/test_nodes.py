"""Which nodes take pods."""

import pytest

from midstream.cluster.found import State
from midstream.cluster.nodes import judge_nodes, refusal
from tests.midstream.cluster.objects import DENIED, node, taint


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (node(), ""),
        (node(ready="False"), "not Ready, Away"),
        (node(ready="Unknown"), "not Ready, Away"),
        ({"metadata": {"name": "a"}}, "not Ready"),
        (node(unschedulable=True, taints=[taint("node.kubernetes.io/unschedulable")]), "cordoned"),
        (node(taints=[taint("disk-pressure"), taint("old", "NoExecute")]), "tainted disk-pressure, old"),
        (node(taints=[taint("soft", "PreferNoSchedule")]), ""),
        (node(taints=[taint("nvidia.com/gpu")]), ""),
    ],
    ids=[
        "ready",
        "not ready",
        "silent",
        "without a status",
        "cordoned",
        "tainted",
        "tainted softly",
        "tainted for GPUs",
    ],
)
def test_why_a_node_takes_no_pod(given, words):
    assert refusal(given) == words


def test_one_that_takes_pods_is_enough_and_the_others_are_named():
    found = judge_nodes([node("a"), node("b", unschedulable=True)])
    assert (found.state, found.words) == (State.OK, "1 of 2 ready and schedulable (b is cordoned)")


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([node("a", unschedulable=True)], "no node takes pods: a is cordoned"),
        ([], "no node takes pods: there is none"),
    ],
)
def test_none_is_a_finding(nodes, words):
    found = judge_nodes(nodes)
    assert (found.state, found.words) == (State.UNFIT, words)
    assert "kubectl uncordon" in found.mend


def test_what_may_not_be_seen_is_unknown():
    assert judge_nodes(DENIED).state is State.UNKNOWN
