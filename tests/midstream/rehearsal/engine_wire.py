"""A plain reader of engine responses for the tests, which shares no code with the product's parsers."""

import itertools
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

CAPTURES = Path(__file__).parents[2] / "fixtures" / "vllm"
LITERAL = ("object", "model", "role", "finish_reason", "index")  # compared by value
IDS = ("token_ids", "prompt_token_ids")


class Wire(NamedTuple):
    """One response as its bytes say it. `ended` is false while the framing wants more bytes."""

    status: str
    headers: list[tuple[str, str]]
    chunks: list[bytes]  # of a chunked body; else the body as the only one
    ended: bool
    rest: bytes  # behind the end

    @property
    def payloads(self) -> list[str]:
        """The data of each event; fails unless each chunk is exactly one event of one data line."""
        for chunk in self.chunks:
            assert chunk.startswith(b"data: "), chunk
            assert chunk.endswith(b"\n\n"), chunk
            assert chunk.count(b"\n") == 2, chunk
        return [chunk[6:-2].decode() for chunk in self.chunks]

    @property
    def events(self) -> list[Any]:
        """The events' JSON, without a closing [DONE]."""
        payloads = self.payloads
        if self.is_done:
            payloads = payloads[:-1]
        return [json.loads(payload) for payload in payloads]

    @property
    def is_done(self) -> bool:
        """Whether the last event is [DONE]."""
        return bool(self.chunks) and self.chunks[-1] == b"data: [DONE]\n\n"

    @property
    def body(self) -> Any:
        """The JSON of a body with a length."""
        (only,) = self.chunks
        return json.loads(only)


def read(raw: bytes) -> Wire:
    """The first response in some bytes, which hold its whole head."""
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    length = dict(headers).get("content-length")
    if length is not None:
        size = int(length)
        return Wire(status, headers, [body[:size]], len(body) >= size, body[size:])
    assert ("transfer-encoding", "chunked") in headers
    chunks: list[bytes] = []
    while True:
        size_line, found, after = body.partition(b"\r\n")
        if not found or len(after) < int(size_line, 16) + 2:
            return Wire(status, headers, chunks, False, body)
        size = int(size_line, 16)
        assert size_line == b"%x" % size
        assert after[size : size + 2] == b"\r\n"
        body = after[size + 2 :]
        if not size:
            return Wire(status, headers, chunks, True, body)
        chunks.append(after[:size])


def capture(name: str) -> Wire:
    """A real vLLM's response."""
    return read((CAPTURES / f"{name}.response.http").read_bytes())


def request(name: str) -> bytes:
    """What the client of a capture sent."""
    return (CAPTURES / f"{name}.request.http").read_bytes()


def shape(value: Any, key: str = "") -> Any:
    """What must be alike in two answers: keys in their order, types, nulls, fixed words; not the figures."""
    if isinstance(value, dict):
        return tuple((name, shape(part, name)) for name, part in value.items())
    if isinstance(value, list):
        return "ids" if key in IDS else [shape(part) for part in value]
    if value is None or key in LITERAL:
        return value
    if key in ("id", "system_fingerprint"):
        return re.sub(r"[0-9a-f]{8,16}$", "#", value)
    return type(value).__name__


def shapes(wire: Wire) -> list[Any]:
    """The shape of each event."""
    return [shape(event) for event in wire.events]


def runs(found: list[Any]) -> list[Any]:
    """Equal neighbours as one: a vLLM under load puts two tokens in one event now and then."""
    return [key for key, _ in itertools.groupby(found)]


def head(wire: Wire) -> list[tuple[str, str]]:
    """The head, with what differs from response to response blanked."""
    values = {"date": "D", "content-length": "N"}
    return [
        ("status", wire.status),
        *((name, values.get(name, re.sub(r"^[0-9a-f]{32}$", "#", value))) for name, value in wire.headers),
    ]


def ids(wire: Wire, choice: int = 0) -> list[list[int]]:
    """The token ids of each event of one choice that has any."""
    parts = [part for event in wire.events for part in event.get("choices", ())]
    return [
        part["token_ids"] for part in parts if part["index"] == choice and part.get("token_ids") is not None
    ]


def text(wire: Wire, choice: int = 0) -> str:
    """One choice's whole text."""
    parts = [part for event in wire.events for part in event.get("choices", ()) if part["index"] == choice]
    return "".join(part["delta"]["content"] if "delta" in part else part["text"] for part in parts)
