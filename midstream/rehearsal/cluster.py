"""The assembly of a rehearsal: API, controllers and kubelet in one event loop, the proxy beside it."""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec
import uvicorn

from midstream.rehearsal.api import Api
from midstream.rehearsal.asgi import Answer, Receive, Scope, Send, send_answer
from midstream.rehearsal.controller import RolloutController
from midstream.rehearsal.deeds import PLURALS, deeds_of
from midstream.rehearsal.edits import edited
from midstream.rehearsal.endpoints import EndpointController
from midstream.rehearsal.faults import Fault, ignored_gates, image_environments, manifest_edits, steps_of
from midstream.rehearsal.images import bundled_images, with_env
from midstream.rehearsal.kubelet import Kubelet
from midstream.rehearsal.launch import Announcement
from midstream.rehearsal.loopback import Loopback, take
from midstream.rehearsal.manifest import manifests
from midstream.rehearsal.plan import RehearsalPlan
from midstream.rehearsal.processes import Reaper
from midstream.rehearsal.refusals import UnknownPathError, refusal
from midstream.rehearsal.services import ProxyProcess, ServiceController
from midstream.rehearsal.step_runner import StepRunner
from midstream.rehearsal.store import Object, Store
from midstream.rehearsal.workloads import ReplicaSetController

START_LIMIT_S = 60.0  # to healthy, beyond the engine's own load time; 3 s on an idle machine
POLL_S = 0.05
LOG_LINES = 10
# Reasons of a waiting container that time alone does not mend
HOPELESS = ("ErrImagePull", "CreateContainerConfigError", "CrashLoopBackOff")


class StartUpError(Exception):
    """The Rollout did not become healthy; says why, with the last lines of the pod's log."""


async def run(
    plan: RehearsalPlan, faults: Sequence[Fault], folder: Path, on_ready: Callable[[Announcement], None]
) -> NoReturn:
    """Run a rehearsal for ever; `on_ready` is called once, when the Rollout is healthy and reachable.

    `folder` gets the kubeconfig. Raises NoLoopbackError, EditError, StartUpError, ProxyEndedError,
    StepError, and whatever a part of it fails with.
    """
    loopback = take()
    objects = edited(manifests(plan, loopback.port), manifest_edits(faults))
    store, reaper = Store(), Reaper()
    kubelet = Kubelet(
        store,
        images=with_env(bundled_images(), image_environments(faults)),
        addresses=loopback.pods(),
        reaper=reaper,
    )
    proxy = ProxyProcess(reaper)
    api = ApiServer(Api(store, log_of=kubelet.log_of), loopback)
    parts = (
        api.run(),
        kubelet.run(),
        RolloutController(store, ignore=ignored_gates(faults)).run(),
        ReplicaSetController(store).run(),
        EndpointController(store).run(),
        ServiceController(store, addresses=loopback.services, send=proxy.send).run(),
        proxy.run(),
        StepRunner(store, steps_of(faults), deeds_of(store, kubelet)).run(),
    )
    with _first_of_a_group():
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)
            for obj in objects:
                store.create(PLURALS[obj["kind"]], obj)
            rollout = next(obj for obj in objects if obj["kind"] == "Rollout")
            await _until_healthy(store, kubelet, rollout, START_LIMIT_S + plan.load_seconds)
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

    def __init__(self, api: Api, loopback: Loopback) -> None:
        self._api = api
        self._secret = f"/{secrets.token_urlsafe(16)}"
        self._socket = socket.create_server((loopback.api, 0), backlog=128)
        self.url = f"http://{loopback.api}:{self._socket.getsockname()[1]}{self._secret}"

    async def run(self) -> None:
        """Serve until cancelled."""
        config = uvicorn.Config(
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
        await _Server(config).serve(sockets=[self._socket])

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


async def _until_healthy(store: Store, kubelet: Kubelet, rollout: Object, limit_s: float) -> None:
    """Wait until the Rollout is healthy and both its Services take connections. Raises StartUpError."""
    namespace, name = rollout["metadata"]["namespace"], rollout["metadata"]["name"]
    try:
        async with asyncio.timeout(limit_s):
            while not await _is_healthy(store, namespace, name):
                _raise_where_hopeless(store, kubelet, namespace)
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        status = (store.get("rollouts", namespace, name) or {}).get("status", {})
        why = status.get("message", "") or status.get("phase", "no status")
        raise StartUpError(f"Rollout {name} was not healthy within {limit_s:g} s: {why}") from None


async def _is_healthy(store: Store, namespace: str, name: str) -> bool:
    rollout = store.get("rollouts", namespace, name) or {}
    if rollout.get("status", {}).get("phase") != "Healthy":
        return False
    return all([await _accepts(service) for service in store.list("services", namespace)[0]])


async def _accepts(service: Object) -> bool:
    try:
        _, writer = await asyncio.open_connection(*_address(service))
    except OSError:
        return False
    writer.close()
    return True


def _raise_where_hopeless(store: Store, kubelet: Kubelet, namespace: str) -> None:
    for rollout in store.list("rollouts", namespace)[0]:
        for condition in rollout.get("status", {}).get("conditions", []):
            if condition["type"] == "InvalidSpec" and condition["status"] == "True":
                raise StartUpError(f"Rollout {rollout['metadata']['name']}: {condition['message']}")
    for pod in store.list("pods", namespace)[0]:
        name, status = pod["metadata"]["name"], pod.get("status", {})
        if status.get("reason") in HOPELESS:
            raise StartUpError(f"pod {name}: {status['message']}")
        for container in status.get("containerStatuses", []):
            waiting = container["state"].get("waiting", {})
            if waiting.get("reason") in HOPELESS:
                raise StartUpError(_hopeless(name, container, kubelet.log_of(namespace, name) or b""))


def _hopeless(pod: str, container: Object, log: bytes) -> str:
    waiting, ended = container["state"]["waiting"], container["lastState"].get("terminated", {})
    exit_text = f", exit code {ended['exitCode']} {ended.get('message', '')}".rstrip() if ended else ""
    lines = log.decode(errors="replace").splitlines()[-LOG_LINES:]
    return "\n".join([f"pod {pod}: {waiting['reason']}: {waiting['message']}{exit_text}", *lines])


def _address(service: Object) -> tuple[str, int]:
    return service["spec"]["clusterIP"], service["spec"]["ports"][0]["port"]


def _announcement(store: Store, rollout: Object, kubeconfig: Path) -> Announcement:
    namespace, strategy = rollout["metadata"]["namespace"], rollout["spec"]["strategy"]["blueGreen"]
    urls = {
        service["metadata"]["name"]: "http://{}:{}".format(*_address(service))
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
    """A kubeconfig for this API, readable by its owner alone."""
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
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.yaml.encode(config))
    return path
