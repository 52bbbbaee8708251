"""What a step does to the cluster: signals to the pods it means, patches as a client's."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from midstream.rehearsal.deeds import deeds_of, expire_watches, patch_object, stop_owner
from midstream.rehearsal.images import Image
from midstream.rehearsal.kubelet import Kubelet
from midstream.rehearsal.step_runner import StepError
from midstream.rehearsal.steps import ExpireWatches, Moment, PatchObject, SignalPods, StopOwner
from midstream.rehearsal.store import FORGOTTEN, Store
from tests.midstream.rehearsal.cluster import NS, Cluster


def patch(target: str, content: object, subresource: str = "") -> PatchObject:
    return PatchObject(at=Moment.HEALTHY, object=target, patch=content, subresource=subresource)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param({"spec": {"replicas": None, "paused": True}}, id="merge patch"),
        pytest.param(
            [
                {"op": "remove", "path": "/spec/replicas"},
                {"op": "add", "path": "/spec/paused", "value": True},
            ],
            id="JSON patch",
        ),
    ],
)
async def test_a_patch_of_either_kind_is_stored(content) -> None:
    cluster = Cluster()
    await patch_object(cluster.store, patch("Rollout/vllm", content))
    assert cluster.rollout["spec"]["paused"] is True
    assert "replicas" not in cluster.rollout["spec"]


async def test_a_patch_of_the_status_leaves_the_spec() -> None:
    cluster = Cluster().paused()
    await patch_object(
        cluster.store, patch("Rollout/vllm", {"status": {"abort": True}, "spec": {}}, "status")
    )
    assert cluster.status["abort"] is True
    await patch_object(cluster.store, patch("Rollout/vllm", {"status": {"abort": None}}))
    assert cluster.status["abort"] is True


@pytest.mark.parametrize(
    ("target", "content", "said"),
    [
        pytest.param("Rollout/other", {}, "there is none", id="no such object"),
        pytest.param("Robot/vllm", {}, "no kind Robot", id="no such kind"),
        pytest.param("Rollout/vllm", [{"op": "remove", "path": "/spec/x"}], "/spec/x", id="no such path"),
    ],
)
async def test_a_patch_that_cannot_be_made_is_said(target, content, said) -> None:
    with pytest.raises(StepError, match=said):
        await patch_object(Cluster().store, patch(target, content))


class HeardKubelet(Kubelet):
    """Notes what it is told to signal."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, images=dict[str, Image](), addresses=iter(()), reaper=None)  # type: ignore[arg-type]
        self.heard: list[tuple[str, int]] = []

    def signal(self, namespace: str, name: str, signum: int) -> None:
        self.heard.append((name, signum))


@pytest.mark.parametrize(("pods", "image"), [("old", "engine:1"), ("new", "engine:2")])
@pytest.mark.parametrize("promoted", [False, True], ids=["before the cutover", "after it"])
@pytest.mark.parametrize("count", [1, 5])
async def test_pods_are_signalled_by_their_revision_up_to_a_number(pods, image, promoted, count) -> None:
    cluster = Cluster().promoted() if promoted else Cluster().paused()
    kubelet = HeardKubelet(cluster.store)
    step = SignalPods(at=Moment.PAUSED, pods=pods, number="USR1", count=count)
    await deeds_of(cluster.store, kubelet)[SignalPods](step)
    names = [pod["metadata"]["name"] for pod in cluster.pods(image)]
    assert kubelet.heard == [(name, 10) for name in names[:count]]
    assert {pod["metadata"]["namespace"] for pod in cluster.pods(image)} == {NS}


def test_what_is_no_signal_is_refused() -> None:
    with pytest.raises(ValueError, match="no signal NAP"):
        SignalPods(at=Moment.PAUSED, pods="old", number="NAP")


async def test_watches_expire_again_and_again_for_their_time() -> None:
    cluster = Cluster()
    queue = cluster.store.subscribe((FORGOTTEN,))
    await expire_watches(cluster.store, ExpireWatches(at=Moment.PAUSED, every_s=0.01, for_s=0.1))
    assert 2 <= queue.qsize() <= 10


@pytest.fixture
def owner() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process.pid
        process.kill()


async def until_stopped(pid: int, *, stopped: bool = True) -> None:
    async with asyncio.timeout(10):
        while (psutil.Process(pid).status() == psutil.STATUS_STOPPED) is not stopped:
            await asyncio.sleep(0.01)


async def test_the_owner_is_stopped_for_a_while_and_goes_on(owner) -> None:
    stopping = asyncio.create_task(stop_owner(owner, StopOwner(at=Moment.PAUSED, for_s=0.3)))
    await until_stopped(owner)
    assert not stopping.done()
    await stopping
    await until_stopped(owner, stopped=False)


async def test_an_end_of_the_rehearsal_lets_its_owner_go_on(owner) -> None:
    stopping = asyncio.create_task(stop_owner(owner, StopOwner(at=Moment.PAUSED, for_s=60)))
    await until_stopped(owner)
    stopping.cancel()
    await until_stopped(owner, stopped=False)


async def test_without_an_owner_nothing_is_stopped(caplog) -> None:
    await stop_owner(None, StopOwner(at=Moment.PAUSED, for_s=60))
    assert "no owner" in caplog.text
