"""An address for others: what can be listened on, and what to type where it cannot."""

import socket
from collections.abc import Iterator

import pytest

from midstream.rehearsal.exposure import Exposure, ExposureError, expose

HERE = "127.99.0.1"  # all of 127.0.0.0/8 is ours


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of HERE that is in use, the second of three."""
    with socket.create_server((HERE, 0)) as server:
        yield server.getsockname()[1]


def test_three_ports_in_a_row() -> None:
    exposure = expose(HERE)
    assert exposure.advertise == HERE
    assert exposure.ports == (exposure.port, exposure.port + 1, exposure.port + 2)
    for port in exposure.ports:
        socket.create_server((HERE, port)).close()


def test_without_a_wish_the_next_ports_are_tried() -> None:
    with socket.create_server((HERE, 8002)):
        assert expose(HERE).port > 8002


@pytest.mark.parametrize(
    ("bind", "advertise", "address", "ingress", "local"),
    [
        pytest.param(HERE, None, HERE, {"ip": HERE}, HERE, id="one address"),
        pytest.param(HERE, "192.0.2.9", "192.0.2.9", {"ip": "192.0.2.9"}, HERE, id="behind another"),
        pytest.param(
            "0.0.0.0", "192.0.2.9", "192.0.2.9", {"ip": "192.0.2.9"}, "127.0.0.1", id="all addresses"
        ),
        pytest.param(HERE, "host.internal", HERE, {"hostname": "host.internal"}, HERE, id="a name"),
        pytest.param(
            "0.0.0.0", "host", "127.0.0.1", {"hostname": "host"}, "127.0.0.1", id="a name for all of them"
        ),
    ],
)
def test_what_is_told_and_where_it_is_reached_from_here(bind, advertise, address, ingress, local) -> None:
    exposure = Exposure(bind, advertise or bind, 8000)
    assert (exposure.address, exposure.ingress, exposure.local) == (address, ingress, local)


@pytest.mark.parametrize(
    ("bind", "advertise", "port", "said"),
    [
        pytest.param("0.0.0.0", None, None, "add --advertise ADDRESS", id="all without one to tell"),
        pytest.param("localhost", None, None, "type an IPv4 address", id="a name to listen on"),
        pytest.param("::1", None, None, "type an IPv4 address", id="IPv6"),
        pytest.param("198.51.100.7", None, None, "ip -4 addr", id="an address of another machine"),
        pytest.param(HERE, "http://x", None, "an IPv4 address or a name", id="a URL to tell"),
        pytest.param(HERE, "", None, "an IPv4 address or a name", id="nothing to tell"),
        pytest.param(HERE, None, 65534, "from 1 to 65533", id="too high for three"),
        pytest.param(HERE, None, 0, "from 1 to 65533", id="port zero"),
    ],
)
def test_what_cannot_be_is_one_line_that_says_what_to_type(bind, advertise, port, said) -> None:
    with pytest.raises(ExposureError) as caught:
        expose(bind, advertise, port)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_port_in_use_is_named(taken) -> None:
    with pytest.raises(ExposureError, match=rf"port {taken} on {HERE} is in use: choose another --port N"):
        expose(HERE, port=taken - 1)
