"""TLS over buffers, so that the socket is still read by `recvmsg` with the kernel's time."""

import ssl
from typing import Any

import gevent.ssl

from midstream.streams.access import Access
from midstream.streams.ending import Ending
from midstream.streams.reactor.layer import LayerError
from midstream.streams.reactor.tls_words import tls_fault

READ_BYTES = 65_536


class Tls:
    """One client's side of TLS."""

    __slots__ = ("_authority", "_coming", "_going", "_header", "_left", "_object", "established")

    def __init__(self, context: ssl.SSLContext, host: str, authority: str) -> None:
        self.established = False
        self._authority = authority
        self._coming, self._going = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._coming, self._going, server_hostname=host)
        self._header = b""  # of a record that has not come whole
        self._left = 0  # bytes of the open record that have not come
        self._shake()

    def going(self, data: bytes = b"") -> bytes:
        """What to put on the wire for these bytes, with what the handshake wants to say."""
        if data:
            self._object.write(data)
        return self._going.read()

    def receive(self, data: bytes) -> tuple[bytes, bool]:
        """Plain bytes with whether the last of them ended this read.

        LayerError when the handshake fails, ssl.SSLError when a later record is damaged.
        """
        self._coming.write(data)
        ends_record = self._ends_record(data)
        if not self.established:
            self._shake()
        plain = []
        while self.established:
            try:
                piece = self._object.read(READ_BYTES)
            except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                break
            if not piece:
                break
            plain.append(piece)
        return b"".join(plain), ends_record

    def closed(self) -> LayerError:
        """The connection ended within the handshake."""
        words = f"the connection ended within the TLS handshake with {self._authority}"
        return LayerError(Ending.TLS_FAILED, words)

    def _shake(self) -> None:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            raise LayerError(Ending.TLS_FAILED, tls_fault(error, self._authority)) from error
        self.established = True

    def _ends_record(self, data: bytes) -> bool:
        """Follow the records' lengths (RFC 8446 5.1: type, version, 2 bytes of length, then the record)."""
        at = 0
        while at < len(data):
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
            else:
                step = min(5 - len(self._header), len(data) - at)
                self._header += data[at : at + step]
                if len(self._header) == 5:
                    self._left, self._header = int.from_bytes(self._header[3:], "big"), b""
            at += step
        return not self._left and not self._header


def client_context(access: Access) -> ssl.SSLContext:
    """A client's context that verifies certificate with name, but for what `access` says; ValueError."""
    # Python's own recurses for ever on verify_mode once gevent has patched the module.
    context: Any = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    if access.insecure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    elif access.cacert is None:
        context.load_default_certs()
    else:
        try:
            context.load_verify_locations(access.cacert)
        except OSError as error:
            raise ValueError(
                f"--cacert {access.cacert}: {_file_fault(error)}: give a PEM file of authorities"
            ) from error
    if access.key is not None and access.cert is None:
        raise ValueError("--key needs the certificate that it belongs to: add --cert FILE")
    if access.cert is not None:
        shown = f"--cert {access.cert}" + (f" --key {access.key}" if access.key else "")
        try:
            # An empty password, because OpenSSL would ask the terminal for that of an encrypted key.
            context.load_cert_chain(access.cert, access.key, password="")
        except OSError as error:
            raise ValueError(
                f"{shown}: {_file_fault(error)}: give the PEM file of a certificate, with that of its key "
                "(not encrypted) as --key"
            ) from error
    return context  # type: ignore[no-any-return] # gevent's have no types


def _file_fault(error: OSError) -> str:
    if not isinstance(error, ssl.SSLError):
        return f"cannot be read ({error.strerror})"
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key does not match the certificate"
    return "this is not what such a file holds"
