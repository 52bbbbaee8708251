"""The API answers as a Kubernetes API server does, to the Python client and on the wire."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple

import kubernetes
import pytest

from midstream.rehearsal.api import Api, Rule
from midstream.rehearsal.asgi import BODY_LIMIT
from midstream.rehearsal.store import Store
from tests.midstream.rehearsal.cluster import NS, Cluster
from tests.midstream.rehearsal.serving import Served, served

k8s: Any = kubernetes.client  # its models call every field optional

ARGO = ("argoproj.io", "v1alpha1", NS, "rollouts")
ROLLOUT = f"/apis/argoproj.io/v1alpha1/namespaces/{NS}/rollouts/vllm"
MERGE = "application/merge-patch+json"
LOG = b"one\ntwo\nthree\n"


def log_of(namespace: str, pod: str) -> bytes | None:
    return LOG if namespace == NS and pod.startswith("vllm-") else None


class World(NamedTuple):
    """A paused promotion behind a running API."""

    cluster: Cluster
    api: Served

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "",
    ) -> tuple[int, Any]:
        """Status and decoded body of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.api.port, timeout=10)
        try:
            sent = body if isinstance(body, bytes | None) else json.dumps(body)
            connection.request(method, path, sent, {"Content-Type": content_type, "Accept": accept})
            response = connection.getresponse()
            text = response.read()
            is_json = response.getheader("content-type") == "application/json"
            return response.status, json.loads(text) if is_json else text
        finally:
            connection.close()

    def lines(self, path: str, accept: str = "") -> Iterator[dict[str, Any]]:
        """The events of a watch, as they come."""
        connection = http.client.HTTPConnection("127.0.0.1", self.api.port, timeout=10)
        try:
            connection.request("GET", path, headers={"Accept": accept})
            response = connection.getresponse()
            assert response.status == 200
            for line in response:
                yield json.loads(line)
        finally:
            connection.close()

    def version(self) -> str:
        version: str = self.request("GET", f"/api/v1/namespaces/{NS}/pods")[1]["metadata"]["resourceVersion"]
        return version


@pytest.fixture
def world() -> Iterator[World]:
    cluster = Cluster().paused()
    with served(Api(cluster.store, log_of=log_of)) as api:
        yield World(cluster, api)


@pytest.fixture
def client(world: World) -> Iterator[k8s.ApiClient]:
    configuration = k8s.Configuration(host=world.api.url)
    with k8s.ApiClient(configuration) as api_client:
        yield api_client
        api_client.rest_client.pool_manager.clear()


# --- through the Python client --------------------------------------------------------------------------


def test_version_says_that_it_is_a_rehearsal(client):
    assert "midstream-rehearsal" in k8s.VersionApi(client).get_code().git_version


def test_promotion_by_status_patch_switches_the_service(world, client):
    argo = k8s.CustomObjectsApi(client)
    patched = argo.patch_namespaced_custom_object_status(
        *ARGO, "vllm", {"status": {"pauseConditions": None}}, _content_type=MERGE
    )
    assert "pauseConditions" not in patched["status"]
    assert patched["status"]["controllerPause"] is True
    world.api.call(world.cluster.settle)
    service = k8s.CoreV1Api(client).read_namespaced_service("vllm", NS)
    assert service.spec.selector["rollouts-pod-template-hash"] == world.cluster.hash_of("engine:2")


def test_status_sent_to_the_main_resource_is_dropped(client):
    argo = k8s.CustomObjectsApi(client)
    patch = {"status": {"pauseConditions": None}}
    patched = argo.patch_namespaced_custom_object(*ARGO, "vllm", patch, _content_type=MERGE)
    assert patched["status"]["pauseConditions"]


def test_spec_sent_to_the_status_resource_is_dropped(client):
    argo = k8s.CustomObjectsApi(client)
    patch = {"spec": {"replicas": 9}}
    patched = argo.patch_namespaced_custom_object_status(*ARGO, "vllm", patch, _content_type=MERGE)
    assert patched["spec"]["replicas"] == 2


@pytest.mark.parametrize("stale", [False, True], ids=["fresh", "stale"])
def test_json_patch_with_a_test_of_the_version(world, client, stale):
    argo = k8s.CustomObjectsApi(client)
    found = argo.get_namespaced_custom_object(*ARGO, "vllm")
    version = "1" if stale else found["metadata"]["resourceVersion"]
    patch = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "engine:3"},
    ]

    refused = pytest.raises(k8s.ApiException) if stale else nullcontext()
    with refused as error:
        argo.patch_namespaced_custom_object(*ARGO, "vllm", patch, _content_type="application/json-patch+json")
    if error is not None:
        assert (error.value.status, json.loads(error.value.body)["reason"]) == (422, "Invalid")
    container = world.cluster.rollout["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == ("engine:2" if stale else "engine:3")


def test_merge_patch_of_a_stale_version_conflicts(client):
    argo = k8s.CustomObjectsApi(client)
    patch = {"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 3}}
    with pytest.raises(k8s.ApiException) as refused:
        argo.patch_namespaced_custom_object(*ARGO, "vllm", patch, _content_type=MERGE)
    assert (refused.value.status, json.loads(refused.value.body)["reason"]) == (409, "Conflict")


def test_lease_is_a_lock(client):
    leases = k8s.CoordinationV1Api(client)
    lease = k8s.V1Lease(
        metadata=k8s.V1ObjectMeta(name="run"),
        spec=k8s.V1LeaseSpec(holder_identity="me", lease_duration_seconds=15),
    )
    made = leases.create_namespaced_lease(NS, lease)
    with pytest.raises(k8s.ApiException) as taken:
        leases.create_namespaced_lease(NS, lease)
    assert taken.value.status == 409
    made.spec.holder_identity = "still me"
    assert leases.replace_namespaced_lease("run", NS, made).spec.holder_identity == "still me"
    with pytest.raises(k8s.ApiException) as stale:
        leases.replace_namespaced_lease("run", NS, made)
    assert stale.value.status == 409
    leases.delete_namespaced_lease("run", NS)
    assert leases.list_namespaced_lease(NS).items == []


def test_typed_client_reads_pods_and_slices(world, client):
    pods = k8s.CoreV1Api(client).list_namespaced_pod(NS, label_selector="app=vllm").items
    assert {pod.status.phase for pod in pods} == {"Running"}
    slices = k8s.DiscoveryV1Api(client).list_namespaced_endpoint_slice(NS).items
    assert {address for found in slices for e in found.endpoints for address in e.addresses} == {
        pod.status.pod_ip for pod in pods
    }


def test_typed_client_deletes_a_pod_gracefully(world, client):
    core, name = k8s.CoreV1Api(client), world.cluster.pods("engine:1")[0]["metadata"]["name"]
    left = core.delete_namespaced_pod(name, NS, grace_period_seconds=7)
    assert left.metadata.deletion_grace_period_seconds == 7
    assert core.read_namespaced_pod(name, NS).metadata.deletion_timestamp is not None
    core.delete_namespaced_pod(name, NS, body=k8s.V1DeleteOptions(grace_period_seconds=0))
    with pytest.raises(k8s.ApiException) as gone:
        core.read_namespaced_pod(name, NS)
    assert gone.value.status == 404


def test_event_with_a_generated_name_is_created(client):
    core = k8s.CoreV1Api(client)
    event = k8s.CoreV1Event(
        metadata=k8s.V1ObjectMeta(generate_name="vllm."),
        involved_object=k8s.V1ObjectReference(kind="Rollout", name="vllm", namespace=NS),
    )
    assert core.create_namespaced_event(NS, event).metadata.name.startswith("vllm.")
    found = core.list_namespaced_event(NS, field_selector="involvedObject.name=vllm").items
    assert [e.involved_object.kind for e in found] == ["Rollout"]


def test_clients_watch_sees_the_cutover(world, client):
    core = k8s.CoreV1Api(client)
    version = core.list_namespaced_service(NS).metadata.resource_version
    world.api.call(world.cluster.promote)
    stream = kubernetes.watch.Watch().stream(
        core.list_namespaced_service,
        NS,
        field_selector="metadata.name=vllm",
        resource_version=version,
        timeout_seconds=1,
    )
    hashes = [event["object"].spec.selector["rollouts-pod-template-hash"] for event in stream]
    assert hashes == [world.cluster.hash_of("engine:2")]


# --- access ---------------------------------------------------------------------------------------------


@pytest.fixture
def guarded() -> Iterator[World]:
    cluster = Cluster().paused()
    denied = [
        Rule("patch", "argoproj.io", "rollouts/status"),
        Rule("*", "", "events"),
        Rule("get", "", "namespaces"),
    ]
    with served(Api(cluster.store, log_of=log_of, denied=denied)) as api:
        yield World(cluster, api)


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        (("patch", "argoproj.io", "rollouts", ""), True),
        (("patch", "argoproj.io", "rollouts", "status"), False),
        (("get", "argoproj.io", "rollouts", "status"), True),
        (("list", "", "events", ""), False),
    ],
)
def test_access_review_knows_the_rules(guarded, asked, allowed):
    attributes = dict(zip(("verb", "group", "resource", "subresource"), asked, strict=True))
    status, review = guarded.request(
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        {"spec": {"resourceAttributes": attributes}},
    )
    assert (status, review["status"]["allowed"]) == (201, allowed)


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("PATCH", f"{ROLLOUT}/status", 403),
        ("PATCH", ROLLOUT, 200),
        ("GET", f"/api/v1/namespaces/{NS}/events", 403),
        ("GET", "/api/v1/events?watch=1", 403),
        ("GET", f"/api/v1/namespaces/{NS}", 403),
    ],
)
def test_denied_request_is_forbidden(guarded, method, path, code):
    status, said = guarded.request(method, path, {} if method == "PATCH" else None, MERGE)
    assert status == code
    assert code == 200 or (said["kind"], said["reason"]) == ("Status", "Forbidden")


# --- refusals -------------------------------------------------------------------------------------------

PODS = f"/api/v1/namespaces/{NS}/pods"
REFUSALS: dict[str, tuple[str, str, Any, str, int, str]] = {
    "unknown object": ("GET", ROLLOUT + "x", None, "", 404, "NotFound"),
    "unknown kind": ("GET", f"/api/v1/namespaces/{NS}/secrets", None, "", 404, "NotFound"),
    "kind of another group": ("GET", "/api/v1/rollouts", None, "", 404, "NotFound"),
    "unknown subresource": ("GET", f"{ROLLOUT}/scale", None, "", 404, "NotFound"),
    "status where there is none": (
        "GET",
        f"/api/v1/namespaces/{NS}/events/e/status",
        None,
        "",
        404,
        "NotFound",
    ),
    "object without namespace": ("GET", "/api/v1/pods/x", None, "", 404, "NotFound"),
    "patch of a collection": ("PATCH", PODS, {}, MERGE, 405, "MethodNotAllowed"),
    "deletion of a collection": ("DELETE", PODS, None, "", 405, "MethodNotAllowed"),
    "creation across all namespaces": ("POST", "/api/v1/pods", {"metadata": {}}, "", 400, "BadRequest"),
    "no JSON": ("PATCH", ROLLOUT, b"{", MERGE, 400, "BadRequest"),
    "list as merge patch": ("PATCH", ROLLOUT, [], MERGE, 400, "BadRequest"),
    "another name": ("PATCH", ROLLOUT, {"metadata": {"name": "x"}}, MERGE, 400, "BadRequest"),
    "no spec left": ("PATCH", ROLLOUT, {"spec": None}, MERGE, 422, "Invalid"),
    "patch of no type": ("PATCH", ROLLOUT, {}, "application/json", 415, "UnsupportedMediaType"),
    "strategic patch of a custom resource": (
        *("PATCH", ROLLOUT, {"spec": {}}, "application/strategic-merge-patch+json"),
        *(415, "UnsupportedMediaType"),
    ),
    "strategic patch with a list": (
        *("PATCH", f"/api/v1/namespaces/{NS}/services/vllm", {"spec": {"ports": []}}),
        *("application/strategic-merge-patch+json", 415, "UnsupportedMediaType"),
    ),
    "protobuf": (
        *("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", b"k8s\0"),
        *("application/vnd.kubernetes.protobuf", 415, "UnsupportedMediaType"),
    ),
    "endless body": ("PUT", ROLLOUT, b" " * (BODY_LIMIT + 1), "", 413, "RequestEntityTooLarge"),
    "unreadable selector": ("GET", f"{PODS}?labelSelector=a%20b%20c", None, "", 422, "Invalid"),
    "unknown field": ("GET", f"{PODS}?fieldSelector=spec.x%3D1", None, "", 422, "Invalid"),
    "list of a past version": (
        *("GET", f"{PODS}?resourceVersion=2&resourceVersionMatch=Exact", None, "", 410, "Expired"),
    ),
    "rest of a list": ("GET", f"{PODS}?continue=abc", None, "", 410, "Expired"),
    "no version": ("GET", f"{PODS}?watch=1&resourceVersion=abc", None, "", 400, "BadRequest"),
    "streamed list": ("GET", f"{PODS}?watch=1&sendInitialEvents=true", None, "", 422, "Invalid"),
    "grace that is none": ("DELETE", f"{PODS}/x?gracePeriodSeconds=-1", None, "", 400, "BadRequest"),
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS.keys())
def test_refusal_is_a_status(world, refusal):
    method, path, body, content_type, code, reason = refusal
    status, said = world.request(method, path, body, content_type or "application/json")
    assert (status, said["kind"], said["code"], said["reason"]) == (code, "Status", code, reason)
    assert said["message"]


def test_strategic_patch_without_lists_is_a_merge_patch(world):
    path = f"/api/v1/namespaces/{NS}/services/vllm"
    patch = {"metadata": {"labels": {"seen": "yes"}}}
    status, patched = world.request("PATCH", path, patch, "application/strategic-merge-patch+json")
    assert (status, patched["metadata"]["labels"]) == (200, {"seen": "yes"})


# --- lists and watches on the wire ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "count"),
    [
        (PODS, 4),
        ("/api/v1/pods", 4),
        ("/api/v1/namespaces/other/pods", 0),
        (f"{PODS}?labelSelector=app%3Dother", 0),
        (f"{PODS}?labelSelector=app+in+(vllm,x)", 4),
        (f"/api/v1/namespaces/{NS}/services?fieldSelector=metadata.name%3Dvllm", 1),
        (f"{PODS}?resourceVersion=0&limit=500", 4),
    ],
)
def test_list(world, path, count):
    status, found = world.request("GET", path)
    assert (status, len(found["items"])) == (200, count)
    assert int(found["metadata"]["resourceVersion"]) > 0


def test_watch_without_version_begins_with_what_is_there(world):
    found = list(world.lines(f"{PODS}?watch=1&timeoutSeconds=0.2"))
    assert [event["type"] for event in found] == ["ADDED"] * 4


def test_watch_from_a_list_misses_nothing_and_repeats_nothing(world):
    path = f"/apis/apps/v1/namespaces/{NS}/replicasets"
    version = world.request("GET", path)[1]["metadata"]["resourceVersion"]
    world.api.call(world.cluster.promote)
    found = list(world.lines(f"{path}?watch=true&resourceVersion={version}&timeoutSeconds=0.2"))
    assert [event["type"] for event in found] == ["MODIFIED"]
    assert "scale-down-deadline" in found[0]["object"]["metadata"]["annotations"]


def test_watch_delivers_while_it_is_open(world):
    stream = world.lines(f"{PODS}?watch=1&resourceVersion={world.version()}&timeoutSeconds=8")
    seen = []
    reader = threading.Thread(target=lambda: seen.append(next(stream)))
    reader.start()
    name = world.cluster.pods("engine:1")[0]["metadata"]["name"]
    world.api.call(world.cluster.store.delete, "pods", NS, name)
    reader.join(10)
    stream.close()
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in seen] == [("MODIFIED", name)]


def test_object_that_enters_or_leaves_a_selection(world):
    version, name = world.version(), world.cluster.pods("engine:1")[0]["metadata"]["name"]
    for labels in ({"app": "other"}, {"app": "vllm"}, {"app": "vllm", "seen": "yes"}):
        world.request("PATCH", f"{PODS}/{name}", {"metadata": {"labels": labels}}, MERGE)
    path = f"{PODS}?watch=1&resourceVersion={version}&timeoutSeconds=0.2&labelSelector=app%3Dvllm"
    assert [event["type"] for event in world.lines(path)] == ["DELETED", "ADDED", "MODIFIED"]


def test_watch_ends_with_a_bookmark(world):
    version = world.version()
    world.request("PATCH", ROLLOUT, {"metadata": {"labels": {"a": "b"}}}, MERGE)
    path = f"{PODS}?watch=1&resourceVersion={version}&timeoutSeconds=0.2&allowWatchBookmarks=true"
    (bookmark,) = world.lines(path)
    assert (bookmark["type"], bookmark["object"]["kind"]) == ("BOOKMARK", "Pod")
    assert bookmark["object"]["metadata"] == {"resourceVersion": world.version()}


def forgetful_store() -> Store:
    store = Store(history=2)
    for name in "abc":
        store.create("leases", {"metadata": {"name": name, "namespace": NS}})
    return store


def test_watch_from_a_forgotten_version_is_told_in_the_stream():
    store = forgetful_store()
    with served(Api(store, log_of=log_of)) as api:
        path = "/apis/coordination.k8s.io/v1/leases?watch=1&resourceVersion=1"
        (event,) = World(Cluster(), api).lines(path)
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")


def test_watch_from_a_forgotten_version_is_told_by_the_http_status():
    store = forgetful_store()
    with served(Api(store, log_of=log_of, gone="status")) as api:
        path = "/apis/coordination.k8s.io/v1/leases?watch=1&resourceVersion=1"
        status, said = World(Cluster(), api).request("GET", path)
    assert (status, said["reason"]) == (410, "Expired")


def test_open_watch_ends_with_410_when_the_store_forgets(world):
    lines = world.lines(f"{PODS}?watch=1&timeoutSeconds=60")
    assert next(lines)["type"] == "ADDED"
    world.api.call(world.cluster.store.forget)
    *_, last = lines
    assert (last["type"], last["object"]["code"]) == ("ERROR", 410)


def test_closed_watch_leaves_no_subscription(world):
    before = len(world.cluster.store._queues)
    stream = world.lines(f"{PODS}?watch=1&timeoutSeconds=60")
    next(stream)
    assert world.api.call(lambda: len(world.cluster.store._queues)) == before + 1
    stream.close()
    deadline = threading.Event()
    for _ in range(100):
        if world.api.call(lambda: len(world.cluster.store._queues)) == before:
            return
        deadline.wait(0.1)
    raise AssertionError("the server still feeds a watch that nobody reads")


# --- logs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "text"),
    [("", LOG), ("?tailLines=2", b"two\nthree\n"), ("?tailLines=0", b""), ("?container=vllm", LOG)],
)
def test_log(world, query, text):
    name = world.cluster.pods("engine:1")[0]["metadata"]["name"]
    assert world.request("GET", f"{PODS}/{name}/log{query}") == (200, text)


@pytest.mark.parametrize(("pod", "query", "code"), [("x", "", 404), ("", "?previous=true", 422)])
def test_log_that_cannot_be_given(world, pod, query, code):
    name = pod or world.cluster.pods("engine:1")[0]["metadata"]["name"]
    assert world.request("GET", f"{PODS}/{name}/log{query}")[0] == code


def test_log_of_a_pod_that_has_not_started(world):
    pod = {"metadata": {"name": "young", "namespace": NS}, "spec": {}}
    world.api.call(world.cluster.store.create, "pods", pod)
    status, said = world.request("GET", f"{PODS}/young/log")
    assert (status, said["reason"]) == (400, "BadRequest")


def test_followed_log_ends_with_the_pod():
    cluster = Cluster().deployed()
    written = [b"one\n"]
    name = cluster.pods("engine:1")[0]["metadata"]["name"]
    with served(Api(cluster.store, log_of=lambda *_: b"".join(written))) as api:
        connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=10)
        connection.request("GET", f"{PODS}/{name}/log?follow=true")
        response = connection.getresponse()
        assert response.readline() == b"one\n"
        written.append(b"two\n")
        assert response.readline() == b"two\n"
        api.call(cluster.store.remove, "pods", NS, name)
        assert response.read() == b""
        connection.close()


# --- discovery ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/livez"])
def test_health(world, path):
    assert world.request("GET", path) == (200, b"ok")


def test_every_served_kind_is_discoverable(world):
    groups = world.request("GET", "/apis")[1]["groups"]
    versions = [group["preferredVersion"]["groupVersion"] for group in groups]
    paths = ["/api/v1", *(f"/apis/{version}" for version in versions)]
    found = {r["name"] for path in paths for r in world.request("GET", path)[1]["resources"]}
    assert found >= {
        "rollouts",
        "rollouts/status",
        "pods",
        "pods/log",
        "services",
        "endpointslices",
        "leases",
    }


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/apis/apps/v1/namespaces/llm/deployments", "Deployment"),
        ("/apis/argoproj.io/v1alpha1/namespaces/llm/experiments", "Experiment"),
    ],
)
def test_kinds_that_nothing_here_would_run_are_listed_as_none_and_not_made(world, path, kind):
    code, listed = world.request("GET", path)
    assert (code, listed["kind"], listed["items"]) == (200, f"{kind}List", [])
    code, said = world.request("POST", path, {"metadata": {"name": "x"}})
    assert code == 405
    assert "nothing that would run one" in said["message"]


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        pytest.param("GET", f"/api/v1/namespaces/{NS}", 200, id="one with objects"),
        pytest.param("GET", "/api/v1/namespaces/other", 404, id="one without"),
        pytest.param("DELETE", f"/api/v1/namespaces/{NS}", 405, id="not to be deleted"),
    ],
)
def test_a_namespace_is_there_while_something_is_in_it(world, method, path, code):
    status, said = world.request(method, path)
    assert status == code
    if code == 200:
        assert (said["kind"], said["metadata"]["name"], said["status"]) == (
            "Namespace",
            NS,
            {"phase": "Active"},
        )


def test_namespaces_are_listed(world):
    code, listed = world.request("GET", "/api/v1/namespaces")
    assert (code, [item["metadata"]["name"] for item in listed["items"]]) == (200, [NS])
    code, shown = world.request("GET", "/api/v1/namespaces", accept=AS_TABLE)
    assert (code, [row["cells"][0] for row in shown["rows"]]) == (200, [NS])


# --- tables ---------------------------------------------------------------------------------------------

AS_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io"


def test_list_as_table_has_a_row_an_object_and_the_list_version(world):
    path = f"/api/v1/namespaces/{NS}/pods"
    code, table = world.request("GET", path, accept=f"{AS_TABLE},application/json")
    assert (code, table["kind"], table["apiVersion"]) == (200, "Table", "meta.k8s.io/v1")
    assert table["metadata"]["resourceVersion"] == world.version()
    pods = world.request("GET", path)[1]["items"]
    assert [row["object"]["metadata"] for row in table["rows"]] == [pod["metadata"] for pod in pods]
    assert {row["object"]["kind"] for row in table["rows"]} == {"PartialObjectMetadata"}


def test_one_object_as_table(world):
    code, table = world.request("GET", ROLLOUT, accept=AS_TABLE)
    assert (code, [row["cells"][:5] for row in table["rows"]]) == (200, [["vllm", 2, 4, 2, 2]])


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "application/json", "application/json,application/json;as=Table;v=v1;g=meta.k8s.io"],
)
def test_without_the_wish_for_a_table_there_is_none(world, accept):
    assert world.request("GET", ROLLOUT, accept=accept)[1]["kind"] == "Rollout"


def test_watch_as_table_tells_its_columns_once(world):
    path = f"/api/v1/namespaces/{NS}/services?watch=1&timeoutSeconds=1&allowWatchBookmarks=1"
    *events, bookmark = world.lines(path, accept=AS_TABLE)
    assert [event["type"] for event in events] == ["ADDED", "ADDED"]
    assert [bool(event["object"]["columnDefinitions"]) for event in events] == [True, False]
    assert [event["object"]["rows"][0]["cells"][0] for event in events] == ["vllm", "vllm-preview"]
    assert (bookmark["type"], bookmark["object"]["kind"]) == ("BOOKMARK", "Service")
