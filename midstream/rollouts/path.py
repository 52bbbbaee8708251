"""How a Service is reached from where we are, with what that way does not prove."""

import socket
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from midstream.rollouts.client import Cluster, ForbiddenError, NotFoundError

Object: TypeAlias = dict[str, Any]
Reach: TypeAlias = Callable[[str, int], bool]

REACH_S = 1.0


class ServicePath(NamedTuple):
    """A way that streams can go."""

    url: str
    words: str  # "LoadBalancer 127.20.1.2:80 of Service vllm-stable"
    proves_not: str  # what in front of the Service stays untested


class NoPathError(Exception):
    """The Service cannot be reached from here; the text says what to give instead."""

    def __init__(self, seen: str, mend: str = "") -> None:
        super().__init__(f"{seen}: {mend}" if mend else seen)
        self.seen = seen  # without what to give, which differs from command to command


def can_connect(host: str, port: int) -> bool:
    """Whether a TCP connection is taken within REACH_S."""
    try:
        socket.create_connection((host, port), REACH_S).close()
    except OSError:
        return False
    return True


def find_path(cluster: Cluster, namespace: str, service: str, *, reach: Reach = can_connect) -> ServicePath:
    """The first way that takes a connection: in-cluster name, LoadBalancer, NodePort.

    Raises `NoPathError`, and `ClusterError` from the API server.
    """
    found = cluster.get("services", namespace, service)
    if found is None:
        raise NoPathError(f"there is no Service {service} in namespace {namespace}")
    tried = []
    for path in _candidates(cluster, found):
        split = urlsplit(path.url)
        if reach(split.hostname or "", split.port or 0):
            return path
        tried.append(path.words)
    seen = f"none of these takes a connection: {'; '.join(tried)}" if tried else _no_address(found)
    raise NoPathError(f"Service {service} cannot be reached from here ({seen})", "give its URL with --host")


def _no_address(service: Object) -> str:
    kind = service["spec"].get("type") or "ClusterIP"
    return f"it is of type {kind} and has no outside address"


def _candidates(cluster: Cluster, service: Object) -> Iterator[ServicePath]:
    if cluster.in_cluster:
        yield _in_cluster(service)
    yield from _load_balancers(service)
    yield from _node_ports(cluster, service)


def _in_cluster(service: Object) -> ServicePath:
    metadata, port = service["metadata"], http_port(service)
    host = f"{metadata['name']}.{metadata['namespace']}.svc"
    return ServicePath(
        _url(host, port["port"], port),
        f"name {host}:{port['port']} of Service {metadata['name']} inside the cluster",
        "whatever stands in front of the Service (load balancer, ingress, gateway) was not tested",
    )


def _load_balancers(service: Object) -> Iterator[ServicePath]:
    port, name = http_port(service), service["metadata"]["name"]
    for ingress in (service.get("status", {}).get("loadBalancer") or {}).get("ingress") or []:
        host = ingress.get("hostname") or ingress["ip"]
        yield ServicePath(
            _url(host, port["port"], port),
            f"LoadBalancer {host}:{port['port']} of Service {name}",
            "an ingress or gateway in front of the Service was not tested",
        )


def _node_ports(cluster: Cluster, service: Object) -> Iterator[ServicePath]:
    port, name = http_port(service), service["metadata"]["name"]
    if "nodePort" not in port:
        return
    for host in _node_addresses(cluster):
        yield ServicePath(
            _url(host, port["nodePort"], port),
            f"NodePort {host}:{port['nodePort']} of Service {name}",
            "your load balancer, ingress or gateway was not tested",
        )


def _node_addresses(cluster: Cluster) -> list[str]:
    """Outside addresses first; last the API server's own, which on a small cluster is a node."""
    try:
        nodes = cluster.list("nodes", "").items
    except (ForbiddenError, NotFoundError):
        nodes = []
    addresses = [entry for node in nodes for entry in node.get("status", {}).get("addresses") or []]
    ranked = [
        entry["address"]
        for kind in ("ExternalIP", "InternalIP")
        for entry in addresses
        if entry["type"] == kind
    ]
    return list(dict.fromkeys([*ranked, urlsplit(cluster.server).hostname or ""]))


def http_port(service: Object) -> Object:
    """The port named for HTTP, else the first."""
    ports: list[Object] = service["spec"]["ports"]
    return next((port for port in ports if str(port.get("name", "")).startswith("http")), ports[0])


def _url(host: str, number: int, port: Object) -> str:
    secure = port.get("appProtocol") == "https" or port.get("name") == "https" or port["port"] == 443
    bracketed = f"[{host}]" if ":" in host else host
    return f"{'https' if secure else 'http'}://{bracketed}:{number}"
