"""An EndpointSlice lists the selected pods, and calls ready only those that may get connections."""

import pytest

from midstream.rehearsal.endpoints import SERVICE_LABEL, slices_of
from tests.midstream.rehearsal.cluster import NS, Cluster

CONTAINER = {"name": "c", "ports": [{"name": "http", "containerPort": 8000}]}


def pod(name: str = "a", *, ready: bool = True, ip: str = "127.0.0.9", phase: str = "Running", **metadata):
    said = {"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-11-03T11:59:00Z"}
    known = {"name": name, "namespace": NS, "uid": f"u-{name}", "labels": {"app": "x"}, **metadata}
    status = {"phase": phase, "podIP": ip, "conditions": [said]}
    return {"metadata": known, "spec": {"containers": [CONTAINER]}, "status": status}


def service(*ports, **spec):
    return {
        "metadata": {"name": "svc", "namespace": NS, "uid": "s"},
        "spec": {
            "selector": {"app": "x"},
            "ports": list(ports) or [{"port": 80, "targetPort": "http"}],
            **spec,
        },
    }


@pytest.mark.parametrize(
    ("pods", "conditions"),
    [
        ([pod()], [(True, True, False)]),
        ([pod(ready=False)], [(False, False, False)]),
        ([pod(deletionTimestamp="2026-11-03T12:00:10Z")], [(False, True, True)]),
        ([pod(ip="")], []),
        ([pod(phase="Failed")], []),
        ([pod(labels={"app": "other"})], []),
        ([], []),
    ],
    ids=["ready", "unready", "terminating", "no address", "ended", "not selected", "none"],
)
def test_conditions_of_endpoints(pods, conditions):
    (found,) = slices_of(service(), pods)
    order = ("ready", "serving", "terminating")
    assert [tuple(e["conditions"][c] for c in order) for e in found["endpoints"]] == conditions


@pytest.mark.parametrize(
    ("port", "resolved"),
    [
        ({"port": 80, "targetPort": "http"}, [("", 8000)]),
        ({"port": 80, "targetPort": 9000, "name": "web"}, [("web", 9000)]),
        ({"port": 80}, [("", 80)]),
        ({"port": 80, "targetPort": "nowhere"}, []),
    ],
    ids=["by name", "by number", "same as the Service's", "unknown name"],
)
def test_target_port(port, resolved):
    (found,) = slices_of(service(port), [pod()])
    assert [(p["name"], p["port"]) for p in found["ports"]] == resolved


def test_pods_with_other_ports_get_their_own_slice():
    moved = pod("b")
    moved["spec"] = {"containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8001}]}]}
    found = slices_of(service(), [pod("a"), moved])
    assert [(s["ports"][0]["port"], s["endpoints"][0]["targetRef"]["name"]) for s in found] == [
        (8000, "a"),
        (8001, "b"),
    ]


def test_service_without_selector_is_left_alone():
    assert slices_of(service(selector=None), [pod()]) == []


def endpoints(cluster: Cluster, name: str) -> list[str]:
    return [
        endpoint["targetRef"]["name"]
        for found in cluster.store.list("endpointslices")[0]
        if found["metadata"]["labels"][SERVICE_LABEL] == name
        for endpoint in found["endpoints"]
        if endpoint["conditions"]["ready"]
    ]


def names(cluster: Cluster, image: str) -> list[str]:
    return [found["metadata"]["name"] for found in cluster.pods(image)]


def test_slices_follow_the_cutover():
    cluster = Cluster().paused()
    assert endpoints(cluster, "vllm") == names(cluster, "engine:1")
    assert endpoints(cluster, "vllm-preview") == names(cluster, "engine:2")
    slices = {found["metadata"]["uid"] for found in cluster.store.list("endpointslices")[0]}
    cluster.promote()
    assert endpoints(cluster, "vllm") == names(cluster, "engine:2")
    assert {found["metadata"]["uid"] for found in cluster.store.list("endpointslices")[0]} == slices


def test_slice_of_a_deleted_service_goes():
    cluster = Cluster().deployed()
    cluster.store.delete("services", NS, "vllm-preview")
    cluster.settle()
    assert [s["metadata"]["labels"][SERVICE_LABEL] for s in cluster.store.list("endpointslices")[0]] == [
        "vllm"
    ]
