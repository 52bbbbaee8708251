"""The API on a real socket beside the test; its loop owns the store, so the test asks it to touch that."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import uvicorn

from midstream.rehearsal.api import Api

T = TypeVar("T")


class Served:
    """A running API."""

    def __init__(self, url: str, port: int, loop: asyncio.AbstractEventLoop) -> None:
        self.url = url
        self.port = port
        self._loop = loop

    def call(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do something in the loop that serves, and return its result."""

        async def done() -> T:
            return work(*arguments)

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(10)


@contextmanager
def served(app: Api) -> Iterator[Served]:
    """Serve the app on a free port of the loopback until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config = uvicorn.Config(app, lifespan="off", log_level="warning", timeout_graceful_shutdown=1)
    server, loop = uvicorn.Server(config), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(server.serve([listener]),))
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{port}", port, loop)
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
        loop.close()
