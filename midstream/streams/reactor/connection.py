"""One socket with the talk that uses it now."""

import errno
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Protocol

import gevent.event
from gevent import monkey

from midstream.streams.ending import Ending
from midstream.streams.reactor.layer import Layer
from midstream.streams.reactor.route import Address, Route
from midstream.streams.target import Target

SO_TIMESTAMPNS = 35  # asm-generic/socket.h; the same number is the control message's type

# The kernel's own, also where Locust has let gevent patch the module.
_Socket: type[socket.socket] = monkey.get_original("socket", "socket")

Key = tuple[str, str, int]  # scheme, host, port: what a kept connection may be used for again


class Conversation(Protocol):
    """What a talk is about, sans-IO: a stream's Exchange, a Question. All instants are ns, monotonic."""

    ending: Ending | None  # once set, everything else told is ignored
    phase: int  # changes whenever `deadline` may have come nearer

    @property
    def began(self) -> bool:
        """Whether a byte of the response has come."""

    @property
    def reusable(self) -> bool:
        """Whether the connection may carry another request."""

    @property
    def deadline(self) -> tuple[int, Ending]:
        """The next limit, with the ending of what passes it."""

    def connected(self, at_ns: int, local: str, peer: str, /) -> None:
        """A connection is there, new or kept."""

    def again(self, at_ns: int, /) -> None:
        """The kept connection closed before a byte came: begin once more, on a fresh one."""

    def sent(self, at_ns: int, /) -> None:
        """The last byte of the request was handed to the kernel."""

    def feed(self, data: bytes, stamp_ns: int, not_before_ns: int, exact: bool, /) -> None:
        """Bytes of one read."""

    def eof(self, at_ns: int, /) -> None:
        """The peer's FIN."""

    def reset(self, at_ns: int, errno: str, /) -> None:
        """The connection broke."""

    def refuse(self, ending: Ending, at_ns: int, error: str, errno: str = "", /) -> None:
        """No connection came about."""

    def pass_deadline(self, now_ns: int, /) -> bool:
        """Conclude when the next limit is over; whether it was."""

    def cut(self, at_ns: int, /) -> None:
        """We stop it."""

    def fail(self, at_ns: int, error: str, /) -> None:
        """Our own code raised."""


class Talk:
    """One conversation on its way: its bytes, its connection, whatever wakes its greenlet."""

    __slots__ = (
        "addresses",
        "connection",
        "conversation",
        "failures",
        "fresh",
        "number",
        "over",
        "phase",
        "route",
        "share_end_ns",
        "target",
        "wire",
    )

    def __init__(self, number: int, target: Target, conversation: Conversation, fresh: bool) -> None:
        self.number = number
        self.target = target
        self.conversation = conversation
        self.fresh = fresh  # on a connection of its own, which nobody uses after it
        self.wire = b""
        self.route: Route
        self.connection: Connection | None = None
        self.addresses: list[Address] = []  # of the route's name, not yet tried
        self.failures: list[tuple[str, int]] = []  # (address, errno) of those tried
        self.share_end_ns: int | None = None  # when the address that is tried has had its share of time
        self.phase = 0
        self.over = gevent.event.Event()

    @property
    def due_ns(self) -> int:
        """When something must be judged at the latest."""
        at_ns = self.conversation.deadline[0]
        return at_ns if self.share_end_ns is None else min(at_ns, self.share_end_ns)


class Connection:
    """One socket's state; `talk` is None while it is kept idle."""

    __slots__ = (
        "connecting",
        "fd",
        "key",
        "last_ns",
        "layer",
        "layers",
        "local",
        "out",
        "peer",
        "reused",
        "sending",
        "socket",
        "talk",
    )

    def __init__(self, sock: socket.socket, key: Key, talk: Talk, peer: str) -> None:
        self.socket = sock
        self.fd: int = sock.fileno()
        self.key = key
        self.talk: Talk | None = talk
        self.connecting = True
        self.reused = False
        self.layers: Iterator[Layer] = iter(())  # to be established one after the other
        self.layer: Layer | None = None  # what bytes pass through now
        self.out = memoryview(b"")  # not yet handed to the kernel
        self.sending = False  # `out` is the request, not what a layer says
        self.last_ns = 0  # no byte to come is older
        self.local = ""
        self.peer = peer


def dialled(family: int, address: tuple[Any, ...]) -> socket.socket:
    """A socket on its way to that address; OSError when the kernel refuses at once."""
    sock = _Socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ask_for_stamps(sock)
        code = sock.connect_ex(address)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, symbol(code))
    except OSError:
        sock.close()
        raise
    return sock


def stamping_socket() -> socket.socket:
    """A socket that asks for stamps and nothing else.

    The kernel stamps packets only while some socket asks for it, which takes effect with a delay.
    """
    sock = _Socket(socket.AF_INET, socket.SOCK_DGRAM)
    ask_for_stamps(sock)
    return sock


def ask_for_stamps(sock: socket.socket) -> None:
    """Have the kernel date what comes; a platform that cannot gives reads without a stamp."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


def endpoint(address: tuple[Any, ...]) -> str:
    """An address as people write it."""
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{host}:{address[1]}"


def symbol(code: int) -> str:
    """The symbol of an errno, such as ECONNRESET."""
    return errno.errorcode.get(code, str(code))
