"""Which pods of EndpointSlices take a new connection, on which number."""

import pytest

from midstream.forward.endpoints import Endpoint, ready_endpoints, without_port


def entry(pod, ready=True, kind="Pod"):
    conditions = {} if ready is None else {"ready": ready}
    return {"conditions": conditions, "targetRef": {"kind": kind, "name": pod}}


def endpoint_slice(*entries, ports=({"name": "http", "port": 8000},)):
    return {"endpoints": list(entries), "ports": list(ports)}


CASES = {
    "ready alone": ([endpoint_slice(entry("b"), entry("a", ready=False))], [("b", 8000)], []),
    "unsaid is ready": ([endpoint_slice(entry("a", ready=None))], [("a", 8000)], []),
    "no slice": ([], [], []),
    "no endpoints": ([{"endpoints": None, "ports": None}], [], []),
    "not a pod": ([endpoint_slice(entry("node", kind="Node"))], [], ["node"]),
    "the port's name resolved per pod": (
        [
            endpoint_slice(entry("a")),
            endpoint_slice(entry("b"), ports=[{"name": "http", "port": 9000}]),
            endpoint_slice(entry("c"), ports=[{"name": "metrics", "port": 9}]),
        ],
        [("a", 8000), ("b", 9000)],
        ["c"],
    ),
    "twice while slices are rebuilt": (
        [endpoint_slice(entry("a")), endpoint_slice(entry("a"))],
        [("a", 8000)],
        [],
    ),
}


@pytest.mark.parametrize(("slices", "ready", "portless"), CASES.values(), ids=CASES)
def test_endpoints(slices, ready, portless):
    assert ready_endpoints(slices, "http") == tuple(Endpoint(*each) for each in ready)
    assert without_port(slices, "http") == tuple(portless)


def test_the_only_port_needs_no_name():
    slices = [endpoint_slice(entry("a"), ports=[{"port": 80}])]
    assert ready_endpoints(slices, "") == (Endpoint("a", 80),)
