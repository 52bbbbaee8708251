"""What the scheduler has generated for one response and the response has not sent yet."""

import asyncio
from enum import StrEnum

from midstream.rehearsal.engine.sequence import Delta


class Break(StrEnum):
    """How a response can end other than by its text."""

    ERROR = "error"  # the engine behind the server is dead
    CUT = "cut"  # the body simply ends


class Outbox:
    """Deltas by choice: filled by the scheduler, emptied by one reader.

    A choice's first delta and its last are there at once, those between as soon as `interval` tokens are
    together (vLLM's --stream-interval: `completions-stream-interval-5`). What the reader has not taken is
    merged, so a client that does not read never stops the engine.
    """

    def __init__(self, choices: int, interval: int) -> None:
        self._interval = interval
        self._gathering: list[Delta | None] = [None] * choices
        self._begun = [False] * choices
        self._ready: dict[int, Delta] = {}
        self._break: Break | None = None
        self._reader: asyncio.Future[None] | None = None

    def put(self, choice: int, delta: Delta) -> None:
        """Add what a choice has grown by."""
        gathered = self._gathering[choice]
        if gathered is not None:
            delta = gathered.then(delta)
        full = len(delta.token_ids) >= self._interval or delta.finish_reason is not None
        if self._begun[choice] and not full:
            self._gathering[choice] = delta
            return
        self._gathering[choice] = None
        self._begun[choice] = True
        waiting = self._ready.get(choice)
        self._ready[choice] = delta if waiting is None else waiting.then(delta)
        self._wake()

    def break_off(self, how: Break) -> None:
        """End the response once its reader has taken what is ready."""
        self._break = how
        self._wake()

    async def take(self) -> dict[int, Delta] | Break:
        """All that is ready, by choice; waits for something."""
        while not self._ready:
            if self._break is not None:
                return self._break
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        taken, self._ready = self._ready, {}
        return taken

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
