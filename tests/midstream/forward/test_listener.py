"""A connection through the listener ends for its client as it ended for the pod, never better."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from midstream.forward import spdy
from midstream.forward.endpoints import Endpoint
from midstream.forward.listener import Listener
from tests.midstream.forward.pod_side import DATA, ERROR, api_server

LIMIT_S = 20.0
LAST_DATA, LAST_ERROR = spdy.data(DATA, b"", is_last=True), spdy.data(ERROR, b"", is_last=True)


@asynccontextmanager
async def listening(way, *pods):
    said: list[str] = []
    listener = Listener(lambda: way, "llm", said.append)
    listener.follow(tuple(Endpoint(pod, 8000) for pod in pods))
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], listener, said
        await listener.close()


async def left(writer):
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


async def answered(port, send=b"ask"):
    """What a client gets, with how it ends."""
    got = b""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionResetError:
        return got, "RST"
    try:
        writer.write(send)
        while piece := await reader.read(65_536):
            got += piece
    except ConnectionResetError:
        return got, "RST"
    finally:
        await left(writer)
    return got, "FIN"


def pod_that(*frames, cut=False):
    async def script(pod):
        await pod.saw_data.wait()
        pod.send(*frames)
        await pod.writer.drain()
        if cut:
            pod.writer.close()

    return script


SOME = spdy.data(DATA, b"some")
ENDS = {
    "clean": (pod_that(SOME, LAST_DATA, LAST_ERROR), "FIN", ""),
    "clean, the error stream first": (pod_that(SOME, LAST_ERROR, LAST_DATA), "FIN", ""),
    "an error": (
        pod_that(SOME, spdy.data(ERROR, b"read: connection reset by peer"), LAST_DATA, LAST_ERROR),
        "RST",
        "connection reset by peer",
    ),
    "a reset stream": (pod_that(SOME, spdy.reset(DATA)), "RST", "gave the connection up"),
    "a cut": (pod_that(SOME, cut=True), "RST", "the tunnel was cut"),
    "a cut after the last byte": (pod_that(SOME, LAST_DATA, cut=True), "RST", "the tunnel was cut"),
    "no SPDY": (pod_that(SOME, b"\x80\x02\x00\x01\x00\x00\x00\x00"), "RST", "the tunnel was cut"),
}


@pytest.mark.parametrize(("script", "end", "word"), ENDS.values(), ids=ENDS)
def test_the_client_is_told_the_truth(script, end, word):
    async def scene():
        async with api_server(script) as way, listening(way, "pod-a") as (port, _, said):
            assert await answered(port) == (b"some", end)
            assert [word in line and "pod-a" in line for line in said] == ([True] if word else [])

    asyncio.run(asyncio.wait_for(scene(), LIMIT_S))


def test_a_client_that_leaves_is_told_to_the_pod():
    seen = asyncio.Event()

    async def script(pod):
        await pod.saw_end.wait()
        assert pod.received == b"ask"
        seen.set()

    async def scene():
        async with api_server(script) as way, listening(way, "pod-a") as (port, _, _said):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"ask")
            writer.close()
            await seen.wait()
            await left(writer)

    asyncio.run(asyncio.wait_for(scene(), LIMIT_S))


def test_an_open_connection_outlives_its_pods_place_behind_the_service():
    async def script(pod):
        await pod.saw_data.wait()
        pod.send(spdy.data(DATA, b"begun "))
        while b"go on" not in pod.received:
            await asyncio.sleep(0.01)
        pod.send(spdy.data(DATA, b"whole"), LAST_DATA, LAST_ERROR)

    async def scene():
        async with api_server(script) as way, listening(way, "old") as (port, listener, said):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"ask")
            assert await reader.readexactly(6) == b"begun "
            listener.follow(())
            assert await answered(port) == (b"", "RST")
            writer.write(b"go on")
            assert await reader.read() == b"whole"
            await left(writer)
            assert said == ["a connection was reset: no pod is ready"]

    asyncio.run(asyncio.wait_for(scene(), LIMIT_S))


FORBIDDEN = b'{"message":"pods is forbidden"}'
REFUSED = {
    "403": (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 31\r\n\r\n" + FORBIDDEN, '["get", "create"]'),
    "404": (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "pod pod-a"),
    "no WebSocket": (b"HTTP/1.1 101 Fine\r\n\r\n", "does not speak WebSocket"),
    "no answer": (b"", "opens no tunnel to pod pod-a"),
}


@pytest.mark.parametrize(("answer", "word"), REFUSED.values(), ids=REFUSED)
def test_a_refused_tunnel_is_one_line_and_a_reset(answer, word):
    async def scene():
        async with api_server(None, answer) as way, listening(way, "pod-a") as (port, _, said):
            assert await answered(port) == (b"", "RST")
            [line] = said
            assert word in line

    asyncio.run(asyncio.wait_for(scene(), LIMIT_S))
