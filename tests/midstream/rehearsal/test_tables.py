"""kubectl's columns are those of a real API server, and each cell says what the object says."""

from datetime import timedelta

import pytest

from midstream.rehearsal.store import Object
from midstream.rehearsal.tables import duration, table, wants_table
from tests.midstream.rehearsal.cluster import NOON

MINUTE, HOUR, DAY = 60, 3600, 86_400
CREATED = {"name": "x", "creationTimestamp": "2026-11-03T11:59:55Z"}  # 5 s ago

# As Kubernetes 1.34.1 with Argo's CRD 1.9.1 told them; a wide column is shown with -o wide alone.
HEADS = {
    "pods": "Name Ready Status Restarts Age | IP Node Nominated+Node Readiness+Gates",
    "services": "Name Type Cluster-IP External-IP Port(s) Age | Selector",
    "replicasets": "Name Desired Current Ready Age | Containers Images Selector",
    "rollouts": "Name Desired Current Up-to-date Available Age |",
    "endpointslices": "Name AddressType Ports Endpoints Age |",
    "leases": "Name Holder Age |",
    "events": "Name Age |",
}


@pytest.mark.parametrize(("plural", "heads"), HEADS.items(), ids=HEADS)
def test_columns_are_kubernetes_own(plural, heads) -> None:
    columns = table(plural, [], {}, NOON, heads=True)["columnDefinitions"]
    usual, wide = (
        [column["name"].replace(" ", "+") for column in columns if column["priority"] == priority]
        for priority in (0, 1)
    )
    assert " ".join([*usual, "|", *wide]) == heads


def pod(**status: object) -> Object:
    return {"metadata": CREATED, "spec": {"containers": [{"name": "vllm"}]}, "status": status}


def container(ready: bool = False, restarts: int = 0, last: Object | None = None, **state: object) -> Object:
    return {"ready": ready, "restartCount": restarts, "state": state, "lastState": last or {}}


ENDED = {"terminated": {"reason": "Error", "finishedAt": "2026-11-03T11:59:50Z"}}
SERVICE = {
    "type": "LoadBalancer",
    "clusterIP": "127.1.2.3",
    "ports": [{"port": 8000}],
    "selector": {"b": "2", "a": "1"},
}
TEMPLATE = {"spec": {"containers": [{"name": "vllm", "image": "engine:1"}]}}

ROWS = {
    "ready pod": (
        "pods",
        pod(phase="Running", podIP="127.0.0.9", containerStatuses=[container(ready=True, running={})]),
        ["1/1", "Running", "0", "5s", "127.0.0.9", "<none>", "<none>", "<none>"],
    ),
    "pod whose container is being made": (
        "pods",
        pod(phase="Pending", containerStatuses=[container(waiting={"reason": "ContainerCreating"})]),
        ["0/1", "ContainerCreating", "0", "5s", "<none>", "<none>", "<none>", "<none>"],
    ),
    "pod that ends again and again": (
        "pods",
        pod(
            phase="Running",
            containerStatuses=[container(restarts=2, last=ENDED, waiting={"reason": "CrashLoopBackOff"})],
        ),
        ["0/1", "CrashLoopBackOff", "2 (10s ago)", "5s", "<none>", "<none>", "<none>", "<none>"],
    ),
    "pod that cannot be run": (
        "pods",
        pod(phase="Pending", reason="CreateContainerConfigError"),
        ["0/1", "CreateContainerConfigError", "0", "5s", "<none>", "<none>", "<none>", "<none>"],
    ),
    "pod being deleted": (
        "pods",
        {**pod(phase="Running"), "metadata": {**CREATED, "deletionTimestamp": "2026-11-03T12:00:30Z"}},
        ["0/1", "Terminating", "0", "5s", "<none>", "<none>", "<none>", "<none>"],
    ),
    "load balancer with an address": (
        "services",
        {
            "metadata": CREATED,
            "spec": SERVICE,
            "status": {"loadBalancer": {"ingress": [{"ip": "127.1.2.3"}]}},
        },
        ["LoadBalancer", "127.1.2.3", "127.1.2.3", "8000/TCP", "5s", "a=1,b=2"],
    ),
    "load balancer with a name": (
        "services",
        {
            "metadata": CREATED,
            "spec": SERVICE,
            "status": {"loadBalancer": {"ingress": [{"hostname": "host.example"}]}},
        },
        ["LoadBalancer", "127.1.2.3", "host.example", "8000/TCP", "5s", "a=1,b=2"],
    ),
    "load balancer that waits for its address": (
        "services",
        {"metadata": CREATED, "spec": {"type": "LoadBalancer"}},
        ["LoadBalancer", "<none>", "<pending>", "<none>", "5s", "<none>"],
    ),
    "service inside the cluster": (
        "services",
        {"metadata": CREATED, "spec": {"clusterIP": "127.1.2.3", "ports": [{"port": 80, "protocol": "UDP"}]}},
        ["ClusterIP", "127.1.2.3", "<none>", "80/UDP", "5s", "<none>"],
    ),
    "replica set": (
        "replicasets",
        {
            "metadata": CREATED,
            "spec": {"replicas": 2, "template": TEMPLATE, "selector": {"matchLabels": {"app": "vllm"}}},
            "status": {"replicas": 2, "readyReplicas": 1},
        },
        [2, 2, 1, "5s", "vllm", "engine:1", "app=vllm"],
    ),
    "rollout without a status": (
        "rollouts",
        {"metadata": CREATED, "spec": {"replicas": 2}},
        [2, 0, 0, 0, "5s"],
    ),
    "endpoint slice": (
        "endpointslices",
        {
            "metadata": CREATED,
            "addressType": "IPv4",
            "ports": [{"port": 8000}],
            "endpoints": [{"addresses": ["127.0.0.8"]}, {"addresses": ["127.0.0.9"]}],
        },
        ["IPv4", "8000", "127.0.0.8,127.0.0.9", "5s"],
    ),
    "empty endpoint slice": (
        "endpointslices",
        {"metadata": CREATED, "addressType": "IPv4", "ports": [], "endpoints": []},
        ["IPv4", "<unset>", "<unset>", "5s"],
    ),
    "lease": ("leases", {"metadata": CREATED, "spec": {"holderIdentity": "me"}}, ["me", "5s"]),
    "kind without columns of its own": ("events", {"metadata": CREATED}, ["5s"]),
}


@pytest.mark.parametrize(("plural", "obj", "cells"), ROWS.values(), ids=ROWS)
def test_row(plural, obj, cells) -> None:
    shown = table(plural, [obj], {}, NOON, heads=True)
    (row,) = shown["rows"]
    assert row["cells"] == ["x", *cells]
    kinds = {"integer": int, "string": str}
    told = [kinds[column["type"]] for column in shown["columnDefinitions"]]
    assert [type(cell) for cell in row["cells"]] == told


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0s"),
        (0, "0s"),
        (119, "119s"),
        (2 * MINUTE, "2m"),
        (2 * MINUTE + 5, "2m5s"),
        (10 * MINUTE + 5, "10m"),
        (3 * HOUR, "3h"),
        (3 * HOUR + 7 * MINUTE, "3h7m"),
        (9 * HOUR + 7 * MINUTE, "9h"),
        (47 * HOUR, "47h"),
        (2 * DAY, "2d"),
    ],
)
def test_duration_in_the_words_of_kubectl(seconds, text) -> None:
    assert duration(NOON, NOON + timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        pytest.param("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", True, id="kubectl get"),
        pytest.param("application/json; as=Table; v=v1; g=meta.k8s.io", True, id="with spaces"),
        pytest.param(
            "application/vnd.kubernetes.protobuf,application/json;as=Table;g=meta.k8s.io;v=v1",
            True,
            id="after a type that is not served",
        ),
        pytest.param(
            "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", False, id="an old version"
        ),
        pytest.param("application/json,application/json;as=Table;v=v1;g=meta.k8s.io", False, id="second"),
        pytest.param("*/*", False, id="anything"),
        pytest.param("", False, id="nothing said"),
    ],
)
def test_first_type_that_can_be_served_decides(accept, wanted) -> None:
    assert wants_table(accept) is wanted
