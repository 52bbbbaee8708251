"""One way to one pod: SPDY in a WebSocket of the API server, for one connection."""

import asyncio
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from midstream.forward import spdy, websocket
from midstream.rollouts.client import (
    Access,
    Cluster,
    ClusterError,
    CredentialError,
    NotFoundError,
    UnreachableError,
    rules,
)

PROTOCOL = "SPDY/3.1+portforward.k8s.io"  # KEP-4006: served from Kubernetes 1.31 on
ERROR_STREAM, DATA_STREAM = 1, 3
OPEN_S = 5.0
CLOSE_S = 1.0
CHUNK = 65_536
FRAMES_AHEAD = 8  # read ahead of a slow client; beyond that the pod waits
SILENCE_S = 20.0  # load balancers end what is silent for 60 s and more


class Way(NamedTuple):
    """What it takes to ask the API server for a tunnel."""

    host: str
    port: int
    root: str  # the server's own path, before /api
    tls: ssl.SSLContext | None
    server_name: str | None
    headers: Mapping[str, str]  # they hold the token


def needed(namespace: str) -> tuple[Access, ...]:
    """The RBAC of a tunnel: a WebSocket is asked for by GET; Kubernetes 1.35 wants create as well."""
    return tuple(Access(verb, "", "pods/portforward", namespace) for verb in ("get", "create"))


class ForbiddenTunnelError(ClusterError):
    """RBAC does not allow it; the text holds the missing rule."""

    def __init__(self, namespace: str, message: str) -> None:
        super().__init__(
            f"not allowed in namespace {namespace}: {message}. Missing: {rules(needed(namespace))[0]}"
        )


class Tunnel:
    """Opened to a pod; the pod's port is reached only by `connect`, so that it can be kept in readiness."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._frames: asyncio.Queue[spdy.Frame | None] = asyncio.Queue(FRAMES_AHEAD)
        self._heard_at_s = self._asked_at_s = time.monotonic()
        self._settling: asyncio.Task[None] | None = None
        self._pump = asyncio.ensure_future(self._read())

    @classmethod
    async def open(cls, way: Way, namespace: str, pod: str) -> "Tunnel":
        """Raises `ClusterError`: not allowed, no such pod, no answer within OPEN_S."""
        try:
            async with asyncio.timeout(OPEN_S):
                reader, writer = await asyncio.open_connection(
                    way.host, way.port, ssl=way.tls, server_hostname=way.server_name if way.tls else None
                )
                try:
                    await _shake_hands(reader, writer, way, namespace, pod)
                except BaseException:
                    writer.transport.abort()
                    raise
        except TimeoutError as error:
            raise UnreachableError(
                f"the API server opens no tunnel to pod {pod} within {OPEN_S:g} s"
            ) from error
        except (OSError, EOFError) as error:
            words = getattr(error, "strerror", None) or type(error).__name__
            raise UnreachableError(f"the API server opens no tunnel to pod {pod}: {words}") from error
        return cls(reader, writer)

    @property
    def is_alive(self) -> bool:
        """Whether it can still carry something."""
        return not self._pump.done()

    def connect(self, port: int) -> None:
        """Have the pod's port connected; that it failed comes on the error stream."""
        press = spdy.HeaderPress()
        for stream, kind in ((ERROR_STREAM, "error"), (DATA_STREAM, "data")):
            block = press.block({"streamtype": kind, "port": str(port), "requestid": "0"})
            self._send(spdy.open_stream(stream, block, is_last=kind == "error"))

    async def send(self, payload: bytes, *, is_last: bool = False) -> None:
        """Bytes for the pod; ConnectionError when the tunnel is cut."""
        self._send(spdy.data(DATA_STREAM, payload, is_last=is_last))
        await self._writer.drain()

    async def receive(self) -> spdy.Frame | None:
        """The next frame; None: the tunnel has ended."""
        if self._pump.done() and self._frames.empty():
            return None
        return await self._frames.get()

    def give_up(self) -> None:
        """The client has gone: tell the pod's side, then close."""
        self._send(spdy.reset(DATA_STREAM))
        self.close()

    def close(self) -> None:
        """End it at once."""
        if not self._writer.is_closing():
            self._writer.write(websocket.frame(websocket.CLOSE, (1000).to_bytes(2)))
        self._settle()
        self._pump.cancel()

    async def closed(self) -> None:
        """Wait until nothing of it is left, which `close` begins."""
        await self._settle()

    def keep_alive(self) -> None:
        """Called every SILENCE_S: ask whoever was silent, cut who did not answer."""
        if self._heard_at_s < self._asked_at_s:
            self._writer.transport.abort()
            return
        self._asked_at_s = time.monotonic()
        self._write(websocket.PING, b"")

    def _settle(self) -> asyncio.Task[None]:
        if self._settling is None:
            self._settling = asyncio.create_task(self._settled())
        return self._settling

    async def _settled(self) -> None:
        self._writer.close()
        with suppress(OSError, TimeoutError):  # how TLS ended is of no interest, nor may it be logged
            await asyncio.wait_for(self._writer.wait_closed(), CLOSE_S)
        self._writer.transport.abort()

    def _send(self, frame: bytes) -> None:
        self._write(websocket.BINARY, frame)

    def _write(self, opcode: int, payload: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(websocket.frame(opcode, payload))

    async def _read(self) -> None:
        messages, frames = websocket.Unpacker(), spdy.Unpacker()
        try:
            while received := await self._reader.read(CHUNK):
                self._heard_at_s = time.monotonic()
                for message in messages.feed(received):
                    if message.opcode == websocket.CLOSE:
                        return
                    await self._take(message, frames)
        except (OSError, spdy.SpdyError):
            pass  # a cut, as is the end without a word
        finally:
            with suppress(asyncio.QueueFull):
                self._frames.put_nowait(None)
            self._settle()

    async def _take(self, message: websocket.Message, frames: spdy.Unpacker) -> None:
        if message.opcode == websocket.PING:
            self._write(websocket.PONG, message.payload)
        elif message.opcode in (websocket.BINARY, websocket.CONTINUATION):
            for frame in frames.feed(message.payload):
                if isinstance(frame, spdy.Ping):
                    self._send(spdy.pong(frame))
                else:
                    await self._frames.put(frame)


async def _shake_hands(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way, namespace: str, pod: str
) -> None:
    key = websocket.new_key()
    target = f"{way.root}/api/v1/namespaces/{namespace}/pods/{pod}/portforward"
    writer.write(websocket.request(target, f"{way.host}:{way.port}", key, PROTOCOL, way.headers))
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status_line, *lines = head.rstrip().split("\r\n")
    status = status_line.split(" ")[1]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if status != "101":
        length = int(headers.get("content-length", "0"))
        body = (await reader.readexactly(min(length, CHUNK))).decode(errors="replace")
        raise refusal(status, body, namespace, pod)
    if headers.get("sec-websocket-accept") != websocket.accept(key):
        raise UnreachableError("what answers for the API server does not speak WebSocket")
    if headers.get("sec-websocket-protocol") != PROTOCOL:
        raise UnreachableError(
            f"the API server does not speak {PROTOCOL}, which Kubernetes serves from 1.31 on"
        )


def refusal(status: str, body: str, namespace: str, pod: str) -> ClusterError:
    """What a status other than 101 means, with the server's own words."""
    message = _message(body)
    match status:
        case "403":
            return ForbiddenTunnelError(namespace, message)
        case "401":
            return CredentialError(f"pods/portforward: 401 {message}")
        case "404":
            return NotFoundError(f"pod {pod}: {message}")
        case _:
            return UnreachableError(f"no tunnel to pod {pod}: {status} {message}")


def _message(body: str) -> str:
    try:
        return str(msgspec.json.decode(body)["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return " ".join(body[:200].split()) or "without a word"


def way_of(cluster: Cluster) -> Way:
    """The way that the cluster's credentials give. Raises `CredentialError` where a proxy is on it."""
    configuration = cluster.configuration
    if configuration.proxy:
        raise CredentialError("the API server is reached through a proxy, which a tunnel cannot pass")
    split = urlsplit(configuration.host)
    secure = split.scheme == "https"
    host = split.hostname or ""
    return Way(
        host,
        split.port or (443 if secure else 80),
        split.path.rstrip("/"),
        cluster.tls() if secure else None,
        configuration.tls_server_name or host,
        cluster.authorization(),
    )
