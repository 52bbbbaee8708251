"""The bytes of one request, as they go to its server."""

from midstream.streams.http1 import request_bytes
from midstream.streams.request import StreamRequest, payload_of
from midstream.streams.target import Target
from midstream.streams.traits import Traits


def stream_bytes(target: Target, request: StreamRequest, traits: Traits) -> bytes:
    """One stream's request; a fresh lane's connection is not kept by the server either."""
    own = {
        "Accept": "text/event-stream",
        "Accept-Encoding": "identity",
        "User-Agent": "midstream",
        "Content-Type": "application/json",
        "X-Request-Id": request.id,
    }
    if request.fresh:
        own["Connection"] = "close"
    headers = target.request_headers(own)
    return request_bytes("POST", target.stream_path(request.api), headers, payload_of(request, traits))


def question_bytes(target: Target, method: str, path: str, body: bytes = b"") -> bytes:
    """A plain request, with a body of JSON or none, on a connection of its own."""
    own = {"Accept": "application/json", "User-Agent": "midstream", "Connection": "close"}
    if body:
        own["Content-Type"] = "application/json"
    return request_bytes(method, path, target.request_headers(own), body)
