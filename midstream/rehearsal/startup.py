"""The wait until a rehearsal's Rollout is healthy and reachable, or clearly never will be."""

import asyncio
from collections.abc import Callable, Iterator
from typing import TypeAlias

from midstream.rehearsal.podspec import read_spec
from midstream.rehearsal.store import Object, Store

POLL_S = 0.05
LOG_LINES = 10
# Reasons of a waiting container that time alone does not mend
HOPELESS = ("ErrImagePull", "CreateContainerConfigError", "CrashLoopBackOff")

LogOf: TypeAlias = Callable[[str, str], bytes | None]  # namespace, pod -> what it wrote last
AddressOf: TypeAlias = Callable[[Object], tuple[str, int]]  # where this machine reaches a Service


class StartUpError(Exception):
    """The Rollout did not become healthy; one line says why, then come the last lines of the pod's log."""


async def until_healthy(
    store: Store, log_of: LogOf, rollout: Object, *, limit_s: float, address_of: AddressOf
) -> None:
    """Wait until the Rollout is healthy and its Services take connections. Raises StartUpError.

    A container that ends is not waited for: in a rehearsal nothing else changes that could mend it.
    """
    namespace, name = rollout["metadata"]["namespace"], rollout["metadata"]["name"]
    try:
        async with asyncio.timeout(limit_s):
            while not await _is_healthy(store, namespace, name, address_of):
                _raise_where_invalid(store, namespace)
                if any(_hopeless(store, namespace)):
                    await asyncio.sleep(POLL_S)  # its last words may still be on their way
                    for pod, why in _hopeless(store, namespace):
                        raise StartUpError("\n".join([f"pod {pod}: {why}", *_tail(log_of(namespace, pod))]))
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise StartUpError(_too_late(store, log_of, rollout, limit_s)) from None


async def _is_healthy(store: Store, namespace: str, name: str, address_of: AddressOf) -> bool:
    rollout = store.get("rollouts", namespace, name) or {}
    if rollout.get("status", {}).get("phase") != "Healthy":
        return False
    return all([await _accepts(*address_of(service)) for service in store.list("services", namespace)[0]])


async def _accepts(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True


def _raise_where_invalid(store: Store, namespace: str) -> None:
    for rollout in store.list("rollouts", namespace)[0]:
        for condition in rollout.get("status", {}).get("conditions", []):
            if condition["type"] == "InvalidSpec" and condition["status"] == "True":
                raise StartUpError(f"Rollout {rollout['metadata']['name']}: {condition['message']}")


def _hopeless(store: Store, namespace: str) -> Iterator[tuple[str, str]]:
    """Pods that will not become ready, each with what says so."""
    for pod in store.list("pods", namespace)[0]:
        name, status = pod["metadata"]["name"], pod.get("status", {})
        for condition in status.get("conditions", []):
            if condition.get("reason") == "Unschedulable":
                yield name, condition["message"]
        if status.get("reason") in HOPELESS:
            yield name, status["message"]
        for container in status.get("containerStatuses", []):
            ended = container["lastState"].get("terminated")
            waiting = container["state"].get("waiting", {})
            if ended:
                yield name, f"its command {_end(ended)}"
            elif waiting.get("reason") in HOPELESS:
                yield name, f"{waiting['reason']}: {waiting['message']}"


def _end(ended: Object) -> str:
    if ended["reason"] == "StartError":
        return f"cannot be run: {ended['message']} (exit code {ended['exitCode']})"
    return f"ended by itself with exit code {ended['exitCode']}"


def _too_late(store: Store, log_of: LogOf, rollout: Object, limit_s: float) -> str:
    namespace, name = rollout["metadata"]["namespace"], rollout["metadata"]["name"]
    status = (store.get("rollouts", namespace, name) or {}).get("status", {})
    lines = [
        f"Rollout {name} was not healthy within {limit_s:g} s: "
        f"{status.get('message', '') or status.get('phase', 'no status')}"
    ]
    for pod in store.list("pods", namespace)[0]:
        lines += _unready(pod)
        lines += _tail(log_of(namespace, pod["metadata"]["name"]))
    return "\n".join(lines)


def _unready(pod: Object) -> Iterator[str]:
    """What is asked of each container that is not ready."""
    ready = {status["name"]: status["ready"] for status in pod.get("status", {}).get("containerStatuses", [])}
    for container in read_spec(pod).containers:
        probe = container.readiness_probe
        if probe and not ready.get(container.name):
            address = f"{pod['status'].get('podIP', 'no address')}:{container.port(probe.http_get.port)}"
            yield f"pod {pod['metadata']['name']}: GET {probe.http_get.path} on {address} never succeeded"


def _tail(log: bytes | None) -> list[str]:
    return [f"  | {line}" for line in (log or b"").decode(errors="replace").splitlines()[-LOG_LINES:]]
