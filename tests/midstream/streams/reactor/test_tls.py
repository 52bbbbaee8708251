import ssl
from collections.abc import Callable

import pytest

from midstream.streams.access import Access
from midstream.streams.ending import Ending
from midstream.streams.probe import served_models
from midstream.streams.reactor import Reactor
from midstream.streams.reactor.tls import Tls
from midstream.streams.record import StreamRecord
from midstream.streams.target import Target
from tests.midstream.streams import wire
from tests.midstream.streams.raw_server import Peer, RawServer
from tests.midstream.streams.reactor.driving import (
    FIXTURES,
    PATIENT,
    TLS,
    answering,
    behind,
    keep_serving,
    paced,
    secured,
)
from tests.midstream.streams.streams import VLLM, request


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
    "a certificate that nobody vouches for": (secured(answering(wire.whole(4))), "--cacert FILE"),
    "no TLS at all": (speak_plain, "type http://"),
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
    return behind(context, script)


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
    unshown = over_tls(Access(cacert=TLS / "ca.pem"), script)
    assert unshown.ending is Ending.TLS_FAILED
    assert "--cert FILE" in unshown.evidence.error


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
        reactor.ask(Target.parse(f"https://127.0.0.1:{server.port}"), "GET", "/v1/models", 5.0)


def test_tls_records_are_followed_whatever_the_cut():
    tls = Tls.__new__(Tls)
    tls._header, tls._left = b"", 0
    record = b"\x17\x03\x03\x00\x05hello"
    assert tls._ends_record(record)
    assert not tls._ends_record(record + record[:3])
    assert not tls._ends_record(record[3:7])
    assert tls._ends_record(record[7:])
    assert [tls._ends_record(record[i : i + 1]) for i in range(10)] == [False] * 9 + [True]
