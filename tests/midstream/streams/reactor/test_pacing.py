"""Many streams share their wake-ups; what their records say must not change by it."""

import threading

import gevent

from midstream.streams.deadlines import Deadlines
from midstream.streams.ending import Ending
from midstream.streams.reactor import Reactor
from midstream.streams.reactor.loop import PACED_TALKS
from midstream.streams.target import Target
from tests.midstream.streams import wire
from tests.midstream.streams.raw_server import Peer, RawServer
from tests.midstream.streams.streams import VLLM, request

PATIENT = Deadlines(connect_s=20.0, headers_s=20.0, first_token_s=20.0, idle_s=20.0, total_s=30.0)


def test_many_streams_are_whole_and_so_is_a_lone_one_behind_them():
    all_asked = threading.Barrier(PACED_TALKS, timeout=20)

    def together(peer: Peer) -> None:
        peer.read_request()
        if peer.number < PACED_TALKS:
            all_asked.wait()
        peer.send(wire.HEAD)
        for event in (*wire.tokens(4), wire.closing(4)):
            peer.send(wire.body([event]))
        peer.send(wire.body(["[DONE]"]) + wire.LAST_CHUNK)

    reactor = Reactor(PATIENT)
    with RawServer(together) as server:
        target = Target.parse(server.url)
        open_ones = [
            gevent.spawn(reactor.stream, target, request(id=f"s{number}"), VLLM)
            for number in range(PACED_TALKS)
        ]
        records = [stream.get(timeout=25) for stream in open_ones]
        records.append(reactor.stream(target, request(id="lone"), VLLM))
    reactor.close()
    assert {record.ending for record in records} == {Ending.COMPLETE}
    assert {record.tokens for record in records} == {4}
    for record in records:
        instants = (record.sent_ns, record.headers_ns, record.first_token_ns, record.last_token_ns)
        assert sorted(instants) == list(instants)
