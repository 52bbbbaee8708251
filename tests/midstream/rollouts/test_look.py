"""What is read of a cluster, and what is left out where RBAC or time denies it."""

import pytest

from midstream.rollouts.blocks import Block
from midstream.rollouts.client import Access, ForbiddenError, InvalidError
from midstream.rollouts.look import last_lines, look
from midstream.rollouts.named import RolloutName
from midstream.rollouts.unready import Hold
from tests.midstream.rollouts.objects import OLD, pod, replica_set, rollout, service
from tests.midstream.rollouts.scenes import event
from tests.midstream.rollouts.shelf import Shelf

NAME = RolloutName("llm", "vllm")
UNHEALTHY = event("p1", "Unhealthy", "refused")


class Cluster(Shelf):
    """With logs; events may be forbidden."""

    def __init__(self, *, ready: bool, events_allowed: bool = True) -> None:
        super().__init__(
            rollouts=[rollout()],
            replicasets=[replica_set(OLD, 1)],
            pods=[pod("p1", OLD, 1, ready=ready)],
            services=[service("vllm-stable", OLD, 1)],
            namespaces=[{"metadata": {"name": "llm"}}],
        )
        self.listed: list[str] = []
        self._events_allowed = events_allowed

    def list(self, kind, namespace, *, labels="", fields=""):
        self.listed.append(kind)
        if kind != "events":
            return super().list(kind, namespace, labels=labels, fields=fields)
        if not self._events_allowed:
            raise ForbiddenError(Access("list", "", "events", namespace), "forbidden")
        assert fields == "involvedObject.kind=Pod"
        return super().list(kind, namespace)._replace(items=[UNHEALTHY])

    def log(self, namespace, pod, container, *, lines):
        if pod == "p2":
            raise InvalidError("waiting to start")
        return (f"{namespace} {pod} {container}",)


def test_all_of_it():
    standing = look(Cluster(ready=False), NAME)
    [revision] = standing.revisions
    assert [(each.name, each.probed) for each in revision.pods] == [("p1", "Unhealthy: refused")]
    assert {each.name: each.there for each in standing.services} == {
        "vllm-stable": True,
        "vllm-preview": False,
    }


def test_events_are_asked_for_only_where_a_pod_is_not_ready():
    cluster = Cluster(ready=True)
    look(cluster, NAME)
    assert "events" not in cluster.listed


def test_events_are_a_help_and_no_need():
    standing = look(Cluster(ready=False, events_allowed=False), NAME)
    assert standing.revisions[0].pods[0].probed == ""


@pytest.mark.parametrize(
    ("block", "lines"),
    [
        pytest.param(
            Block(Hold.ENDED, "x", OLD, "p1", "vllm", has_log=True),
            {("p1", "vllm"): ("llm p1 vllm",)},
            id="ended",
        ),
        pytest.param(Block(Hold.ENDED, "x", OLD, "p2", "vllm", has_log=True), {}, id="log not to be had"),
        pytest.param(Block(Hold.IMAGE, "x", OLD, "p1", "vllm"), {}, id="never ran"),
    ],
)
def test_last_lines(block, lines):
    assert last_lines(Cluster(ready=False), "llm", [block]) == lines
