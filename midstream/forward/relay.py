"""One connection of this machine, carried by one tunnel until either end ends it."""

import asyncio
import socket
import struct
import time
from contextlib import suppress
from typing import NamedTuple

from midstream.forward import spdy
from midstream.forward.tunnel import CHUNK, DATA_STREAM, ERROR_STREAM, Tunnel

REASON_S = 3.0  # both streams are closed together; a reason that is not here by then will not come
LINGER_S = 2.0  # for the client's own end after the pod's
# containerd and the kubelet close a connection 1 s after one of its directions ended: an end that comes so
# long after the client's half-close may be theirs, not the pod's.
HALF_CLOSE_S = 0.8

CUT = "the tunnel was cut"
GONE = "the client has gone"
HALF_CLOSED = "its client sent no more, and the cluster keeps no connection that is closed on one side"


class End(NamedTuple):
    """How a connection ended; "" is the pod's own clean end."""

    why: str

    @property
    def is_clean(self) -> bool:
        """Whether the client may be told an ordinary end."""
        return not self.why


class Telling:
    """What the frames of a tunnel say of the pod's connection."""

    def __init__(self) -> None:
        self._open = {DATA_STREAM, ERROR_STREAM}
        self._reason = b""
        self._why = ""

    def take(self, frame: spdy.Frame | None) -> bytes:
        """The bytes for the client in this frame."""
        match frame:
            case spdy.Data(stream, payload, is_last):
                if is_last:
                    self._open.discard(stream)
                if stream == DATA_STREAM:
                    return payload
                self._reason += payload
            case spdy.Reset():
                self._why = "the pod's side gave the connection up"
            case None:
                self._why = self._why or CUT
        return b""

    @property
    def has_ended(self) -> bool:
        """The pod has sent its last byte; why is known with `end` alone."""
        return DATA_STREAM not in self._open

    def end(self) -> End | None:
        """How it ended; None: it has not, or it is not known yet."""
        if self._reason and ERROR_STREAM not in self._open:
            return End(self._reason.decode(errors="replace"))
        if self._why:
            return End(self._reason.decode(errors="replace") or self._why)
        return None if self._open else End("")


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tunnel: Tunnel) -> End:
    """Carry bytes both ways; the client is told FIN only where the pod ended cleanly, RST else."""
    writer.transport.set_write_buffer_limits(high=0)  # so that an RST overtakes nothing
    upwards = _Upwards(reader, tunnel)
    task = asyncio.ensure_future(upwards.run())
    try:
        end = upwards.judged(await _downwards(writer, tunnel))
        if end.is_clean:
            await _finish(writer, task)
    finally:
        task.cancel()
        tunnel.close()
    if end.is_clean:
        mark_unfinished(writer, unfinished=False)
        writer.close()
    else:
        reset(writer)
    return end


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection so that its client cannot take it for a whole one."""
    mark_unfinished(writer)
    writer.transport.abort()


def mark_unfinished(writer: asyncio.StreamWriter, *, unfinished: bool = True) -> None:
    """Have whatever closes the socket, the end of this process too, be an RST; or no more."""
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", unfinished, 0)
        )


class _Upwards:
    """From the client to the pod."""

    def __init__(self, reader: asyncio.StreamReader, tunnel: Tunnel) -> None:
        self._reader = reader
        self._tunnel = tunnel
        self._half_closed_at_s: float | None = None
        self._is_gone = False

    async def run(self) -> None:
        try:
            while payload := await self._reader.read(CHUNK):
                await self._tunnel.send(payload)
            self._half_closed_at_s = time.monotonic()
            await self._tunnel.send(b"", is_last=True)
        except ConnectionError:
            self._is_gone = True
            self._tunnel.give_up()

    def judged(self, end: End) -> End:
        """The end, with what the client did before it."""
        if self._is_gone:
            return End(GONE)
        if self._half_closed_at_s is None or time.monotonic() - self._half_closed_at_s < HALF_CLOSE_S:
            return end
        return End(HALF_CLOSED)


async def _downwards(writer: asyncio.StreamWriter, tunnel: Tunnel) -> End:
    telling = Telling()
    while (end := telling.end()) is None:
        if telling.has_ended:
            try:
                frame = await asyncio.wait_for(tunnel.receive(), REASON_S)
            except TimeoutError:
                return End("no word on how the pod's connection ended")
        else:
            frame = await tunnel.receive()
        payload = telling.take(frame)
        if payload:
            try:
                writer.write(payload)
                await writer.drain()
            except ConnectionError:
                tunnel.give_up()
                return End(GONE)
    return end


async def _finish(writer: asyncio.StreamWriter, upwards: "asyncio.Future[None]") -> None:
    with suppress(OSError, TimeoutError):
        writer.write_eof()
        await asyncio.wait_for(upwards, LINGER_S)
