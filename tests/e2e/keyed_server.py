"""A server behind TLS that answers under one path to who shows its key, 401 to all others."""

import json
import ssl
import time
from pathlib import Path

from tests.midstream.streams import wire
from tests.midstream.streams.raw_server import Peer, Script

FIXTURES = Path(__file__).parents[1] / "fixtures"
DENIED = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"
PACE_S = 0.02


def behind_a_key(key: str, prefix: str) -> Script:
    """Streams as long as asked, with a list of models."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(FIXTURES / "tls" / "server.pem")
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
            peer.send(wire.HEAD)
            for event in wire.tokens(json.loads(body)["max_tokens"]):
                peer.send(wire.body([event]))
                time.sleep(PACE_S)
            peer.send(wire.body(["[DONE]"]) + wire.LAST_CHUNK)

    return play
