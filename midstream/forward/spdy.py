"""The part of SPDY/3.1 that a port-forward speaks, as bytes in, frames out.

Kubernetes tunnels it in WebSocket messages (KEP-4006), and for each connection opens two streams: one for
its bytes, one for the reason why it failed. There is no flow control: moby/spdystream, which both API
server and kubelet use, has none.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

VERSION = 0x8003  # a control frame of SPDY/3
SYN_STREAM, RST_STREAM, PING = 1, 3, 6
FIN = 0x01
CANCEL = 5  # RST_STREAM: the creator no longer needs the stream
HEAD = struct.Struct("!IB3s")  # stream of a data frame or version with type, flags, length


class Data(NamedTuple):
    """Bytes of one stream."""

    stream: int
    payload: bytes
    is_last: bool


class Reset(NamedTuple):
    """The other end gave a stream up."""

    stream: int


class Ping(NamedTuple):
    """To be answered as it is."""

    number: int


Frame: TypeAlias = Data | Reset | Ping


class SpdyError(Exception):
    """What came is not SPDY/3."""


class HeaderPress:
    """The header blocks of one connection, which share one zlib window.

    Without SPDY's dictionary: Go's zlib reader takes a stream that does not claim one.
    """

    def __init__(self) -> None:
        self._zlib = zlib.compressobj()

    def block(self, headers: Mapping[str, str]) -> bytes:
        """One compressed block; names in lower case, as SPDY/3 wants them."""
        plain = struct.pack("!I", len(headers)) + b"".join(
            _text(name.lower()) + _text(value) for name, value in headers.items()
        )
        return self._zlib.compress(plain) + self._zlib.flush(zlib.Z_SYNC_FLUSH)


def open_stream(stream: int, block: bytes, *, is_last: bool = False) -> bytes:
    """SYN_STREAM with a block of `HeaderPress`; `is_last`: nothing will be sent on it."""
    return _control(SYN_STREAM, struct.pack("!IIBB", stream, 0, 0, 0) + block, FIN if is_last else 0)


def data(stream: int, payload: bytes, *, is_last: bool = False) -> bytes:
    """A data frame; payload at most 16 MB."""
    return HEAD.pack(stream, FIN if is_last else 0, _length(payload)) + payload


def reset(stream: int) -> bytes:
    """RST_STREAM: we no longer want the stream."""
    return _control(RST_STREAM, struct.pack("!II", stream, CANCEL))


def pong(ping: Ping) -> bytes:
    """The answer to a ping."""
    return _control(PING, struct.pack("!I", ping.number))


class Unpacker:
    """Bytes as they come, into whole frames; those that tell us nothing are left out."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, received: bytes) -> Iterator[Frame]:
        """The frames that are whole now. Raises `SpdyError`."""
        self._rest += received
        while len(self._rest) >= HEAD.size:
            head, flags, length = HEAD.unpack_from(self._rest)
            end = HEAD.size + int.from_bytes(length)
            if len(self._rest) < end:
                return
            body = bytes(self._rest[HEAD.size : end])
            del self._rest[:end]
            frame = _frame(head, flags, body)
            if frame is not None:
                yield frame


def _frame(head: int, flags: int, body: bytes) -> Frame | None:
    if not head >> 31:
        return Data(head, body, bool(flags & FIN))
    if head >> 16 != VERSION:
        raise SpdyError(f"a frame begins with {head:08x}")
    try:
        return _control_frame(head & 0xFFFF, body)
    except struct.error as error:
        raise SpdyError(f"a control frame of type {head & 0xFFFF} is too short") from error


def _control_frame(kind: int, body: bytes) -> Frame | None:
    if kind == RST_STREAM:
        return Reset(struct.unpack_from("!I", body)[0] & 0x7FFF_FFFF)
    if kind == PING:
        return Ping(struct.unpack_from("!I", body)[0])
    return None  # SYN_REPLY, SETTINGS, GOAWAY: nothing to learn


def _control(kind: int, body: bytes, flags: int = 0) -> bytes:
    return HEAD.pack(VERSION << 16 | kind, flags, _length(body)) + body


def _length(body: bytes) -> bytes:
    return len(body).to_bytes(3)


def _text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack("!I", len(encoded)) + encoded
