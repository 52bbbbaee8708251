"""The API's server: what a client meets when it goes away, and when it is back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from midstream.rehearsal import loopback
from midstream.rehearsal.api import Api
from midstream.rehearsal.cluster import ApiServer
from midstream.rehearsal.store import Store

DEADLINE_S = 10


class Client:
    """Plain requests at an API server."""

    def __init__(self, url: str) -> None:
        address, _, self.secret = url.removeprefix("http://").partition("/")
        host, _, port = address.partition(":")
        self.address = host, int(port)

    async def ask(self, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*self.address)
        writer.write(f"GET /{self.secret}{path} HTTP/1.1\r\nHost: api\r\n\r\n".encode())
        assert b"200" in await reader.readline()
        return reader, writer

    async def until_answered(self, path: str) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                try:
                    _, writer = await self.ask(path)
                except (ConnectionError, AssertionError):
                    await asyncio.sleep(0.02)
                    continue
                writer.close()
                return


@asynccontextmanager
async def running() -> AsyncIterator[tuple[ApiServer, Client]]:
    range_ = loopback.take()
    server = ApiServer(Api(Store(), log_of=lambda _, __: None), range_, None)
    serving = asyncio.create_task(server.run())
    try:
        client = Client(server.url)
        await client.until_answered("/readyz")
        yield server, client
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        range_.release()


async def test_a_server_that_goes_away_cuts_watches_refuses_and_comes_back_at_its_address() -> None:
    async with running() as (server, client):
        reader, writer = await client.ask("/api/v1/namespaces/ns/pods?watch=true")
        await reader.readuntil(b"\r\n\r\n")
        server.go_away(0.5)
        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
        with pytest.raises(ConnectionRefusedError):
            await client.ask("/readyz")
        writer.close()
        await client.until_answered("/readyz")
