import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import gevent
import pytest

from midstream.streams.ending import Ending, Outcome
from midstream.streams.reactor import Reactor
from midstream.streams.record import Lane, StreamRecord
from midstream.streams.target import Target
from tests.midstream.streams import wire
from tests.midstream.streams.raw_server import Peer, RawServer
from tests.midstream.streams.reactor.driving import (
    FIXTURES,
    NS_PER_S,
    ROOT,
    answering,
    full_listener,
    keep_serving,
    limits,
    one_stream,
    paced,
    running,
    unused_port,
    wait_until,
)
from tests.midstream.streams.streams import VLLM, request

CLEAN_CUT = wire.HEAD + wire.body(wire.tokens(2, None)) + wire.LAST_CHUNK
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


def test_connection_refused(reactor):
    record = reactor.stream(Target.parse(f"http://127.0.0.1:{unused_port()}"), request(), VLLM)
    assert (record.ending, record.evidence.errno) == (Ending.CONNECT_REFUSED, "ECONNREFUSED")
    assert record.sent_ns is None
    assert record.connected_ns is None


def test_connection_that_is_never_answered():
    with running(limits(connect_s=0.4)) as reactor, full_listener() as port:
        record = reactor.stream(Target.parse(f"http://127.0.0.1:{port}"), request(), VLLM)
    assert record.ending is Ending.CONNECT_TIMEOUT


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
        wait_until(lambda: not reactor._loop._connections)
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
    assert reactor._loop._connections == {}


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
        assert not words & {"socket", "ssl", "gevent", "select"}, path


def test_a_closed_reactor_leaves_nothing_open():
    with RawServer(keep_serving) as server:
        with running() as reactor:
            one_stream(reactor, server, fresh=False)
            assert len(reactor._loop._connections) == 1
        assert reactor._loop._connections == {}
        assert reactor._loop._idle == {("http", "127.0.0.1", server.port): []}


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


def test_no_record_holds_a_secret(reactor):
    echo = b'{"error": {"message": "no access for Bearer k3y-of-ours"}}'
    head = b"HTTP/1.1 500 Oops\r\ncontent-length: %d\r\n\r\n" % len(echo)
    reactor.secrets.add("Bearer k3y-of-ours")
    closed: list[StreamRecord] = []
    with RawServer(answering(head + echo)) as server:
        observed = reactor.observe(Target.parse(server.url), request(), VLLM, on_close=closed.append)
    assert observed.record == closed[0]
    assert "k3y" not in repr(closed[0].evidence)
    assert "no access for" in closed[0].evidence.error


def test_reads_without_a_kernel_stamp_are_counted_and_no_token_of_them_is_certain(reactor, monkeypatch):
    monkeypatch.setattr(
        "midstream.streams.reactor.connection.SO_TIMESTAMPNS", 9_999
    )  # as where it is unknown
    with RawServer(paced(4, 0.02, [])) as server:
        record = one_stream(reactor, server)
    assert (record.ending, record.uncertain_tokens) == (Ending.COMPLETE, 4)
    clocks = reactor.clocks()
    assert clocks.undated_reads == clocks.reads > 0


def test_reads_with_a_kernel_stamp_are_counted(reactor):
    with RawServer(paced(4, 0.02, [])) as server:
        one_stream(reactor, server)
    clocks = reactor.clocks()
    assert clocks.undated_reads == 0
    assert clocks.reads >= 4
