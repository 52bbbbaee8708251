"""The Table in which the API server shows objects to kubectl: its columns, and each object's cells."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

from midstream.rehearsal.store import Object
from midstream.rehearsal.timestamps import parse_time

MEDIA_TYPE = "application/json"
TABLE = {"as": "Table", "v": "v1", "g": "meta.k8s.io"}
API_VERSION = "meta.k8s.io/v1"
NONE = "<none>"

Cells: TypeAlias = list[str | int]


class Columns(NamedTuple):
    """How one kind is shown: its columns after the name, the wide ones last, and their cells."""

    names: tuple[str, ...]
    wide: tuple[str, ...]  # shown with -o wide alone
    cells: Callable[[Object, datetime], Cells]
    integers: frozenset[str] = frozenset()


def wants_table(accept: str) -> bool:
    """Whether the first media type of an Accept header that we can serve is a Table."""
    for offer in accept.split(","):
        media_type, *parameters = (part.strip() for part in offer.split(";"))
        if media_type not in (MEDIA_TYPE, "application/*", "*/*"):
            continue
        named = dict(parameter.partition("=")[::2] for parameter in parameters)
        if "as" not in named:
            return False
        if TABLE.items() <= named.items():
            return True
    return False


def table(plural: str, objects: Iterable[Object], metadata: Object, now: datetime, *, heads: bool) -> Object:
    """The Table of some objects; `heads` False leaves out the columns, as after a watch's first event."""
    columns = COLUMNS.get(plural, PLAIN)
    return {
        "kind": "Table",
        "apiVersion": API_VERSION,
        "metadata": metadata,
        "columnDefinitions": _definitions(columns) if heads else [],
        "rows": [_row(columns, obj, now) for obj in objects],
    }


def _definitions(columns: Columns) -> list[Object]:
    ranked = [("Name", 0), *((name, 0) for name in columns.names), *((name, 1) for name in columns.wide)]
    return [
        {
            "name": name,
            "type": "integer" if name in columns.integers else "string",
            "format": "name" if name == "Name" else "",
            "description": "",
            "priority": priority,
        }
        for name, priority in ranked
    ]


def _row(columns: Columns, obj: Object, now: datetime) -> Object:
    metadata = obj["metadata"]
    shown = {"kind": "PartialObjectMetadata", "apiVersion": API_VERSION, "metadata": metadata}
    return {"cells": [metadata["name"], *columns.cells(obj, now)], "object": shown}


# --- the cells of each kind (kubernetes, pkg/printers; the columns in the CRD of Argo) ----------------------


def _pod(obj: Object, now: datetime) -> Cells:
    status = obj.get("status", {})
    containers: list[Object] = status.get("containerStatuses", [])
    ready = sum(container["ready"] for container in containers)
    return [
        f"{ready}/{len(obj['spec']['containers'])}",
        _pod_status(obj, containers),
        _restarts(containers, now),
        _age(obj, now),
        status.get("podIP", NONE),
        obj["spec"].get("nodeName", NONE),
        NONE,
        NONE,
    ]


def _pod_status(pod: Object, containers: Sequence[Object]) -> str:
    """The first reason that a container gives, else the phase; a pod being deleted is Terminating."""
    if "deletionTimestamp" in pod["metadata"]:
        return "Terminating"
    status = pod.get("status", {})
    for container in containers:
        for state in ("waiting", "terminated"):
            if reason := container["state"].get(state, {}).get("reason"):
                return str(reason)
    return str(status.get("reason") or status.get("phase", ""))


def _restarts(containers: Sequence[Object], now: datetime) -> str:
    count = sum(container["restartCount"] for container in containers)
    ends = [
        parse_time(container["lastState"]["terminated"]["finishedAt"])
        for container in containers
        if container.get("lastState", {}).get("terminated")
    ]
    return f"{count} ({duration(max(ends), now)} ago)" if ends else str(count)


def _service(obj: Object, now: datetime) -> Cells:
    spec = obj["spec"]
    ports = [f"{port['port']}/{port.get('protocol', 'TCP')}" for port in spec.get("ports", ())]
    return [
        spec.get("type", "ClusterIP"),
        spec.get("clusterIP", NONE),
        _external_address(obj),
        ",".join(ports) or NONE,
        _age(obj, now),
        _pairs(spec.get("selector")),
    ]


def _external_address(service: Object) -> str:
    if service["spec"].get("type") != "LoadBalancer":
        return NONE
    known = service.get("status", {}).get("loadBalancer", {}).get("ingress", [])
    return ",".join(entry.get("ip") or entry["hostname"] for entry in known) or "<pending>"


def _replica_set(obj: Object, now: datetime) -> Cells:
    spec, status = obj["spec"], obj.get("status", {})
    containers = spec["template"]["spec"]["containers"]
    return [
        spec.get("replicas", 1),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        _age(obj, now),
        ",".join(container["name"] for container in containers),
        ",".join(container["image"] for container in containers),
        _pairs(spec.get("selector", {}).get("matchLabels")),
    ]


def _rollout(obj: Object, now: datetime) -> Cells:
    fields = ("replicas", "updatedReplicas", "availableReplicas")
    counts = [obj.get("status", {}).get(field, 0) for field in fields]
    return [obj["spec"].get("replicas", 1), *counts, _age(obj, now)]


def _endpoint_slice(obj: Object, now: datetime) -> Cells:
    ports = [str(port["port"]) for port in obj.get("ports") or ()]
    addresses = [address for endpoint in obj.get("endpoints") or () for address in endpoint["addresses"]]
    return [
        obj["addressType"],
        ",".join(ports) or "<unset>",
        ",".join(addresses) or "<unset>",
        _age(obj, now),
    ]


def _lease(obj: Object, now: datetime) -> Cells:
    return [obj.get("spec", {}).get("holderIdentity") or "", _age(obj, now)]


def _plain(obj: Object, now: datetime) -> Cells:
    return [_age(obj, now)]


PLAIN = Columns(("Age",), (), _plain)
COLUMNS: Mapping[str, Columns] = {
    "pods": Columns(
        ("Ready", "Status", "Restarts", "Age"), ("IP", "Node", "Nominated Node", "Readiness Gates"), _pod
    ),
    "services": Columns(("Type", "Cluster-IP", "External-IP", "Port(s)", "Age"), ("Selector",), _service),
    "replicasets": Columns(
        ("Desired", "Current", "Ready", "Age"),
        ("Containers", "Images", "Selector"),
        _replica_set,
        frozenset({"Desired", "Current", "Ready"}),
    ),
    "rollouts": Columns(
        ("Desired", "Current", "Up-to-date", "Available", "Age"),
        (),
        _rollout,
        frozenset({"Desired", "Current", "Up-to-date", "Available"}),
    ),
    "endpointslices": Columns(("AddressType", "Ports", "Endpoints", "Age"), (), _endpoint_slice),
    "leases": Columns(("Holder", "Age"), (), _lease),
}


def _pairs(labels: Mapping[str, Any] | None) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


def _age(obj: Object, now: datetime) -> str:
    created = obj["metadata"].get("creationTimestamp")
    return duration(parse_time(created), now) if created else "<unknown>"


def duration(since: datetime, now: datetime) -> str:
    """How long ago, in the two largest units that matter (apimachinery, duration.HumanDuration)."""
    seconds = max(0, int((now - since).total_seconds()))
    minutes, hours = seconds // 60, seconds // 3600
    if minutes < 2:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m" + (f"{seconds % 60}s" if seconds % 60 else "")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h" + (f"{minutes % 60}m" if minutes % 60 else "")
    return f"{hours}h" if hours < 48 else f"{hours // 24}d"
