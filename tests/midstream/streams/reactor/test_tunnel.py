"""Streams through a proxy that opens tunnels, and through one that does not."""

import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from midstream.streams.access import Access, Proxy, Resolve
from midstream.streams.ending import Ending
from midstream.streams.reactor.layer import LayerError
from midstream.streams.reactor.tunnel import Tunnel
from midstream.streams.record import StreamRecord
from midstream.streams.target import Target
from tests.midstream.streams import wire
from tests.midstream.streams.feeding import every_way
from tests.midstream.streams.raw_server import Peer, RawServer
from tests.midstream.streams.reactor.driving import (
    PATIENT,
    answering,
    keep_serving,
    limits,
    paced,
    running,
    secured_by,
    unused_port,
)
from tests.midstream.streams.streams import VLLM, request

NAME = "llm.invalid"  # never resolves (RFC 2606): whoever reaches it went through the proxy
GRANTED = b"HTTP/1.1 200 Connection established\r\n\r\n"
LOGIN = Proxy.parse("http://ada:p%40ss@127.0.0.1:1").authorization


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PEM file with a certificate for that name, which is its own authority, and its key."""
    folder = tmp_path_factory.mktemp("tunnel")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", "2", "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"),
            *("-keyout", "key.pem", "-out", "cert.pem"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    both = folder / "both.pem"
    both.write_bytes((folder / "cert.pem").read_bytes() + (folder / "key.pem").read_bytes())
    return both


class Relay:
    """A proxy's script: asks for a login where it has one, then relays to one server, whatever the name."""

    def __init__(self, port: int, login: str = "") -> None:
        self.port = port
        self.login = login
        self.asked: list[bytes] = []

    def __call__(self, peer: Peer) -> None:
        head = peer.read_request()
        self.asked.append(head)
        if self.login and f"Proxy-Authorization: {self.login}\r\n".encode() not in head:
            peer.send(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 2\r\n\r\nno")
            return
        with socket.create_connection(("127.0.0.1", self.port)) as server:
            peer.send(GRANTED)
            back = threading.Thread(target=_copy, args=(server, peer.socket), daemon=True)
            back.start()
            _copy(peer.socket, server)
            back.join(15)


def _copy(source: socket.socket, to: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            to.sendall(data)
    with suppress(OSError):
        to.shutdown(socket.SHUT_WR)


def through(
    relay: Callable[[Peer], None], access: Access, port: int, count: int = 1, **changes: object
) -> list[StreamRecord]:
    """Streams to the name, by way of a proxy with that script."""
    target = Target.parse(f"https://{NAME}:{port}")
    with RawServer(relay) as proxy:
        way = Access(
            cacert=access.cacert,
            resolve=access.resolve,
            https_proxy=(access.https_proxy or "http://127.0.0.1:PORT").replace("PORT", str(proxy.port)),
        )
        with running(PATIENT, way) as reactor:
            return [reactor.stream(target, request(**changes), VLLM) for _ in range(count)]


def test_a_stream_through_a_tunnel_keeps_its_own_tls_and_the_kernel_time(certificate):
    with RawServer(secured_by(certificate, paced(6, 0.03, []))) as server:
        relay = Relay(server.port)
        (record,) = through(relay, Access(cacert=certificate), server.port, tokens=6)
    assert (record.ending, record.tokens, record.uncertain_tokens) == (Ending.COMPLETE, 6, 0)
    authority = f"{NAME}:{server.port}".encode()
    assert relay.asked[0].startswith(b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n" % (authority, authority))
    assert b"Proxy-Authorization" not in relay.asked[0]


def test_a_tunnel_is_kept_with_its_connection(certificate):
    with RawServer(secured_by(certificate, keep_serving)) as server:
        relay = Relay(server.port)
        records = through(relay, Access(cacert=certificate), server.port, 2, fresh=False)
        assert (server.accepted, len(relay.asked)) == (1, 1)
    assert [record.ending for record in records] == [Ending.COMPLETE] * 2


def test_user_and_password_are_shown_to_the_proxy_alone(certificate):
    seen: list[bytes] = []

    def script(peer: Peer) -> None:
        seen.append(peer.read_request())
        peer.send(wire.whole(4))

    with RawServer(secured_by(certificate, script)) as server:
        access = Access(cacert=certificate, https_proxy="http://ada:p%40ss@127.0.0.1:PORT")
        (record,) = through(Relay(server.port, LOGIN), access, server.port)
    assert record.ending is Ending.COMPLETE
    assert b"Proxy-Authorization" not in seen[0]


def test_a_proxy_that_wants_a_login_says_how_to_give_it(certificate):
    (record,) = through(Relay(0, LOGIN), Access(), 443)
    assert record.ending is Ending.CONNECT_REFUSED
    assert "407: give USER:PASSWORD in HTTPS_PROXY" in record.evidence.error


def test_an_address_given_for_the_name_is_what_the_proxy_is_asked_for(certificate):
    with RawServer(secured_by(certificate, answering(wire.whole(4)))) as server:
        relay = Relay(server.port)
        access = Access(cacert=certificate, resolve=(Resolve(NAME, server.port, "127.0.0.77"),))
        (record,) = through(relay, access, server.port)
    assert record.ending is Ending.COMPLETE
    assert relay.asked[0].startswith(b"CONNECT 127.0.0.77:%d " % server.port)


REFUSALS: dict[str, tuple[Callable[[Peer], None], str]] = {
    "upstream unreachable": (answering(b"HTTP/1.1 502 Bad Gateway\r\n\r\n"), "answered 502 Bad Gateway for"),
    "no HTTP": (answering(b"SSH-2.0-x\r\n"), "does not answer in HTTP"),
    "FIN": (answering(), "closed the connection instead of opening a tunnel"),
    "RST": (answering(then=Peer.reset), "closed the connection instead of opening a tunnel"),
}


@pytest.mark.parametrize(("script", "words"), REFUSALS.values(), ids=REFUSALS)
def test_a_proxy_that_opens_no_tunnel(script, words):
    (record,) = through(script, Access(), 443)
    assert record.ending is Ending.CONNECT_REFUSED
    assert words in record.evidence.error


def test_a_proxy_that_is_not_there():
    target = Target.parse(f"https://{NAME}")
    with running(access=Access(https_proxy=f"127.0.0.1:{unused_port()}")) as reactor:
        record = reactor.stream(target, request(), VLLM)
    assert record.ending is Ending.CONNECT_REFUSED


def test_a_proxy_that_is_silent_ends_at_the_connect_limit():
    with RawServer(answering(then=Peer.wait_for_close)) as proxy:
        access = Access(https_proxy=proxy.url)
        with running(limits(connect_s=0.3), access) as reactor:
            record = reactor.stream(Target.parse(f"https://{NAME}"), request(), VLLM)
    assert record.ending is Ending.CONNECT_TIMEOUT


GRANTS = {
    "plain": GRANTED,
    "with framing that means nothing": b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
    "old": b"HTTP/1.0 200 OK\r\n\r\n",
    "behind an interim answer": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
}


@pytest.mark.parametrize("grant", GRANTS.values(), ids=GRANTS)
def test_bytes_behind_the_grant_are_the_servers(grant):
    for pieces in every_way(grant + b"hello"):
        made = Tunnel(Proxy.parse("http://127.0.0.1:3128"), "h:443")
        assert b"".join(made.receive(piece)[0] for piece in pieces) == b"hello"
        assert made.established


def test_an_endless_head_is_refused():
    made = Tunnel(Proxy.parse("http://127.0.0.1:3128"), "h:443")
    with pytest.raises(LayerError, match="longer than"):
        made.receive(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000)


def test_a_proxy_that_cannot_be_used_is_an_error_of_ours_not_of_the_service():
    with running(access=Access(https_proxy="socks5://127.0.0.1:1080")) as reactor:
        record = reactor.stream(Target.parse(f"https://{NAME}"), request(), VLLM)
    assert record.ending is Ending.CLIENT_ERROR
