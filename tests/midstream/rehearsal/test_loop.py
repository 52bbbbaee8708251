"""A controller is woken by its own kinds and by its own due time, once for what came together."""

import asyncio
from datetime import UTC, datetime, timedelta

from midstream.rehearsal.loop import keep_reconciling
from midstream.rehearsal.store import Store
from midstream.rehearsal.timestamps import utc_now


class Passes:
    """A pass that only counts itself and asks to be called again at the moments given."""

    def __init__(self, *dues: datetime | None) -> None:
        self.dues = list(dues)
        self.calls = 0
        self.called = asyncio.Event()

    def sync(self) -> datetime | None:
        self.calls += 1
        self.called.set()
        return self.dues.pop(0) if self.dues else None

    async def next(self) -> None:
        self.called.clear()
        async with asyncio.timeout(10):
            await self.called.wait()


def lease(name: str):
    return {"metadata": {"name": name, "namespace": "ns"}}


async def test_changes_that_come_together_are_one_pass():
    store, passes = Store(), Passes()
    running = asyncio.create_task(keep_reconciling(store, ["leases"], passes.sync, utc_now))
    await passes.next()
    for name in "abc":
        store.create("leases", lease(name))
    await passes.next()
    store.create("pods", lease("not watched"))
    store.create("leases", lease("d"))
    await passes.next()
    assert passes.calls == 3
    running.cancel()


async def test_due_time_alone_wakes_it():
    past, soon = datetime(2020, 1, 1, tzinfo=UTC), utc_now() + timedelta(milliseconds=50)
    passes = Passes(past, soon, None)
    running = asyncio.create_task(keep_reconciling(Store(), ["leases"], passes.sync, utc_now))
    while passes.calls < 3:
        await passes.next()
    assert utc_now() >= soon
    running.cancel()


async def test_ended_loop_leaves_no_subscription():
    store, passes = Store(), Passes()
    running = asyncio.create_task(keep_reconciling(store, ["leases"], passes.sync, utc_now))
    await passes.next()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    store.create("leases", lease("a"))
    assert passes.calls == 1
