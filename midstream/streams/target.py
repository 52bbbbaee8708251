"""Where streams go: a base URL taken apart, with the headers that every request to it carries."""

import re
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from midstream.streams.access import address_of
from midstream.streams.request import PATHS, Api

_TYPE = "type http(s)://HOST[:PORT][/PREFIX], for example http://127.0.0.1:8000"
_DEFAULT_PORTS: dict[str, int] = {"http": 80, "https": 443}
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_HOST = re.compile(r"[0-9A-Za-z._-]+\Z")
# Framing, the stream's id and the identity coding are what the reading rests on.
_RESERVED = frozenset(
    {"content-length", "transfer-encoding", "connection", "x-request-id", "accept-encoding", "expect"}
)


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One server. Header values may hold keys, so they are not shown by repr."""

    scheme: Literal["http", "https"]
    host: str  # without brackets
    port: int
    prefix: str  # "" or "/PATH", without a slash at its end
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, url: str, headers: Mapping[str, str] = {}) -> "Target":
        """Take a base URL apart; a prefix that ends in /v1 is taken as it is.

        ValueError with a sentence that says what to type.
        """
        try:
            parts = urlsplit(url.strip())
            port = parts.port
        except ValueError as error:
            raise ValueError(f"{url!r} is no URL ({error}): {_TYPE}") from error
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise ValueError(f"{url!r} is no URL of a server: {_TYPE}")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError(
                f"the URL of host {parts.hostname} holds a user, query or fragment, which cannot be used: "
                f"{_TYPE}; a key goes into a header"
            )
        if not _is_host(parts.hostname) or not re.match(r"[!-~]*\Z", parts.path) or port == 0:
            raise ValueError(f"{url!r} holds a host, port or path that cannot be used: {_TYPE}")
        return cls(
            scheme="https" if parts.scheme == "https" else "http",
            host=parts.hostname,
            port=port or _DEFAULT_PORTS[parts.scheme],
            prefix=parts.path.rstrip("/"),
            headers=tuple((name, _checked(name, value)) for name, value in headers.items()),
        )

    @property
    def url(self) -> str:
        """The base URL as people know it."""
        return f"{self.scheme}://{self.authority}{self.prefix}"

    @property
    def authority(self) -> str:
        """What the Host header says (RFC 9110 7.2)."""
        if self.port != _DEFAULT_PORTS[self.scheme]:
            return self.host_port
        return self.host_port.removesuffix(f":{self.port}")

    @property
    def host_port(self) -> str:
        """HOST:PORT, the port always."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_address(self) -> bool:
        """Whether the host needs no name resolution."""
        return address_of(self.host) is not None

    def path(self, name: str) -> str:
        """The path of an OpenAI endpoint: `models` -> PREFIX/v1/models."""
        base = self.prefix if self.prefix.endswith("/v1") else f"{self.prefix}/v1"
        return f"{base}/{name}"

    def stream_path(self, api: Api) -> str:
        """The path that streams of this API are posted to."""
        return self.path(PATHS[api])

    def request_headers(self, own: Mapping[str, str]) -> list[tuple[str, str]]:
        """Host, then the given ones, then the target's own, which win over both."""
        merged = {"host": ("Host", self.authority)}
        for name, value in [*own.items(), *self.headers]:
            merged[name.lower()] = (name, value)
        return list(merged.values())

    def with_header(self, name: str, value: str) -> "Target":
        """The same server, this header in the place of one of that name; ValueError."""
        others = [header for header in self.headers if header[0].lower() != name.lower()]
        return msgspec.structs.replace(self, headers=(*others, (name, _checked(name, value))))

    def __repr__(self) -> str:
        names = ", ".join(name for name, _ in self.headers)
        return f"Target({self.url}, headers: {names or 'none'})"


def _is_host(host: str) -> bool:
    return address_of(host) is not None or _HOST.match(host) is not None


def _checked(name: str, value: str) -> str:
    if not _HEADER_NAME.match(name):
        raise ValueError(f"{name!r} is no header name: type NAME: VALUE")
    if name.lower() in _RESERVED:
        raise ValueError(f"the header {name} is set by the stream itself: leave it out")
    if not re.match(r"[ \t!-~\x80-\xff]*\Z", value):
        raise ValueError(f"the value of header {name} holds characters that no header may hold")
    return value.strip()
