"""What a step does to the cluster: signals to the pods it means, patches as a client's."""

import pytest

from midstream.rehearsal.deeds import deeds_of, patch_object
from midstream.rehearsal.images import Image
from midstream.rehearsal.kubelet import Kubelet
from midstream.rehearsal.step_runner import StepError
from midstream.rehearsal.steps import Moment, PatchObject, SignalPods
from midstream.rehearsal.store import Store
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
