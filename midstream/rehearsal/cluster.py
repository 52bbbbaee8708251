"""The assembly of a rehearsal: API, controllers and kubelet in one event loop, the proxy beside it."""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

import msgspec
import uvicorn

from midstream.rehearsal.api import Api
from midstream.rehearsal.asgi import Answer, Receive, Scope, Send, send_answer
from midstream.rehearsal.controller import RolloutController
from midstream.rehearsal.deeds import PLURALS, deeds_of, stop_owner, told
from midstream.rehearsal.edits import edited
from midstream.rehearsal.endpoints import EndpointController
from midstream.rehearsal.exposure import Exposure
from midstream.rehearsal.faults import (
    Fault,
    ignored_gates,
    image_environments,
    manifest_edits,
    networks_of,
    node_of,
    steps_of,
)
from midstream.rehearsal.images import bundled_images, with_env
from midstream.rehearsal.kubelet import Kubelet
from midstream.rehearsal.launch import Announcement
from midstream.rehearsal.loopback import Loopback, take
from midstream.rehearsal.manifest import manifests
from midstream.rehearsal.plan import RehearsalPlan, start_limit_s
from midstream.rehearsal.processes import Reaper
from midstream.rehearsal.refusals import UnknownPathError, refusal
from midstream.rehearsal.services import ProxyProcess, ServiceController
from midstream.rehearsal.startup import until_healthy
from midstream.rehearsal.step_runner import Deed, StepRunner
from midstream.rehearsal.steps import ApiAway, ChangeNetwork, RestartController, Step, StopOwner
from midstream.rehearsal.store import Object, Store
from midstream.rehearsal.workloads import ReplicaSetController

API_BACKLOG = 128


class StateError(Exception):
    """What a rehearsal tells cannot be written."""


async def run(
    plan: RehearsalPlan,
    faults: Sequence[Fault],
    folder: Path,
    on_ready: Callable[[Announcement], None],
    *,
    pod_command: Sequence[str] = (),
    exposure: Exposure | None = None,
    owner_pid: int | None = None,
) -> NoReturn:
    """Run a rehearsal for ever; `on_ready` is called once, when the Rollout is healthy and reachable.

    `folder` gets the kubeconfig; `pod_command` runs in the pods instead of the bundled engine; without an
    `exposure` only this machine reaches it; `owner_pid` is the process that a fault may starve. Raises
    NoLoopbackError, EditError, StateError, StartUpError, ProxyEndedError, StepError, and whatever a part
    of it fails with.
    """
    loopback = take(avoid=exposure.ports if exposure else ())
    service_ports = (exposure.port, exposure.preview_port) if exposure else None
    described = manifests(plan, loopback.port, service_ports=service_ports, pod_command=pod_command)
    objects = edited(described, manifest_edits(faults))
    store, reaper = Store(), Reaper()
    kubelet = Kubelet(
        store,
        images=with_env(bundled_images(), image_environments(faults)),
        addresses=loopback.pods(),
        reaper=reaper,
        node=node_of(faults),
    )
    proxy = ProxyProcess(reaper)
    api = ApiServer(Api(store, log_of=kubelet.log_of), loopback, exposure)
    rollouts = RolloutController(store, ignore=ignored_gates(faults))
    services = ServiceController(
        store,
        addresses=loopback.services,
        send=proxy.send,
        networks=networks_of(faults),
        exposure=exposure,
    )
    deeds: dict[type[Step], Deed] = {
        **deeds_of(store, kubelet),
        ApiAway: told(lambda step: api.go_away(step.for_s)),
        RestartController: told(lambda step: rollouts.restart(step.away_s)),
        ChangeNetwork: told(lambda step: services.change(step.network)),
        StopOwner: partial(stop_owner, owner_pid),
    }
    parts = (
        api.run(),
        kubelet.run(),
        rollouts.run(),
        ReplicaSetController(store).run(),
        EndpointController(store).run(),
        services.run(),
        proxy.run(),
        StepRunner(store, steps_of(faults), deeds).run(),
    )
    with _first_of_a_group():
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)
            for obj in objects:
                store.create(PLURALS[obj["kind"]], obj)
            rollout = next(obj for obj in objects if obj["kind"] == "Rollout")
            await until_healthy(
                store,
                kubelet.log_of,
                rollout,
                limit_s=start_limit_s(plan, with_pod_command=bool(pod_command)),
                address_of=lambda service: _local_address(service, exposure),
            )
            on_ready(_announcement(store, rollout, _write_kubeconfig(folder, api.url, rollout)))
    raise AssertionError("the parts of a cluster never end by themselves")


@contextlib.contextmanager
def _first_of_a_group() -> Iterator[None]:
    """Raise what went wrong first by itself: the caller has a sentence for it."""
    try:
        yield
    except BaseExceptionGroup as group:
        first: BaseException = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None


class ApiServer:
    """The API on a free port, at a path that only the kubeconfig tells.

    Whoever can write to this API can run commands as its user, and loopback is open to every user of
    the machine. A path rather than a token, because kubectl sends no token over plain HTTP.
    """

    def __init__(self, api: Api, loopback: Loopback, exposure: Exposure | None) -> None:
        self._api = api
        self._secret = f"/{secrets.token_urlsafe(16)}"
        listen = (exposure.bind, exposure.api_port) if exposure else (loopback.api, 0)
        self._socket = socket.create_server(listen, backlog=API_BACKLOG)
        host = exposure.advertise if exposure else loopback.api
        self.url = f"http://{host}:{self._socket.getsockname()[1]}{self._secret}"
        self._server: _Server | None = None
        self._away_s = 0.0

    async def run(self) -> None:
        """Serve until cancelled."""
        address = self._socket.getsockname()
        while True:
            with self._socket:
                self._server = _Server(self._config())
                await self._server.serve(sockets=[self._socket])
            await asyncio.sleep(self._away_s)
            self._socket = socket.create_server(address, backlog=API_BACKLOG)

    def go_away(self, for_s: float) -> None:
        """Cut every connection and refuse new ones for so long."""
        if self._server is not None:
            self._away_s = for_s
            self._server.leave()

    def _config(self) -> uvicorn.Config:
        return uvicorn.Config(
            self._serve,
            interface="asgi3",
            loop="asyncio",
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=600,  # clients pool connections: a close would meet their next request
        )

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path.startswith(f"{self._secret}/"):
            await self._api({**scope, "path": path.removeprefix(self._secret)}, receive, send)
        else:
            await send_answer(send, Answer(404, refusal(UnknownPathError("use the rehearsal's kubeconfig"))))


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the rehearsal ends by its guard."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def leave(self) -> None:
        """End at once, with every connection."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        self.should_exit = True


def _local_address(service: Object, exposure: Exposure | None) -> tuple[str, int]:
    """Where this machine reaches a Service: what is advertised may lead here from elsewhere alone."""
    host = exposure.local if exposure else service["spec"]["clusterIP"]
    return host, service["spec"]["ports"][0]["port"]


def _told_address(service: Object) -> tuple[str, int]:
    (ingress,) = service["status"]["loadBalancer"]["ingress"]
    return ingress.get("ip") or ingress["hostname"], service["spec"]["ports"][0]["port"]


def _announcement(store: Store, rollout: Object, kubeconfig: Path) -> Announcement:
    namespace, strategy = rollout["metadata"]["namespace"], rollout["spec"]["strategy"]["blueGreen"]
    urls = {
        service["metadata"]["name"]: "http://{}:{}".format(*_told_address(service))
        for service in store.list("services", namespace)[0]
    }
    return Announcement(
        kubeconfig=str(kubeconfig),
        namespace=namespace,
        rollout=rollout["metadata"]["name"],
        stable_service=strategy["activeService"],
        preview_service=strategy["previewService"],
        stable_url=urls[strategy["activeService"]],
        preview_url=urls[strategy["previewService"]],
    )


def _write_kubeconfig(folder: Path, url: str, rollout: Object) -> Path:
    """A kubeconfig for this API, readable by its owner alone. Raises StateError."""
    name = "rehearsal"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": url}}],
        "users": [{"name": name, "user": {}}],
        "contexts": [
            {
                "name": name,
                "context": {"cluster": name, "user": name, "namespace": rollout["metadata"]["namespace"]},
            }
        ],
        "current-context": name,
    }
    path = folder / "kubeconfig"
    try:
        path.unlink(missing_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.yaml.encode(config))
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)  # an empty file is no kubeconfig
        raise StateError(
            f"cannot write {path}: {error.strerror}: make room, or choose another folder with --state-dir"
        ) from None
    return path
