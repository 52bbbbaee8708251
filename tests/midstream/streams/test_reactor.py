import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import gevent
import pytest

from midstream.streams.access import Access, Resolve
from midstream.streams.deadlines import Deadlines
from midstream.streams.ending import Ending, Outcome
from midstream.streams.probe import learn, served_models
from midstream.streams.reactor import Reactor, _Tls
from midstream.streams.record import Lane, StreamRecord
from midstream.streams.target import Target
from midstream.streams.traits import Traits
from tests.midstream.streams import wire
from tests.midstream.streams.raw_server import Peer, RawServer
from tests.midstream.streams.streams import VLLM, request

ROOT = Path(__file__).parents[3]
FIXTURES = ROOT / "tests" / "fixtures" / "vllm"
NS_PER_S = 1_000_000_000
# Long against a slow machine, short against the run: only the tests of limits wait for one.
PATIENT = Deadlines(connect_s=20.0, headers_s=20.0, first_token_s=20.0, idle_s=20.0, total_s=30.0)
CLEAN_CUT = wire.HEAD + wire.body(wire.tokens(2, None)) + wire.LAST_CHUNK


@contextmanager
def running(deadlines: Deadlines = PATIENT) -> Iterator[Reactor]:
    reactor = Reactor(deadlines)
    try:
        yield reactor
    finally:
        reactor.close()


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    with running() as one:
        yield one


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


HTTP_10 = b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
SSE_FOUR = b"".join([*map(wire.sse, wire.tokens(4)), wire.sse("[DONE]")])
COUNTED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n"
TRAILERS = b"0\r\nX-Sum: 1\r\n\r\n"

WIRES: dict[str, tuple[Callable[[Peer], None], Ending]] = {
    "complete": (answering(wire.whole(4)), Ending.COMPLETE),
    "headers split anywhere": (
        answering(*[bytes([b]) for b in wire.HEAD], wire.whole(4)[len(wire.HEAD) :]),
        Ending.COMPLETE,
    ),
    "FIN in mid-stream": (answering(wire.HEAD, wire.body(wire.tokens(2, None))), Ending.TRUNCATED),
    "clean cut": (answering(CLEAN_CUT), Ending.ENDED_EARLY),
    "RST in mid-stream": (
        answering(wire.HEAD, then=Peer.reset),
        Ending.RESET,
    ),
    "RST before the head": (answering(then=Peer.reset), Ending.RESET_BEFORE_HEADERS),
    "FIN before the head": (answering(), Ending.RESET_BEFORE_HEADERS),
    "FIN within the head": (answering(b"HTTP/1.1 200 OK\r\n"), Ending.RESET_BEFORE_HEADERS),
    "bad chunk size": (answering(wire.HEAD, b"xyz\r\n", then=Peer.wait_for_close), Ending.MALFORMED),
    "extensions and trailers": (
        answering(wire.HEAD, b"%x;a=b\r\n%s\r\n" % (len(SSE_FOUR), SSE_FOUR), TRAILERS),
        Ending.COMPLETE,
    ),
    "short Content-Length": (answering(COUNTED % (len(SSE_FOUR) + 5), SSE_FOUR), Ending.TRUNCATED),
    "Content-Length": (answering(COUNTED % len(SSE_FOUR), SSE_FOUR), Ending.COMPLETE),
    "HTTP/1.0, close-delimited": (answering(HTTP_10, SSE_FOUR), Ending.COMPLETE),
    "HTTP/1.0, cut": (answering(HTTP_10, SSE_FOUR[:300]), Ending.ENDED_EARLY),
    "100 Continue": (answering(b"HTTP/1.1 100 Continue\r\n\r\n", wire.whole(4)), Ending.COMPLETE),
    "500": (answering(b"HTTP/1.1 500 Oops\r\ncontent-length: 2\r\n\r\nno"), Ending.HTTP_5XX),
    "429": (answering(b"HTTP/1.1 429 Slow\r\ncontent-length: 0\r\n\r\n"), Ending.HTTP_429),
    "HTML": (answering(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<p>"), Ending.NOT_SSE),
}


@pytest.mark.parametrize(("script", "ending"), WIRES.values(), ids=WIRES)
def test_ending_over_a_real_socket(reactor, script, ending):
    with RawServer(script) as server:
        record = one_stream(reactor, server)
    assert record.ending is ending
    assert record.peer == f"127.0.0.1:{server.port}"
    assert record.local.startswith("127.0.0.1:")


@pytest.mark.parametrize("name", ["completions-token-ids", "chat-token-ids-300-under-load"])
def test_capture_over_a_real_socket(reactor, name):
    data = (FIXTURES / f"{name}.response.http").read_bytes()
    with RawServer(answering(data)) as server:
        record = one_stream(reactor, server, tokens=300 if "300" in name else 12)
    assert (record.ending, record.tokens) == (Ending.COMPLETE, record.asked_tokens)


def test_request_on_the_wire(reactor):
    seen: list[bytes] = []

    def script(peer: Peer) -> None:
        seen.append(peer.read_request())
        peer.send(wire.whole(4))

    with RawServer(script) as server:
        target = Target.parse(f"{server.url}/llm", {"Authorization": "Bearer k"})
        reactor.stream(target, request(api="chat"), VLLM)
    head = seen[0].partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert head[0] == "POST /llm/v1/chat/completions HTTP/1.1"
    assert {
        f"Host: 127.0.0.1:{server.port}",
        "Authorization: Bearer k",
        "X-Request-Id: stream-1",
        "Accept-Encoding: identity",
        "Connection: close",
    } <= set(head)


# Limits.


def limits(**changes: float) -> Deadlines:
    return Deadlines(
        **({"connect_s": 20.0, "headers_s": 20.0, "first_token_s": 20.0, "idle_s": 20.0} | changes)
    )


SILENCES = {
    "no head": (answering(then=Peer.wait_for_close), limits(headers_s=0.3), Ending.NO_HEADERS),
    "no token": (
        answering(wire.HEAD, then=Peer.wait_for_close),
        limits(first_token_s=0.3),
        Ending.NO_FIRST_TOKEN,
    ),
    "stalled": (
        answering(wire.HEAD, wire.body([wire.token(1)]), then=Peer.wait_for_close),
        limits(idle_s=0.3),
        Ending.STALLED,
    ),
    "total": (
        answering(wire.HEAD, wire.body([wire.token(1)]), then=Peer.wait_for_close),
        limits(total_s=0.3),
        Ending.TIMED_OUT,
    ),
}


@pytest.mark.parametrize(("script", "deadlines", "ending"), SILENCES.values(), ids=SILENCES)
def test_silence_ends_at_its_limit(script, deadlines, ending):
    with running(deadlines) as reactor, RawServer(script) as server:
        record = one_stream(reactor, server)
    assert record.ending is ending
    assert 300_000_000 <= record.end_ns - record.opened_ns < 10 * NS_PER_S  # its own limit, no other


def test_a_late_loop_reads_what_came_in_time_before_it_judges():
    """Our loop stands still beyond the idle limit while tokens come: that is no stall of the server's."""
    more = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(wire.HEAD + wire.body([wire.token(1)]))
        more.wait(15)
        for number in range(2, 5):
            peer.send(wire.body([wire.token(number, finish="length" if number == 4 else None)]))
            time.sleep(0.3)
        peer.send(wire.body(["[DONE]"]) + wire.LAST_CHUNK)

    with running(limits(idle_s=1.0)) as reactor, RawServer(script) as server:

        def block() -> None:
            wait_until(lambda: "rev-a" in reactor.open_by_revision())
            more.set()
            time.sleep(1.5)

        blocker = gevent.spawn(block)
        record = one_stream(reactor, server)
        blocker.get()
    assert record.ending is Ending.COMPLETE


# Connections that do not come about.


def unused_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


def test_connection_refused(reactor):
    record = reactor.stream(Target.parse(f"http://127.0.0.1:{unused_port()}"), request(), VLLM)
    assert (record.ending, record.evidence.errno) == (Ending.CONNECT_REFUSED, "ECONNREFUSED")
    assert record.sent_ns is None
    assert record.connected_ns is None


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


def test_connection_that_is_never_answered():
    with running(limits(connect_s=0.4)) as reactor, full_listener() as port:
        record = reactor.stream(Target.parse(f"http://127.0.0.1:{port}"), request(), VLLM)
    assert record.ending is Ending.CONNECT_TIMEOUT


def test_name_that_does_not_resolve(reactor):
    record = reactor.stream(Target.parse("http://no-such-name.invalid"), request(), VLLM)
    assert record.ending is Ending.NAME_UNRESOLVED
    assert "no-such-name.invalid" in record.evidence.error


def resolving_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> Target:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
    monkeypatch.setattr("gevent.socket.getaddrinfo", lambda *_, **__: found)
    return Target.parse("http://many.example")


def test_all_addresses_of_a_name_are_tried(reactor, monkeypatch):
    with RawServer(answering(wire.whole(4))) as server:
        target = resolving_to(monkeypatch, ("127.0.0.1", unused_port()), ("127.0.0.1", server.port))
        record = reactor.stream(target, request(), VLLM)
    assert (record.ending, record.peer) == (Ending.COMPLETE, f"127.0.0.1:{server.port}")


def test_an_address_that_never_answers_leaves_time_for_the_next(monkeypatch):
    with (
        running(limits(connect_s=2.0)) as reactor,
        full_listener() as dead,
        RawServer(answering(wire.whole(4))) as server,
    ):
        target = resolving_to(monkeypatch, ("127.0.0.1", dead), ("127.0.0.1", server.port))
        record = reactor.stream(target, request(), VLLM)
    assert record.ending is Ending.COMPLETE


def test_every_address_that_failed_is_evidence(reactor, monkeypatch):
    one, other = unused_port(), unused_port()
    record = reactor.stream(
        resolving_to(monkeypatch, ("127.0.0.1", one), ("127.0.0.1", other)), request(), VLLM
    )
    assert record.ending is Ending.CONNECT_REFUSED
    assert record.evidence.error.count("ECONNREFUSED") == 2


# Requests that are answered early.


def test_early_answer_while_the_request_is_still_being_sent(reactor):
    def script(peer: Peer) -> None:
        peer.socket.recv(10)
        peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbig")
        peer.wait_for_close()

    with RawServer(script) as server:
        record = one_stream(reactor, server, prompt="x" * 8_000_000)
    assert (record.ending, record.status) == (Ending.HTTP_4XX, 413)
    assert "413 Too Large: big" in record.evidence.error


def test_a_large_request_is_sent_in_parts(reactor):
    lengths: list[int] = []

    def script(peer: Peer) -> None:
        time.sleep(0.1)
        lengths.append(len(peer.read_request()))
        peer.send(wire.whole(4))

    with RawServer(script) as server:
        record = one_stream(reactor, server, prompt="x" * 5_000_000)
    assert record.ending is Ending.COMPLETE
    assert lengths[0] > 5_000_000


# Kept connections.


def keep_serving(peer: Peer) -> None:
    while peer.read_request():
        peer.send(wire.whole(4))


def test_a_second_stream_uses_the_kept_connection(reactor):
    with RawServer(keep_serving) as server:
        records = [one_stream(reactor, server, fresh=False) for _ in range(3)]
        assert server.accepted == 1
    assert [record.ending for record in records] == [Ending.COMPLETE] * 3
    assert len({record.local for record in records}) == 1


def test_a_fresh_stream_never_uses_a_kept_connection_nor_leaves_one(reactor):
    with RawServer(keep_serving) as server:
        for fresh in (False, True, True, False):
            one_stream(reactor, server, fresh=fresh)
        assert server.accepted == 3


def test_a_connection_that_was_not_read_to_its_end_is_not_kept(reactor):
    with RawServer(answering(wire.whole(4) + b"more", then=Peer.wait_for_close)) as server:
        for _ in range(2):
            assert one_stream(reactor, server, fresh=False).ending is Ending.COMPLETE
        assert server.accepted == 2


def test_fin_on_an_idle_connection_is_seen_before_it_is_used(reactor):
    with RawServer(answering(wire.whole(4))) as server:
        assert one_stream(reactor, server, fresh=False).ending is Ending.COMPLETE
        wait_until(lambda: not reactor._connections)
        record = one_stream(reactor, server, fresh=False)
    assert (record.ending, record.stale_retried) == (Ending.COMPLETE, False)


def closes_at_second_request(peer: Peer) -> None:
    peer.read_request()
    peer.send(wire.whole(4))
    peer.read_request()


def test_a_keep_alive_race_is_repeated_once_on_a_fresh_connection(reactor):
    with RawServer(closes_at_second_request) as server:
        one_stream(reactor, server, fresh=False)
        record = one_stream(reactor, server, fresh=False)
        assert server.accepted == 2
    assert (record.ending, record.stale_retried) == (Ending.COMPLETE, True)


def test_a_keep_alive_race_by_reset_is_repeated_too(reactor):
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(wire.whole(4))
        peer.read_request()
        peer.reset()

    with RawServer(script) as server:
        one_stream(reactor, server, fresh=False)
        record = one_stream(reactor, server, fresh=False)
    assert (record.ending, record.stale_retried) == (Ending.COMPLETE, True)


def test_stale_connection_only_when_the_repeat_failed_the_same_way(reactor):
    def script(peer: Peer) -> None:
        peer.read_request()
        if peer.number == 0:
            peer.send(wire.whole(4))
            peer.read_request()

    with RawServer(script) as server:
        one_stream(reactor, server, fresh=False)
        record = one_stream(reactor, server, fresh=False)
    assert (record.ending, record.stale_retried) == (Ending.STALE_CONNECTION, True)
    assert record.outcome is Outcome.OURS


def test_a_kept_connection_cut_within_the_answer_is_no_race(reactor):
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(wire.whole(4))
        peer.read_request()
        peer.send(b"HTTP/1.1 2")

    with RawServer(script) as server:
        one_stream(reactor, server, fresh=False)
        record = one_stream(reactor, server, fresh=False)
        assert server.accepted == 1
    assert (record.ending, record.stale_retried) == (Ending.RESET_BEFORE_HEADERS, False)


# One record for each stream, whatever ends it.


class Book:
    def __init__(self) -> None:
        self.opened: list[str] = []
        self.closed: list[StreamRecord] = []

    def open(self, stream_id: str, _: int) -> None:
        self.opened.append(stream_id)


def hang(peer: Peer) -> None:
    peer.read_request()
    peer.send(wire.HEAD + wire.body([wire.token(1)]))
    peer.wait_for_close()


def spawned(reactor: Reactor, url: str, book: Book, **changes: Any) -> gevent.Greenlet:
    target = Target.parse(url)
    return gevent.spawn(reactor.stream, target, request(**changes), VLLM, book.open, book.closed.append)


def test_a_killed_greenlet_still_yields_its_record(reactor):
    book = Book()
    with RawServer(hang) as server:
        greenlet = spawned(reactor, server.url, book)
        wait_until(lambda: reactor.open_by_revision() == {"rev-a": 1})
        greenlet.kill()
    assert isinstance(greenlet.value, gevent.GreenletExit)
    assert [record.ending for record in book.closed] == [Ending.CUT]
    assert book.opened == ["stream-1"]
    assert reactor.open_by_revision() == {}
    assert reactor._connections == {}


def test_killed_before_it_could_connect(reactor):
    book = Book()
    with full_listener() as port:
        greenlet = spawned(reactor, f"http://127.0.0.1:{port}", book)
        wait_until(lambda: book.opened != [])
        greenlet.kill()
    assert [record.ending for record in book.closed] == [Ending.CUT]


def test_cut_all_ends_every_stream_with_its_record(reactor):
    book = Book()
    with RawServer(hang) as server:
        greenlets = [spawned(reactor, server.url, book, id=f"s{n}") for n in range(5)]
        wait_until(lambda: reactor.open_by_revision() == {"rev-a": 5})
        reactor.cut_all()
        gevent.joinall(greenlets, timeout=15, raise_error=True)
    assert {record.id for record in book.closed} == {f"s{n}" for n in range(5)}
    assert {record.ending for record in book.closed} == {Ending.CUT}


def test_our_own_exception_is_a_client_error(reactor, monkeypatch):
    def broken(*_: object) -> None:
        raise ZeroDivisionError("ours")

    book = Book()
    monkeypatch.setattr("midstream.streams.exchange.Exchange.feed", broken)
    with RawServer(answering(wire.whole(4))) as server:
        record = reactor.stream(Target.parse(server.url), request(), VLLM, book.open, book.closed.append)
    assert (record.ending, record.evidence.error) == (Ending.CLIENT_ERROR, "ZeroDivisionError: ours")
    assert book.closed == [record]


def test_open_streams_are_counted_by_label_for_the_main_lane_alone(reactor):
    book = Book()
    with RawServer(lambda peer: hang(peer) if peer.number else peer.wait_for_close()) as server:
        silent = spawned(reactor, server.url, book)
        wait_until(lambda: server.accepted == 1)
        others = [spawned(reactor, server.url, book), spawned(reactor, server.url, book, lane=Lane.PULSE)]
        wait_until(lambda: reactor.open_by_revision() == {"": 1, "rev-a": 1})
        reactor.cut_all()
        gevent.joinall([silent, *others], timeout=15, raise_error=True)


# Time.


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


def test_a_stalled_loop_makes_no_false_gap_that_is_called_certain(reactor):
    sent_ns: list[int] = []
    with RawServer(paced(30, 0.02, sent_ns)) as server:

        def block() -> None:
            wait_until(lambda: len(sent_ns) >= 5)
            time.sleep(0.3)  # of the thread: no greenlet, no read

        blocker = gevent.spawn(block)
        record = one_stream(reactor, server, tokens=30)
        blocker.get()
    assert (record.ending, record.tokens) == (Ending.COMPLETE, 30)
    assert record.uncertain_tokens >= 5
    slowest_ns = max(b - a for a, b in pairwise(sent_ns))
    certain = [gap.length_ns for gap in record.longest_gaps if gap.certain]
    unsure = [gap.length_ns for gap in record.longest_gaps if not gap.certain]
    assert max(unsure) > 200_000_000  # what a user-space clock would have taken for a gap
    # The server's own gaps, with room for what the machine adds between its clock and the kernel's.
    assert max(certain) < slowest_ns + 60_000_000


def test_tokens_read_late_keep_their_time(reactor):
    """One token while the loop stands still: its stamp is when it came, not when it was read."""
    sent_ns: list[int] = []
    with RawServer(paced(2, 0.4, sent_ns)) as server:

        def block() -> None:
            wait_until(lambda: len(sent_ns) == 1)
            time.sleep(0.6)

        blocker = gevent.spawn(block)
        record = one_stream(reactor, server, tokens=2)
        blocker.get()
    assert record.last_token_ns is not None
    assert abs(record.last_token_ns - sent_ns[1]) < 150_000_000  # read 0.2 s later


def test_instants_are_in_order(reactor):
    with RawServer(paced(4, 0.01, [])) as server:
        record = one_stream(reactor, server)
    instants = [
        record.opened_ns,
        record.connected_ns,
        record.sent_ns,
        record.headers_ns,
        record.first_token_ns,
        record.last_token_ns,
        record.end_ns,
    ]
    assert instants == sorted(instant for instant in instants if instant is not None)
    assert record.ttft_ns is not None
    assert record.ttft_ns >= 10_000_000


# What is asked before the load.


def test_get_json_and_the_served_models(reactor):
    models = (FIXTURES / "models.response.http").read_bytes()
    with RawServer(answering(models)) as server:
        target = Target.parse(server.url)
        status, document = reactor.get_json(target, target.path("models"), 15.0)
        assert status == 200
        assert isinstance(document, dict)
        assert served_models(reactor, target)[0].name == "rev-abc"


BAD_ANSWERS = {
    "not HTTP": (answering(b"SSH-2.0\r\n"), ValueError),
    "not JSON": (answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno"), ValueError),
    "cut": (answering(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nno"), OSError),
}


@pytest.mark.parametrize(("script", "error"), BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_get_json_tells_a_bad_answer(reactor, script, error):
    with RawServer(script) as server, pytest.raises(error):
        reactor.get_json(Target.parse(server.url), "/v1/models", 15.0)


def test_get_json_has_a_limit(reactor):
    with (
        RawServer(answering(then=Peer.wait_for_close)) as server,
        pytest.raises(TimeoutError, match="did not answer"),
    ):
        reactor.get_json(Target.parse(server.url), "/v1/models", 0.2)


def test_traits_are_learnt_over_a_real_socket(reactor):
    with RawServer(answering(wire.whole(16))) as server:
        assert learn(reactor, Target.parse(server.url), "completions", "m").traits == VLLM


# TLS.

TLS = ROOT / "tests" / "fixtures" / "tls"


def secured(script: Callable[[Peer], None]) -> Callable[[Peer], None]:
    """The script behind TLS; a handshake that the client breaks off ends the connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "server.pem")

    def play(peer: Peer) -> None:
        try:
            peer.socket = context.wrap_socket(peer.socket, server_side=True)
        except ssl.SSLError:
            return
        script(peer)

    return play


def test_stream_over_tls_keeps_the_kernel_time(reactor, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "ca.pem"))
    with RawServer(secured(paced(6, 0.03, []))) as server:
        record = reactor.stream(Target.parse(f"https://127.0.0.1:{server.port}"), request(tokens=6), VLLM)
    assert (record.ending, record.tokens, record.uncertain_tokens) == (Ending.COMPLETE, 6, 0)
    assert sum(record.gap_counts.values()) == 5


def test_kept_connection_and_models_over_tls(reactor, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "ca.pem"))
    models = (FIXTURES / "models.response.http").read_bytes()
    with RawServer(
        secured(lambda peer: keep_serving(peer) if peer.number == 0 else answering(models)(peer))
    ) as server:
        target = Target.parse(f"https://127.0.0.1:{server.port}")
        records = [reactor.stream(target, request(fresh=False), VLLM) for _ in range(2)]
        assert server.accepted == 1
        assert served_models(reactor, target)[0].name == "rev-abc"
    assert [record.ending for record in records] == [Ending.COMPLETE] * 2


def speak_plain(peer: Peer) -> None:
    peer.socket.recv(10)
    peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    peer.wait_for_close()


TLS_FAILURES = {
    "a certificate that nobody vouches for": (secured(answering(wire.whole(4))), "certificate verify failed"),
    "no TLS at all": (speak_plain, "failed: "),
    "FIN in the handshake": (lambda peer: peer.socket.recv(10), "within the TLS handshake"),
}


@pytest.mark.parametrize(("script", "words"), TLS_FAILURES.values(), ids=TLS_FAILURES)
def test_tls_that_fails(reactor, script, words):
    with RawServer(script) as server:
        record = reactor.stream(Target.parse(f"https://127.0.0.1:{server.port}"), request(), VLLM)
    assert record.ending is Ending.TLS_FAILED
    assert words in record.evidence.error


def test_a_cut_behind_tls_is_still_truncated(reactor, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "ca.pem"))
    with RawServer(secured(answering(wire.HEAD, wire.body(wire.tokens(2, None))))) as server:
        record = reactor.stream(Target.parse(f"https://127.0.0.1:{server.port}"), request(), VLLM)
    assert record.ending is Ending.TRUNCATED


# The process around it.

PATCHED = """
from gevent import monkey
monkey.patch_all()
import sys
from midstream.streams.deadlines import Deadlines
from midstream.streams.reactor import Reactor
from midstream.streams.target import Target
from tests.midstream.streams.streams import VLLM, request
reactor = Reactor(Deadlines())
record = reactor.stream(Target.parse(sys.argv[1]), request(), VLLM)
reactor.close()
print(record.ending, record.uncertain_tokens)
"""


def test_works_where_gevent_has_patched_everything():
    body = [wire.body([event]) for event in wire.tokens(4)]

    def script(peer: Peer) -> None:
        peer.read_request()
        for piece in (wire.HEAD, *body, wire.body(["[DONE]"]) + wire.LAST_CHUNK):
            time.sleep(0.05)
            peer.send(piece)

    with RawServer(script) as server:
        done = subprocess.run(
            [sys.executable, "-c", PATCHED, server.url],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.stdout.split() == ["complete", "0"], done.stderr


def test_nothing_but_the_reactor_knows_sockets():
    for path in (ROOT / "midstream" / "streams").glob("*.py"):
        imports = [line for line in path.read_text().splitlines() if line.startswith(("import ", "from "))]
        words = {word.split(".")[0] for line in imports for word in line.split()[1:2]}
        assert path.name == "reactor.py" or not words & {"socket", "ssl", "gevent", "select"}


def test_a_closed_reactor_leaves_nothing_open():
    with RawServer(keep_serving) as server:
        with running() as reactor:
            one_stream(reactor, server, fresh=False)
            assert len(reactor._connections) == 1
        assert reactor._connections == {}
        assert reactor._idle == {("http", "127.0.0.1", server.port): []}


def test_tls_records_are_followed_whatever_the_cut():
    tls = _Tls.__new__(_Tls)
    tls._header, tls._left = b"", 0
    record = b"\x17\x03\x03\x00\x05hello"
    assert tls._ends_record(record)
    assert not tls._ends_record(record + record[:3])
    assert not tls._ends_record(record[3:7])
    assert tls._ends_record(record[7:])
    assert [tls._ends_record(record[i : i + 1]) for i in range(10)] == [False] * 9 + [True]


# How connections are made.


def over_tls(access: Access, script: Callable[[Peer], None], host: str = "127.0.0.1") -> StreamRecord:
    reactor = Reactor(PATIENT, access=access)
    try:
        with RawServer(script) as server:
            return reactor.stream(Target.parse(f"https://{host}:{server.port}"), request(), VLLM)
    finally:
        reactor.close()


def asking_for_a_certificate(script: Callable[[Peer], None]) -> Callable[[Peer], None]:
    """The script behind TLS that lets in only who shows a certificate of the tests' authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "server.pem")
    context.load_verify_locations(TLS / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED

    def play(peer: Peer) -> None:
        try:
            peer.socket = context.wrap_socket(peer.socket, server_side=True)
        except ssl.SSLError:
            return
        script(peer)

    return play


TRUSTED = {
    "own authority": Access(cacert=TLS / "ca.pem"),
    "nothing verified": Access(insecure=True),
}


@pytest.mark.parametrize("access", TRUSTED.values(), ids=TRUSTED)
def test_a_company_authority(access):
    assert over_tls(access, secured(answering(wire.whole(4)))).ending is Ending.COMPLETE


def test_a_client_certificate_is_shown():
    script = asking_for_a_certificate(answering(wire.whole(4)))
    shown = Access(cacert=TLS / "ca.pem", cert=TLS / "server.pem")
    assert over_tls(shown, script).ending is Ending.COMPLETE
    assert over_tls(Access(cacert=TLS / "ca.pem"), script).ending is not Ending.COMPLETE


BAD_ACCESS = {
    "missing authority": (Access(cacert=TLS / "none.pem"), "--cacert .*none.pem: cannot be read"),
    "authority of other bytes": (Access(cacert=TLS / "README.md"), "--cacert .*README.md"),
    "certificate without its key": (Access(cert=TLS / "ca.pem"), "--cert .*ca.pem: .*--key"),
    "missing key": (
        Access(cert=TLS / "server.pem", key=TLS / "none.pem"),
        "--key .*none.pem: cannot be read",
    ),
    "key without certificate": (Access(key=TLS / "server.pem"), "add --cert FILE"),
    "key of another certificate": (
        Access(cert=TLS / "ca.pem", key=TLS / "server.pem"),
        "the key does not match the certificate",
    ),
}


@pytest.mark.parametrize(("access", "words"), BAD_ACCESS.values(), ids=BAD_ACCESS)
def test_a_file_that_cannot_be_used(access, words):
    with pytest.raises(ValueError, match=words):
        Reactor(PATIENT, access=access)


def test_a_certificate_that_does_not_verify_names_the_options(reactor):
    with (
        RawServer(secured(answering())) as server,
        pytest.raises(ConnectionError, match=r"--cacert FILE, .*--insecure"),
    ):
        reactor.get_json(Target.parse(f"https://127.0.0.1:{server.port}"), "/v1/models", 5.0)


def test_addresses_given_for_a_name_are_tried_in_their_order():
    models = (FIXTURES / "models.response.http").read_bytes()
    with RawServer(lambda peer: answering(wire.whole(4) if peer.number == 0 else models)(peer)) as server:
        name = "llm.invalid"  # RFC 2606: never resolves
        given = tuple(Resolve(name, server.port, address) for address in ("127.0.0.9", "127.0.0.1"))
        target = Target.parse(f"http://{name}:{server.port}")
        reactor = Reactor(PATIENT, access=Access(resolve=given))
        try:
            record = reactor.stream(target, request(), VLLM)
            assert served_models(reactor, target)[0].name == "rev-abc"
        finally:
            reactor.close()
    assert (record.ending, record.peer) == (Ending.COMPLETE, f"127.0.0.1:{server.port}")


def test_headers_with_a_path_prefix_are_sent(reactor):
    seen: list[bytes] = []

    def script(peer: Peer) -> None:
        seen.append(peer.read_request())
        peer.send(wire.whole(4))

    with RawServer(script) as server:
        target = Target.parse(f"{server.url}/team/llm", {"Authorization": "Bearer k3y"})
        record = reactor.stream(target, request(), VLLM)
    assert record.ending is Ending.COMPLETE
    assert seen[0].startswith(b"POST /team/llm/v1/completions HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Bearer k3y\r\n" in seen[0]
