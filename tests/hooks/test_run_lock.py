"""The run lock of a test: who takes one, who is refused, what its loss does."""

from typing import Any, cast

import pytest

from hooks.layers import UsageError
from hooks.lifecycle import Lifecycle
from hooks.run_lock import keep_lock, take_lock
from hooks.settings import Mode, Settings
from hooks.tested import WatchedRollout
from hooks.verdict import gather
from midstream.promotion import Promoter
from midstream.rollouts.budget import DrainBudget
from midstream.rollouts.client import Cluster
from midstream.rollouts.lease import LostError, RunLock
from midstream.verdict import Decision, judge
from tests.hooks.sessions import make_session
from tests.midstream.rollouts.rehearsed import rehearsed
from tests.midstream.rollouts.scripted import write_kubeconfig

LOST = "the run lock was lost: Lease midstream-vllm is held by ben@ci"


def settings(trigger: str, promoter: Promoter) -> Settings:
    return Settings(mode=Mode.ROLLOUT, users=1, spawn_rate=1, trigger=trigger, promoter=promoter)


@pytest.fixture(scope="module")
def rollout(tmp_path_factory):
    with rehearsed() as running:
        config = write_kubeconfig(tmp_path_factory.mktemp("kube") / "config", running.url)
        yield WatchedRollout(
            cluster=Cluster.connect(config),
            namespace="llm",
            name="vllm",
            labels="app=vllm",
            active_service="vllm",
            stable="7c9f",
            budget=cast(DrainBudget, None),
        )


def test_only_watching_takes_no_lock(rollout):
    assert take_lock(settings("none", Promoter.PERSON), rollout) is None
    assert rollout.cluster.get("leases", "llm", "midstream-vllm") is None


def test_a_plain_load_takes_no_lock():
    assert take_lock(settings("none", Promoter.HOOK), None) is None


CHANGES = {
    "we change it": ("same", Promoter.PERSON),
    "we promote what others change": ("none", Promoter.HOOK),
}


@pytest.mark.parametrize(("trigger", "promoter"), CHANGES.values(), ids=CHANGES)
def test_the_second_test_of_one_rollout_is_refused(rollout, trigger, promoter):
    lock = take_lock(settings(trigger, promoter), rollout)
    assert lock is not None
    try:
        with pytest.raises(UsageError, match=r"another test of Rollout llm/vllm runs: .*@.* until .* UTC"):
            take_lock(settings("same", Promoter.HOOK), rollout)
    finally:
        lock.release()


class Failing:
    """A lock that can be renewed some times, then is lost."""

    def __init__(self, times: int) -> None:
        self.left = times

    def renew(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise LostError(LOST)


def test_a_lost_lock_is_told_once():
    lock, told = Failing(3), list[str]()
    keep_lock(cast(RunLock, lock), told.append, every_s=0.001)
    assert told == [LOST]
    assert lock.left == -1


@pytest.fixture
def lifecycle(tmp_path):
    lines: list[str] = []
    made: Any = Lifecycle()
    made._session = make_session(tmp_path, lines)
    made.lines = lines
    return made


def test_a_lost_lock_makes_the_test_inconclusive(lifecycle):
    lifecycle._on_lock_lost(LOST)
    session = lifecycle._session
    assert lifecycle.lines[0].endswith(LOST)
    verdict = judge(gather(session))
    assert verdict.decision is Decision.INCONCLUSIVE
    words = f"{LOST}. Next: see who else tests or removes this Rollout"
    assert any(words in reason for reason in verdict.reasons)


def test_a_lock_lost_before_the_start_lets_nothing_begin(lifecycle):
    lifecycle._on_lock_lost(LOST)
    lifecycle._begin()
    assert lifecycle._session.promotion is None
    assert lifecycle.lines[1].endswith(f"not begun: {LOST}")
    assert len(lifecycle.lines) == 2  # no load was announced


def test_a_lock_lost_while_stopping_changes_nothing(lifecycle):
    lifecycle._stopping = True
    lifecycle._on_lock_lost(LOST)
    assert lifecycle._session.stop_reason == ""
