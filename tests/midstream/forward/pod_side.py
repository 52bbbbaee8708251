"""An API server with one pod, as far as a tunnel sees them: what the pod's side does is a script."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

from midstream.forward import spdy, websocket
from midstream.forward.tunnel import PROTOCOL, Way

ERROR, DATA = 1, 3


class PodSide:
    """One tunnel, seen from the cluster."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.received = b""
        self.saw_end = asyncio.Event()
        self.saw_reset = asyncio.Event()
        self.saw_data = asyncio.Event()

    def send(self, *frames: bytes) -> None:
        for frame in frames:
            size = len(frame)
            head = struct.pack("!BB", 0x82, size) if size < 126 else struct.pack("!BBH", 0x82, 126, size)
            self.writer.write(head + frame)

    async def listen(self) -> None:
        """Client frames, unmasked by hand, to the end of the tunnel."""
        frames = spdy.Unpacker()
        try:
            while True:
                opcode, size = await self.reader.readexactly(2)
                size &= 0x7F
                if size == 126:
                    size = int.from_bytes(await self.reader.readexactly(2), "big")
                key = await self.reader.readexactly(4)
                body = await self.reader.readexactly(size)
                plain = bytes(byte ^ key[index % 4] for index, byte in enumerate(body))
                if opcode & 0x0F == websocket.BINARY:
                    self._take(plain, frames)
        except (OSError, EOFError):
            pass

    def _take(self, plain: bytes, frames: spdy.Unpacker) -> None:
        for frame in frames.feed(plain):
            match frame:
                case spdy.Data(3, payload, is_last):
                    self.received += payload
                    self.saw_data.set()
                    if is_last:
                        self.saw_end.set()
                case spdy.Reset():
                    self.saw_reset.set()


Script = Callable[[PodSide], Coroutine[Any, Any, None]]


@asynccontextmanager
async def api_server(script: Script | None, refusal: bytes = b"") -> AsyncIterator[Way]:
    """Serves tunnels whose pods do what the script does; or answers every request with `refusal`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next(line.split(": ")[1] for line in head.split("\r\n") if "Sec-WebSocket-Key" in line)
        if script is None:
            writer.write(refusal)
            await close(writer)
            return
        writer.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {websocket.accept(key)}\r\n"
            f"Sec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n".encode()
        )
        pod = PodSide(reader, writer)
        listening = asyncio.ensure_future(pod.listen())
        running = asyncio.ensure_future(script(pod))
        await listening
        running.cancel()
        await close(writer)

    async def close(writer: asyncio.StreamWriter) -> None:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield Way("127.0.0.1", server.sockets[0].getsockname()[1], "", None, None, {})
