import socket

import pytest

from midstream.streams.access import Access, Resolve
from midstream.streams.ending import Ending
from midstream.streams.probe import served_models
from midstream.streams.reactor import Reactor
from midstream.streams.target import Target
from tests.midstream.streams import wire
from tests.midstream.streams.raw_server import RawServer
from tests.midstream.streams.reactor.driving import (
    FIXTURES,
    PATIENT,
    answering,
    full_listener,
    limits,
    running,
    unused_port,
)
from tests.midstream.streams.streams import VLLM, request


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
