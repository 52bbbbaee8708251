"""One address of this machine that offers a rehearsal to others, such as containers: API and Services."""

import errno
import re
import socket
from ipaddress import IPv4Address
from typing import NamedTuple

ANY = "0.0.0.0"
# Of the active Service when none is wished; the preview Service and the API follow.
FIRST_PORTS = (8000, 8100, 8200, 8300)
COUNT = 3
LAST_PORT = 65_535 - COUNT + 1
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


class ExposureError(Exception):
    """It cannot be listened there; one sentence that says what to type."""


class Exposure(NamedTuple):
    """Where API and Services listen, and where clients are told to find them."""

    bind: str  # an IPv4 address; 0.0.0.0: all of them
    advertise: str  # an address or a name
    port: int  # of the active Service

    @property
    def preview_port(self) -> int:
        """Of the preview Service."""
        return self.port + 1

    @property
    def api_port(self) -> int:
        """Of the API server."""
        return self.port + 2

    @property
    def ports(self) -> tuple[int, int, int]:
        """All that it takes on `bind`."""
        return self.port, self.preview_port, self.api_port

    @property
    def address(self) -> str:
        """What a Service can have as its clusterIP, which no name can be."""
        if is_address(self.advertise):
            return self.advertise
        return self.local

    @property
    def ingress(self) -> dict[str, str]:
        """The entry of a LoadBalancer's status."""
        return {"ip" if is_address(self.advertise) else "hostname": self.advertise}

    @property
    def local(self) -> str:
        """Where this machine itself reaches what listens on `bind`."""
        return "127.0.0.1" if self.bind == ANY else self.bind


def expose(bind: str, advertise: str | None = None, port: int | None = None) -> Exposure:
    """Settle the address and three ports in a row that are free on it. Raises ExposureError."""
    if not is_address(bind):
        raise ExposureError(f"--bind {bind}: type an IPv4 address of this machine, or {ANY} for all")
    if advertise is not None and not HOST.fullmatch(advertise):
        raise ExposureError(f"--advertise {advertise!r}: type an IPv4 address or a name, and nothing else")
    if port is not None and not 1 <= port <= LAST_PORT:
        raise ExposureError(f"--port {port}: type a number from 1 to {LAST_PORT}")
    if advertise is None and bind == ANY:
        raise ExposureError(f"--bind {ANY}: add --advertise ADDRESS, the one that clients shall use")
    if port is not None:
        taken = _first_taken(bind, port)
        if taken is not None:
            raise ExposureError(
                f"port {taken} on {bind} is in use: choose another --port N (N, N+1 and N+2 must be free)"
            )
        return Exposure(bind, advertise or bind, port)
    for first in FIRST_PORTS:
        if _first_taken(bind, first) is None:
            return Exposure(bind, advertise or bind, first)
    tried = ", ".join(f"{first}-{first + COUNT - 1}" for first in FIRST_PORTS)
    raise ExposureError(f"none of the ports {tried} are all free on {bind}: choose three with --port N")


def is_address(text: str) -> bool:
    """Whether it is an IPv4 address."""
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


def _first_taken(bind: str, first: int) -> int | None:
    """The first of the three ports that cannot be had. Raises ExposureError where none could be."""
    for port in range(first, first + COUNT):
        try:
            with socket.create_server((bind, port)):
                pass
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return port
            raise ExposureError(_why(bind, port, error)) from None
    return None


def _why(bind: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            f"--bind {bind}: no interface of this machine has this address; `ip -4 addr` lists them, {ANY} "
            "is all of them (with --advertise for the one that clients shall use)"
        )
    if error.errno == errno.EACCES:
        return f"port {port} needs more rights than you have: choose one from 1024 on with --port N"
    return f"cannot listen on {bind}:{port}: {error.strerror}"
