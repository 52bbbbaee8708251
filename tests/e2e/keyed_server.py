"""A server behind TLS that answers under one path to who shows its key, and tells it in its errors."""

import itertools
import json
import ssl
import time
from pathlib import Path

from tests.midstream.streams import wire
from tests.midstream.streams.raw_server import Peer, Script

FIXTURES = Path(__file__).parents[1] / "fixtures"
DENIED = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"
PACE_S = 0.02


ECHOED = ("authorization", "x-key")


def behind_a_key(key: str, prefix: str) -> Script:
    """Streams as long as asked, with a list of models; 401 to who has another key.

    The first stream is whole. Of each three that follow one is answered by 500, one by an error event in
    its midst, both of which hold the client's secret headers; one is whole.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(FIXTURES / "tls" / "server.pem")
    numbers = itertools.count()
    models = (FIXTURES / "vllm" / "models.response.http").read_bytes()

    def play(peer: Peer) -> None:
        try:
            peer.socket = context.wrap_socket(peer.socket, server_side=True)
        except ssl.SSLError:
            return
        head, _, body = peer.read_request().partition(b"\r\n\r\n")
        if b"Authorization: Bearer " + key.encode() not in head.split(b"\r\n"):
            peer.send(DENIED)
        elif head.startswith(f"GET {prefix}/v1/models ".encode()):
            peer.send(models)
        elif head.startswith(f"POST {prefix}/v1/completions ".encode()):
            _stream(peer, next(numbers) % 3, json.loads(body)["max_tokens"], _echo(head))

    return play


def _stream(peer: Peer, turn: int, tokens: int, echo: str) -> None:
    error = {"error": {"message": f"no upstream took {echo}", "type": "InternalServerError", "code": 500}}
    if turn == 1:
        answer = json.dumps(error).encode()
        peer.send(b"HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/json\r\n")
        peer.send(b"content-length: %d\r\n\r\n%s" % (len(answer), answer))
        return
    peer.send(wire.HEAD)
    for event in wire.tokens(tokens)[: tokens // 2 if turn == 2 else tokens]:
        peer.send(wire.body([event]))
        time.sleep(PACE_S)
    peer.send(wire.body([*([error] if turn == 2 else []), "[DONE]"]) + wire.LAST_CHUNK)


def _echo(head: bytes) -> str:
    """The lines of the secret headers as the client sent them."""
    lines = head.decode("latin-1").split("\r\n")
    return ", ".join(line for line in lines if line.partition(":")[0].lower() in ECHOED)
