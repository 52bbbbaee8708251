"""The tunnel that a proxy opens to a server (CONNECT, RFC 9110 9.3.6)."""

from midstream.streams.access import Proxy
from midstream.streams.ending import Ending
from midstream.streams.http1 import ResponseReader, request_bytes
from midstream.streams.reactor.layer import LayerError

PROXY_AUTHENTICATION_REQUIRED = 407


class Tunnel:
    """Asks a proxy for a tunnel; once it is there, bytes pass as they are."""

    def __init__(self, proxy: Proxy, authority: str) -> None:
        """`authority` is HOST:PORT of the server behind it."""
        self.established = False
        self._proxy = proxy
        self._authority = authority
        self._reader = ResponseReader(connects=True)
        headers = [("Host", authority), ("User-Agent", "midstream")]
        if proxy.authorization:
            headers.append(("Proxy-Authorization", proxy.authorization))
        self._question = request_bytes("CONNECT", authority, headers)

    def going(self, data: bytes = b"") -> bytes:
        """The request for the tunnel, once, then the bytes given."""
        question, self._question = self._question, b""
        return question + data

    def receive(self, data: bytes) -> tuple[bytes, bool]:
        """Bytes from behind the tunnel; LayerError when the proxy does not open it."""
        if self.established:
            return data, True
        self._reader.feed(data)
        head = self._reader.head
        if self._reader.fault:
            raise self._refused(f"does not answer in HTTP: {self._reader.fault}")
        if head is None:
            return b"", False
        if head.status == PROXY_AUTHENTICATION_REQUIRED:
            raise self._refused(
                "answered 407: give USER:PASSWORD in HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
            )
        if head.status // 100 != 2:
            raise self._refused(f"answered {head.status} {head.reason} for {self._authority}")
        self.established = True
        return self._reader.rest, True

    def closed(self) -> LayerError:
        """The proxy closed instead of answering."""
        return self._refused(f"closed the connection instead of opening a tunnel to {self._authority}")

    def _refused(self, words: str) -> LayerError:
        return LayerError(Ending.CONNECT_REFUSED, f"the proxy {self._proxy.where} {words}")
