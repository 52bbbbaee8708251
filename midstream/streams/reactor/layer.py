"""What stands between a socket's bytes and the request: a proxy's tunnel, TLS."""

from typing import Protocol

from midstream.streams.ending import Ending


class LayerError(Exception):
    """The layer was not established; a stream that needed it ends so."""

    def __init__(self, ending: Ending, words: str) -> None:
        super().__init__(words)
        self.ending = ending
        self.words = words


class Layer(Protocol):
    """One layer, without a socket. It has something to say first, then it is established by what it hears."""

    established: bool

    def going(self, data: bytes = b"") -> bytes:
        """What to put on the wire: what the layer itself wants to say, then these bytes in its form."""

    def receive(self, data: bytes) -> tuple[bytes, bool]:
        """The bytes within, with whether the last of them ended this read, and so has its stamp.

        LayerError while it is not established; ssl.SSLError when it is damaged later.
        """

    def closed(self) -> LayerError:
        """What it means that the connection ended before the layer was established."""
