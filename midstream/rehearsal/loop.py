"""Keeps a controller's pass running: once at the start, then at each change and each due time."""

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime

from midstream.rehearsal.store import Store


async def keep_reconciling(
    store: Store, plurals: Collection[str], sync: Callable[[], datetime | None], now: Callable[[], datetime]
) -> None:
    """Call `sync` for ever; it returns the moment at which time alone makes another call due.

    Changes that came together are answered by one call. A pass reads and writes without awaiting, so
    nothing comes between what it saw and what it wrote.
    """
    queue = store.subscribe(plurals)
    try:
        while True:
            due = sync()
            timeout_s = None if due is None else max(0.0, (due - now()).total_seconds())
            try:
                await asyncio.wait_for(queue.get(), timeout_s)
            except TimeoutError:
                continue
            while not queue.empty():
                queue.get_nowait()
            await asyncio.sleep(0)  # a full queue never waits: let the others have their turn
    finally:
        store.unsubscribe(queue)
