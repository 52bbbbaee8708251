"""The store's promises to clients: versions, conflicts, status apart from spec, the deletion deadline."""

import asyncio
import random
from datetime import UTC, datetime

import pytest

from midstream.rehearsal.store import (
    FORGOTTEN,
    AlreadyExistsError,
    ConflictError,
    Event,
    ExpiredError,
    InvalidError,
    NotFoundError,
    Object,
    Store,
)

NOON = datetime(2026, 11, 3, 12, 0, 0, 700_000, tzinfo=UTC)


def new_store(history: int = 100) -> Store:
    return Store(now=lambda: NOON, rng=random.Random(1), history=history)


def named(name: str, **fields: object) -> Object:
    return {"metadata": {"name": name, "namespace": "ns"}, **fields}


def drained(queue: asyncio.Queue[Event]) -> list[tuple[str, str]]:
    return [
        (event.type, event.object["metadata"]["name"])
        for event in (queue.get_nowait() for _ in range(queue.qsize()))
    ]


def test_created_object_carries_what_the_server_adds():
    made = new_store().create("services", named("svc", spec={}))
    metadata = made["metadata"]
    assert (made["apiVersion"], made["kind"]) == ("v1", "Service")
    assert (metadata["generation"], metadata["creationTimestamp"]) == (1, "2026-11-03T12:00:00Z")
    assert metadata["uid"]
    assert int(metadata["resourceVersion"]) > 0


def test_created_object_does_not_alias_its_source():
    store, source = new_store(), named("svc", spec={"selector": {"a": "b"}})
    store.create("services", source)
    source["spec"]["selector"]["a"] = "changed"
    (stored,), _ = store.list("services")
    assert stored["spec"]["selector"] == {"a": "b"}


def test_taken_name_is_refused():
    store = new_store()
    store.create("leases", named("lock"))
    with pytest.raises(AlreadyExistsError):
        store.create("leases", named("lock"))


def test_same_name_in_another_namespace_is_another_object():
    store = new_store()
    store.create("leases", named("lock"))
    store.create("leases", {"metadata": {"name": "lock", "namespace": "other"}})
    assert len(store.list("leases")[0]) == 2
    assert len(store.list("leases", "other")[0]) == 1


def test_generated_names_differ():
    store = new_store()
    source = {"metadata": {"generateName": "e-", "namespace": "ns"}}
    names = {store.create("events", source)["metadata"]["name"] for _ in range(10)}
    assert len(names) == 10
    assert all(name.startswith("e-") and len(name) == 7 for name in names)


@pytest.mark.parametrize("metadata", [{"namespace": "ns"}, {"name": "x"}, {}])
def test_nameless_object_is_invalid(metadata: Object):
    with pytest.raises(InvalidError):
        new_store().create("leases", {"metadata": metadata})


@pytest.mark.parametrize(
    ("plural", "kept"),
    [("rollouts", {}), ("pods", {"phase": "Pending"}), ("analysisruns", {"phase": "Running"})],
    ids=["subresource: dropped", "pod: starts pending", "no subresource: part of the body"],
)
def test_status_on_create(plural: str, kept: Object):
    assert new_store().create(plural, named("x", status={"phase": "Running"}))["status"] == kept


def test_status_sent_to_the_main_resource_is_silently_dropped():
    store = new_store()
    made = store.create("rollouts", named("ro", spec={"replicas": 1}))
    after = store.replace("rollouts", {**made, "status": {"promoteFull": True}})
    assert after is made


def test_spec_sent_to_the_status_resource_is_silently_dropped():
    store = new_store()
    made = store.create("rollouts", named("ro", spec={"replicas": 1}))
    after = store.replace(
        "rollouts", {**made, "spec": {"replicas": 9}, "status": {"abort": True}}, status=True
    )
    assert (after["spec"], after["status"]) == ({"replicas": 1}, {"abort": True})
    assert after["metadata"]["generation"] == 1


@pytest.mark.parametrize(
    ("change", "generation"),
    [
        (lambda obj: obj["spec"].update(replicas=2), 2),
        (lambda obj: obj["metadata"].update(labels={"a": "b"}), 1),
        (lambda obj: obj["metadata"].update(generation=77, name="ro"), 1),
    ],
    ids=["spec", "labels", "a client's own generation"],
)
def test_generation_counts_changes_of_the_spec(change, generation):
    store = new_store()
    store.create("rollouts", named("ro", spec={"replicas": 1}))
    assert store.edit("rollouts", "ns", "ro", change)["metadata"]["generation"] == generation


@pytest.mark.parametrize("field", ["resourceVersion", "uid"])
def test_stale_object_conflicts(field: str):
    store = new_store()
    made = store.create("rollouts", named("ro", spec={"replicas": 1}))
    stale = {**made, "metadata": {**made["metadata"], field: "1"}, "spec": {"replicas": 2}}
    with pytest.raises(ConflictError):
        store.replace("rollouts", stale)
    assert store.get("rollouts", "ns", "ro") is made


def test_edit_leaves_the_object_handed_out_before_as_it_was():
    store = new_store()
    made = store.create("rollouts", named("ro", spec={"replicas": 1}))
    store.edit("rollouts", "ns", "ro", lambda obj: obj["spec"].update(replicas=2))
    assert made["spec"] == {"replicas": 1}


def test_edit_that_changes_nothing_makes_no_event():
    store = new_store()
    made = store.create("rollouts", named("ro", spec={"replicas": 1}))
    queue = store.subscribe(["rollouts"])
    assert store.edit("rollouts", "ns", "ro", lambda obj: None) is made
    assert queue.empty()


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.edit("pods", "ns", "p", lambda obj: None),
        lambda store: store.replace("pods", named("p")),
        lambda store: store.delete("pods", "ns", "p"),
        lambda store: store.remove("pods", "ns", "p"),
    ],
    ids=["edit", "replace", "delete", "remove"],
)
def test_unknown_name_is_not_found(call):
    with pytest.raises(NotFoundError):
        call(new_store())


@pytest.mark.parametrize(
    ("spec", "asked_s", "deadline", "period_s"),
    [
        ({}, None, "2026-11-03T12:00:30Z", 30),
        ({"terminationGracePeriodSeconds": 90}, None, "2026-11-03T12:01:30Z", 90),
        ({"terminationGracePeriodSeconds": 90}, 5, "2026-11-03T12:00:05Z", 5),
    ],
    ids=["Kubernetes' default", "the spec's", "the request's"],
)
def test_pods_deletion_timestamp_is_the_deadline(spec, asked_s, deadline, period_s):
    store = new_store()
    store.create("pods", named("p", spec=spec))
    metadata = store.delete("pods", "ns", "p", asked_s)["metadata"]
    assert (metadata["deletionTimestamp"], metadata["deletionGracePeriodSeconds"]) == (deadline, period_s)
    assert store.get("pods", "ns", "p") is not None
    store.remove("pods", "ns", "p")
    assert store.get("pods", "ns", "p") is None


@pytest.mark.parametrize(("second_s", "period_s"), [(10, 10), (60, 30), (None, 30)])
def test_second_deletion_only_shortens(second_s, period_s):
    store = new_store()
    store.create("pods", named("p", spec={}))
    store.delete("pods", "ns", "p", 30)
    assert store.delete("pods", "ns", "p", second_s)["metadata"]["deletionGracePeriodSeconds"] == period_s


@pytest.mark.parametrize(
    ("plural", "grace_s"), [("pods", 0), ("replicasets", None)], ids=["pod without grace", "other kind"]
)
def test_removed_at_once(plural, grace_s):
    store = new_store()
    store.create(plural, named("x", spec={}))
    queue = store.subscribe([plural])
    store.delete(plural, "ns", "x", grace_s)
    assert store.get(plural, "ns", "x") is None
    assert drained(queue) == [("DELETED", "x")]


def test_subscriber_gets_the_kinds_it_asked_for_in_order():
    store = new_store()
    queue = store.subscribe(["pods", "services"])
    store.create("pods", named("a"))
    store.create("leases", named("b"))
    store.create("services", named("c"))
    store.remove("pods", "ns", "a")
    store.unsubscribe(queue)
    store.create("pods", named("d"))
    assert drained(queue) == [("ADDED", "a"), ("ADDED", "c"), ("DELETED", "a")]


def test_list_then_subscribe_since_loses_nothing():
    store = new_store()
    store.create("pods", named("a"))
    _, version = store.list("pods")
    store.create("pods", named("b"))
    queue = store.subscribe(["pods"], since=version)
    store.create("pods", named("c"))
    assert drained(queue) == [("ADDED", "b"), ("ADDED", "c")]


def test_version_beyond_the_history_is_expired():
    store = new_store(history=2)
    start = store.version
    for name in "abc":
        store.create("pods", named(name))
    with pytest.raises(ExpiredError):
        store.subscribe(["pods"], since=start)
    assert drained(store.subscribe(["pods"], since=start + 1)) == [("ADDED", "b"), ("ADDED", "c")]


def test_what_is_forgotten_is_expired_even_at_the_newest_version():
    store = new_store()
    store.create("pods", named("a"))
    seen = store.version
    watching, heeding = store.subscribe(["pods"]), store.subscribe(["pods", FORGOTTEN])
    store.forget()
    with pytest.raises(ExpiredError):
        store.subscribe(["pods"], since=seen)
    assert store.version > seen
    assert [event.type for event in (heeding.get_nowait(),)] == [FORGOTTEN]
    assert watching.empty()
    store.create("pods", named("b"))
    assert drained(store.subscribe(["pods"], since=seen + 1)) == [("ADDED", "b")]


def test_version_of_another_cluster_is_expired():
    with pytest.raises(ExpiredError):
        new_store().subscribe(["pods"], since=10_000)
