"""How connections to a server are made: whom to trust, what to show, which way to take."""

import ipaddress
import re
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined] # not in typeshed

import msgspec

_TYPE_RESOLVE = "write HOST:PORT:ADDRESS, such as llm.example.com:443:10.0.0.7 or [fd00::7] as the address"
_TYPE_HEADER = "write 'NAME: VALUE', such as 'X-Team: search'"
_TYPE_PROXY = "HTTPS_PROXY: write http://[USER:PASSWORD@]HOST[:PORT], such as http://proxy.example.com:3128"
_RESOLVE = re.compile(r"(?P<host>[^:\s]+):(?P<port>\d{1,5}):(?P<address>\S+)")


class Resolve(NamedTuple):
    """One address of a name, given by hand as to curl's --resolve."""

    host: str  # in lower case
    port: int
    address: str  # without brackets

    @classmethod
    def parse(cls, text: str) -> "Resolve":
        """`HOST:PORT:ADDRESS`; ValueError says what to type."""
        match = _RESOLVE.fullmatch(text.strip())
        if match is None or not 0 < int(match["port"]) < 65_536:
            raise ValueError(_TYPE_RESOLVE)
        address = match["address"].removeprefix("[").removesuffix("]")
        try:
            ipaddress.ip_address(address)
        except ValueError as error:
            raise ValueError(f"{address!r} is no address: {_TYPE_RESOLVE}") from error
        return cls(match["host"].lower(), int(match["port"]), address)


class Header(NamedTuple):
    """A header for every request. Its value may be a key, so it is not shown by repr."""

    name: str
    value: str

    @classmethod
    def parse(cls, text: str) -> "Header":
        """`NAME: VALUE`; ValueError says what to type, without the value."""
        name, colon, value = text.partition(":")
        if not (colon and name.strip() and value.strip()):
            raise ValueError(_TYPE_HEADER)
        return cls(name.strip(), value.strip())

    def __repr__(self) -> str:
        return f"Header({self.name})"


class Proxy(NamedTuple):
    """A proxy that opens tunnels. It may hold a password, so that repr shows only where it is."""

    host: str
    port: int
    authorization: str  # the value of Proxy-Authorization; "" for none

    @classmethod
    def parse(cls, text: str) -> "Proxy":
        """`http://[USER:PASSWORD@]HOST[:PORT]`; ValueError says what to type, without the text given."""
        url = text if "://" in text else f"http://{text}"
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ValueError(_TYPE_PROXY) from error
        if parts.scheme != "http" or not parts.hostname or not re.fullmatch(r"[!-~]+", parts.hostname):
            raise ValueError(_TYPE_PROXY)
        user, password = (unquote(part or "") for part in (parts.username, parts.password))
        pair = f"{user}:{password}".encode()
        authorization = f"Basic {b64encode(pair).decode()}" if parts.username is not None else ""  # RFC 7617
        return cls(parts.hostname, port or 80, authorization)

    @property
    def where(self) -> str:
        """HOST:PORT."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"Proxy({self.where})"


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """What connecting needs beside the URL. Without a `cacert` the system's authorities are trusted."""

    cacert: Path | None = None  # PEM; these authorities and no others, as with curl
    cert: Path | None = None  # PEM, shown to a server that asks for one
    key: Path | None = None  # PEM of the certificate's key, where `cert` does not hold it
    insecure: bool = False  # neither certificate nor name is verified
    resolve: tuple[Resolve, ...] = ()
    https_proxy: str = ""  # as in the environment: http://[USER:PASSWORD@]HOST[:PORT]
    no_proxy: str = ""  # what is reached without it: names, their ends, networks, with commas; * is all

    def proxy(self, scheme: str, host: str, port: int) -> Proxy | None:
        """The proxy on the way to a server, if there is one; ValueError where it cannot be used.

        It serves https alone. What runs on this machine is reached without it, as Go's clients do.
        """
        if scheme != "https" or not self.https_proxy.strip() or is_loopback(host):
            return None
        if _is_listed(self.no_proxy, host, port):
            return None
        return Proxy.parse(self.https_proxy.strip())

    def secrets(self) -> tuple[str, ...]:
        """What of it must be shown nowhere."""
        with suppress(ValueError):
            return (Proxy.parse(self.https_proxy.strip()).authorization,)
        return ()

    def addresses(self, host: str, port: int) -> tuple[str, ...]:
        """The addresses given by hand for a name, in their order; none: it is to be resolved."""
        wanted = host.lower(), port
        return tuple(entry.address for entry in self.resolve if (entry.host, entry.port) == wanted)

    def __repr__(self) -> str:
        return "Access(…)"  # the proxy's text may hold a password


def is_loopback(host: str) -> bool:
    """Whether it is this machine, by address or by name."""
    address = address_of(host)
    return host == "localhost" if address is None else address.is_loopback


def _is_listed(no_proxy: str, host: str, port: int) -> bool:
    """By the rules of Python's urllib, with networks such as 10.0.0.0/8 as well."""
    if proxy_bypass_environment(f"{host}:{port}", {"no": no_proxy}):
        return True
    address = address_of(host)
    return address is not None and any(address in network for network in _networks(no_proxy))


def _networks(no_proxy: str) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    for entry in no_proxy.split(","):
        with suppress(ValueError):
            yield ipaddress.ip_network(entry.strip(), strict=False)


def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a host is; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


USUAL = Access()
