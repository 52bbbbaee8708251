"""The heads of vLLM's responses, in the order of its headers."""

import uuid
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from midstream.rehearsal.asgi import Scope, Send

Headers: TypeAlias = list[tuple[bytes, bytes]]
JSON = (b"content-type", b"application/json")
EVENT_STREAM = (b"content-type", b"text/event-stream; charset=utf-8")


def client_request_id(scope: Scope) -> str | None:
    """The X-Request-Id that the client sent."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return bytes(value).decode("latin-1")
    return None


def signature(scope: Scope) -> Headers:
    """What vLLM's middleware puts on each response that passes it: the client's id or one of its own."""
    number = client_request_id(scope) or uuid.uuid4().hex
    return [(b"vary", b"Origin"), (b"x-request-id", number.encode("latin-1"))]


async def send_whole(send: Send, status: int, body: bytes, headers: Headers) -> None:
    """Send a response that knows its length."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


async def send_json(scope: Scope, send: Send, body: Mapping[str, Any]) -> None:
    """Send a JSON object."""
    await send_whole(send, 200, msgspec.json.encode(body), [JSON, *signature(scope)])


async def start_stream(scope: Scope, send: Send) -> None:
    """Send the head of an event stream: at once and alone, even while no slot is free (facts 1)."""
    headers = [EVENT_STREAM, *signature(scope)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def send_part(send: Send, part: bytes) -> None:
    """Send one HTTP chunk."""
    await send({"type": "http.response.body", "body": part, "more_body": True})


async def end_stream(send: Send) -> None:
    """Send the 0-chunk, a segment of its own (facts 1)."""
    await send({"type": "http.response.body"})
