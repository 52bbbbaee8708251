"""How connections to a server are made: whom to trust, what to show, which addresses to use for a name."""

import ipaddress
import re
from pathlib import Path
from typing import NamedTuple

import msgspec

_TYPE_RESOLVE = "write HOST:PORT:ADDRESS, such as llm.example.com:443:10.0.0.7 or [fd00::7] as the address"
_TYPE_HEADER = "write 'NAME: VALUE', such as 'X-Team: search'"
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


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """What connecting needs beside the URL. Without a `cacert` the system's authorities are trusted."""

    cacert: Path | None = None  # PEM; these authorities and no others, as with curl
    cert: Path | None = None  # PEM, shown to a server that asks for one
    key: Path | None = None  # PEM of the certificate's key, where `cert` does not hold it
    insecure: bool = False  # neither certificate nor name is verified
    resolve: tuple[Resolve, ...] = ()

    def addresses(self, host: str, port: int) -> tuple[str, ...]:
        """The addresses given by hand for a name, in their order; none: it is to be resolved."""
        wanted = host.lower(), port
        return tuple(entry.address for entry in self.resolve if (entry.host, entry.port) == wanted)


USUAL = Access()
