"""The drain budget is the live spec's own sum, each number with its source."""

import pytest

from midstream.rollouts.budget import engine_drain, grace, pre_stop, read_budget, scale_down_delay
from tests.midstream.rollouts.objects import rollout, template


@pytest.mark.parametrize(
    ("told", "seconds", "source"),
    [
        (10, 10.0, "spec.strategy.blueGreen.scaleDownDelaySeconds"),
        (None, 30.0, "Argo default"),
        (0, None, "never scaled down"),
    ],
    ids=["given", "default", "zero means never"],
)
def test_scale_down_delay(told, seconds, source):
    reading = scale_down_delay(rollout(spec={"strategy": {"blueGreen": {"scaleDownDelaySeconds": told}}}))
    assert reading.seconds == seconds
    assert source in reading.source


@pytest.mark.parametrize(
    ("hook", "seconds"),
    [
        pytest.param({"sleep": {"seconds": 60}}, 60.0, id="native sleep"),
        pytest.param({"exec": {"command": ["sleep", "60"]}}, 60.0, id="exec sleep"),
        pytest.param({"exec": {"command": ["/bin/sleep", "60s"]}}, 60.0, id="exec with a path, with a unit"),
        pytest.param({"exec": {"command": ["sh", "-c", "sleep 60"]}}, 60.0, id="in a shell"),
        pytest.param({"exec": {"command": ["/bin/sh", "-c", "exec sleep 7.5;"]}}, 7.5, id="exec in a shell"),
        pytest.param({"exec": {"command": ["sleep", "1m"]}}, None, id="a unit that not every sleep has"),
        pytest.param({"exec": {"command": ["sh", "-c", "sleep 5; drain"]}}, None, id="more than a sleep"),
        pytest.param({"exec": {"command": ["./drain.sh"]}}, None, id="a program"),
        pytest.param({"httpGet": {"path": "/drain", "port": 8000}}, None, id="a request"),
        pytest.param(None, 0.0, id="no hook"),
    ],
)
def test_pre_stop(hook, seconds):
    lifecycle = {"preStop": hook} if hook else None
    reading = pre_stop(template("vllm", lifecycle=lifecycle)["spec"])
    assert reading.seconds == seconds
    assert ("unknown" in reading.source) is (seconds is None)


@pytest.mark.parametrize(
    ("container", "seconds", "source"),
    [
        pytest.param(
            {"command": ["vllm", "serve", "m"], "args": ["--shutdown-timeout", "60"]},
            60.0,
            "60",
            id="two words",
        ),
        pytest.param({"args": ["--shutdown-timeout=45.5"]}, 45.5, "45.5", id="one word"),
        pytest.param(
            {"command": ["sh", "-c", "exec vllm serve m --shutdown-timeout 30 --port 8000"]},
            30.0,
            "30",
            id="shell string",
        ),
        pytest.param({"args": ["--shutdown_timeout", "9"]}, 9.0, "9", id="vLLM takes underscores too"),
        pytest.param(
            {"args": ["--shutdown-timeout", "5", "--shutdown-timeout", "6"]}, 6.0, "6", id="the last one wins"
        ),
        pytest.param(
            {"args": ["--shutdown-timeout", "$(DRAIN)"], "env": [{"name": "DRAIN", "value": "20"}]},
            20.0,
            "20",
            id="from the environment",
        ),
        pytest.param(
            {"args": ["--shutdown-timeout=$(DRAIN)"]}, None, "no number", id="a variable we cannot see"
        ),
        pytest.param({"command": ["vllm", "serve", "m"]}, 0.0, "vLLM default", id="vLLM by command"),
        pytest.param(
            {"command": [], "image": "vllm/vllm-openai:v1"}, 0.0, "vLLM default", id="vLLM by image"
        ),
        pytest.param(
            {"command": ["python", "-m", "vllm.entrypoints.openai.api_server"], "image": "x"},
            0.0,
            "vLLM default",
            id="vLLM by module",
        ),
        pytest.param(
            {"command": ["llama-server"], "image": "x"}, None, "unknown engine", id="another engine"
        ),
    ],
)
def test_engine_drain(container, seconds, source):
    reading = engine_drain({"name": "x", "image": "x"} | container)
    assert reading.seconds == seconds
    assert source in reading.source


def test_grace_defaults_to_kubernetes():
    assert grace({}).seconds == 30.0
    assert grace({"terminationGracePeriodSeconds": 90}).seconds == 90.0


def test_the_sum_of_the_seed():
    """Facts 3: preStop 60, grace 90, defaults: 30 + 60 + 0 = 90, grace's last 30 s unused."""
    hook = {"preStop": {"exec": {"command": ["sleep", "60"]}}}
    budget = read_budget(
        rollout(
            spec={
                "strategy": {"blueGreen": {"scaleDownDelaySeconds": None}},
                "template": {
                    "spec": {
                        "terminationGracePeriodSeconds": 90,
                        "containers": [template("vllm/vllm-openai", lifecycle=hook)["spec"]["containers"][0]],
                    }
                },
            }
        )
    )
    assert (budget.until_sigterm_s, budget.total_s) == (90.0, 90.0)
    assert budget.sources.keys() == {"scale_down_delay_s", "pre_stop_s", "grace_s", "engine_drain_s"}


def test_the_engine_drains_no_longer_than_grace_leaves():
    args = ["--shutdown-timeout", "600"]
    budget = read_budget(rollout(spec={"template": template("vllm", args=args)}))
    assert budget.total_s == 10 + 5 + (30 - 5)


def test_the_serving_container_is_found_behind_a_sidecar():
    sidecar = {"name": "proxy", "image": "envoy"}
    serving = template("vllm/vllm-openai", args=["--shutdown-timeout", "12"])["spec"]["containers"][0]
    both = template("x")
    both["spec"]["containers"] = [sidecar, serving]
    assert read_budget(rollout(spec={"template": both})).engine_drain_s == 12.0
