"""A whole promotion on a watch: Argo's moments come in Argo's order."""

import asyncio
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from midstream.rehearsal.controller import RolloutController
from midstream.rehearsal.store import Event, Object, Store
from midstream.rehearsal.templates import HASH_LABEL, SCALE_DOWN_DEADLINE
from midstream.rehearsal.workloads import ReplicaSetController, is_ready
from tests.midstream.rehearsal.cluster import NS, Cluster, rollout, service


class Change(NamedTuple):
    """One event as the questions below need it."""

    event: Event
    was: Object  # before; an object without content where it is new
    now: Object
    of_old: bool
    of_new: bool

    def selects(self, name: str, new: str) -> bool:
        return (
            self.event.plural == "services"
            and self.now["metadata"]["name"] == name
            and self.now["spec"]["selector"].get(HASH_LABEL) == new
        )

    def scaled(self, up: bool) -> bool:
        was, now = self.was.get("spec", {}).get("replicas", 0), self.now.get("spec", {}).get("replicas", 0)
        return self.event.plural == "replicasets" and ((now > was) if up else now == 0 != was)

    def of_pods(self, change: str) -> bool:
        return self.event.plural == "pods" and self.event.type == change

    def pauses(self) -> list[bool]:
        if self.event.plural != "rollouts":
            return []
        return [bool(obj["status"].get("pauseConditions")) for obj in (self.was, self.now)]


# What each mark is on the wire, told from the change alone, as a client would (facts 4).
MARKS: dict[str, Callable[[Change, str], bool]] = {
    "T0": lambda c, _: (
        c.event.plural == "rollouts" and c.was["metadata"]["generation"] != c.now["metadata"]["generation"]
    ),
    "T1": lambda c, _: c.of_new and c.event.plural == "replicasets" and c.event.type == "ADDED",
    "T2": lambda c, new: c.selects("vllm-preview", new),
    "T3": lambda c, _: c.of_new and c.scaled(up=True),
    "T4": lambda c, _: c.of_new and c.of_pods("MODIFIED") and is_ready(c.now),
    "T6": lambda c, _: c.pauses() == [False, True],
    "T7": lambda c, _: c.pauses() == [True, False] and bool(c.now["status"].get("controllerPause")),
    "T8": lambda c, new: c.selects("vllm", new),
    "T9": lambda c, new: (
        c.event.plural == "rollouts" and c.was["status"]["stableRS"] != c.now["status"]["stableRS"] == new
    ),
    "T10": lambda c, _: (
        c.of_old
        and SCALE_DOWN_DEADLINE in c.now["metadata"].get("annotations", {})
        and SCALE_DOWN_DEADLINE not in c.was["metadata"].get("annotations", {})
    ),
    "T11": lambda c, _: c.of_old and c.scaled(up=False),
    "T12": lambda c, _: c.of_old and c.of_pods("MODIFIED") and "deletionTimestamp" in c.now["metadata"],
    "T14": lambda c, _: c.of_old and c.of_pods("DELETED"),
}


def marks(events: list[Event], old: str, new: str) -> Iterator[str]:
    """The mark that each event is, if it is one."""
    for event in events:
        label = event.object["metadata"].get("labels", {}).get(HASH_LABEL)
        before = event.before or {"metadata": {}}
        change = Change(event, before, event.object, label == old, label == new)
        yield from (name for name, question in MARKS.items() if question(change, new))


def test_marks_of_a_promotion_come_in_order():
    cluster = Cluster().deployed()
    cluster.events()
    cluster.set_image("engine:2")
    cluster.start_pods()
    cluster.promote()
    cluster.advance(30)
    cluster.finish_pods()
    seen = list(marks(cluster.events(), cluster.hash_of("engine:1"), cluster.hash_of("engine:2")))
    assert seen == [
        *("T0", "T1", "T2", "T3", "T4", "T4", "T6", "T7", "T8", "T9"),
        *("T10", "T11", "T12", "T12", "T14", "T14"),
    ]


def test_rollout_is_healthy_before_any_old_pod_is_asked_to_end():
    cluster = Cluster().promoted()
    assert cluster.phase == ("Healthy", "")
    assert not any("deletionTimestamp" in pod["metadata"] for pod in cluster.pods("engine:1"))


def test_old_pods_are_ready_until_they_are_deleted():
    cluster = Cluster().promoted()
    cluster.advance(29)
    assert all(map(is_ready, cluster.pods("engine:1")))


def test_two_rollouts_of_two_namespaces_do_not_meet():
    cluster = Cluster()
    for name in ("vllm", "vllm-preview"):
        other = service(name)
        other["metadata"]["namespace"] = "other"
        cluster.store.create("services", other)
    other = rollout()
    other["metadata"]["namespace"] = "other"
    cluster.store.create("rollouts", other)
    cluster.deployed()
    assert len(cluster.store.list("pods", "other")[0]) == 2
    cluster.set_image("engine:2")
    assert len(cluster.store.list("replicasets", NS)[0]) == 2
    assert len(cluster.store.list("replicasets", "other")[0]) == 1


def test_unknown_gate_is_refused_at_once():
    with pytest.raises(ValueError, match="nothing"):
        RolloutController(Store(), ignore=frozenset({"nothing"}))


async def test_controllers_run_on_events_and_on_due_times():
    """The same on the real clock: a second of scale-down delay, and no call but what changes ask for."""
    store = Store()
    source = rollout(scaleDownDelaySeconds=1, autoPromotionEnabled=True)
    tasks = [
        asyncio.create_task(controller.run())
        for controller in (RolloutController(store), ReplicaSetController(store))
    ]
    try:
        for name in ("vllm", "vllm-preview"):
            store.create("services", service(name))
        store.create("rollouts", source)
        async with asyncio.timeout(20):
            pods = store.subscribe(["pods"])
            await _become_ready(store, pods)
            store.edit(
                "rollouts",
                NS,
                "vllm",
                lambda obj: obj["spec"]["template"]["spec"]["containers"][0].update(image="engine:2"),
            )
            await _become_ready(store, pods)
            while (event := await pods.get()) is None or "deletionTimestamp" not in event.object["metadata"]:
                pass
        assert event.object["spec"]["containers"][0]["image"] == "engine:1"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _become_ready(store: Store, pods: asyncio.Queue[Event]) -> None:
    """The kubelet for two new pods."""
    said = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-03T12:00:00Z"}
    ready = {"phase": "Running", "podIP": "127.0.0.9", "conditions": [said]}
    started = 0
    while started < 2:
        event = await pods.get()
        if event.type == "ADDED":
            name = event.object["metadata"]["name"]
            store.edit("pods", NS, name, lambda obj: obj.update(status=ready), status=True)
            started += 1


async def test_a_controller_that_restarts_goes_on_with_what_it_finds():
    cluster = Cluster().paused()
    working = asyncio.create_task(cluster.rollouts.run())
    try:
        await asyncio.sleep(0)
        cluster.rollouts.restart(0.2)
        await asyncio.sleep(0.05)
        cluster.store.edit("rollouts", NS, "vllm", lambda obj: obj["status"].pop("pauseConditions"), True)
        await asyncio.sleep(0.05)
        assert cluster.selected() == cluster.hash_of("engine:1")
        services = cluster.store.subscribe(["services"])
        async with asyncio.timeout(10):
            while cluster.selected() != cluster.hash_of("engine:2"):
                await services.get()
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def test_what_a_controller_fails_with_is_not_hidden(monkeypatch):
    cluster = Cluster()
    monkeypatch.setattr(cluster.rollouts, "sync", lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        await cluster.rollouts.run()
