"""The sockets: one epoll that gevent's hub drains, from which every stream's bytes come with their time.

A stream's greenlet only waits; all of its connecting, sending, receiving runs in callbacks of the hub,
one `recvmsg` for each readable socket. Nothing here needs gevent's monkey patching, nor minds it.
"""

import errno
import heapq
import itertools
import socket
import ssl
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import gevent
import gevent.event
import gevent.socket
import gevent.ssl
import msgspec
from gevent import monkey

from midstream.streams.access import USUAL, Access
from midstream.streams.clock import StampClock
from midstream.streams.deadlines import Deadlines
from midstream.streams.ending import Ending
from midstream.streams.exchange import NS_PER_S, Exchange, Observed
from midstream.streams.http1 import ResponseReader, request_bytes
from midstream.streams.record import Lane, StreamRecord
from midstream.streams.request import StreamRequest, payload_of
from midstream.streams.target import Target
from midstream.streams.traits import Traits

__all__ = ["Observed", "Reactor", "StreamRequest", "Target"]

READ_BYTES = 65_536
TICK_S = 0.05  # how late a limit may be noticed
PACE_S = 0.001  # how long bytes may lie when many streams flow: the kernel has dated them
PACED_STREAMS = 32  # with fewer open every wake-up is for its own sake
DUE_READS = 256  # a late loop may find this many reads (16 MiB) in one socket before it judges a limit
STAMP_SLACK_NS = 1_000_000  # a stamp further outside (last read, now] is not believed
SO_TIMESTAMPNS = 35  # asm-generic/socket.h; the same number is the control message's type

EPOLLIN, EPOLLOUT = 1, 4
_READ_EVENT = 1  # of gevent's loop.io

_TIMESPEC = struct.Struct("qq")
_ANCILLARY_BYTES = 64  # one timespec with its header: CMSG_SPACE(16) = 32
# The kernel's own, also where Locust has let gevent patch the modules.
_Socket: type[socket.socket] = monkey.get_original("socket", "socket")
_getaddrinfo: Callable[..., list[Any]] = monkey.get_original("socket", "getaddrinfo")
_epoll: Callable[[], Any] = monkey.get_original("select", "epoll")

# What a failed connect means; whatever is not here is a limit of our own machine, such as EMFILE.
CONNECT_ENDINGS: dict[int, Ending] = {
    errno.ECONNREFUSED: Ending.CONNECT_REFUSED,
    errno.ECONNRESET: Ending.CONNECT_REFUSED,
    errno.ECONNABORTED: Ending.CONNECT_REFUSED,
    errno.EHOSTUNREACH: Ending.CONNECT_REFUSED,  # a router or the peer's kernel said no
    errno.ENETUNREACH: Ending.CONNECT_REFUSED,
    errno.EHOSTDOWN: Ending.CONNECT_REFUSED,
    errno.ETIMEDOUT: Ending.CONNECT_TIMEOUT,
}


class _Tls:
    """TLS over buffers, so that the socket is still read by `recvmsg` with the kernel's time."""

    __slots__ = ("_coming", "_going", "_header", "_left", "_object", "established")

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self.established = False
        self._coming, self._going = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._coming, self._going, server_hostname=host)
        self._header = b""  # of a record that has not come whole
        self._left = 0  # bytes of the open record that have not come

    def shake(self) -> None:
        """Go on with the handshake; ssl.SSLError when it fails."""
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.established = True

    def encrypted(self, data: bytes) -> bytes:
        """What to put on the wire for these bytes, with what the handshake wants to say."""
        if data:
            self._object.write(data)
        return self._going.read()

    def receive(self, data: bytes) -> tuple[bytes, bool]:
        """Plain bytes with whether the last of them ended this read, and so has its stamp.

        ssl.SSLError when the handshake fails or a record is damaged.
        """
        self._coming.write(data)
        ends_record = self._ends_record(data)
        if not self.established:
            self.shake()
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


class _Connection:
    """One socket with the stream that uses it now; `stream` is None while it is kept idle."""

    __slots__ = (
        "connecting",
        "fd",
        "key",
        "last_ns",
        "local",
        "out",
        "peer",
        "reused",
        "sending",
        "socket",
        "stream",
        "tls",
    )

    def __init__(self, sock: socket.socket, key: tuple[str, str, int], stream: "_Stream") -> None:
        self.socket = sock
        self.fd: int = sock.fileno()
        self.key = key
        self.stream: _Stream | None = stream
        self.connecting = True
        self.reused = False
        self.tls: _Tls | None = None
        self.out = memoryview(b"")  # not yet handed to the kernel
        self.sending = False  # `out` is the request, not a handshake
        self.last_ns = 0  # no byte to come is older
        self.local = self.peer = ""


class _Stream:
    """One stream on its way: its exchange, its connection, whatever wakes its greenlet."""

    __slots__ = (
        "addresses",
        "connection",
        "exchange",
        "failures",
        "number",
        "over",
        "phase",
        "share_end_ns",
        "target",
        "wire",
    )

    def __init__(self, number: int, target: Target, exchange: Exchange) -> None:
        self.number = number
        self.target = target
        self.exchange = exchange
        self.connection: _Connection | None = None
        self.wire = b""
        self.addresses: list[tuple[Any, ...]] = []  # of the target's name, not yet tried
        self.failures: list[tuple[str, int]] = []  # (address, errno) of those tried
        self.share_end_ns: int | None = None  # when the address that is tried has had its share of time
        self.phase = 0
        self.over = gevent.event.Event()

    @property
    def due_ns(self) -> int:
        """When something must be judged at the latest."""
        at_ns = self.exchange.deadline[0]
        return at_ns if self.share_end_ns is None else min(at_ns, self.share_end_ns)


class Reactor:
    """All streams of one process. Use it from greenlets of the thread that made it."""

    def __init__(self, deadlines: Deadlines, worker: str = "local", access: Access = USUAL) -> None:
        """ValueError when a file of `access` cannot be used."""
        self._deadlines = deadlines
        self._access = access
        self._context: ssl.SSLContext | None = None
        if access != USUAL:
            self._tls_context()  # a file that is wrong is said now
        self._worker = worker
        self._hub: Any = gevent.get_hub()
        self._clock = StampClock(time.time_ns, time.monotonic_ns)
        self._connections: dict[int, _Connection] = {}
        self._idle: dict[tuple[str, str, int], list[_Connection]] = {}
        self._streams: dict[int, _Stream] = {}
        self._due: list[tuple[int, int]] = []  # (instant, number of a stream), a heap
        self._numbers = itertools.count()
        self._epoll = _epoll()
        # Without ref the loop may end while nothing but idle connections is left.
        self._watcher = self._hub.loop.io(self._epoll.fileno(), _READ_EVENT, ref=False)
        self._watcher.start(self._drain)
        self._ticker = self._hub.loop.timer(TICK_S, TICK_S)
        self._pacer = self._hub.loop.timer(PACE_S, PACE_S, ref=False)
        # The kernel stamps packets only while some socket asks for it, which takes effect with a delay.
        self._stamping = _Socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._stamping.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)

    # What callers use.

    def stream(
        self,
        target: Target,
        request: StreamRequest,
        traits: Traits,
        on_open: Callable[[str, int], None] | None = None,
        on_close: Callable[[StreamRecord], None] | None = None,
    ) -> StreamRecord:
        """Open one stream, block this greenlet until it is over, return its record.

        `on_open(id, opened_ns)` is called before anything is sent; `on_close(record)` exactly once after it,
        also when this greenlet is killed (the ending is `cut`, the kill goes on). An exception of ours
        becomes the ending client_error.
        """
        return self.observe(target, request, traits, on_open, on_close).record

    def observe(
        self,
        target: Target,
        request: StreamRequest,
        traits: Traits,
        on_open: Callable[[str, int], None] | None = None,
        on_close: Callable[[StreamRecord], None] | None = None,
    ) -> Observed:
        """Like `stream`, with what the stream showed."""
        opened_ns = time.monotonic_ns()
        exchange = Exchange(request, traits, self._deadlines, opened_ns=opened_ns, worker=self._worker)
        stream = _Stream(next(self._numbers), target, exchange)
        self._streams[stream.number] = stream
        try:
            if on_open is not None:
                on_open(request.id, opened_ns)
            self._run(stream, request, traits)
        except Exception as error:  # noqa: BLE001 our own fault is a record, never a traceback
            stream.exchange.fail(time.monotonic_ns(), f"{type(error).__name__}: {error}")
        finally:
            stream.exchange.cut(time.monotonic_ns())  # no effect on one that has ended: only a kill gets here
            self._leave(stream)
            record = stream.exchange.record()
            if on_close is not None:
                on_close(record)
        return stream.exchange.observed()

    def cut_all(self) -> None:
        """Stop every open stream; each still yields its record."""
        for stream in list(self._streams.values()):
            stream.exchange.cut(time.monotonic_ns())
            self._leave(stream)

    def open_by_revision(self) -> dict[str, int]:
        """Open streams of the main lane by the label seen last; "" where none has come."""
        counts: dict[str, int] = {}
        for stream in self._streams.values():
            if stream.exchange.request.lane is Lane.MAIN:
                label = stream.exchange.label
                counts[label] = counts.get(label, 0) + 1
        return counts

    def flowing(self) -> frozenset[str]:
        """Ids of the open streams that have had a token."""
        return frozenset(
            stream.exchange.request.id for stream in self._streams.values() if stream.exchange.has_token
        )

    def close(self) -> None:
        """Cut what is open, close what is kept, let go of the hub."""
        self.cut_all()
        for connection in list(self._connections.values()):
            self._close(connection)
        for watcher in (self._watcher, self._ticker, self._pacer):
            watcher.stop()
            watcher.close()
        self._epoll.close()
        self._stamping.close()

    def get_json(self, target: Target, path: str, timeout_s: float) -> tuple[int, object]:
        """Status with decoded body of one GET, such as of /v1/models; None for an error's without JSON.

        OSError when no whole answer came within `timeout_s`, ValueError when it is not HTTP or JSON.
        """
        headers = target.request_headers({"Accept": "application/json", "Connection": "close"})
        reader = ResponseReader()
        body = b""
        late = TimeoutError(f"{target.url} did not answer within {timeout_s} s")
        with gevent.Timeout(timeout_s, late), self._dialled(target) as sock:
            sock.sendall(request_bytes("GET", path, headers))
            while not (reader.complete or reader.fault):
                data = sock.recv(READ_BYTES)
                body += reader.feed(data)
                if not data and reader.eof():
                    raise ConnectionError(f"{target.url}: {reader.eof()}")
        if reader.fault or reader.head is None:
            raise ValueError(f"{target.url} does not answer in HTTP: {reader.fault}")
        try:
            return reader.head.status, msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if reader.head.status >= 400:  # gateways say it in HTML
                return reader.head.status, None
            raise ValueError(
                f"{target.url}{path} answered {reader.head.status} without JSON: {error}"
            ) from error

    def _dialled(self, target: Target) -> Any:  # noqa: ANN401 gevent's sockets have no types
        sock = self._connected(target)
        if target.scheme == "http":
            return sock
        context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _prepared(context, self._access)
        try:
            return context.wrap_socket(sock, server_hostname=target.host)
        except ssl.SSLCertVerificationError as error:
            sock.close()
            raise ConnectionError(
                f"its certificate does not verify, {error.verify_message}: "
                "give its authority with --cacert FILE, or trust it blindly with --insecure"
            ) from error
        except BaseException:
            sock.close()
            raise

    def _connected(self, target: Target) -> Any:  # noqa: ANN401 gevent's sockets have no types
        """A socket to the first address that takes it; OSError of the last one."""
        addresses = self._access.addresses(target.host, target.port) or (target.host,)
        for address in addresses[:-1]:
            with suppress(OSError):
                return gevent.socket.create_connection((address, target.port))
        return gevent.socket.create_connection((addresses[-1], target.port))

    # One stream, in its own greenlet.

    def _run(self, stream: _Stream, request: StreamRequest, traits: Traits) -> None:
        stream.wire = _wire(stream.target, request, traits)
        if not self._ticker.active:
            self._ticker.start(self._tick)
        kept = None if request.fresh else self._take_kept(stream.target)
        if kept is not None:
            self._use(kept, stream)
        else:
            self._connect(stream)
        stream.over.wait()
        if stream.exchange.ending is None:  # a kept connection was closed under the request
            self._again(stream, request, traits)

    def _again(self, stream: _Stream, request: StreamRequest, traits: Traits) -> None:
        """Repeat once on a fresh connection, as RFC 9112 9.3.1 lets clients do after a keep-alive race."""
        opened_ns, now_ns = stream.exchange.opened_ns, time.monotonic_ns()
        stream.exchange = Exchange(
            request,
            traits,
            self._deadlines,
            opened_ns=opened_ns,
            worker=self._worker,
            attempt_ns=now_ns,
            stale_retried=True,
        )
        stream.over.clear()
        self._connect(stream)
        stream.over.wait()

    def _connect(self, stream: _Stream) -> None:
        self._watch_limits(stream)
        stream.addresses = self._resolved(stream)
        if stream.exchange.ending is None:
            self._try_next(stream)

    def _resolved(self, stream: _Stream) -> list[tuple[Any, ...]]:
        """The addresses of the target; without any the stream is refused as name_unresolved."""
        target, limit_s = stream.target, self._deadlines.connect_s
        given = self._access.addresses(target.host, target.port)
        if given or target.is_address:
            return [
                found
                for address in given or (target.host,)
                for found in _getaddrinfo(
                    address, target.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
                )
            ]
        try:
            with gevent.Timeout(limit_s, TimeoutError(f"no answer within {limit_s} s")):
                return list(gevent.socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            words = f"the name {target.host} did not resolve: {error}"
            stream.exchange.refuse(Ending.NAME_UNRESOLVED, time.monotonic_ns(), words)
            self._leave(stream)
            return []

    def _try_next(self, stream: _Stream) -> None:
        """Connect to the next address; when none is left, conclude from the last failure."""
        while stream.addresses:
            family, _, _, _, address = stream.addresses.pop(0)
            try:
                self._begin_connect(stream, family, address)
            except OSError as error:
                stream.failures.append((str(address[0]), error.errno or 0))
            else:
                return
        if not stream.failures:
            raise RuntimeError(f"{stream.target.host} resolved to no address")
        number = stream.failures[-1][1]
        tried = ", ".join(f"{address} {_symbol(code)}" for address, code in stream.failures)
        ending = CONNECT_ENDINGS.get(number)
        now_ns = time.monotonic_ns()
        if ending is None:
            stream.exchange.fail(now_ns, f"cannot connect: {tried}")
        else:
            stream.exchange.refuse(ending, now_ns, f"tried {tried}", _symbol(number))
        self._leave(stream)

    def _begin_connect(self, stream: _Stream, family: int, address: tuple[Any, ...]) -> None:
        sock = _Socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            code = sock.connect_ex(address)
            if code not in (0, errno.EINPROGRESS):
                raise OSError(code, _symbol(code))
            connection = _Connection(sock, _key(stream.target), stream)
            self._epoll.register(connection.fd, EPOLLIN | EPOLLOUT)
        except OSError:
            sock.close()
            raise
        self._connections[connection.fd] = connection
        stream.connection = connection
        connection.peer = _endpoint(address)
        left_ns = stream.exchange.deadline[0] - time.monotonic_ns()
        # The limit is shared out, so that one address that never answers leaves time for the others.
        share_ns = left_ns // (len(stream.addresses) + 1)
        stream.share_end_ns = time.monotonic_ns() + share_ns if stream.addresses else None
        self._watch_limits(stream)

    def _take_kept(self, target: Target) -> _Connection | None:
        kept = self._idle.get(_key(target))
        return kept.pop() if kept else None

    def _use(self, connection: _Connection, stream: _Stream) -> None:
        connection.stream, connection.reused = stream, True
        stream.connection = connection
        self._begin_send(connection, stream)

    def _begin_send(self, connection: _Connection, stream: _Stream) -> None:
        now_ns = connection.last_ns = time.monotonic_ns()
        stream.exchange.connected(now_ns, connection.local, connection.peer)
        self._watch_limits(stream)
        connection.sending = True
        tls = connection.tls
        self._put(connection, stream, stream.wire if tls is None else tls.encrypted(stream.wire))

    def _leave(self, stream: _Stream) -> None:
        """The stream is over: free its connection, wake its greenlet."""
        connection, stream.connection = stream.connection, None
        if connection is not None:
            connection.stream = None
            if stream.exchange.reusable and not stream.exchange.request.fresh:
                self._idle.setdefault(connection.key, []).append(connection)
            else:
                self._close(connection)
        self._streams.pop(stream.number, None)
        if not self._streams:
            self._ticker.stop()
            self._due.clear()
        stream.over.set()

    def _close(self, connection: _Connection) -> None:
        del self._connections[connection.fd]
        kept = self._idle.get(connection.key, [])
        if connection in kept:
            kept.remove(connection)
        self._epoll.unregister(connection.fd)
        connection.socket.close()

    # What the hub calls.

    def _drain(self) -> None:
        """One read or write for each socket that is ready."""
        ready = self._epoll.poll(0)
        self._pace(len(ready))
        now_ns = time.monotonic_ns()
        stamps_hold = self._clock.refresh(now_ns)
        for fd, events in ready:
            connection = self._connections.get(fd)
            if connection is None:
                continue
            try:
                if events == EPOLLIN and not connection.connecting:
                    self._on_readable(connection, stamps_hold)
                else:
                    self._on_events(connection, events, stamps_hold)
            except Exception as error:  # noqa: BLE001 a fault of ours must not silence the other streams
                self._fail(connection, error)

    def _pace(self, ready: int) -> None:
        """While many streams flow, look every PACE_S instead of waking for each of them."""
        # One wake-up for all that came within 1 ms: 23.4 -> 18.3 us per event (bench/sse_cpu.py, 2026-11-24).
        if self._pacer.active:
            if not ready or len(self._streams) < PACED_STREAMS:
                self._pacer.stop()
                self._watcher.start(self._drain)
        elif ready and len(self._streams) >= PACED_STREAMS:
            self._watcher.stop()
            self._pacer.start(self._drain)

    def _on_events(self, connection: _Connection, events: int, stamps_hold: bool) -> None:
        stream = connection.stream
        if stream is not None and events & ~EPOLLIN and (connection.connecting or connection.out):
            self._on_writable(connection, stream)
        if events & ~EPOLLOUT and not connection.connecting and connection.fd in self._connections:
            self._on_readable(connection, stamps_hold)

    def _on_writable(self, connection: _Connection, stream: _Stream) -> None:
        if connection.connecting:
            self._finish_connect(connection, stream)
        else:
            self._send(connection, stream)

    def _finish_connect(self, connection: _Connection, stream: _Stream) -> None:
        code = connection.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._next_address(connection, stream, code)
            return
        try:
            connection.peer = _endpoint(connection.socket.getpeername())
        except OSError:
            return  # the event was of an older socket with this number
        connection.connecting = False
        connection.local = _endpoint(connection.socket.getsockname())
        stream.share_end_ns = None
        if stream.target.scheme == "https":
            connection.tls = _Tls(self._tls_context(), stream.target.host)
            connection.tls.shake()
            self._put(connection, stream, connection.tls.encrypted(b""))
        else:
            self._begin_send(connection, stream)

    def _tls_context(self) -> ssl.SSLContext:
        if self._context is None:
            # Python's own recurses for ever on verify_mode once gevent has patched the module.
            self._context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            _prepared(self._context, self._access)
            self._context.set_alpn_protocols(["http/1.1"])
        return self._context

    def _next_address(self, connection: _Connection, stream: _Stream, code: int) -> None:
        stream.failures.append((connection.peer, code))
        connection.stream = stream.connection = stream.share_end_ns = None
        self._close(connection)
        self._try_next(stream)

    def _put(self, connection: _Connection, stream: _Stream, data: bytes) -> None:
        connection.out = memoryview(bytes(connection.out) + data)
        self._epoll.modify(connection.fd, EPOLLIN | EPOLLOUT)
        self._send(connection, stream)

    def _send(self, connection: _Connection, stream: _Stream) -> None:
        now_ns = time.monotonic_ns()
        try:
            while connection.out:
                now_ns = time.monotonic_ns()  # before the call: an answer may be stamped before it returns
                connection.out = connection.out[connection.socket.send(connection.out) :]
        except BlockingIOError:
            return
        except OSError:
            # The peer is gone or refuses more; what it answered before that is read first.
            connection.out = memoryview(b"")
        else:
            if connection.sending:
                stream.exchange.sent(now_ns)
                connection.sending = False
        self._epoll.modify(connection.fd, EPOLLIN)

    def _on_readable(self, connection: _Connection, stamps_hold: bool) -> bool:
        """One read; whether there was something to read."""
        stream = connection.stream
        try:
            data, ancillary, _, _ = connection.socket.recvmsg(READ_BYTES, _ANCILLARY_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            self._lost(connection, stream, _symbol(error.errno or 0))
            return True
        if stream is None or not data:
            self._lost(connection, stream, "")
            return True
        now_ns = time.monotonic_ns()
        last_ns = connection.last_ns
        exact = stamps_hold and bool(ancillary)
        stamp_ns = now_ns
        if exact:
            seconds, fraction_ns = _TIMESPEC.unpack(ancillary[0][2])
            stamp_ns = self._clock.monotonic(seconds * NS_PER_S + fraction_ns)
            if not last_ns <= stamp_ns <= now_ns:
                exact = last_ns - STAMP_SLACK_NS <= stamp_ns <= now_ns + STAMP_SLACK_NS
                stamp_ns = min(max(stamp_ns, last_ns), now_ns) if exact else now_ns
        connection.last_ns = stamp_ns
        if connection.tls is not None:
            data, ends_read = self._decrypted(connection, connection.tls, stream, data)
            exact = exact and ends_read
            if not data:
                return True
        exchange = stream.exchange
        exchange.feed(data, stamp_ns, last_ns, exact)
        if exchange.ending is not None:
            self._leave(stream)
        elif exchange.phase != stream.phase:
            self._watch_limits(stream)
        return True

    def _decrypted(
        self, connection: _Connection, tls: _Tls, stream: _Stream, data: bytes
    ) -> tuple[bytes, bool]:
        """Plain bytes of one read; a handshake goes on, or ends in the request or in tls_failed."""
        established = tls.established
        try:
            plain, ends_read = tls.receive(data)
        except ssl.SSLError as error:
            if established:
                stream.exchange.reset(time.monotonic_ns(), error.reason or "SSLError")
            else:
                words = f"TLS with {stream.target.authority} failed: {error}"
                stream.exchange.refuse(Ending.TLS_FAILED, time.monotonic_ns(), words)
            self._leave(stream)
            return b"", False
        if not established:
            self._put(connection, stream, tls.encrypted(b""))
            if tls.established:
                self._begin_send(connection, stream)
        return plain, ends_read

    def _lost(self, connection: _Connection, stream: _Stream | None, symbol: str) -> None:
        """FIN or, with a symbol, a broken connection."""
        if stream is None:  # closed by the peer, or bytes nobody asked for: no request may follow them
            self._close(connection)
            return
        exchange = stream.exchange
        if connection.reused and not exchange.began:
            stream.connection = connection.stream = None
            self._close(connection)
            stream.over.set()  # without an ending: the greenlet repeats it
            return
        if connection.tls is not None and not connection.tls.established:
            words = f"the connection ended within the TLS handshake with {stream.target.authority}"
            exchange.refuse(Ending.TLS_FAILED, time.monotonic_ns(), words, symbol)
        elif symbol:
            exchange.reset(time.monotonic_ns(), symbol)
        else:
            exchange.eof(time.monotonic_ns())
        self._leave(stream)

    def _fail(self, connection: _Connection, error: Exception) -> None:
        stream = connection.stream
        if stream is not None:
            stream.exchange.fail(time.monotonic_ns(), f"{type(error).__name__}: {error}")
            self._leave(stream)
        elif connection.fd in self._connections:
            self._close(connection)

    # Limits.

    def _watch_limits(self, stream: _Stream) -> None:
        """Look at the stream again when its next limit is over; most move on before that."""
        stream.phase = stream.exchange.phase
        heapq.heappush(self._due, (stream.due_ns, stream.number))

    def _tick(self) -> None:
        now_ns = time.monotonic_ns()
        while self._due and self._due[0][0] <= now_ns:
            _, number = heapq.heappop(self._due)
            stream = self._streams.get(number)
            if stream is not None:
                self._judge_limit(stream, now_ns)

    def _judge_limit(self, stream: _Stream, now_ns: int) -> None:
        """Conclude a stream whose limit is over, but never for bytes that only we have not read."""
        connection = stream.connection
        if connection is not None and not connection.connecting and stream.due_ns <= now_ns:
            stamps_hold = self._clock.refresh(now_ns)
            for _ in range(DUE_READS):
                if connection.stream is not stream or not self._on_readable(connection, stamps_hold):
                    break
        if stream.exchange.ending is not None or stream.over.is_set():
            return
        if stream.due_ns > now_ns:
            self._watch_limits(stream)
        elif stream.exchange.pass_deadline(now_ns):
            self._leave(stream)
        elif connection is not None:
            self._next_address(connection, stream, errno.ETIMEDOUT)


def _wire(target: Target, request: StreamRequest, traits: Traits) -> bytes:
    """The request as bytes; a fresh lane's connection is not kept by the server either."""
    own = {
        "Accept": "text/event-stream",
        "Accept-Encoding": "identity",
        "User-Agent": "midstream",
        "Content-Type": "application/json",
        "X-Request-Id": request.id,
    }
    if request.fresh:
        own["Connection"] = "close"
    headers = target.request_headers(own)
    return request_bytes("POST", target.stream_path(request.api), headers, payload_of(request, traits))


def _prepared(context: Any, access: Access) -> None:  # noqa: ANN401 gevent's have no types
    """Give a client's context, which verifies certificate with name, what `access` says; ValueError."""
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


def _file_fault(error: OSError) -> str:
    if not isinstance(error, ssl.SSLError):
        return f"cannot be read ({error.strerror})"
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key does not match the certificate"
    return "this is not what such a file holds"


def _key(target: Target) -> tuple[str, str, int]:
    return target.scheme, target.host, target.port


def _endpoint(address: tuple[Any, ...]) -> str:
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{host}:{address[1]}"


def _symbol(code: int) -> str:
    return errno.errorcode.get(code, str(code))
