"""HTTP/1.1 framing without sockets: request bytes out, response bytes in.

Every reader keeps one contract. `feed(data)` returns the body bytes that `data` completes (b"": more
data is needed). `complete` tells that the message has ended as its framing says; what came behind it is in
`rest`. `fault` is a sentence once the bytes broke a rule; what came before the fault was still returned.
`eof()` is the peer's FIN: it completes a close-delimited body, else returns what is missing.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple, Protocol

HEAD_LIMIT_BYTES = 65_536  # nginx and Apache send at most 8-32 KiB; an endless head must not fill memory
INTERIM_LIMIT = 16  # 1xx heads before the final one
CHUNK_LINE_LIMIT_BYTES = 4_096
TRAILER_LIMIT_BYTES = 65_536

_START = b"HTTP/1."
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: ([\t -~\x80-\xff]*))?\Z")
_HEAD_END = re.compile(rb"\n\r?\n")  # a lone LF may end a head line: RFC 9112 2.2
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\0\r\n\v\f]*?)[ \t]*\Z")
_FOLDED = re.compile(rb"[ \t][^\0\r\n\v\f]*\Z")  # obsolete, yet to be read: RFC 9112 5.2
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?\r\n\Z")  # RFC 9112 7.1
_LENGTH = re.compile(r"[0-9]{1,18}\Z")


class Head(NamedTuple):
    """Status line with headers; names in lower case, in the order they came."""

    minor: int  # HTTP/1.minor
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        """All values of that header in lower case, comma lists split; an empty one is kept."""
        fields = (value for key, value in self.headers if key == name)
        return [part.strip().lower() for field in fields for part in field.split(",")]


class Body(Protocol):
    """What the framings have in common; the module's docstring is the contract."""

    complete: bool
    fault: str
    rest: bytes
    settled: bool  # behind the last body byte this feed had only that chunk's own CRLF

    def feed(self, data: bytes) -> bytes:
        """Body bytes completed by this data."""

    def eof(self) -> str:
        """The peer closed: what is missing, or "" where the message is whole."""


class ChunkedBody:
    """Transfer-Encoding: chunked (RFC 9112 7.1), extensions and trailers read over."""

    __slots__ = (
        "_at",
        "_body_end",
        "_data",
        "_left",
        "_pieces",
        "_size",
        "_step",
        "_trailer_bytes",
        "chunks",
        "complete",
        "fault",
        "rest",
        "settled",
    )

    def __init__(self) -> None:
        self.complete = False
        self.fault = ""
        self.rest = b""
        self.settled = True
        self._step = self._size_line
        self._data = b""  # not yet consumed: this feed, behind an unfinished line
        self._at = 0
        self._left = 0  # bytes of the open chunk that have not come
        self._size = 0
        self.chunks = 0  # begun so far
        self._trailer_bytes = 0
        self._pieces: list[bytes] = []
        self._body_end = 0  # where the last body byte of this feed ended, its CRLF included

    def feed(self, data: bytes) -> bytes:
        """Body bytes completed by this data."""
        self._data = self._data + data if self._data else data
        self._at = self._body_end = 0
        self._pieces.clear()
        while not self.fault and not self.complete and self._step():
            pass
        if self.complete:
            self.rest += self._data[self._at :]
            self._at = len(self._data)
        self.settled = self._body_end == len(self._data) and not self.rest
        self._data = self._data[self._at :]
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def eof(self) -> str:
        """The peer closed: what is missing, or "" where the message is whole."""
        if self.complete:
            return ""
        if self._left:
            came = self._size - self._left
            return (
                f"chunk {self.chunks} promised {self._size} bytes, {came} came before the connection closed"
            )
        return f"the connection closed after {self.chunks} chunks without the last one of size 0"

    @property
    def between_chunks(self) -> bool:
        """Whether the next byte is the first of a chunk's size line."""
        return self._step == self._size_line and not self._data and not self.complete and not self.fault

    def _line(self, limit: int, what: str) -> bytes | None:
        """One line with its line end; None while it is not all there or too long."""
        end = self._data.find(b"\n", self._at) + 1
        length = (end or len(self._data)) - self._at
        if length > limit:
            self.fault = f"{what} is longer than {limit} bytes"
            return None
        if not end:
            return None
        line = self._data[self._at : end]
        self._at = end
        return line

    def _size_line(self) -> bool:
        line = self._line(CHUNK_LINE_LIMIT_BYTES, f"the size line of chunk {self.chunks + 1}")
        if line is None:
            return False
        match = _CHUNK_LINE.match(line)
        if match is None:
            self.fault = f"chunk {self.chunks + 1} begins with {line[:40]!r}, not with a size in hexadecimal"
            return False
        self._size = self._left = int(match[1], 16)
        if self._size:
            self.chunks += 1
            self._step = self._chunk_data
        else:
            self._step = self._trailer_line
        return True

    def _chunk_data(self) -> bool:
        piece = self._data[self._at : self._at + self._left]
        if not piece:
            return False
        self._pieces.append(piece)
        self._at += len(piece)
        self._body_end = self._at
        self._left -= len(piece)
        if self._left:
            return False
        self._step = self._chunk_end
        return True

    def _chunk_end(self) -> bool:
        end = self._data[self._at : self._at + 2]
        if end == b"\r\n":
            if self._body_end == self._at:
                self._body_end += 2
            self._at += 2
            self._step = self._size_line
            return True
        if end == b"\r":
            if self._body_end == self._at:
                self._body_end += 1
        elif end:
            self.fault = f"chunk {self.chunks} of {self._size} bytes is followed by {end!r}, not by CR LF"
        return False

    def _trailer_line(self) -> bool:
        line = self._line(TRAILER_LIMIT_BYTES - self._trailer_bytes, "the trailer section")
        if line is None:
            return False
        self._trailer_bytes += len(line)
        self.complete = line == b"\r\n"
        if not self.complete and not _FIELD.match(line.removesuffix(b"\n").removesuffix(b"\r")):
            self.fault = f"the trailer section holds {line[:40]!r}, not NAME: VALUE"
        return True


class CountedBody:
    """Content-Length (RFC 9112 6.2)."""

    def __init__(self, length: int) -> None:
        self.complete = length == 0
        self.fault = ""
        self.rest = b""
        self.settled = True
        self._length = self._left = length

    def feed(self, data: bytes) -> bytes:
        """Body bytes completed by this data."""
        body = data[: self._left]
        self.rest += data[self._left :]
        self._left -= len(body)
        self.complete = self._left == 0
        self.settled = not self.rest
        return body

    def eof(self) -> str:
        """The peer closed: what is missing, or "" where the message is whole."""
        if self.complete:
            return ""
        came = self._length - self._left
        return f"Content-Length promised {self._length} bytes, {came} came before the connection closed"


class BodyUntilClose:
    """Neither chunked nor counted: the body is what comes until the FIN (RFC 9112 6.3, rule 8)."""

    def __init__(self) -> None:
        self.complete = False
        self.fault = ""
        self.rest = b""
        self.settled = True

    def feed(self, data: bytes) -> bytes:
        """Body bytes completed by this data."""
        return data

    def eof(self) -> str:
        """The peer closed, which is how this body ends."""
        self.complete = True
        return ""


class ResponseReader:
    """One response to one request that was not HEAD; 1xx heads are read over.

    `head` with `body` are None until the whole final head has come. `connects`: the request was CONNECT, so
    behind a head that grants it there is no body, whatever it says (RFC 9110 9.3.6).
    """

    def __init__(self, *, connects: bool = False) -> None:
        self._connects = connects
        self.head: Head | None = None
        self.body: Body | None = None
        self.began = False  # a first byte came
        self._buffer = b""
        self._interim = 0
        self._fault = ""

    def feed(self, data: bytes) -> bytes:
        """Body bytes completed by this data."""
        if self.body is not None:
            return self.body.feed(data)
        self.began = self.began or bool(data)
        self._buffer += data
        while self.body is None and not self._fault and self._read_head():
            pass
        if self.body is None:
            return b""
        behind, self._buffer = self._buffer, b""
        return self.body.feed(behind) if behind else b""

    def eof(self) -> str:
        """The peer closed: what is missing, or "" where the message is whole."""
        if self.body is not None:
            return self.body.eof()
        return f"the connection closed within the response head, {len(self._buffer)} bytes came"

    @property
    def complete(self) -> bool:
        """Whether the response has ended as its framing says."""
        return self.body is not None and self.body.complete

    @property
    def fault(self) -> str:
        """How the bytes broke HTTP; "" while they did not."""
        return self.body.fault if self.body is not None else self._fault

    @property
    def rest(self) -> bytes:
        """What came behind the end of the response."""
        return b"" if self.body is None else self.body.rest

    @property
    def keeps_connection(self) -> bool:
        """Whether another request may use the connection (RFC 9112 9.3)."""
        if self.head is None or not self.complete or self.rest or isinstance(self.body, BodyUntilClose):
            return False
        wishes = self.head.values("connection")
        ambiguous = self.head.values("transfer-encoding") and self.head.values("content-length")
        return self.head.minor == 1 and "close" not in wishes and not ambiguous

    def _read_head(self) -> bool:
        """Take one head off the buffer; False while it is not all there or broken."""
        if not self._buffer.startswith(_START[: len(self._buffer)]):
            self._fault = f"the response begins with {self._buffer[:40]!r}, not with HTTP/1."
            return False
        end = _HEAD_END.search(self._buffer)
        length = end.end() if end else len(self._buffer)
        if length > HEAD_LIMIT_BYTES:
            self._fault = f"the response head is longer than {HEAD_LIMIT_BYTES} bytes"
        if self._fault or end is None:
            return False
        head = self._parsed(self._buffer[: end.start()])
        self._buffer = self._buffer[length:]
        if head is not None and 100 <= head.status < 200 and head.status != 101:
            return self._skip_interim()
        if head is not None:
            self._begin_body(head)
        return False

    def _skip_interim(self) -> bool:
        self._interim += 1
        if self._interim > INTERIM_LIMIT:
            self._fault = f"more than {INTERIM_LIMIT} responses of status 1xx came before the final one"
        return bool(self._buffer)

    def _parsed(self, block: bytes) -> Head | None:
        first, *lines = [line.removesuffix(b"\r") for line in block.split(b"\n")]
        status = _STATUS_LINE.match(first)
        if status is None:
            self._fault = f"the status line is {first[:80]!r}"
            return None
        headers: list[tuple[str, str]] = []
        for line in lines:
            if headers and _FOLDED.match(line):
                name, value = headers[-1]
                headers[-1] = (name, f"{value} {line.strip().decode('latin-1')}")
                continue
            field = _FIELD.match(line)
            if field is None:
                self._fault = f"header line {len(headers) + 1} is {line[:80]!r}, not NAME: VALUE"
                return None
            headers.append((field[1].decode("ascii").lower(), field[2].decode("latin-1")))
        return Head(int(status[1]), int(status[2]), (status[3] or b"").decode("latin-1"), tuple(headers))

    def _begin_body(self, head: Head) -> None:
        """Choose the framing by the rules of RFC 9112 6.3, in their order."""
        if self._connects and head.status // 100 == 2:
            self.head, self.body = head, CountedBody(0)
            return
        codings = head.values("transfer-encoding")
        lengths = sorted(set(head.values("content-length")))
        self._fault = _framing_fault(codings, lengths)
        if self._fault:
            return
        body: Body
        if head.status in (101, 204, 304):
            body = CountedBody(0)
        elif codings:
            body = ChunkedBody()
        elif lengths:
            body = CountedBody(int(lengths[0]))
        else:
            body = BodyUntilClose()
        self.head, self.body = head, body


def _framing_fault(codings: list[str], lengths: list[str]) -> str:
    if codings and codings != ["chunked"]:
        return f"Transfer-Encoding is {', '.join(codings)!r}, only chunked can be read"
    wrong = [length for length in lengths if not _LENGTH.match(length)]
    if wrong:
        return f"Content-Length is {wrong[0][:40]!r}, not a number"
    return f"Content-Length has two values: {' and '.join(lengths)}" if len(lengths) > 1 else ""


def request_bytes(method: str, path: str, headers: Iterable[tuple[str, str]], body: bytes = b"") -> bytes:
    """One whole request; Content-Length is added where there is a body. `headers` must be sound text."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
