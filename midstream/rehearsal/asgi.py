"""The little of ASGI that the API needs: requests read whole, JSON answers, streams that notice a hang-up."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import parse_qsl

import msgspec

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

JSON = "application/json"
BODY_LIMIT = 3 * 1024 * 1024  # bytes; the API server's own limit for a request (MaxRequestBodyBytes)


class Request(NamedTuple):
    """One request, without its connection."""

    method: str
    path: str
    query: dict[str, str]
    content_type: str
    body: bytes
    accept: str = ""

    def flag(self, name: str) -> bool:
        """A query parameter that is a boolean, as Kubernetes reads it."""
        return self.query.get(name, "") not in ("", "0", "false", "False")


class Answer(NamedTuple):
    """A response sent whole."""

    code: int
    payload: Any
    content_type: str = JSON


class TooLargeError(Exception):
    """The body is longer than BODY_LIMIT."""


async def read_request(scope: Scope, receive: Receive) -> Request:
    """The whole request. Raises TooLargeError."""
    headers = {name.lower(): value for name, value in scope["headers"]}
    content_type = headers.get(b"content-type", b"").decode("latin-1").split(";")[0].strip().lower()
    query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    body, more = bytearray(), True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > BODY_LIMIT:
            raise TooLargeError(f"the request is longer than {BODY_LIMIT} bytes")
    accept = headers.get(b"accept", b"").decode("latin-1")
    return Request(scope["method"], scope["path"], query, content_type, bytes(body), accept)


async def send_answer(send: Send, answer: Answer) -> None:
    """Send a response with its length."""
    is_json = answer.content_type == JSON
    body = msgspec.json.encode(answer.payload) if is_json else answer.payload
    length = str(len(body))
    await _start(send, answer.code, answer.content_type, (b"content-length", length.encode()))
    await send({"type": "http.response.body", "body": body})


async def start_stream(send: Send, content_type: str) -> None:
    """Send the head of a response whose end is not known yet."""
    await _start(send, 200, content_type)


async def send_part(send: Send, part: bytes) -> None:
    """Send more of a started stream."""
    await send({"type": "http.response.body", "body": part, "more_body": True})


async def end_stream(send: Send) -> None:
    """End a started stream cleanly."""
    await send({"type": "http.response.body", "body": b""})


async def _start(send: Send, code: int, content_type: str, *headers: tuple[bytes, bytes]) -> None:
    head = [(b"content-type", content_type.encode()), *headers]
    await send({"type": "http.response.start", "status": code, "headers": head})


async def until_hang_up(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do the work, but stop when the client is gone: a send to nobody raises nothing."""
    tasks = [asyncio.create_task(work), asyncio.create_task(_hang_up(receive))]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _hang_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
