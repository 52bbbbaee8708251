"""The pods behind a Service's port, as its EndpointSlices tell."""

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias

Object: TypeAlias = dict[str, Any]


class Endpoint(NamedTuple):
    """A place to connect to."""

    pod: str
    port: int


def ready_endpoints(slices: Iterable[Object], port_name: str) -> tuple[Endpoint, ...]:
    """The ready pods with the number of the named port ("" is the only one's name), in order.

    A slice holds numbers: a targetPort by name is resolved there, per pod, by the control plane, and a pod
    without such a port is in no slice that has it (discovery.k8s.io/v1). A missing `ready` means ready.
    """
    found = {
        Endpoint(entry["targetRef"]["name"], port["port"])
        for each in slices
        for port in each.get("ports") or []
        if (port.get("name") or "") == port_name and port.get("port")
        for entry in each.get("endpoints") or []
        if (entry.get("conditions") or {}).get("ready") is not False
        and (entry.get("targetRef") or {}).get("kind") == "Pod"
    }
    return tuple(sorted(found))


def without_port(slices: Iterable[Object], port_name: str) -> tuple[str, ...]:
    """The ready pods that have not that port, in order."""
    everything = list(slices)
    with_it = {each.pod for each in ready_endpoints(everything, port_name)}
    pods = {
        entry["targetRef"]["name"]
        for each in everything
        for entry in each.get("endpoints") or []
        if (entry.get("conditions") or {}).get("ready") is not False and entry.get("targetRef")
    }
    return tuple(sorted(pods - with_it))
