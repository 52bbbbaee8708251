"""The part of WebSocket (RFC 6455) that a client needs for a tunnel of bytes, as bytes in, messages out."""

import hashlib
import os
import struct
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
LAST, MASKED = 0x80, 0x80
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


class Message(NamedTuple):
    """One frame: a tunnel of bytes need not know where messages end."""

    opcode: int
    payload: bytes


def new_key() -> str:
    """A Sec-WebSocket-Key."""
    return b64encode(os.urandom(16)).decode()


def accept(key: str) -> str:
    """The Sec-WebSocket-Accept that answers a key."""
    return b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()


def request(target: str, host: str, key: str, protocol: str, headers: Mapping[str, str]) -> bytes:
    """The request that asks for a WebSocket."""
    lines = {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Protocol": protocol,
        **headers,
    }
    fields = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"GET {target} HTTP/1.1\r\n{fields}\r\n".encode()


def frame(opcode: int, payload: bytes) -> bytes:
    """One whole message, masked as a client must."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", LAST | opcode, MASKED | size)
    elif size < 65_536:
        head = struct.pack("!BBH", LAST | opcode, MASKED | 126, size)
    else:
        head = struct.pack("!BBQ", LAST | opcode, MASKED | 127, size)
    key = os.urandom(4)
    return head + key + _masked(payload, key)


def _masked(payload: bytes, key: bytes) -> bytes:
    size = len(payload)
    pad = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(pad)).to_bytes(size)


class Unpacker:
    """Bytes of a server as they come, into frames."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, received: bytes) -> Iterator[Message]:
        """The frames that are whole now."""
        self._rest += received
        while (span := _span(self._rest)) is not None:
            begin, end = span
            message = Message(self._rest[0] & 0x0F, bytes(self._rest[begin:end]))
            del self._rest[:end]
            yield message


def _span(rest: bytearray) -> tuple[int, int] | None:
    """Where the payload of the first frame begins, where it ends; None: it is not whole yet."""
    if len(rest) < 2:
        return None
    size, begin = rest[1] & 0x7F, 2
    if size >= 126:
        begin += 2 if size == 126 else 8
        if len(rest) < begin:
            return None
        size = int.from_bytes(rest[2:begin])
    return (begin, begin + size) if len(rest) >= begin + size else None
