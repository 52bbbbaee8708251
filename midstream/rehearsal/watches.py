"""A watch: the store's events as a client with a selector sees them, with bookmarks and an end."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import NamedTuple

from midstream.rehearsal.store import FORGOTTEN, Event, ExpiredError, Kind, Object, Store
from midstream.rehearsal.tables import table
from midstream.rehearsal.timestamps import utc_now

DEFAULT_TIMEOUT_S = 1800  # the API server's --min-request-timeout
# Kubernetes sends one a minute; a rehearsal is over by then, and clients must meet them.
BOOKMARK_EVERY_S = 5.0


class Watched(NamedTuple):
    """What a client asked to see."""

    kind: Kind
    selects: Callable[[Object], bool]
    since: int | None  # None: begin with everything there is
    timeout_s: float
    bookmarks: bool


async def watch(store: Store, watched: Watched) -> AsyncGenerator[Object, None]:
    """Watch events until the timeout, the last one a bookmark if these were asked for.

    Raises ExpiredError before the first event when `since` is no longer known, or when the store forgets.
    """
    queue = store.subscribe((watched.kind.plural, FORGOTTEN), watched.since)
    seen = store.version if watched.since is None else watched.since
    try:
        if watched.since is None:
            for obj in filter(watched.selects, store.list(watched.kind.plural)[0]):
                yield {"type": "ADDED", "object": obj}
        clock = asyncio.get_running_loop().time
        end = clock() + watched.timeout_s
        next_bookmark = clock() + BOOKMARK_EVERY_S
        while (now := clock()) < end:
            try:
                event = await asyncio.wait_for(queue.get(), max(0.0, min(end, next_bookmark) - now))
            except TimeoutError:
                next_bookmark = clock() + BOOKMARK_EVERY_S
                seen = store.version if queue.empty() else seen
                if watched.bookmarks:
                    yield _bookmark(watched.kind, seen)
                continue
            if event.type == FORGOTTEN:
                raise ExpiredError(f"too old resource version: {seen} ({event.resource_version})")
            seen = event.resource_version
            if shown := _shown(event, watched.selects):
                yield shown
    finally:
        store.unsubscribe(queue)


async def as_tables(events: AsyncGenerator[Object, None], plural: str) -> AsyncGenerator[Object, None]:
    """The same events, each object as a Table of one row; the columns come with the first one alone."""
    heads = True
    async with aclosing(events):
        async for event in events:
            if event["type"] == "BOOKMARK":
                yield event
                continue
            obj = event["object"]
            metadata = {"resourceVersion": obj["metadata"]["resourceVersion"]}
            yield {**event, "object": table(plural, [obj], metadata, utc_now(), heads=heads)}
            heads = False


def _shown(event: Event, selects: Callable[[Object], bool]) -> Object | None:
    """An object that enters a selection is ADDED, one that leaves it is DELETED."""
    was = event.before is not None and selects(event.before)
    stays = event.type != "DELETED" and selects(event.object)
    change = {(False, True): "ADDED", (True, True): "MODIFIED", (True, False): "DELETED"}.get((was, stays))
    return None if change is None else {"type": change, "object": event.object}


def _bookmark(kind: Kind, version: int) -> Object:
    metadata = {"resourceVersion": str(version)}
    return {
        "type": "BOOKMARK",
        "object": {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata},
    }
