"""Services: their addresses, and which pods a new connection may go to."""

from datetime import UTC, datetime, timedelta

import pytest

from midstream.rehearsal.exposure import Exposure
from midstream.rehearsal.network import Network
from midstream.rehearsal.proxy import Cut, Route, Routes
from midstream.rehearsal.services import SYNC_PERIOD, ServiceController, endpoints_of
from midstream.rehearsal.store import Object, Store

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
READY = {"ready": True, "serving": True, "terminating": False}
STARTING = {"ready": False, "serving": False, "terminating": False}
DRAINING = {"ready": False, "serving": True, "terminating": True}
STUCK = {"ready": False, "serving": False, "terminating": True}


def service(name: str = "s", **spec: object) -> Object:
    metadata = {"name": name, "namespace": "ns"}
    return {"metadata": metadata, "spec": {"ports": [{"name": "http", "port": 80}], **spec}}


def slice_of(name: str, *endpoints: Object, port: int = 8000) -> Object:
    return {
        "metadata": {
            "name": f"{name}-x",
            "namespace": "ns",
            "labels": {"kubernetes.io/service-name": name},
        },
        "ports": [{"name": "http", "port": port}],
        "endpoints": [
            {"addresses": [f"127.1.1.{number}"], "conditions": conditions}
            for number, conditions in enumerate(endpoints)
        ],
    }


@pytest.mark.parametrize(
    ("conditions", "chosen"),
    [
        pytest.param([], [], id="no endpoints"),
        pytest.param([READY, READY], [0, 1], id="all ready"),
        pytest.param([READY, STARTING, DRAINING], [0], id="ready ones alone"),
        pytest.param(
            [STARTING, DRAINING, STUCK], [1], id="the terminating one that serves, when none is ready"
        ),
        pytest.param([STARTING, STUCK], [], id="none that serves"),
    ],
)
def test_a_new_connection_goes_to(conditions, chosen) -> None:
    slices = [slice_of("s", *conditions), slice_of("other", READY, port=9)]
    assert endpoints_of(service(), "http", slices) == tuple((f"127.1.1.{n}", 8000) for n in chosen)


class Controlled:
    def __init__(
        self,
        addresses: tuple[str, ...] = ("127.1.1.2", "127.1.1.3"),
        exposure: Exposure | None = None,
        networks: tuple[Network, ...] = (),
    ) -> None:
        self.store, self.sent, self.at = Store(), list[Routes](), NOON
        self.controller = ServiceController(
            self.store,
            addresses=addresses,
            send=self.sent.append,
            now=lambda: self.at,
            exposure=exposure,
            networks=networks,
        )

    def spec(self, name: str) -> Object:
        found = self.store.get("services", "ns", name)
        assert found
        return found


def test_services_get_addresses_that_clients_of_a_load_balancer_reach() -> None:
    here = Controlled()
    here.store.create("services", service("a", type="LoadBalancer"))
    here.store.create("services", service("b"))
    here.controller.sync()
    assert here.spec("a")["spec"]["clusterIP"] == "127.1.1.2"
    assert here.spec("a")["status"] == {"loadBalancer": {"ingress": [{"ip": "127.1.1.2"}]}}
    assert here.spec("b")["spec"]["clusterIP"] == "127.1.1.3"
    assert here.spec("b")["status"] == {}


def test_an_address_is_kept_for_life_and_given_again_after_it() -> None:
    here = Controlled(("127.1.1.2",))
    here.store.create("services", service("a"))
    here.controller.sync()
    here.store.create("services", service("b"))
    here.controller.sync()
    assert "clusterIP" not in here.spec("b")["spec"]
    here.store.delete("services", "ns", "a")
    here.controller.sync()
    assert here.spec("b")["spec"]["clusterIP"] == "127.1.1.2"


def test_routes_are_sent_when_they_change_and_no_faster_than_kube_proxy() -> None:
    here = Controlled()
    here.store.create("services", service())
    assert here.controller.sync() is None
    assert here.controller.sync() is None
    assert here.sent == [{"ns/s:http": Route(("127.1.1.2", 80), ())}]
    here.store.create("endpointslices", slice_of("s", READY))
    here.at = NOON + timedelta(milliseconds=200)
    assert here.controller.sync() == NOON + SYNC_PERIOD
    here.at = NOON + SYNC_PERIOD
    assert here.controller.sync() is None
    assert here.sent[1:] == [{"ns/s:http": Route(("127.1.1.2", 80), (("127.1.1.0", 8000),))}]


@pytest.mark.parametrize(
    ("advertise", "told", "cluster_ip"),
    [
        pytest.param("192.0.2.9", {"ip": "192.0.2.9"}, "192.0.2.9", id="an address"),
        pytest.param("host.internal", {"hostname": "host.internal"}, "127.0.0.1", id="a name"),
    ],
)
def test_exposed_services_tell_one_address_and_listen_on_another(advertise, told, cluster_ip) -> None:
    cluster = Controlled(exposure=Exposure("0.0.0.0", advertise, 9000))
    for number, name in enumerate(("a", "b")):
        ports = [{"name": "http", "port": 9000 + number}]
        cluster.store.create("services", service(name, type="LoadBalancer", ports=ports))
        cluster.store.create("endpointslices", slice_of(name, READY))
    cluster.controller.sync()
    for found in cluster.store.list("services")[0]:
        assert found["status"]["loadBalancer"]["ingress"] == [told]
        assert found["spec"]["clusterIP"] == cluster_ip
    (routes,) = cluster.sent
    assert [route.listen for route in routes.values()] == [("0.0.0.0", 9000), ("0.0.0.0", 9001)]


def test_a_late_data_plane_gets_its_table_when_it_is_due() -> None:
    here = Controlled(networks=(Network(service="s", late_s=5),))
    here.store.create("services", service())
    here.store.create("endpointslices", slice_of("s", READY))
    assert here.controller.sync() is None
    ready = here.sent[-1]["ns/s:http"].endpoints
    here.at = NOON + timedelta(seconds=10)
    found = here.store.list("endpointslices")[0][0]
    here.store.replace("endpointslices", {**found, "endpoints": []})
    due = NOON + timedelta(seconds=15)
    assert here.controller.sync() == due
    assert [table["ns/s:http"].endpoints for table in here.sent] == [ready]
    here.at = due
    assert here.controller.sync() is None
    assert here.sent[-1]["ns/s:http"].endpoints == ()


def test_a_data_plane_that_changes_is_told_at_once() -> None:
    here = Controlled()
    here.store.create("services", service())
    here.controller.sync()
    here.controller.change(Network(service="s", max_age_s=8))
    assert [table["ns/s:http"].cut for table in here.sent] == [Cut(), Cut(max_age_s=8)]
    here.controller.sync()
    assert len(here.sent) == 2
