"""The run lock on a real API: who has it, how long, how it is lost."""

from datetime import UTC, datetime, timedelta

import pytest

from midstream.rehearsal.api import Rule
from midstream.rollouts import lease
from midstream.rollouts.client import Cluster, ForbiddenError, UnreachableError
from midstream.rollouts.lease import HeldError, LostError, RunLock
from tests.midstream.rollouts.rehearsed import rehearsed
from tests.midstream.rollouts.scripted import write_kubeconfig

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


class Clock:
    """Both clocks of a lock, moved by the test."""

    def __init__(self) -> None:
        self.gone_s = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.gone_s)

    def monotonic(self) -> float:
        return 1000.0 + self.gone_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(scope="module")
def running():
    with rehearsed() as found:
        yield found


@pytest.fixture
def cluster(running, tmp_path):
    """An API server without the Lease."""
    found = Cluster.connect(write_kubeconfig(tmp_path / "config", running.url))
    if stored(found) is not None:
        found.delete("leases", "llm", "midstream-vllm", grace_s=0)
    return found


def stored(cluster):
    return cluster.get("leases", "llm", "midstream-vllm")


def lock(cluster, clock, holder="anna@laptop"):
    return RunLock(cluster, "llm", "vllm", holder=holder, now=clock.now, monotonic=clock.monotonic)


def test_a_lock_is_a_lease_that_tells_its_holder_to_people(cluster, clock):
    lock(cluster, clock).take()
    found = stored(cluster)
    assert found["metadata"]["labels"] == {"app.kubernetes.io/part-of": "midstream"}
    assert found["spec"] == {
        "holderIdentity": "anna@laptop",
        "leaseDurationSeconds": 30,
        "acquireTime": "2026-11-24T12:00:00.000000Z",
        "renewTime": "2026-11-24T12:00:00.000000Z",
        "leaseTransitions": 0,
    }


def test_an_identity_names_user_host_process_and_start():
    words = lease.identity(NOW)
    assert "@" in words
    assert words.endswith(", since 2026-11-24 12:00:00 UTC)")


def test_a_held_lock_refuses_with_its_holder_and_its_end(cluster, clock):
    lock(cluster, clock).take()
    with pytest.raises(HeldError, match=r"llm/vllm runs: anna@laptop holds .* until 12:00:30 UTC"):
        lock(cluster, clock, "ben@ci").take()


def test_a_lock_nobody_renewed_is_free_after_30_s(cluster, clock):
    first, second = lock(cluster, clock), lock(cluster, clock, "ben@ci")
    first.take()
    clock.gone_s = 29.9
    with pytest.raises(HeldError):
        second.take()
    clock.gone_s = 30.0
    second.take()
    assert stored(cluster)["spec"]["leaseTransitions"] == 1
    with pytest.raises(LostError, match="held by ben@ci"):
        first.renew()


def test_a_renewed_lock_stays_held(cluster, clock):
    first = lock(cluster, clock)
    first.take()
    for clock.gone_s in (10.0, 20.0, 40.0):
        first.renew()
    clock.gone_s = 60.0
    with pytest.raises(HeldError, match="until 12:01:10 UTC"):
        lock(cluster, clock, "ben@ci").take()


def test_a_released_lock_is_free_at_once(cluster, clock):
    first = lock(cluster, clock)
    first.take()
    first.release()
    first.release()
    lock(cluster, clock, "ben@ci").take()
    assert stored(cluster)["spec"]["holderIdentity"] == "ben@ci"


def test_a_release_leaves_the_lock_of_another_alone(cluster, clock):
    first = lock(cluster, clock)
    first.take()
    clock.gone_s = 31.0
    lock(cluster, clock, "ben@ci").take()
    first.release()
    assert stored(cluster)["spec"]["holderIdentity"] == "ben@ci"


def test_a_deleted_lease_is_a_lost_lock(cluster, clock):
    first = lock(cluster, clock)
    first.take()
    cluster.delete("leases", "llm", "midstream-vllm", grace_s=0)
    with pytest.raises(LostError, match="Lease midstream-vllm was deleted"):
        first.renew()


def test_a_lease_that_somebody_else_labels_stays_ours(cluster, clock):
    first = lock(cluster, clock)
    first.take()
    cluster.merge_patch("leases", "llm", "midstream-vllm", {"metadata": {"labels": {"seen": "yes"}}})
    first.renew()
    clock.gone_s = 10.0
    first.renew()
    found = stored(cluster)
    assert found["metadata"]["labels"]["seen"] == "yes"
    assert found["spec"]["renewTime"] == "2026-11-24T12:00:10.000000Z"


@pytest.mark.parametrize("there", [False, True], ids=["none yet", "a free one"])
def test_of_two_at_the_same_moment_one_gets_it(cluster, clock, monkeypatch, there):
    """The second writes between the first one's look and its write."""
    if there:
        before = lock(cluster, clock, "old")
        before.take()
        before.release()
    get, raced = cluster.get, list[bool]()

    def race(*asked):
        found = get(*asked)
        if not raced:
            raced.append(True)
            lock(cluster, clock, "ben@ci").take()
        return found

    monkeypatch.setattr(cluster, "get", race)
    with pytest.raises(HeldError, match="ben@ci"):
        lock(cluster, clock).take()


def test_an_api_server_that_is_away_is_borne_for_30_s(cluster, clock, monkeypatch):
    first = lock(cluster, clock)
    first.take()

    def away(*_):
        raise UnreachableError("the API server does not answer: timed out")

    monkeypatch.setattr(cluster, "replace", away)
    for clock.gone_s in (10.0, 20.0, 29.9):
        first.renew()
    clock.gone_s = 30.0
    with pytest.raises(LostError, match="not renewed for 30 s, the API server does not answer"):
        first.renew()


@pytest.mark.parametrize("verb", ["create", "get"])
def test_a_missing_permission_is_named(tmp_path, clock, verb):
    with rehearsed(denied=(Rule(verb, "coordination.k8s.io", "leases"),)) as found:
        cluster = Cluster.connect(write_kubeconfig(tmp_path / "config", found.url))
        with pytest.raises(ForbiddenError, match=rf'resources: \["leases"\], verbs: \["{verb}"\]'):
            lock(cluster, clock).take()
