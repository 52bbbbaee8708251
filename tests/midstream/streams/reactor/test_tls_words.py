"""What a failed handshake is told as, by handshakes on loopback that fail in each of these ways."""

import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from midstream.streams.access import Access, Resolve
from midstream.streams.ending import Ending
from midstream.streams.reactor.tls_words import tls_fault
from midstream.streams.target import Target
from tests.midstream.streams import wire
from tests.midstream.streams.raw_server import Peer, RawServer, Script
from tests.midstream.streams.reactor.driving import TLS, answering, running, secured, secured_by
from tests.midstream.streams.streams import VLLM, request

NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"
OWN = TLS / "ca.pem"
WORKING = secured(answering(wire.whole(4)))


def own_authority(folder: Path, name: str, extensions: str, days: str) -> Path:
    """A PEM file with a key and a certificate signed by it, for loopback."""
    (folder / "extensions").write_text(extensions)
    commands = (
        (
            *("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "request.pem"),
        ),
        (
            *("openssl", "x509", "-req", "-in", "request.pem", "-signkey", "key.pem", "-days", days),
            *("-extfile", "extensions", "-out", "cert.pem"),
        ),
    )
    for command in commands:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    path = folder / f"{name}.pem"
    path.write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates that loopback's own authority did not sign, by name."""
    made = tmp_path_factory.mktemp("certificates")
    own_authority(made, "sound", NAMES, "2")
    own_authority(made, "expired", NAMES, "-1")
    own_authority(made, "for clients", f"{NAMES}\nextendedKeyUsage=clientAuth", "2")
    (made / "with its root.pem").write_bytes((TLS / "server.pem").read_bytes() + OWN.read_bytes())
    return made


def told(script: Script, access: Access, host: str = "127.0.0.1", address: str = "127.0.0.1") -> str:
    """What the record of a stream says whose handshake fails."""
    with RawServer(script, address) as server:
        resolve = () if host == address else (Resolve(host, server.port, address),)
        with running(access=Access(cacert=access.cacert, cert=access.cert, resolve=resolve)) as reactor:
            url = f"https://{host}:{server.port}"
            record = reactor.stream(Target.parse(url), request(), VLLM)
            assert record.ending is Ending.TLS_FAILED
            begin, _, why = record.evidence.error.partition(" failed: ")
            assert begin == f"TLS with {host}:{server.port}"
    return why


# A certificate (one of the folder's, or the fixture's), whom the client trusts, and the words.
UNVERIFIED = {
    "expired": ("expired.pem", "expired.pem", "has expired: renew it"),
    "signed by itself": ("sound.pem", None, "signed by itself alone"),
    "its root is shown": ("with its root.pem", "sound.pem", "signed by an authority that is not trusted"),
    "its root is not shown": (None, "sound.pem", "signed by an authority that is not trusted"),
    "of another kind": ("for clients.pem", "for clients.pem", "does not verify (unsuitable certificate"),
}


@pytest.mark.parametrize(("shown", "trusted", "words"), UNVERIFIED.values(), ids=UNVERIFIED)
def test_a_certificate_that_does_not_verify(folder, shown, trusted, words):
    certificate = folder / shown if shown else TLS / "server.pem"
    access = Access(cacert=folder / trusted if trusted else OWN)
    why = told(secured_by(certificate, answering()), access)
    assert words in why
    assert why.endswith("--insecure")


OTHERS = {
    "a name": ("other.test", "127.0.0.1", "is for another name: use the name that it holds (with --resolve"),
    "an address": ("127.0.0.2", "127.0.0.2", "not for this address: use the name that it holds"),
}


@pytest.mark.parametrize(("host", "address", "words"), OTHERS.values(), ids=OTHERS)
def test_a_certificate_for_another(host, address, words):
    assert words in told(WORKING, Access(cacert=OWN), host, address)


def asking(trusted: Path, version: ssl.TLSVersion) -> Script:
    """A server that wants a certificate of that authority, by that version of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "server.pem")
    context.load_verify_locations(trusted)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = version

    def play(peer: Peer) -> None:
        with pytest.raises(ssl.SSLError):
            context.wrap_socket(peer.socket, server_side=True)
        peer.wait_for_close()

    return play


TLS_12, TLS_13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
CLIENTS = {
    "none shown, TLS 1.3": (OWN, TLS_13, None, "asks for a client certificate: give one with --cert FILE"),
    "none shown, TLS 1.2": (OWN, TLS_12, None, "it may ask for a client certificate (--cert FILE)"),
    "of another authority, TLS 1.3": (None, TLS_13, TLS / "server.pem", "authority it does not know: give"),
    "of another authority, TLS 1.2": (None, TLS_12, TLS / "server.pem", "authority it does not know: give"),
}


@pytest.mark.parametrize(("trusted", "version", "shown", "words"), CLIENTS.values(), ids=CLIENTS)
def test_a_server_that_asks_for_a_certificate(folder, trusted, version, shown, words):
    script = asking(trusted or folder / "sound.pem", version)
    assert words in told(script, Access(cacert=OWN, cert=shown))


def alert(number: int) -> bytes:
    """A fatal alert in a record of its own (RFC 8446 5.1, 6)."""
    return b"\x15\x03\x03\x00\x02\x02" + bytes([number])


def server_hello(version: bytes) -> bytes:
    """The answer of a server that knows no newer version (RFC 5246 7.4.1.3)."""
    hello = version + bytes(32) + b"\x00" + b"\x00\x2f" + b"\x00"
    return b"\x16" + version + b"\x00\x2a" + b"\x02\x00\x00\x26" + hello


ANSWERS = {
    "HTTP": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "type http:// instead of https://"),
    "a record that is too long": (b"\x16\x03\x03\xff\xff", "type http:// instead of https://"),
    "TLS 1.0": (server_hello(b"\x03\x01"), "no version of TLS that is accepted here"),
    "alert protocol_version": (alert(70), "no version of TLS that is accepted here"),
    "alert handshake_failure": (alert(40), "or share no cipher"),
    "alert bad_certificate": (alert(42), "not accept the client certificate: give another"),
    "alert unsupported_certificate": (alert(43), "not accept the client certificate: give another"),
    "alert certificate_revoked": (alert(44), "certificate, which was revoked: give another"),
    "alert certificate_expired": (alert(45), "certificate, which has expired: give another"),
    "alert certificate_unknown": (alert(46), "not accept the client certificate: give another"),
    "alert unknown_ca": (alert(48), "whose authority it does not know: give another"),
    "alert certificate_required": (alert(116), "asks for a client certificate: give one"),
    "alert unrecognized_name": (alert(112), "it serves no such name: see the host in the URL"),
    "an alert without words of ours": (alert(80), "tlsv1 alert internal error"),
}


def answering_hello(data: bytes) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        assert peer.socket.recv(65536)
        peer.send(data)
        peer.wait_for_close()

    return script


@pytest.mark.parametrize(("data", "words"), ANSWERS.values(), ids=ANSWERS)
def test_what_the_server_answers_the_first_record_with(data, words):
    assert words in told(answering_hello(data), Access(cacert=OWN))


def test_an_error_without_a_reason_is_told_in_its_own_words():
    error = ssl.SSLError(1, "something else")
    error.reason = None  # type: ignore[assignment] # as the module leaves it for what OpenSSL has no name for
    assert tls_fault(error, "a:443") == "TLS with a:443 failed: something else"
