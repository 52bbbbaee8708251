"""Responses as vLLM writes them, made by hand for what no capture holds."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

HEAD = (
    b"HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
LAST_CHUNK = b"0\r\n\r\n"


def sse(payload: Mapping[str, Any] | str) -> bytes:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return b"data: " + text.encode() + b"\n\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def token(
    number: int,
    *,
    model: str = "rev-a",
    finish: str | None = None,
    ids: list[int] | None = None,
    usage: int | None = None,
    text: str = "x",
) -> dict[str, Any]:
    """The event of token `number` (from 1) with its id and the usage so far."""
    return {
        "id": "cmpl-1",
        "model": model,
        "choices": [
            {
                "index": 0,
                "text": text,
                "finish_reason": finish,
                "token_ids": [100 + number] if ids is None else ids,
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": number if usage is None else usage},
    }


def tokens(count: int, finish: str | None = "length") -> list[dict[str, Any]]:
    return [token(n, finish=finish if n == count else None) for n in range(1, count + 1)]


def closing(count: int) -> dict[str, Any]:
    return {"id": "cmpl-1", "model": "rev-a", "choices": [], "usage": {"completion_tokens": count}}


def body(events: Iterable[Mapping[str, Any] | str]) -> bytes:
    """One event to one chunk; without the last chunk."""
    return b"".join(chunk(sse(event)) for event in events)


def response(events: Iterable[Mapping[str, Any] | str]) -> bytes:
    return HEAD + body(events) + LAST_CHUNK


def whole(count: int) -> bytes:
    """A complete stream of that many tokens."""
    return response([*tokens(count), closing(count), "[DONE]"])
