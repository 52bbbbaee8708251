"""A cluster that answers through the real API: controllers of the rehearsal, pods that only pretend."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from midstream.rehearsal.api import Api, Rule
from midstream.rehearsal.controller import RolloutController
from midstream.rehearsal.endpoints import EndpointController
from midstream.rehearsal.store import Object, Store
from midstream.rehearsal.timestamps import time_text, utc_now
from midstream.rehearsal.workloads import ReplicaSetController
from tests.midstream.rehearsal.cluster import rollout, service

KUBELET_S = 0.02
START_S = 20.0


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Rehearsed:
    """One Rollout `vllm` of two pods in namespace `llm`; `controller` may be switched off."""

    def __init__(self, denied: tuple[Rule, ...], changes: dict[str, Any]) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._denied = denied
        self._changes = changes
        self._healthy = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._main(),))

    @contextmanager
    def running(self) -> Iterator["Rehearsed"]:
        """The cluster, healthy."""
        self._thread.start()
        try:
            assert self._healthy.wait(START_S)
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join(START_S)
            self._loop.close()

    def stop_controller(self) -> None:
        """As if the Argo Rollouts controller were scaled to 0."""
        self._loop.call_soon_threadsafe(self._controller.cancel)

    async def _main(self) -> None:
        self._over = asyncio.Event()
        store = Store()
        for name in ("vllm", "vllm-preview"):
            store.create("services", service(name))
        store.create("rollouts", rollout(**self._changes))
        server = _Server(
            uvicorn.Config(
                Api(store, log_of=lambda *_: None, denied=self._denied), lifespan="off", log_config=None
            )
        )
        self._controller = asyncio.create_task(RolloutController(store).run())
        tasks = [
            self._controller,
            asyncio.create_task(ReplicaSetController(store).run()),
            asyncio.create_task(EndpointController(store).run()),
            asyncio.create_task(self._kubelet(store)),
            asyncio.create_task(server.serve(sockets=[self._socket])),
        ]
        await self._over.wait()
        server.should_exit = server.force_exit = True
        for task in tasks[:-1]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _kubelet(self, store: Store) -> None:
        while True:
            for pod in store.list("pods")[0]:
                name = pod["metadata"]["name"]
                if "deletionTimestamp" in pod["metadata"]:
                    store.edit("pods", "llm", name, _end, status=True)
                    store.remove("pods", "llm", name)
                elif "status" not in pod or not pod["status"].get("conditions"):
                    store.edit("pods", "llm", name, _begin, status=True)
            [found] = store.list("rollouts")[0]
            if found.get("status", {}).get("phase") == "Healthy":
                self._healthy.set()
            await asyncio.sleep(KUBELET_S)


def _begin(pod: Object) -> None:
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": time_text(utc_now())}
    container = {"name": "vllm", "image": "engine", "imageID": "sha256:abc", "state": {"running": {}}}
    pod["status"] = {
        "phase": "Running",
        "podIP": "127.0.0.9",
        "conditions": [condition],
        "containerStatuses": [container],
    }


def _end(pod: Object) -> None:
    terminated = {"exitCode": 143, "reason": "Error", "finishedAt": time_text(utc_now())}
    pod["status"]["containerStatuses"][0]["state"] = {"terminated": terminated}


@contextmanager
def rehearsed(*, denied: tuple[Rule, ...] = (), **blue_green: Any) -> Iterator[Rehearsed]:
    """A healthy cluster while it runs; `blue_green` changes the strategy."""
    with Rehearsed(denied, blue_green).running() as cluster:
        yield cluster
