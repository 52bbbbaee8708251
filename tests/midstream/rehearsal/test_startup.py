"""A rehearsal that cannot come to stand says why at once, with the pod's last words."""

import asyncio
from typing import Any

import pytest

from midstream.rehearsal.startup import StartUpError, until_healthy
from midstream.rehearsal.store import Object
from tests.midstream.rehearsal.cluster import NS, Cluster

LOG = b"".join(b"line %d\n" % number for number in range(30))
WORDS = "".join(f"\n  | line {number}" for number in range(20, 30))


def container(last: Object | None = None, **state: Any) -> Object:
    return {
        "name": "vllm",
        "ready": False,
        "restartCount": 1,
        "state": state,
        "lastState": {"terminated": last} if last else {},
    }


async def refusal(cluster: Cluster, limit_s: float = 5) -> str:
    with pytest.raises(StartUpError) as caught:
        await until_healthy(
            cluster.store,
            lambda namespace, pod: LOG,
            cluster.rollout,
            limit_s=limit_s,
            address_of=lambda service: ("127.0.0.1", 9),
        )
    return str(caught.value)


def started(status: Object) -> Cluster:
    cluster = Cluster()
    cluster.settle()
    pod = cluster.pods("engine:1")[0]
    name = pod["metadata"]["name"]
    cluster.store.edit("pods", NS, name, lambda obj: obj.update(status=status), status=True)
    return cluster


HOPELESS = {
    "no room on the node": (
        {
            "phase": "Pending",
            "conditions": [{"reason": "Unschedulable", "message": "0/1 nodes are available"}],
        },
        "0/1 nodes are available",
    ),
    "its command ended": (
        {
            "phase": "Running",
            "containerStatuses": [container({"exitCode": 5, "reason": "Error"}, running={})],
        },
        "its command ended by itself with exit code 5",
    ),
    "its command cannot be run": (
        {
            "phase": "Running",
            "containerStatuses": [
                container({"exitCode": 128, "reason": "StartError", "message": "x: No such file"}, running={})
            ],
        },
        "its command cannot be run: x: No such file (exit code 128)",
    ),
    "no such image": (
        {
            "phase": "Pending",
            "containerStatuses": [container(waiting={"reason": "ErrImagePull", "message": "no image y"})],
        },
        "ErrImagePull: no image y",
    ),
    "a spec that cannot be run": (
        {"phase": "Pending", "reason": "CreateContainerConfigError", "message": "no port named z"},
        "no port named z",
    ),
}


@pytest.mark.parametrize(("status", "why"), HOPELESS.values(), ids=HOPELESS)
async def test_a_pod_without_hope_is_told_with_its_last_lines(status, why) -> None:
    cluster = started(status)
    pod = cluster.pods("engine:1")[0]["metadata"]["name"]
    assert await refusal(cluster) == f"pod {pod}: {why}{WORDS}"


async def test_an_invalid_spec_is_told() -> None:
    cluster = Cluster()
    cluster.patch_spec(restartAt="2026-11-03T12:00:00Z")
    assert "Rollout vllm: " in await refusal(cluster)


async def test_beyond_the_limit_it_says_what_is_missing() -> None:
    cluster = Cluster()
    cluster.patch_spec(replicas=1)
    probe = {"httpGet": {"path": "/health", "port": 8000}}
    cluster.store.edit(
        "rollouts",
        NS,
        "vllm",
        lambda obj: obj["spec"]["template"]["spec"]["containers"][0].update(readinessProbe=probe),
    )
    cluster.settle()
    pod = next(pod for pod in cluster.store.list("pods")[0] if "readinessProbe" in str(pod))
    name = pod["metadata"]["name"]
    status = {"phase": "Running", "podIP": "127.0.0.9", "containerStatuses": [container(running={})]}
    cluster.store.edit("pods", NS, name, lambda obj: obj.update(status=status), status=True)
    said = await refusal(cluster, limit_s=0.2)
    assert said.startswith("Rollout vllm was not healthy within 0.2 s: ")
    assert f"pod {name}: GET /health on 127.0.0.9:8000 never succeeded{WORDS}" in said


async def test_healthy_but_not_reachable_is_not_enough() -> None:
    cluster = Cluster().deployed()
    assert "was not healthy within 0.2 s" in await refusal(cluster, limit_s=0.2)
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        address = server.sockets[0].getsockname()
        await until_healthy(
            cluster.store,
            lambda namespace, pod: LOG,
            cluster.rollout,
            limit_s=5,
            address_of=lambda service: address,
        )
