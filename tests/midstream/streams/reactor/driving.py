"""A reactor against raw servers of bytes, as its tests drive it."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent

from midstream.streams.access import USUAL, Access
from midstream.streams.deadlines import Deadlines
from midstream.streams.reactor import Reactor
from midstream.streams.record import StreamRecord
from midstream.streams.target import Target
from midstream.streams.traits import Traits
from tests.midstream.streams import wire
from tests.midstream.streams.raw_server import Peer, RawServer
from tests.midstream.streams.streams import VLLM, request

ROOT = Path(__file__).parents[4]
FIXTURES = ROOT / "tests" / "fixtures" / "vllm"
TLS = ROOT / "tests" / "fixtures" / "tls"
NS_PER_S = 1_000_000_000
# Long against a slow machine, short against the run: only the tests of limits wait for one.
PATIENT = Deadlines(connect_s=20.0, headers_s=20.0, first_token_s=20.0, idle_s=20.0, total_s=30.0)


@contextmanager
def running(deadlines: Deadlines = PATIENT, access: Access = USUAL) -> Iterator[Reactor]:
    reactor = Reactor(deadlines, access=access)
    try:
        yield reactor
    finally:
        reactor.close()


def answering(*pieces: bytes, then: Callable[[Peer], Any] | None = None) -> Callable[[Peer], None]:
    """Read one request, send the pieces as segments of their own, then do that or FIN."""

    def script(peer: Peer) -> None:
        peer.read_request()
        for piece in pieces:
            peer.send(piece)
        if then is not None:
            then(peer)

    return script


def one_stream(reactor: Reactor, server: RawServer, traits: Traits = VLLM, **changes: Any) -> StreamRecord:
    return reactor.stream(Target.parse(server.url), request(**changes), traits)


def wait_until(fact: Callable[[], bool], limit_s: float = 15.0) -> None:
    """Let the hub run until the fact holds."""
    end = time.monotonic() + limit_s
    while not fact():
        assert time.monotonic() < end, "it never came to hold"
        gevent.sleep(0.005)


def keep_serving(peer: Peer) -> None:
    while peer.read_request():
        peer.send(wire.whole(4))


def unused_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


@contextmanager
def full_listener() -> Iterator[int]:
    """A port that answers no connection: its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        try:
            yield port
        finally:
            for filler in fillers:
                filler.close()


def limits(**changes: float) -> Deadlines:
    return Deadlines(
        **({"connect_s": 20.0, "headers_s": 20.0, "first_token_s": 20.0, "idle_s": 20.0} | changes)
    )


def paced(count: int, pause_s: float, sent_ns: list[int]) -> Callable[[Peer], None]:
    """Tokens at a pace, with when each was handed to the kernel."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(wire.HEAD)
        for number in range(1, count + 1):
            time.sleep(pause_s)
            data = wire.body([wire.token(number, finish="length" if number == count else None)])
            sent_ns.append(time.monotonic_ns())
            peer.send(data)
        time.sleep(pause_s)
        peer.send(wire.body(["[DONE]"]) + wire.LAST_CHUNK)

    return script


def secured(script: Callable[[Peer], None]) -> Callable[[Peer], None]:
    """The script behind TLS; a handshake that the client breaks off ends the connection."""
    return secured_by(TLS / "server.pem", script)


def secured_by(certificate: Path, script: Callable[[Peer], None]) -> Callable[[Peer], None]:
    """The same with a certificate of the test's own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return behind(context, script)


def behind(context: ssl.SSLContext, script: Callable[[Peer], None]) -> Callable[[Peer], None]:
    """The script behind TLS as that context does it."""

    def play(peer: Peer) -> None:
        try:
            peer.socket = context.wrap_socket(peer.socket, server_side=True)
        except ssl.SSLError:
            return
        script(peer)

    return play
