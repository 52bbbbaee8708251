"""Services become EndpointSlices: which addresses a selector means at this moment, which are ready."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeAlias

from midstream.rehearsal.loop import keep_reconciling
from midstream.rehearsal.selectors import matches_labels
from midstream.rehearsal.store import Object, Store
from midstream.rehearsal.templates import Owner, owner_reference
from midstream.rehearsal.timestamps import utc_now
from midstream.rehearsal.workloads import ENDED, is_ready

SERVICE_LABEL = "kubernetes.io/service-name"
MANAGER = {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}

Ports: TypeAlias = tuple[tuple[str, int, str], ...]  # name, number on the pod, protocol


def slices_of(service: Object, pods: Sequence[Object]) -> list[Object]:
    """The content of a Service's slices: ports and endpoints, one slice for each set of pod ports; pure.

    A Service without selected pods has one slice without endpoints. Pods being deleted stay listed as
    terminating but are not ready; ended ones and those without address are not listed
    (kube-controller-manager, endpointslice/utils.go).
    """
    selector = service["spec"].get("selector")
    if not selector:
        return []
    groups: dict[Ports, list[Object]] = {}
    for pod in pods:
        status = pod["status"]
        chosen = matches_labels(pod["metadata"].get("labels"), selector)
        if chosen and status.get("podIP") and status.get("phase") not in ENDED:
            groups.setdefault(_ports_on(service, pod), []).append(_endpoint(service, pod))
    return [
        {
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": [{"name": name, "port": port, "protocol": protocol} for name, port, protocol in ports],
        }
        for ports, endpoints in sorted(groups.items()) or [((), [])]
    ]


def _ports_on(service: Object, pod: Object) -> Ports:
    found = ((port, _target(port, pod)) for port in service["spec"].get("ports", ()))
    return tuple(
        (port.get("name", ""), number, port.get("protocol", "TCP"))
        for port, number in found
        if number is not None
    )


def _target(port: Object, pod: Object) -> int | None:
    """The pod's port: by number, or by the name that one of its containers gives it."""
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target
    for container in pod["spec"].get("containers", ()):
        for offered in container.get("ports", ()):
            if offered.get("name") == target:
                return int(offered["containerPort"])
    return None


def _endpoint(service: Object, pod: Object) -> Object:
    metadata, terminating = pod["metadata"], "deletionTimestamp" in pod["metadata"]
    serving = is_ready(pod)
    always = bool(service["spec"].get("publishNotReadyAddresses"))
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {
            "ready": always or (serving and not terminating),
            "serving": serving,
            "terminating": terminating,
        },
        "targetRef": {
            "kind": "Pod",
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
    }


class EndpointController:
    """Keeps the slices of every Service in the store true."""

    def __init__(self, store: Store, *, now: Callable[[], datetime] = utc_now) -> None:
        self._store = store
        self._now = now

    async def run(self) -> None:
        """Reconcile until cancelled."""
        watched = ("services", "pods", "endpointslices")
        await keep_reconciling(self._store, watched, self.sync, self._now)

    def sync(self) -> None:
        """One pass for each Service."""
        for service in self._store.list("services")[0]:
            namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
            pods, _ = self._store.list("pods", namespace)
            known = [
                found
                for found in self._store.list("endpointslices", namespace)[0]
                if found["metadata"].get("labels", {}).get(SERVICE_LABEL) == name
            ]
            self._write(service, known, slices_of(service, pods))

    def _write(self, service: Object, known: Sequence[Object], wanted: Sequence[Object]) -> None:
        namespace = service["metadata"]["namespace"]
        for found, content in zip(known, wanted, strict=False):
            self._store.replace("endpointslices", {**found, **content})
        for content in wanted[len(known) :]:
            self._store.create("endpointslices", {"metadata": _slice_metadata(service), **content})
        for surplus in known[len(wanted) :]:
            self._store.delete("endpointslices", namespace, surplus["metadata"]["name"])


def _slice_metadata(service: Object) -> Object:
    metadata = service["metadata"]
    return {
        "generateName": f"{metadata['name']}-",
        "namespace": metadata["namespace"],
        "labels": {SERVICE_LABEL: metadata["name"], **MANAGER},
        "ownerReferences": [owner_reference(Owner("services", metadata["name"], metadata["uid"]))],
    }
