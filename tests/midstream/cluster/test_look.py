"""What is read of a cluster, in which order, what a 403 makes of it."""

import pytest

from midstream.cluster.found import State
from midstream.cluster.look import CHECKS, Wish, look
from midstream.rollouts.client import Cluster, CredentialError, UnreachableError
from tests.midstream.cluster.objects import controller, daemon_set, held_pod, node
from tests.midstream.rollouts.scripted import serving, write_kubeconfig

WISH = Wish("llm", "here", 2)
PLUGIN = daemon_set("nvidia-device-plugin") | {"spec": {"selector": {"matchLabels": {"app": "plugin"}}}}


class API:
    """Answers by path; what is not there is 404, what is None is 403."""

    def __init__(self, changes=None):
        self.answers = {
            "/version": {"gitVersion": "v1.34.1"},
            "/api/v1/nodes": [node(gpus=1)],
            "/apis/apps/v1/daemonsets": [PLUGIN],
            "/api/v1/namespaces/kube-system/pods": [],
            "/apis/argoproj.io/v1alpha1": {"resources": [{"name": "rollouts"}]},
            "/apis/apps/v1/deployments": [controller()],
            "/api/v1/pods": [],
            "/api/v1/namespaces/llm": {"metadata": {"name": "llm"}},
        } | (changes or {})

    def __call__(self, exchange, asked):
        if asked.method == "POST":
            exchange.answer(201, {"status": {"allowed": True}})
        elif asked.path not in self.answers:
            exchange.refuse(404, "not found")
        elif (answer := self.answers[asked.path]) is None:
            exchange.refuse(403, "forbidden")
        elif isinstance(answer, list):
            exchange.answer(200, {"metadata": {"resourceVersion": "1"}, "items": answer})
        else:
            exchange.answer(200, answer)


def found(tmp_path, changes=None, wish=WISH, checks=()):
    with serving(API(changes)) as server:
        cluster = Cluster.connect(write_kubeconfig(tmp_path / "config", server.url))
        return {each.check: each for each in look(cluster, wish, checks)}


def test_all_checks_in_order_without_gpus_where_none_is_wanted(tmp_path):
    assert list(found(tmp_path)) == ["api", *CHECKS]
    assert "gpu" not in found(tmp_path, wish=WISH._replace(gpus=0))


def test_those_named_alone(tmp_path):
    assert list(found(tmp_path, checks=["namespace", "argo"])) == ["api", "argo", "namespace"]


def test_a_rehearsal_is_asked_for_nothing_that_it_does_not_serve(tmp_path):
    seen = found(tmp_path, {"/version": {"gitVersion": "v1.34.0+midstream-rehearsal"}})
    assert list(seen) == ["api"]


@pytest.mark.parametrize(
    ("changes", "states"),
    [
        ({}, {"gpu": State.UNFIT}),
        ({"/api/v1/nodes": None}, {"nodes": State.UNKNOWN, "gpu": State.UNKNOWN}),
        ({"/apis/apps/v1/daemonsets": None}, {"gpu": State.UNFIT}),
        ({"/api/v1/namespaces/kube-system/pods": None}, {"gpu": State.UNFIT}),
        ({"/apis/argoproj.io/v1alpha1": {"resources": []}}, {"argo": State.UNFIT}),
        ({"/apis/apps/v1/deployments": []}, {"argo": State.MISSING}),
        (
            {
                "/apis/apps/v1/deployments": None,
                "/apis/apps/v1/namespaces/argo-rollouts/deployments": None,
            },
            {"argo": State.UNKNOWN},
        ),
        (
            {
                "/apis/apps/v1/deployments": None,
                "/apis/apps/v1/namespaces/argo-rollouts/deployments": [controller()],
            },
            {"argo": State.OK},
        ),
        (
            {
                "/apis/apps/v1/deployments": None,
                "/apis/apps/v1/namespaces/argo-rollouts/deployments": [],
            },
            {"argo": State.UNKNOWN},
        ),
        ({"/api/v1/pods": None}, {"argo": State.OK}),
        ({"/api/v1/namespaces/llm": None}, {"namespace": State.UNKNOWN}),
    ],
    ids=[
        "one GPU",
        "nodes are forbidden",
        "daemonsets are forbidden",
        "the plugin's pods are forbidden",
        "another CRD of the group",
        "no controller",
        "deployments are forbidden",
        "but for Argo's own namespace",
        "where there is none",
        "pods are forbidden",
        "the namespace is forbidden",
    ],
)
def test_a_403_is_an_answer(changes, states, tmp_path):
    wanted = dict.fromkeys(CHECKS, State.OK) | {"gpu": State.UNFIT} | states
    assert {check: each.state for check, each in found(tmp_path, changes).items() if check != "api"} == wanted


def test_the_pods_of_the_plugin_say_what_holds_them_up(tmp_path):
    changes = {
        "/api/v1/nodes": [node()],
        "/api/v1/namespaces/kube-system/pods": [held_pod("ErrImagePull", namespace="kube-system")],
    }
    assert "ErrImagePull: no such host" in found(tmp_path, changes, checks=["gpu"])["gpu"].words


@pytest.mark.parametrize(("status", "error"), [(401, CredentialError), (503, UnreachableError)])
def test_a_server_that_does_not_take_us_ends_it(status, error, tmp_path):
    with serving(lambda exchange, _: exchange.refuse(status, "no")) as server, pytest.raises(error):
        list(look(Cluster.connect(write_kubeconfig(tmp_path / "config", server.url)), WISH))
