"""The API server as plain dicts: each request once, each failure a typed error with a sentence."""

import os
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeAlias
from urllib.parse import urlsplit

import msgspec
import urllib3
import yaml
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.config import (
    KUBE_CONFIG_DEFAULT_LOCATION,
    ConfigException,
    load_incluster_config,
    load_kube_config,
)
from kubernetes.config.kube_config import KubeConfigMerger

from midstream.streams.access import is_loopback

Object: TypeAlias = dict[str, Any]
Body: TypeAlias = Object | list[Object]

CONNECT_S = 3.0  # an API server that does not take a connection in this time is away
READ_S = 10.0
VERSION_S = 3.0  # the cheapest question: whoever takes longer is not there
WATCH_S = 20.0  # asked of the server, so that every watch ends by itself and is opened anew
WATCH_SILENCE_S = 5.0  # beyond WATCH_S nothing has come and no end either: the connection is half-open
WATCH_CONNECTIONS = 16  # six watches, each verb and check beside them
RENEW_S = 5.0  # between two readings of refused credentials: an exec plugin may take seconds itself

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"  # set explicitly: client 37 sends a list body as merge patch


class Kind(NamedTuple):
    """One resource type, where the API serves it."""

    group: str  # "" is the core group
    version: str
    namespaced: bool = True

    def path(self, plural: str, namespace: str, name: str = "", subresource: str = "") -> str:
        """The resource's path on the server; without a namespace that of all namespaces."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return root + scope + "".join(f"/{part}" for part in (plural, name, subresource) if part)


KINDS: dict[str, Kind] = {
    "rollouts": Kind("argoproj.io", "v1alpha1"),
    "analysisruns": Kind("argoproj.io", "v1alpha1"),
    "replicasets": Kind("apps", "v1"),
    "pods": Kind("", "v1"),
    "services": Kind("", "v1"),
    "endpointslices": Kind("discovery.k8s.io", "v1"),
    "events": Kind("", "v1"),
    "nodes": Kind("", "v1", namespaced=False),
    "namespaces": Kind("", "v1", namespaced=False),
    "deployments": Kind("apps", "v1"),
    "daemonsets": Kind("apps", "v1"),
    "statefulsets": Kind("apps", "v1"),
    "horizontalpodautoscalers": Kind("autoscaling", "v2"),
    "resourcequotas": Kind("", "v1"),
    "analysistemplates": Kind("argoproj.io", "v1alpha1"),
    "clusteranalysistemplates": Kind("argoproj.io", "v1alpha1", namespaced=False),
    "leases": Kind("coordination.k8s.io", "v1"),
}

REHEARSAL_MARK = "midstream-rehearsal"  # in the API server's /version: the one sign of a rehearsal


class Access(NamedTuple):
    """One thing that RBAC allows or not."""

    verb: str
    group: str
    resource: str  # with its subresource: "rollouts/status"
    namespace: str

    @property
    def rule(self) -> str:
        """The rule of a Role that allows it."""
        return rules([self])[0]


def rules(needed: Iterable[Access]) -> tuple[str, ...]:
    """As few rules of a Role as allow all of it: resources of one group with the same verbs share one."""
    verbs: dict[tuple[str, str], list[str]] = {}
    for each in needed:
        verbs.setdefault((each.group, each.resource), []).append(each.verb)
    resources: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, resource), allowed in verbs.items():
        resources.setdefault((group, tuple(allowed)), []).append(resource)
    return tuple(
        f"apiGroups: {_quoted([group])}, resources: {_quoted(names)}, verbs: {_quoted(allowed)}"
        for (group, allowed), names in resources.items()
    )


def _quoted(words: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{word}"' for word in words) + "]"


class ClusterError(Exception):
    """The cluster did not do what was asked; the text is a sentence for people."""


class CredentialError(ClusterError):
    """There are no credentials, or the API server does not accept them."""


class UnreachableError(ClusterError):
    """The API server did not answer, or only that it cannot now."""


class NotFoundError(ClusterError):
    """The object or its kind is not there."""


class ConflictError(ClusterError):
    """The object was changed since it was read."""


class InvalidError(ClusterError):
    """The API server refuses the content; a failed `test` of a JSON patch comes as this, too."""


class GoneError(ClusterError):
    """The resourceVersion is too old to watch from: list again (410)."""


class ForbiddenError(ClusterError):
    """RBAC does not allow it; the text holds the missing rule."""

    def __init__(self, access: Access, message: str) -> None:
        where = f"in namespace {access.namespace}" if access.namespace else "in the cluster"
        super().__init__(f"not allowed {where}: {message}. Missing: {access.rule}")
        self.access = access


class Listing(NamedTuple):
    """The objects of one kind at one resourceVersion."""

    items: list[Object]
    resource_version: str


class WatchEvent(NamedTuple):
    """One line of a watch."""

    type: str  # ADDED | MODIFIED | DELETED | BOOKMARK
    object: Object
    received_ns: int


class Watch:
    """One open watch: iterate it; the iteration's end is the server's own end of the watch.

    Raises `GoneError` on a 410 in the stream, `UnreachableError` when it is cut or silent for too long.
    """

    def __init__(self, response: urllib3.BaseHTTPResponse, access: Access) -> None:
        self._response = response
        self._access = access
        self.opened_ns = time.monotonic_ns()

    def __iter__(self) -> Iterator[WatchEvent]:
        try:
            for line, received_ns in self._lines():
                yield self._event(msgspec.json.decode(line), received_ns)
        except (urllib3.exceptions.HTTPError, OSError, msgspec.DecodeError) as error:
            raise UnreachableError(
                f"the watch of {self._access.resource} was cut: {_cause(error)}"
            ) from error
        finally:
            self.close()

    def close(self) -> None:
        """Give the connection up."""
        self._response.close()

    def _lines(self) -> Iterator[tuple[bytes, int]]:
        rest = b""
        for chunk in self._response.stream():
            received_ns = time.monotonic_ns()
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if line.strip():
                    yield line, received_ns

    def _event(self, event: Object, received_ns: int) -> WatchEvent:
        if event["type"] == "ERROR":
            status = event["object"]
            raise _error(int(status.get("code", 500)), status.get("message", "no message"), self._access)
        return WatchEvent(event["type"], event["object"], received_ns)


class Cluster:
    """One API server with one set of credentials. Calls block; they may be made from any thread.

    `load` reads the credentials anew. The client itself does so for a pod's own token once a minute, for an
    exec plugin that told an expiry, never for a `tokenFile`: here a 401 makes them be read again, whatever
    their kind, then the request goes out once more (a refused one has changed nothing).
    """

    def __init__(self, load: Callable[[], Configuration], *, in_cluster: bool = False) -> None:
        configuration = load()
        self._load = load
        self._api = _api(configuration)
        self._renewing = threading.Lock()
        self._renewed_ns: int | None = None
        # Without its path, which is a secret on some servers: this is what reports print.
        self.server = "://".join(urlsplit(configuration.host)[:2])
        self.in_cluster = in_cluster

    @classmethod
    def connect(cls, kubeconfig: str | None = None, context: str | None = None) -> Self:
        """Read credentials: the file given, else KUBECONFIG or ~/.kube/config, else a pod's own.

        Nothing is sent yet. Raises `CredentialError`.
        """
        path = kubeconfig or os.environ.get("KUBECONFIG") or _existing(KUBE_CONFIG_DEFAULT_LOCATION)
        in_cluster = path is None and context is None

        def load() -> Configuration:
            configuration = Configuration()
            if in_cluster:
                load_incluster_config(configuration)  # type: ignore[no-untyped-call] # partly typed client
            else:
                load_kube_config(  # type: ignore[no-untyped-call] # partly typed client
                    path, context, configuration, persist_config=False
                )
            return configuration

        try:
            return cls(load, in_cluster=in_cluster)
        except _UNREADABLE as error:
            raise CredentialError(_no_credentials(path, context, error)) from error

    @property
    def configuration(self) -> Configuration:
        """Where the server is and whom to trust; it holds secrets."""
        configuration: Configuration = self._api.configuration
        return configuration

    def tls(self) -> ssl.SSLContext:
        """A context that trusts and shows what every request does. Raises `CredentialError`."""
        given = self.configuration
        context = urllib3.util.ssl_.create_urllib3_context()
        if not given.verify_ssl:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            if given.ssl_ca_cert or given.ca_cert_data:
                context.load_verify_locations(given.ssl_ca_cert, cadata=given.ca_cert_data)
            else:
                context.load_default_certs()
            if given.cert_file:
                context.load_cert_chain(given.cert_file, given.key_file)
        except OSError as error:
            raise CredentialError(f"the certificates of {self.server} cannot be used: {error}") from error
        return context

    def authorization(self) -> dict[str, str]:
        """The header that every request carries, with a token that is valid now; it is a secret."""
        headers: dict[str, str] = {}
        self._api.update_params_for_auth(headers, [], ["BearerToken"], "", "GET", None)
        return headers

    def version(self) -> Object:
        """What the server says it is: `gitVersion`, with whatever else it tells."""
        return self._json("GET", "/version", Access("get", "", "version", ""), read_s=VERSION_S)

    def serves(self, kind: str) -> bool:
        """Whether the server knows this kind: its CRD is there and established."""
        where = KINDS[kind]
        root = f"/apis/{where.group}/{where.version}" if where.group else f"/api/{where.version}"
        try:
            found = self._json("GET", root, _access("get", kind, ""))
        except NotFoundError:
            return False
        return any(resource["name"] == kind for resource in found.get("resources") or [])

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """One object; None where there is none (or no such kind)."""
        path = KINDS[kind].path(kind, namespace, name)
        try:
            return self._json("GET", path, _access("get", kind, namespace))
        except NotFoundError:
            return None

    def list(self, kind: str, namespace: str, *, labels: str = "", fields: str = "") -> Listing:
        """All objects of a kind, with the resourceVersion to watch from; namespace "" means all of them."""
        found = self._json(
            "GET",
            KINDS[kind].path(kind, namespace),
            _access("list", kind, namespace),
            query=_selectors(labels, fields),
        )
        return Listing(found.get("items") or [], found["metadata"]["resourceVersion"])

    def log(self, namespace: str, pod: str, container: str, *, lines: int) -> tuple[str, ...]:
        """The last lines of a container's present life, or of its last one while it has none.

        `InvalidError` before its first start, `NotFoundError` once it is gone.
        """
        response = self._send(
            "GET",
            KINDS["pods"].path("pods", namespace, pod, "log"),
            Access("get", "", "pods/log", namespace),
            query=[("container", container), ("tailLines", str(lines))],
        )
        try:
            return tuple(response.data.decode(errors="replace").splitlines())
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnreachableError(f"{self.server} broke off the log of {pod}: {_cause(error)}") from error

    def watch(
        self,
        kind: str,
        namespace: str,
        resource_version: str,
        *,
        labels: str = "",
        fields: str = "",
        watch_s: float = WATCH_S,
    ) -> Watch:
        """Open a watch from a resourceVersion; it is open when this returns.

        The server is asked to end it after `watch_s`. Silence beyond that is an error, since a
        half-open connection would hang for ever.
        """
        access = _access("watch", kind, namespace)
        query = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", resource_version),
            ("timeoutSeconds", str(max(1, round(watch_s)))),
            *_selectors(labels, fields),
        ]
        path = KINDS[kind].path(kind, namespace)
        response = self._send("GET", path, access, query=query, read_s=watch_s + WATCH_SILENCE_S)
        return Watch(response, access)

    def merge_patch(
        self, kind: str, namespace: str, name: str, patch: Object, *, status: bool = False
    ) -> Object:
        """Merge a patch in; `status` writes the status subresource, or the object where there is none.

        Where the subresource exists the API server silently drops a status sent to the object itself,
        so the order is this one (facts 4, as the kubectl plugin does it).
        """
        if status:
            try:
                return self._patch(kind, namespace, name, patch, subresource="status")
            except NotFoundError:
                pass  # no such subresource, or no such object: the next request tells which
        return self._patch(kind, namespace, name, patch)

    def json_patch(self, kind: str, namespace: str, name: str, operations: Sequence[Object]) -> Object:
        """Apply JSON patch operations; a failed `test` raises `InvalidError`."""
        return self._patch(kind, namespace, name, list(operations))

    def create(self, kind: str, item: Object) -> Object:
        """Make an object in its namespace; `ConflictError` when there is one of that name."""
        path = KINDS[kind].path(kind, item["metadata"]["namespace"])
        return self._write("POST", path, _access("create", kind, item["metadata"]["namespace"]), item)

    def replace(self, kind: str, item: Object) -> Object:
        """Store another state of an object that was read; `ConflictError` when it has changed since."""
        namespace, name = item["metadata"]["namespace"], item["metadata"]["name"]
        path = KINDS[kind].path(kind, namespace, name)
        return self._write("PUT", path, _access("update", kind, namespace), item)

    def delete(self, kind: str, namespace: str, name: str, *, grace_s: int) -> None:
        """Delete an object; a pod is killed at once with a grace of 0. `NotFoundError` when it is gone."""
        query = [("gracePeriodSeconds", str(grace_s))]
        path = KINDS[kind].path(kind, namespace, name)
        self._json("DELETE", path, _access("delete", kind, namespace), query=query)

    def can(self, access: Access) -> bool:
        """Whether RBAC allows it, as the API server itself answers (SelfSubjectAccessReview)."""
        resource, _, subresource = access.resource.partition("/")
        attributes = {
            "verb": access.verb,
            "group": access.group,
            "resource": resource,
            "subresource": subresource,
            "namespace": access.namespace,
        }
        review = self._json(
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            Access("create", "authorization.k8s.io", "selfsubjectaccessreviews", ""),
            body={
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": attributes},
            },
            content_type="application/json",
        )
        return bool(review.get("status", {}).get("allowed", False))

    def _write(self, method: str, path: str, access: Access, item: Object) -> Object:
        return self._json(method, path, access, body=item, content_type="application/json")

    def _patch(
        self,
        kind: str,
        namespace: str,
        name: str,
        patch: Body,
        *,
        subresource: str = "",
    ) -> Object:
        resource = f"{kind}/{subresource}" if subresource else kind
        return self._json(
            "PATCH",
            KINDS[kind].path(kind, namespace, name, subresource),
            _access("patch", kind, namespace)._replace(resource=resource),
            body=patch,
            content_type=JSON_PATCH if isinstance(patch, list) else MERGE_PATCH,
        )

    def _json(
        self,
        method: str,
        path: str,
        access: Access,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Body | None = None,
        content_type: str = "",
        read_s: float = READ_S,
    ) -> Object:
        response = self._send(
            method, path, access, query=query, body=body, content_type=content_type, read_s=read_s
        )
        try:
            answer: Object = msgspec.json.decode(response.data)
        except (urllib3.exceptions.HTTPError, OSError, msgspec.DecodeError) as error:
            raise UnreachableError(
                f"{self.server} broke off its answer to {method} {path}: {_cause(error)}"
            ) from error
        return answer

    def _send(
        self,
        method: str,
        path: str,
        access: Access,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Body | None = None,
        content_type: str = "",
        read_s: float = READ_S,
    ) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": "application/json"} | ({"Content-Type": content_type} if content_type else {})

        def send(api: ApiClient) -> urllib3.BaseHTTPResponse:
            request = api.param_serialize(
                method, path, query_params=list(query), header_params=headers | _authorization(api), body=body
            )
            answer = api.call_api(*request, _request_timeout=(CONNECT_S, read_s))
            response: urllib3.BaseHTTPResponse = answer.response
            return response

        try:
            api = self._api
            response = send(api)
            if response.status == 401 and self._renewed(api):
                response.drain_conn()
                response = send(self._api)
            if not 200 <= response.status < 300:
                raise _error(response.status, _message(response), access)
        except (urllib3.exceptions.HTTPError, ApiException, OSError) as error:
            raise UnreachableError(
                f"the API server {self.server} does not answer: {_cause(error)}"
            ) from error
        return response

    def _renewed(self, refused: ApiClient) -> bool:
        """Whether there may be other credentials than the refused ones now."""
        with self._renewing:
            if self._api is not refused:
                return True  # another thread has read them
            now_ns = time.monotonic_ns()
            if self._renewed_ns is not None and now_ns - self._renewed_ns < RENEW_S * 1e9:
                return False
            self._renewed_ns = now_ns
            try:
                fresh = _api(self._load())
            except _UNREADABLE:
                return False  # such as a file that is being written: the next 401 reads it again
            if _authorization(refused) and not _authorization(fresh):
                return False  # a plugin failed: nobody at all is refused with other words than the old token
            self._api = fresh
            return True


def _api(configuration: Configuration) -> ApiClient:
    configuration.retries = urllib3.Retry(
        total=1, connect=1, read=1, redirect=0, status=0, allowed_methods=["GET"]
    )  # one stale pooled connection is no outage; a write is never sent twice
    configuration.connection_pool_maxsize = WATCH_CONNECTIONS
    if is_loopback(urlsplit(configuration.host).hostname or ""):
        configuration.proxy = None  # kubectl uses none there, whatever the environment says
    return ApiClient(configuration)


def _authorization(api: ApiClient) -> dict[str, str]:
    """The header of a token, without the line's end that a token file may have (as kubectl strips it)."""
    token = api.configuration.get_api_key_with_prefix("BearerToken", "authorization")
    return {"Authorization": token.strip()} if token else {}


def _cause(error: BaseException) -> str:
    """What went wrong at the bottom, in the system's words.

    urllib3 wraps it in several layers, whose words repeat the whole URL: a path can be a secret.
    """
    for each in reversed(list(_layers(error))):
        if isinstance(each, ssl.SSLError):
            return str(each)
        if isinstance(each, OSError) and each.strerror:
            return each.strerror.lower()
        if isinstance(each, urllib3.exceptions.TimeoutError | TimeoutError):
            return "timed out"
    return str(error) if isinstance(error, msgspec.DecodeError) else type(error).__name__


def _layers(error: BaseException) -> Iterator[BaseException]:
    """The error with all that it was made of, outermost first."""
    yield error
    inner = (getattr(error, "reason", None), *error.args, error.__cause__)
    for each in inner:
        if isinstance(each, BaseException) and each is not error:
            yield from _layers(each)


# What the client raises on a kubeconfig that is none: it takes the shape of the YAML for granted.
_UNREADABLE = (ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, KeyError, AttributeError)


def _existing(path: str) -> str | None:
    expanded = Path(path).expanduser()
    return str(expanded) if expanded.exists() else None


def _no_credentials(path: str | None, context: str | None, error: Exception) -> str:
    if path is None:
        return f"no credentials for a cluster: no kubeconfig was found, nor is this a pod ({error})"
    names, current = contexts(path)
    if context is not None and names and context not in names:
        return f"there is no context {context} in {path}, which has: {', '.join(names)}"
    if context is None and names and not current:
        return f"{path} has no current context: name one of {', '.join(names)} (--context)"
    where = f"context {context} of {path}" if context else path
    return f"kubeconfig {where} cannot be used: {error}"


def contexts(kubeconfig: str | None = None) -> tuple[tuple[str, ...], str]:
    """The contexts of the kubeconfig that `Cluster.connect` reads, with its current one.

    Nothing and "" where there is no such file (a pod's own credentials), or none that can be read.
    """
    path = kubeconfig or os.environ.get("KUBECONFIG") or _existing(KUBE_CONFIG_DEFAULT_LOCATION)
    if path is None:
        return (), ""
    try:
        # Several files may be named, as for kubectl.
        merged = KubeConfigMerger(path).config.value  # type: ignore[no-untyped-call] # partly typed client
        names = tuple(str(each["name"]) for each in merged.get("contexts") or [])
    except _UNREADABLE:
        return (), ""
    return names, str(merged.get("current-context") or "")


def _selectors(labels: str, fields: str) -> list[tuple[str, str]]:
    return [(key, value) for key, value in (("labelSelector", labels), ("fieldSelector", fields)) if value]


def _access(verb: str, kind: str, namespace: str) -> Access:
    return Access(verb, KINDS[kind].group, kind, namespace)


def _message(response: urllib3.BaseHTTPResponse) -> str:
    """The words of a Kubernetes Status; whatever a proxy in between wrote, else."""
    body = response.data
    try:
        return str(msgspec.json.decode(body)["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return body[:200].decode(errors="replace").strip() or str(response.reason)


_ERRORS: dict[int, type[ClusterError]] = {
    400: InvalidError,
    401: CredentialError,
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
    415: InvalidError,
    422: InvalidError,
}


def _error(code: int, message: str, access: Access) -> ClusterError:
    if code == 403:
        return ForbiddenError(access, message)
    return _ERRORS.get(code, UnreachableError)(f"{access.verb} {access.resource}: {code} {message}")
