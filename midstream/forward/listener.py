"""Connections of this machine, each to a pod that is ready at that moment."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from midstream.forward.endpoints import Endpoint
from midstream.forward.relay import GONE, HALF_CLOSED, mark_unfinished, relay, reset
from midstream.forward.tunnel import SILENCE_S, Tunnel, Way
from midstream.rollouts.client import ClusterError

SPARES = 2  # tunnels per pod kept open, so that a new connection waits for no handshake
CLOSE_S = 1.0
QUIET = ("", GONE, HALF_CLOSED)  # ends that are nobody's fault
TRIES = 3  # pods that are tried for one connection, since one may go between two events of the watch


class Listener:
    """Hands each new connection to one of `endpoints`, in turn; established ones stay where they are."""

    def __init__(self, way: Callable[[], Way], namespace: str, say: Callable[[str], None]) -> None:
        self._way = way
        self._namespace = namespace
        self._say = say
        self._endpoints: deque[Endpoint] = deque()
        self._spares: dict[str, deque[Tunnel]] = {}
        self._tunnels: set[Tunnel] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._carried: set[asyncio.Task[Any]] = set()
        self._is_closing = False

    @property
    def open_connections(self) -> int:
        """How many are carried now."""
        return len(self._carried)

    def follow(self, endpoints: tuple[Endpoint, ...]) -> None:
        """Take over the pods that are ready now."""
        self._endpoints = deque(endpoints)
        pods = {each.pod for each in endpoints}
        for pod in [pod for pod in self._spares if pod not in pods]:
            for tunnel in self._spares.pop(pod):
                tunnel.close()
        for pod in pods:
            self._spares.setdefault(pod, deque())
            self._refill(pod)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection from its begin to its end."""
        task = asyncio.current_task()
        assert task is not None  # asyncio.start_server makes one for each connection
        self._carried.add(task)
        mark_unfinished(writer)
        try:
            opened = await self._connected()
            if opened is None:
                reset(writer)
                return
            endpoint, tunnel = opened
            end = await relay(reader, writer, tunnel)
            if end.why not in QUIET and not self._is_closing:
                self._say(f"a connection to pod {endpoint.pod} was reset: {end.why}")
        finally:
            self._carried.discard(task)

    async def keep_alive(self) -> None:
        """Ask all tunnels now and then, for ever."""
        while True:
            await asyncio.sleep(SILENCE_S)
            self._tunnels = {tunnel for tunnel in self._tunnels if tunnel.is_alive}
            for tunnel in self._tunnels:
                tunnel.keep_alive()
            for pod in self._spares:
                self._refill(pod)

    async def close(self) -> None:
        """End all tunnels; their connections are reset."""
        self._is_closing = True
        for task in self._tasks:
            task.cancel()
        for tunnel in self._tunnels:
            tunnel.close()
        if self._carried:
            await asyncio.wait(self._carried, timeout=CLOSE_S)
        await asyncio.gather(*(tunnel.closed() for tunnel in self._tunnels))

    async def _connected(self) -> tuple[Endpoint, Tunnel] | None:
        why = "no pod is ready"
        for endpoint in self._in_turn():
            try:
                tunnel = await self._tunnel(endpoint.pod)
            except ClusterError as error:
                why = str(error)
                continue
            tunnel.connect(endpoint.port)
            return endpoint, tunnel
        self._say(f"a connection was reset: {why}")
        return None

    def _in_turn(self) -> list[Endpoint]:
        self._endpoints.rotate(-1)
        return list(self._endpoints)[:TRIES]

    async def _tunnel(self, pod: str) -> Tunnel:
        spares = self._spares.get(pod, deque())
        while spares:
            tunnel = spares.popleft()
            if tunnel.is_alive:
                self._refill(pod)
                return tunnel
        self._refill(pod)
        return await self._opened(pod)

    async def _opened(self, pod: str) -> Tunnel:
        tunnel = await Tunnel.open(self._way(), self._namespace, pod)
        self._tunnels.add(tunnel)
        return tunnel

    def _refill(self, pod: str) -> None:
        task = asyncio.ensure_future(self._add_spares(pod))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _add_spares(self, pod: str) -> None:
        with suppress(ClusterError):  # a connection that needs one asks again, and tells
            while len(self._spares.get(pod, ())) < SPARES and pod in self._spares:
                tunnel = await self._opened(pod)
                if pod not in self._spares:
                    return tunnel.close()
                self._spares[pod].append(tunnel)
        return None
