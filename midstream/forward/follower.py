"""The EndpointSlices of one Service, as they are now."""

import time
from collections.abc import Callable
from typing import Any, TypeAlias

from midstream.rollouts.client import Cluster, ClusterError, GoneError, Watch, WatchEvent

Object: TypeAlias = dict[str, Any]
OnSlices: TypeAlias = Callable[[tuple[Object, ...]], None]
KIND = "endpointslices"
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0


class Follower:
    """Lists, then watches; `on_slices` gets all slices after each change, in the thread of `run`."""

    def __init__(self, cluster: Cluster, namespace: str, service: str, on_slices: OnSlices) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._labels = f"kubernetes.io/service-name={service}"
        self._on_slices = on_slices
        self._slices: dict[str, Object] = {}

    def list(self) -> str:
        """Read them all; the version to watch from. Raises `ClusterError`."""
        listing = self._cluster.list(KIND, self._namespace, labels=self._labels)
        self._slices = {each["metadata"]["name"]: each for each in listing.items}
        self._tell()
        return listing.resource_version

    def run(self, version: str | None) -> None:
        """Follow for ever; a failure is outlived, since what was seen last may still be true."""
        pause_s = FIRST_PAUSE_S
        while True:
            began_s = time.monotonic()
            try:
                version = version or self.list()
                for event in self._watch(version):
                    version = event.object["metadata"]["resourceVersion"]
                    self._take(event)
                    pause_s = FIRST_PAUSE_S
            except GoneError:
                version = None
            except ClusterError:
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                time.sleep(max(0.0, FIRST_PAUSE_S - (time.monotonic() - began_s)))

    def _watch(self, version: str) -> Watch:
        return self._cluster.watch(KIND, self._namespace, version, labels=self._labels)

    def _take(self, event: WatchEvent) -> None:
        name = event.object["metadata"].get("name")
        match event.type:
            case "ADDED" | "MODIFIED":
                self._slices[name] = event.object
            case "DELETED":
                self._slices.pop(name, None)
            case _:
                return
        self._tell()

    def _tell(self) -> None:
        self._on_slices(tuple(self._slices.values()))
