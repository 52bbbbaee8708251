"""What is wrong with the way from a Service to its pods, as data."""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from midstream.rehearsal.proxy import Address, Cut, Route, Routes

Seconds: TypeAlias = Annotated[float, Meta(ge=0)]


class Network(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the data plane treats one Service."""

    service: str  # its name
    # From a change of the endpoints until new connections follow it; .inf: they never do.
    late_s: Seconds = 0.0
    # Established connections to an endpoint that the Service no longer has are reset.
    cut_at_switch: bool = False
    # A connection opened from now on is closed when it is so old, as by a proxy's timeout.
    max_age_s: Annotated[float, Meta(gt=0)] | None = None


def cut_routes(routes: Routes, networks: Iterable[Network]) -> Routes:
    """The routes with what the data plane does to their connections; of two ages the later one counts."""
    for network in networks:
        routes = {
            name: route._replace(cut=_cut(route.cut, network))
            if service_of(name) == network.service
            else route
            for name, route in routes.items()
        }
    return routes


def _cut(known: Cut, network: Network) -> Cut:
    age_s = known.max_age_s if network.max_age_s is None else network.max_age_s
    return Cut(known.moved or network.cut_at_switch, age_s)


class Lag:
    """Which endpoints a data plane that is late sends new connections to."""

    def __init__(self) -> None:
        self._current: dict[str, tuple[Address, ...]] = {}
        self._coming: dict[str, list[tuple[datetime, tuple[Address, ...]]]] = {}

    def seen(self, routes: Routes, late_s: Mapping[str, float], now: datetime) -> Routes:
        """The routes as they are by now; a Service's first endpoints are never late."""
        return {name: self._route(name, route, late_s[name], now) for name, route in routes.items()}

    def due(self) -> datetime | None:
        """When time alone changes a route."""
        return min((due for coming in self._coming.values() for due, _ in coming), default=None)

    def _route(self, name: str, route: Route, late_s: float, now: datetime) -> Route:
        coming = self._coming.setdefault(name, [])
        while coming and coming[0][0] <= now:
            self._current[name] = coming.pop(0)[1]
        if not late_s or not (coming or self._current.get(name)):
            coming.clear()
            self._current[name] = route.endpoints
        elif math.isfinite(late_s) and route.endpoints != (coming[-1][1] if coming else self._current[name]):
            coming.append((now + timedelta(seconds=late_s), route.endpoints))
        return route._replace(endpoints=self._current[name])


def late_by(networks: Iterable[Network], routes: Routes) -> dict[str, float]:
    """How late each route is, by its name; of two the longer counts."""
    late_s = dict.fromkeys(routes, 0.0)
    for network in networks:
        for name in routes:
            if service_of(name) == network.service:
                late_s[name] = max(late_s[name], network.late_s)
    return late_s


def service_of(route_name: str) -> str:
    """The Service's name in "NAMESPACE/NAME:PORT"."""
    return route_name.partition("/")[2].rpartition(":")[0]
