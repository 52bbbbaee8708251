"""The loop: one epoll that gevent's hub drains, from which every stream's bytes come with their time.

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
from collections.abc import Callable, Iterator
from typing import Any

import gevent
from gevent import monkey

from midstream.streams.access import USUAL, Access
from midstream.streams.clock import Clocks, StampClock
from midstream.streams.deadlines import Deadlines
from midstream.streams.ending import Ending
from midstream.streams.exchange import NS_PER_S
from midstream.streams.reactor.connection import (
    Connection,
    Conversation,
    Key,
    Talk,
    dialled,
    endpoint,
    stamping_socket,
    symbol,
)
from midstream.streams.reactor.layer import Layer, LayerError
from midstream.streams.reactor.route import Address, layers_of, route_to
from midstream.streams.reactor.tls import client_context
from midstream.streams.reactor.tls_words import tls_fault
from midstream.streams.target import Target

READ_BYTES = 65_536
TICK_S = 0.05  # how late a limit may be noticed
PACE_S = 0.002  # how long bytes may lie when many streams flow: the kernel has dated them
PACED_TALKS = 32  # with fewer open every wake-up is for its own sake
DUE_READS = 256  # a late loop may find this many reads (16 MiB) in one socket before it judges a limit
STAMP_SLACK_NS = 1_000_000  # a stamp further outside (last read, now] is not believed

EPOLLIN, EPOLLOUT = 1, 4
_READ_EVENT = 1  # of gevent's loop.io

_TIMESPEC = struct.Struct("qq")
_ANCILLARY_BYTES = 64  # one timespec with its header: CMSG_SPACE(16) = 32
_epoll: Callable[[], Any] = monkey.get_original("select", "epoll")  # gevent hides it once it has patched

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


class Loop:
    """All connections of one process, with the talks that use them."""

    def __init__(self, deadlines: Deadlines, access: Access) -> None:
        """ValueError when a file of `access` cannot be used."""
        self._deadlines = deadlines
        self._access = access
        self._context: ssl.SSLContext | None = None
        if access != USUAL:
            self._tls_context()  # a file that is wrong is said now
        self._hub: Any = gevent.get_hub()
        self._clock = StampClock(time.time_ns, time.monotonic_ns)
        self._connections: dict[int, Connection] = {}
        self._idle: dict[Key, list[Connection]] = {}
        self._talks: dict[int, Talk] = {}
        self._due: list[tuple[int, int]] = []  # (instant, number of a talk), a heap
        self._numbers = itertools.count()
        self._reads = self._undated_reads = 0
        self._epoll = _epoll()
        # Without ref the loop may end while nothing but idle connections is left.
        self._watcher = self._hub.loop.io(self._epoll.fileno(), _READ_EVENT, ref=False)
        self._watcher.start(self._drain)
        self._ticker = self._hub.loop.timer(TICK_S, TICK_S)
        self._pacer = self._hub.loop.timer(PACE_S, PACE_S, ref=False)
        self._stamping = stamping_socket()

    # What callers use, from greenlets of the thread that made it.

    def begin(self, target: Target, conversation: Conversation, *, fresh: bool) -> Talk:
        """A talk that `run` is to carry to its end; whatever happens, `leave` must follow.

        `fresh`: on a connection of its own, else on a kept one where there is one.
        """
        talk = Talk(next(self._numbers), target, conversation, fresh)
        self._talks[talk.number] = talk
        return talk

    def run(self, talk: Talk, wire: bytes) -> None:
        """Send the request, block this greenlet until the conversation has its ending."""
        talk.wire = wire
        if not self._ticker.active:
            self._ticker.start(self._tick)
        kept = None if talk.fresh else self._take_kept(talk.target)
        if kept is not None:
            self._use(kept, talk)
        else:
            self._connect(talk)
        talk.over.wait()
        if talk.conversation.ending is None:  # a kept connection was closed under the request
            # Repeated once on a fresh one, as RFC 9112 9.3.1 lets clients do.
            talk.conversation.again(time.monotonic_ns())
            talk.over.clear()
            self._connect(talk)
            talk.over.wait()

    def leave(self, talk: Talk) -> None:
        """The talk is over: free its connection, wake its greenlet. Harmless when it was left before."""
        connection, talk.connection = talk.connection, None
        if connection is not None:
            connection.talk = None
            if talk.conversation.reusable and not talk.fresh:
                self._idle.setdefault(connection.key, []).append(connection)
            else:
                self._close(connection)
        self._talks.pop(talk.number, None)
        if not self._talks:
            self._ticker.stop()
            self._due.clear()
        talk.over.set()

    def cut_all(self) -> None:
        """Stop every open talk; each still comes to its ending."""
        for talk in list(self._talks.values()):
            talk.conversation.cut(time.monotonic_ns())
            self.leave(talk)

    @property
    def clocks(self) -> Clocks:
        """How the reads of this process were dated until now."""
        return Clocks(reads=self._reads, undated_reads=self._undated_reads, steps=self._clock.steps)

    def conversations(self) -> Iterator[Conversation]:
        """Those that are open."""
        return (talk.conversation for talk in self._talks.values())

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

    # One talk, in its own greenlet.

    def _connect(self, talk: Talk) -> None:
        self._watch_limits(talk)
        talk.route = route_to(talk.target, self._access)
        talk.addresses = self._resolved(talk)
        if talk.conversation.ending is None:
            self._try_next(talk)

    def _resolved(self, talk: Talk) -> list[Address]:
        """The addresses to try; without any the talk is refused as name_unresolved."""
        try:
            return talk.route.addresses(self._deadlines.connect_s)
        except (OSError, UnicodeError) as error:
            words = f"the name {talk.route.host} did not resolve: {error}"
            talk.conversation.refuse(Ending.NAME_UNRESOLVED, time.monotonic_ns(), words)
            self.leave(talk)
            return []

    def _try_next(self, talk: Talk) -> None:
        """Connect to the next address; when none is left, conclude from the last failure."""
        while talk.addresses:
            family, _, _, _, address = talk.addresses.pop(0)
            try:
                self._begin_connect(talk, family, address)
            except OSError as error:
                talk.failures.append((str(address[0]), error.errno or 0))
            else:
                return
        if not talk.failures:
            raise RuntimeError(f"{talk.route.host} resolved to no address")
        number = talk.failures[-1][1]
        tried = ", ".join(f"{address} {symbol(code)}" for address, code in talk.failures)
        ending = CONNECT_ENDINGS.get(number)
        now_ns = time.monotonic_ns()
        if ending is None:
            talk.conversation.fail(now_ns, f"cannot connect: {tried}")
        else:
            talk.conversation.refuse(ending, now_ns, f"tried {tried}", symbol(number))
        self.leave(talk)

    def _begin_connect(self, talk: Talk, family: int, address: tuple[Any, ...]) -> None:
        sock = dialled(family, address)
        connection = Connection(sock, _key(talk.target), talk, endpoint(address))
        try:
            self._epoll.register(connection.fd, EPOLLIN | EPOLLOUT)
        except OSError:
            sock.close()
            raise
        self._connections[connection.fd] = connection
        talk.connection = connection
        left_ns = talk.conversation.deadline[0] - time.monotonic_ns()
        # The limit is shared out, so that one address that never answers leaves time for the others.
        share_ns = left_ns // (len(talk.addresses) + 1)
        talk.share_end_ns = time.monotonic_ns() + share_ns if talk.addresses else None
        self._watch_limits(talk)

    def _take_kept(self, target: Target) -> Connection | None:
        kept = self._idle.get(_key(target))
        return kept.pop() if kept else None

    def _use(self, connection: Connection, talk: Talk) -> None:
        connection.talk, connection.reused = talk, True
        talk.connection = connection
        self._begin_send(connection, talk)

    def _begin_send(self, connection: Connection, talk: Talk) -> None:
        now_ns = connection.last_ns = time.monotonic_ns()
        talk.conversation.connected(now_ns, connection.local, connection.peer)
        self._watch_limits(talk)
        connection.sending = True
        layer = connection.layer
        self._put(connection, talk, talk.wire if layer is None else layer.going(talk.wire))

    def _close(self, connection: Connection) -> None:
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
        # A wake-up costs about 28 us. One for all that came within 1 ms: 23.4 -> 18.3 us per event; within
        # 2 ms, with the gaps counted together (tally.py): 16.7 -> 13.8 (bench/sse_cpu.py, 2026-11-24).
        if self._pacer.active:
            if not ready or len(self._talks) < PACED_TALKS:
                self._pacer.stop()
                self._watcher.start(self._drain)
        elif ready and len(self._talks) >= PACED_TALKS:
            self._watcher.stop()
            self._pacer.start(self._drain)

    def _on_events(self, connection: Connection, events: int, stamps_hold: bool) -> None:
        talk = connection.talk
        if talk is not None and events & ~EPOLLIN and (connection.connecting or connection.out):
            self._on_writable(connection, talk)
        if events & ~EPOLLOUT and not connection.connecting and connection.fd in self._connections:
            self._on_readable(connection, stamps_hold)

    def _on_writable(self, connection: Connection, talk: Talk) -> None:
        if connection.connecting:
            self._finish_connect(connection, talk)
        else:
            self._send(connection, talk)

    def _finish_connect(self, connection: Connection, talk: Talk) -> None:
        code = connection.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._next_address(connection, talk, code)
            return
        try:
            connection.peer = endpoint(connection.socket.getpeername())
        except OSError:
            return  # the event was of an older socket with this number
        connection.connecting = False
        connection.local = endpoint(connection.socket.getsockname())
        talk.share_end_ns = None
        connection.layers = layers_of(talk.target, talk.route, self._tls_context)
        self._next_layer(connection, talk)

    def _next_layer(self, connection: Connection, talk: Talk) -> None:
        """Begin the next layer of a new connection; when there is none, send the request."""
        layer = next(connection.layers, None)
        if layer is None:
            self._begin_send(connection, talk)
        else:
            connection.layer = layer
            self._put(connection, talk, layer.going())

    def _tls_context(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = client_context(self._access)
        return self._context

    def _next_address(self, connection: Connection, talk: Talk, code: int) -> None:
        talk.failures.append((connection.peer, code))
        connection.talk = talk.connection = talk.share_end_ns = None
        self._close(connection)
        self._try_next(talk)

    def _put(self, connection: Connection, talk: Talk, data: bytes) -> None:
        connection.out = memoryview(bytes(connection.out) + data)
        self._epoll.modify(connection.fd, EPOLLIN | EPOLLOUT)
        self._send(connection, talk)

    def _send(self, connection: Connection, talk: Talk) -> None:
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
                talk.conversation.sent(now_ns)
                connection.sending = False
        self._epoll.modify(connection.fd, EPOLLIN)

    def _on_readable(self, connection: Connection, stamps_hold: bool) -> bool:
        """One read; whether there was something to read."""
        talk = connection.talk
        try:
            data, ancillary, _, _ = connection.socket.recvmsg(READ_BYTES, _ANCILLARY_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            self._lost(connection, talk, symbol(error.errno or 0))
            return True
        if talk is None or not data:
            self._lost(connection, talk, "")
            return True
        now_ns = time.monotonic_ns()
        last_ns = connection.last_ns
        self._reads += 1
        self._undated_reads += not ancillary
        exact = stamps_hold and bool(ancillary)
        stamp_ns = now_ns
        if exact:
            seconds, fraction_ns = _TIMESPEC.unpack(ancillary[0][2])
            stamp_ns = self._clock.monotonic(seconds * NS_PER_S + fraction_ns)
            if not last_ns <= stamp_ns <= now_ns:
                exact = last_ns - STAMP_SLACK_NS <= stamp_ns <= now_ns + STAMP_SLACK_NS
                stamp_ns = min(max(stamp_ns, last_ns), now_ns) if exact else now_ns
        connection.last_ns = stamp_ns
        if connection.layer is not None:
            data, ends_read = self._through(connection.layer, connection, talk, data)
            exact = exact and ends_read
            if not data:
                return True
        conversation = talk.conversation
        conversation.feed(data, stamp_ns, last_ns, exact)
        if conversation.ending is not None:
            self.leave(talk)
        elif conversation.phase != talk.phase:
            self._watch_limits(talk)
        return True

    def _through(self, layer: Layer, connection: Connection, talk: Talk, data: bytes) -> tuple[bytes, bool]:
        """What one read holds behind its layer; one not yet established goes on, or refuses the talk."""
        established = layer.established
        try:
            within, ends_read = layer.receive(data)
        except LayerError as error:
            talk.conversation.refuse(error.ending, time.monotonic_ns(), error.words)
        except ssl.SSLError as error:
            self._damaged(talk, error)
        else:
            if established:
                return within, ends_read
            self._put(connection, talk, layer.going())
            if layer.established:
                self._next_layer(connection, talk)
            return b"", False
        self.leave(talk)
        return b"", False

    def _damaged(self, talk: Talk, error: ssl.SSLError) -> None:
        """TLS broke; where nothing was answered it says why we are not served (TLS 1.3 says it late)."""
        now_ns = time.monotonic_ns()
        if talk.conversation.began:
            talk.conversation.reset(now_ns, error.reason or "SSLError")
        else:
            words = tls_fault(error, talk.target.authority)
            talk.conversation.refuse(Ending.TLS_FAILED, now_ns, words)

    def _lost(self, connection: Connection, talk: Talk | None, broke: str) -> None:
        """FIN or, with a symbol, a broken connection."""
        if talk is None:  # closed by the peer, or bytes nobody asked for: no request may follow them
            self._close(connection)
            return
        conversation = talk.conversation
        if connection.reused and not conversation.began:
            talk.connection = connection.talk = None
            self._close(connection)
            talk.over.set()  # without an ending: the greenlet repeats it
            return
        layer = connection.layer
        if layer is not None and not layer.established:
            error = layer.closed()
            conversation.refuse(error.ending, time.monotonic_ns(), error.words, broke)
        elif broke:
            conversation.reset(time.monotonic_ns(), broke)
        else:
            conversation.eof(time.monotonic_ns())
        self.leave(talk)

    def _fail(self, connection: Connection, error: Exception) -> None:
        talk = connection.talk
        if talk is not None:
            talk.conversation.fail(time.monotonic_ns(), f"{type(error).__name__}: {error}")
            self.leave(talk)
        elif connection.fd in self._connections:
            self._close(connection)

    # Limits.

    def _watch_limits(self, talk: Talk) -> None:
        """Look at the stream again when its next limit is over; most move on before that."""
        talk.phase = talk.conversation.phase
        heapq.heappush(self._due, (talk.due_ns, talk.number))

    def _tick(self) -> None:
        now_ns = time.monotonic_ns()
        while self._due and self._due[0][0] <= now_ns:
            _, number = heapq.heappop(self._due)
            talk = self._talks.get(number)
            if talk is not None:
                self._judge_limit(talk, now_ns)

    def _judge_limit(self, talk: Talk, now_ns: int) -> None:
        """Conclude a stream whose limit is over, but never for bytes that only we have not read."""
        connection = talk.connection
        if connection is not None and not connection.connecting and talk.due_ns <= now_ns:
            stamps_hold = self._clock.refresh(now_ns)
            for _ in range(DUE_READS):
                if connection.talk is not talk or not self._on_readable(connection, stamps_hold):
                    break
        if talk.conversation.ending is not None or talk.over.is_set():
            return
        if talk.due_ns > now_ns:
            self._watch_limits(talk)
        elif talk.conversation.pass_deadline(now_ns):
            self.leave(talk)
        elif connection is not None:
            self._next_address(connection, talk, errno.ETIMEDOUT)


def _key(target: Target) -> Key:
    return target.scheme, target.host, target.port
