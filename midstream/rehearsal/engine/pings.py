"""Comment lines between the events of a stream, which keep proxies from closing it."""

import asyncio
import datetime
from collections.abc import Awaitable
from typing import TypeVar

from midstream.rehearsal.asgi import Send
from midstream.rehearsal.engine import responses

_T = TypeVar("_T")


class Pings:
    """The comments of one stream, one every `interval_s`; 0: none."""

    def __init__(self, interval_s: float, send: Send) -> None:
        self._interval_s = interval_s
        self._send = send
        self._due_s = asyncio.get_running_loop().time() + interval_s

    async def until(self, wait: Awaitable[_T]) -> _T:
        """Send what is due while something else is waited for."""
        if not self._interval_s:
            return await wait
        waiting = asyncio.ensure_future(wait)
        try:
            while not await self._is_done(waiting):
                await responses.send_part(self._send, comment())
                self._due_s += self._interval_s
            return await waiting
        finally:
            waiting.cancel()

    async def _is_done(self, waiting: "asyncio.Future[_T]") -> bool:
        """Whether it is, before the next comment is due."""
        left_s = self._due_s - asyncio.get_running_loop().time()
        done, _ = await asyncio.wait((waiting,), timeout=max(0.0, left_s))
        return bool(done)


def comment() -> bytes:
    """As sse-starlette writes it, but for the line ends, which are those of our events."""
    return b": ping - %s\n\n" % str(datetime.datetime.now(datetime.UTC)).encode()
