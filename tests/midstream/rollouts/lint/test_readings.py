"""What rules read out of words: versions, quantities, durations, scripts; what they leave alone."""

import pytest

from midstream.rollouts.lint.case import Case
from midstream.rollouts.lint.drain import drain_budget
from midstream.rollouts.lint.grace import vllm_version
from midstream.rollouts.lint.live import version
from midstream.rollouts.lint.process import shell_as_pid_1
from midstream.rollouts.lint.room import extra_pods, quantity
from midstream.rollouts.lint.sidecars import closes_first
from tests.midstream.rollouts.objects import merged, rollout, template


def case(workload):
    workload = {"kind": "Rollout", **workload}
    return Case(workload=workload, budget=drain_budget(workload))


@pytest.mark.parametrize(
    ("image", "told"),
    [
        ("vllm/vllm-openai:v0.17.1", (0, 17)),
        ("registry.example.com:5000/team/vllm:0.9.2-cu128", (0, 9)),
        ("vllm/vllm-openai:v0.32.0@sha256:00", (0, 32)),
        ("vllm/vllm-openai:latest", None),
        ("vllm/vllm-openai", None),
        ("vllm/vllm-openai@sha256:00", None),
        ("lmsysorg/sglang:v0.5.1", None),
        ("registry.example.com:5000/engine", None),
    ],
)
def test_the_version_in_an_image(image, told):
    assert vllm_version(image) == told


@pytest.mark.parametrize(
    ("text", "number"),
    [("500m", 0.5), ("8Gi", 8 * 2**30), ("2", 2), (3, 3), ("1k", 1000), ("1.5G", 1.5e9), ("1Ki", 1024)],
)
def test_quantities(text, number):
    assert quantity(text) == pytest.approx(number)


@pytest.mark.parametrize("text", ["many", "1X", "", "Gi", "1e"])
def test_no_quantities(text):
    with pytest.raises(ValueError, match=r"."):
        quantity(text)


@pytest.mark.parametrize(
    ("told", "numbers"), [("v1.34.1", (1, 34)), ("v1.29.3-gke.1", (1, 29)), ("", None)], ids=str
)
def test_the_version_of_a_cluster(told, numbers):
    assert version({"gitVersion": told}) == numbers


@pytest.mark.parametrize(
    ("command", "severities"),
    [
        (["vllm", "serve", "m"], []),
        (["/bin/bash", "-ec", "source env && vllm serve m"], ["error"]),
        (["bash", "-c", "vllm serve m"], ["warning"]),
        (["sh", "-c", "vllm serve m;"], ["warning"]),
        (["sh", "-c", "sleep 1\nexec vllm serve m"], []),
        (["sh", "-c", "exec 2>&1; vllm serve m"], ["error"]),
        (["sh", "-c", "trap 'kill $p' TERM; vllm serve m & p=$!; wait"], []),
        (["tini", "--", "sh", "-c", "vllm serve m"], []),
        (["sh", "start.sh"], []),
        (["sh", "-c"], []),
    ],
    ids=lambda value: " ".join(value) or "nothing",
)
def test_a_shell_as_pid_1(command, severities):
    found = shell_as_pid_1(case(rollout(spec={"template": template("vllm", command=command, args=[])})))
    assert [str(each.severity) for each in found] == severities


@pytest.mark.parametrize(
    ("strategy", "replicas", "pods"),
    [({}, 1, 1), ({}, 8, 2), ({"rollingUpdate": {"maxSurge": 0}}, 2, 0), ({"type": "Recreate"}, 2, 0)],
    ids=["a quarter, rounded up", "a quarter", "none", "none beside"],
)
def test_how_many_pods_a_deployment_adds(strategy, replicas, pods):
    spec = {"strategy": strategy, "replicas": replicas, "template": template("vllm")}
    assert extra_pods(case({"kind": "Deployment", "metadata": {"name": "a"}, "spec": spec})) == pods


@pytest.mark.parametrize(
    ("canary", "delay_s"),
    [
        ({}, 0.0),
        ({"trafficRouting": {"nginx": {}}}, 30.0),
        ({"trafficRouting": {"nginx": {}}, "scaleDownDelaySeconds": 9}, 9.0),
    ],
    ids=["pods replaced", "the router's default", "told"],
)
def test_the_delay_of_a_canary(canary, delay_s):
    workload = rollout(spec={"strategy": {"blueGreen": None, "canary": canary}})
    assert case(workload).budget.scale_down_delay_s == delay_s


@pytest.mark.parametrize(
    "marks",
    [
        {"sidecar.istio.io/inject": "true", "sidecar.istio.io/nativeSidecar": "true"},
        {"linkerd.io/inject": "enabled", "config.beta.linkerd.io/proxy-enable-native-sidecar": "true"},
        {"sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled"},
        {"sidecar.istio.io/inject": "true", "proxy.istio.io/config": "terminationDrainDuration: 10m"},
        {"sidecar.istio.io/inject": "true", "proxy.istio.io/config": "terminationDrainDuration: soon"},
    ],
    ids=["Istio native", "Linkerd native", "neither", "long enough", "not readable"],
)
def test_proxies_that_last(marks):
    workload = rollout(spec={"template": {"metadata": {"annotations": marks}}})
    preset = merged(workload, {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 90}}}})
    assert list(closes_first(case(preset))) == []
