"""The way to a server: which addresses to connect to, which layers to pass behind them."""

import socket
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import gevent
import gevent.socket
from gevent import monkey

from midstream.streams.access import Access, Proxy, address_of
from midstream.streams.reactor.layer import Layer
from midstream.streams.reactor.tls import Tls
from midstream.streams.reactor.tunnel import Tunnel
from midstream.streams.target import Target

Address = tuple[Any, ...]  # an entry of getaddrinfo

_getaddrinfo: Callable[..., list[Any]] = monkey.get_original("socket", "getaddrinfo")


class Route(NamedTuple):
    """Where the connection goes; with a proxy, which server it asks for."""

    host: str
    port: int
    given: tuple[str, ...]  # addresses given by hand for that host
    proxy: Proxy | None
    behind: str  # HOST:PORT that the proxy is asked for

    def addresses(self, limit_s: float) -> list[Address]:
        """What to try, in order; blocks this greenlet while a name resolves. OSError, UnicodeError."""
        given = self.given or ((self.host,) if address_of(self.host) else ())
        if given:
            flags = socket.AI_NUMERICHOST
            return [
                found
                for address in given
                for found in _getaddrinfo(address, self.port, type=socket.SOCK_STREAM, flags=flags)
            ]
        with gevent.Timeout(limit_s, TimeoutError(f"no answer within {limit_s} s")):
            return list(gevent.socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM))


def route_to(target: Target, access: Access) -> Route:
    """The way; ValueError when a proxy is named that cannot be used.

    A proxy resolves the server's name, unless an address was given for it by hand.
    """
    given = access.addresses(target.host, target.port)
    proxy = access.proxy(target.scheme, target.host, target.port)
    if proxy is None:
        return Route(target.host, target.port, given, None, "")
    behind = Target(
        scheme=target.scheme, host=given[0] if given else target.host, port=target.port, prefix=""
    )
    return Route(proxy.host, proxy.port, access.addresses(proxy.host, proxy.port), proxy, behind.host_port)


def layers_of(target: Target, route: Route, context: Callable[[], Any]) -> Iterator[Layer]:
    """What a new connection has to establish, in order; each begins when the one before it is through."""
    if route.proxy is not None:
        yield Tunnel(route.proxy, route.behind)
    if target.scheme == "https":
        yield Tls(context(), target.host, target.authority)
