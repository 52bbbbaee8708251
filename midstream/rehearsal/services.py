"""Gives Services their addresses, and tells the proxy where each of them leads."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from midstream.rehearsal.container import PROJECT
from midstream.rehearsal.endpoints import SERVICE_LABEL
from midstream.rehearsal.exposure import Exposure
from midstream.rehearsal.loop import keep_reconciling
from midstream.rehearsal.network import Lag, Network, cut_routes, late_by
from midstream.rehearsal.processes import Reaper
from midstream.rehearsal.proxy import Address, Route, Routes, encode
from midstream.rehearsal.store import Object, Store
from midstream.rehearsal.timestamps import utc_now

# kube-proxy's minSyncPeriod: changes closer together than this reach the data plane together. On a real
# cluster new connections met the old pod for 0.17-1.1 s after the switch (facts 4).
SYNC_PERIOD = timedelta(seconds=1)

logger = logging.getLogger(__name__)


class ServiceController:
    """Keeps addresses and routes of all Services in the store true; `send` gets each new table.

    Each Service has one of `addresses`, or all are reached as `exposure` says.
    """

    def __init__(
        self,
        store: Store,
        *,
        addresses: Sequence[str],
        send: Callable[[Routes], None],
        networks: Iterable[Network] = (),
        now: Callable[[], datetime] = utc_now,
        exposure: Exposure | None = None,
    ) -> None:
        self._store = store
        self._exposure = exposure
        self._addresses = addresses
        self._send = send
        self._networks = list(networks)
        self._lag = Lag()
        self._now = now
        self._owners: dict[str, str] = {}  # Service uid -> address
        self._sent: Routes = {}
        self._sent_at: datetime | None = None

    async def run(self) -> None:
        """Reconcile until cancelled."""
        await keep_reconciling(self._store, ("services", "endpointslices"), self.sync, self._now)

    def change(self, network: Network) -> None:
        """Let the data plane behave so from now on."""
        self._networks.append(network)
        self._sent = cut_routes(self._sent, self._networks)
        self._send(self._sent)

    def sync(self) -> datetime | None:
        """One pass; returns when changes that came too soon after the last table, or are late, are due."""
        self._assign()
        known = routes_of(self._store.list("services")[0], self._store.list("endpointslices")[0])
        routes = self._lag.seen(known, late_by(self._networks, known), self._now())
        routes = cut_routes(routes, self._networks)
        if self._exposure:
            routes = listening_on(self._exposure.bind, routes)
        if routes == self._sent:
            return self._lag.due()
        if self._sent_at and self._now() < self._sent_at + SYNC_PERIOD:
            return self._sent_at + SYNC_PERIOD
        self._send(routes)
        self._sent, self._sent_at = routes, self._now()
        return self._lag.due()

    def _assign(self) -> None:
        services = self._store.list("services")[0]
        if self._exposure:
            for service in services:
                self._write(service, self._exposure.address, self._exposure.ingress)
            return
        living = {service["metadata"]["uid"] for service in services}
        self._owners = {uid: address for uid, address in self._owners.items() if uid in living}
        for service in services:
            uid = service["metadata"]["uid"]
            if uid not in self._owners:
                free = [address for address in self._addresses if address not in self._owners.values()]
                if not free:
                    logger.error("Service %s: no address is left", service["metadata"]["name"])
                    continue
                self._owners[uid] = free[0]
            self._write(service, self._owners[uid], {"ip": self._owners[uid]})

    def _write(self, service: Object, address: str, ingress: Object) -> None:
        """Its clusterIP, which a LoadBalancer's clients reach it by as well: all is on one machine."""

        def set_address(obj: Object) -> None:
            obj["spec"].update(clusterIP=address, clusterIPs=[address])

        def set_ingress(obj: Object) -> None:
            obj["status"] = {**obj.get("status", {}), "loadBalancer": {"ingress": [ingress]}}

        place = service["metadata"]["namespace"], service["metadata"]["name"]
        self._store.edit("services", *place, set_address)
        if service["spec"].get("type") == "LoadBalancer":
            self._store.edit("services", *place, set_ingress, status=True)


def routes_of(services: Sequence[Object], slices: Sequence[Object]) -> Routes:
    """Where each port of each Service leads; pure."""
    return {
        f"{service['metadata']['namespace']}/{service['metadata']['name']}:{port.get('name', '')}": Route(
            (service["spec"]["clusterIP"], port["port"]), endpoints_of(service, port.get("name", ""), slices)
        )
        for service in services
        if service["spec"].get("clusterIP")
        for port in service["spec"].get("ports", ())
    }


def listening_on(address: str, routes: Routes) -> Routes:
    """The same routes on one address; pure."""
    return {name: route._replace(listen=(address, route.listen[1])) for name, route in routes.items()}


def endpoints_of(service: Object, port_name: str, slices: Sequence[Object]) -> tuple[Address, ...]:
    """The ready endpoints of a port; without any, those that are terminating but still serve.

    That is kube-proxy's choice (KEP-1669, ProxyTerminatingEndpoints).
    """
    known = list(_endpoints(service, port_name, slices))
    ready = [address for address, conditions in known if conditions.get("ready")]
    last_resort = [
        address
        for address, conditions in known
        if conditions.get("serving") and conditions.get("terminating")
    ]
    return tuple(sorted(ready or last_resort))


def _endpoints(service: Object, port_name: str, slices: Sequence[Object]) -> Iterator[tuple[Address, Object]]:
    metadata = service["metadata"]
    for found in slices:
        labels = found["metadata"].get("labels", {})
        if (found["metadata"]["namespace"], labels.get(SERVICE_LABEL)) != (
            metadata["namespace"],
            metadata["name"],
        ):
            continue
        for port in found.get("ports") or ():
            if port.get("name", "") == port_name:
                for endpoint in found.get("endpoints") or ():
                    yield (endpoint["addresses"][0], port["port"]), endpoint["conditions"]


class ProxyEndedError(Exception):
    """The proxy's process ended by itself."""


class ProxyProcess:
    """The proxy as a child; it ends when this process does, by the pipe that brings it its tables."""

    def __init__(self, reaper: Reaper) -> None:
        readable, self._pipe = os.pipe()
        try:
            self._process = reaper.start(
                [sys.executable, "-m", "midstream.rehearsal.proxy"],
                env={**os.environ, "PYTHONPATH": str(PROJECT)},
                cwd="/",
                on_output=lambda said: logger.warning("proxy: %s", said.decode(errors="replace").rstrip()),
                stdin=readable,
            )
        finally:
            os.close(readable)

    def send(self, routes: Routes) -> None:
        """Hand over a table."""
        os.write(self._pipe, encode(routes))

    async def run(self) -> None:
        """Wait for its end, which is always a failure. Raises ProxyEndedError."""
        code = await asyncio.shield(self._process.ended)
        raise ProxyEndedError(f"the proxy ended by itself with exit code {code}")
