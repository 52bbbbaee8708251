"""GPUs: how many, whose plugin offers them, how they become enough."""

import pytest

from midstream.cluster.found import State
from midstream.cluster.gpu import OUR_PLUGIN, device_plugin, judge_gpus
from tests.midstream.cluster.objects import DENIED, daemon_set, held_pod, node

ADDON = daemon_set("nvidia-device-plugin-daemonset")
OURS = daemon_set(OUR_PLUGIN.partition("/")[2])
MINIKUBE = {"minikube.k8s.io/name": "minikube"}


@pytest.mark.parametrize(
    ("nodes", "wanted", "words"),
    [
        ([node("a", gpus=2)], 2, "2 nvidia.com/gpu allocatable (a 2)"),
        ([node("a", gpus=1), node("b", gpus=1), node("c")], 2, "2 nvidia.com/gpu allocatable (a 1, b 1)"),
        ([node("a", gpus=4)], 1, "4 nvidia.com/gpu allocatable (a 4)"),
    ],
    ids=["two shares", "two nodes", "more than needed"],
)
def test_enough(nodes, wanted, words):
    for daemon_sets in ([], [ADDON], DENIED):
        found = judge_gpus(nodes, daemon_sets, (), wanted)
        assert (found.state, found.words) == (State.OK, words)


def test_a_node_that_takes_no_pods_offers_nothing():
    nodes = [node("a", gpus=1), node("b", gpus=4, unschedulable=True)]
    assert judge_gpus(nodes, [ADDON], (), 2).words.startswith("1 of 2 nvidia.com/gpu allocatable (a 1)")
    found = judge_gpus(nodes[1:], [], (), 2)
    assert (found.state, found.words) == (
        State.UNFIT,
        "no node that takes pods has nvidia.com/gpu (b has 4 but is cordoned)",
    )
    assert "kubectl uncordon" in found.mend


@pytest.mark.parametrize(
    ("plugin", "labels", "mend"),
    [
        (OURS, {}, "scripts/cluster_bootstrap.sh --share-gpu 2"),
        (
            ADDON,
            MINIKUBE,
            "Minikube's addon cannot share: minikube addons disable nvidia-device-plugin, then",
        ),
        (ADDON, {}, "kubectl delete daemonset -n kube-system nvidia-device-plugin-daemonset, then"),
        (
            daemon_set("nvidia-device-plugin-daemonset", "gpu-operator", owner="ClusterPolicy"),
            {},
            "give its ClusterPolicy a devicePlugin.config that time-slices with replicas: 2",
        ),
        (
            daemon_set("nvdp-nvidia-device-plugin", "nvdp"),
            {},
            "give the plugin nvdp/nvdp-nvidia-device-plugin",
        ),
        (None, {}, "whoever installed the device plugin"),
    ],
    ids=["ours", "Minikube's addon", "NVIDIA's manifest", "the operator's", "the chart's", "none to be seen"],
)
def test_fewer_than_wanted_by_whose_plugin_it_is(plugin, labels, mend):
    found = judge_gpus([node("a", gpus=1, labels=labels)], [plugin] if plugin else [], (), 2)
    assert (found.state, found.words) == (
        State.UNFIT,
        "1 of 2 nvidia.com/gpu allocatable (a 1): blue and green take one each",
    )
    assert mend in found.mend
    assert found.source == (
        f"{plugin['metadata']['namespace']}/{plugin['metadata']['name']}" if plugin else ""
    )


@pytest.mark.parametrize(
    ("ready", "pods", "state", "words"),
    [
        (1, [], State.UNFIT, "it found no driver"),
        (0, [], State.PENDING, "it is not ready yet"),
        (0, [held_pod("ErrImagePull")], State.UNFIT, "container c ErrImagePull: no such host"),
    ],
    ids=["running", "starting", "held up"],
)
def test_none_though_a_plugin_is_there(ready, pods, state, words):
    found = judge_gpus([node()], [daemon_set("nvidia-device-plugin", ready=ready)], pods, 2)
    assert (found.state, found.source) == (state, "kube-system/nvidia-device-plugin")
    assert words in found.words
    assert "kubectl logs -n kube-system daemonset/nvidia-device-plugin" in found.mend


def test_none_and_no_plugin_is_what_bootstrap_mends():
    found = judge_gpus([node()], [daemon_set("kube-proxy")], (), 2)
    assert (found.state, found.source) == (State.MISSING, "")
    assert "scripts/cluster_bootstrap.sh --share-gpu 2; without a GPU: OVERLAY=sim or --no-gpu" in found.mend


def test_a_plugin_that_may_not_be_seen_is_not_called_missing():
    assert judge_gpus([node()], DENIED, (), 2).state is State.UNFIT
    assert judge_gpus(DENIED, [], (), 2).state is State.UNKNOWN


@pytest.mark.parametrize(
    ("name", "offers"),
    [
        ("nvidia-device-plugin-daemonset", True),
        ("midstream-nvidia-device-plugin", True),
        ("nvidia-gpu-device-plugin-small-cos", True),
        ("nvidia-device-plugin-mps-control-daemon", False),
        ("nvidia-device-plugin-gpu-feature-discovery", False),
        ("nvidia-dcgm-exporter", False),
        ("amdgpu-device-plugin-daemonset", False),
    ],
)
def test_which_daemon_set_offers_gpus(name, offers):
    assert (device_plugin([daemon_set(name)]) is not None) is offers
