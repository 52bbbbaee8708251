from typing import Any, cast

import gevent
import pytest

from hooks import prove as of_prove
from hooks.prove import STREAMS_A_POD, prove
from hooks.tested import WatchedRollout
from midstream.rollouts.client import Access, Cluster, ForbiddenError, Listing
from midstream.streams.ending import Ending
from tests.hooks.sessions import make_session
from tests.midstream.builders import BUDGET, OLD
from tests.midstream.rollouts import objects


class StubCluster:
    """Pods of the active revision; deleting one ends streams as told."""

    def __init__(self, reactor: Any, pods: int, ending: Ending | None) -> None:
        self._reactor, self._ending = reactor, ending
        self.pods = [
            {"metadata": {"name": f"pod-{number}"}, "status": {"phase": "Running"}} for number in range(pods)
        ]
        self.deleted: list[tuple[str, int]] = []
        self.refuses = False

    def get(self, *_: str) -> dict[str, Any]:
        return objects.rollout()

    def list(self, *_: str, labels: str) -> Listing:
        assert labels
        return Listing(self.pods, "1")

    def delete(self, kind: str, namespace: str, name: str, *, grace_s: int) -> None:
        if self.refuses:
            raise ForbiddenError(Access("delete", "", "pods", namespace), "no")
        self.deleted.append((name, grace_s))
        if self._ending is not None:
            self._reactor.end(self._ending, self._reactor.asked[0])


@pytest.fixture
def proving(tmp_path):
    """Begin a negative control: proving(pods, ending of the first stream) -> (cluster, its finding)."""

    def begin(pods, ending, *, flows=True, refuses=False):
        session = make_session(tmp_path, [])
        reactor = cast(Any, session.reactor)
        cluster = StubCluster(reactor, pods, ending)
        cluster.refuses = refuses
        rollout = WatchedRollout(
            cluster=cast(Cluster, cluster),
            namespace="llm",
            name="vllm",
            labels="app=vllm",
            active_service="vllm-stable",
            stable=OLD,
            budget=BUDGET,
        )
        control = gevent.spawn(prove, rollout, session.load, 0.3)
        if flows:
            gevent.sleep(0.01)
            reactor.give_token(*reactor.asked)
        finding = control.get(timeout=20)
        assert not session.load.ledger.records  # throw-away streams are no part of the test
        assert not reactor.flowing()
        return cluster, finding, reactor

    return begin


def test_one_pod_one_stream_that_must_be_lost(proving):
    cluster, finding, _ = proving(1, Ending.TRUNCATED)
    assert cluster.deleted == [("pod-0", 0)]
    assert (finding.streams, finding.lost, finding.pod) == (1, 1, "pod-0")


def test_with_several_pods_so_many_streams_that_one_of_them_meets_it(proving):
    cluster, finding, reactor = proving(3, Ending.RESET)
    assert len(reactor.asked) == 3 * STREAMS_A_POD
    assert finding.lost == 1
    assert len(cluster.deleted) == 1


@pytest.mark.parametrize("ending", [None, Ending.COMPLETE], ids=["flows on", "called complete"])
def test_a_killed_stream_that_is_not_called_lost_shows_nothing(proving, ending):
    _, finding, _ = proving(1, ending)
    assert (finding.streams, finding.lost) == (1, 0)


def test_without_a_pod_nothing_is_shown(proving):
    cluster, finding, _ = proving(0, None, flows=False)
    assert "no pod" in finding.why
    assert not cluster.deleted


def test_streams_that_do_not_flow_kill_no_pod(proving, monkeypatch):
    monkeypatch.setattr(of_prove, "FLOW_LIMIT_S", 0.1)
    cluster, finding, _ = proving(1, None, flows=False)
    assert "token" in finding.why
    assert not cluster.deleted


def test_a_pod_that_may_not_be_deleted_is_said(proving):
    _, finding, _ = proving(1, None, refuses=True)
    assert "delete" in finding.why
