"""What k8s/base promises, sentence by sentence, as it is written; kustomize is not needed."""

import re

import pytest

from midstream.rollouts import edits
from midstream.rollouts.budget import read_budget
from tests.k8s.manifests import OVERLAYS, as_written, container, one, option

OBJECTS = as_written(OVERLAYS["base"])
ROLLOUT = one(OBJECTS, "Rollout")
POD = ROLLOUT["spec"]["template"]["spec"]
VLLM = container(ROLLOUT)
BLUE_GREEN = ROLLOUT["spec"]["strategy"]["blueGreen"]
ENV = {entry["name"]: entry for entry in VLLM["env"]}
VOLUMES = {volume["name"]: volume for volume in POD["volumes"]}
MOUNTS = {mount["mountPath"]: mount["name"] for mount in VLLM["volumeMounts"]}

SENTENCES = {
    "the namespace is llm-serving": lambda: one(OBJECTS, "Namespace")["metadata"]["name"] == "llm-serving",
    "settings are a ConfigMap": lambda: (
        VLLM["envFrom"] == [{"configMapRef": {"name": one(OBJECTS, "ConfigMap")["metadata"]["name"]}}]
    ),
    "the Rollout is vllm, blue/green, on both Services": lambda: (
        ROLLOUT["metadata"]["name"] == "vllm"
        and ROLLOUT["spec"]["strategy"].keys() == {"blueGreen"}
        and BLUE_GREEN["activeService"] == one(OBJECTS, "Service", "vllm-stable")["metadata"]["name"]
        and BLUE_GREEN["previewService"] == one(OBJECTS, "Service", "vllm-preview")["metadata"]["name"]
    ),
    "a person promotes": lambda: BLUE_GREEN["autoPromotionEnabled"] is False,
    "the old pod's delay is told, and not never": lambda: BLUE_GREEN["scaleDownDelaySeconds"] > 0,
    "the grace period is 90 s": lambda: POD["terminationGracePeriodSeconds"] == 90,
    "preStop sleeps 60 s by itself": lambda: VLLM["lifecycle"] == {"preStop": {"sleep": {"seconds": 60}}},
    "PID 1 is vllm, no shell": lambda: VLLM["command"] == ["vllm", "serve"],
    "the model comes from env MODEL": lambda: VLLM["args"][0] == "$(MODEL)" and "value" in ENV["MODEL"],
    "events carry the revision, clients ask for the public name": lambda: (
        _after(VLLM["args"], "--served-model-name")[:2] == ["$(REVISION)", "$(PUBLIC_MODEL)"]
        and "value" in ENV["PUBLIC_MODEL"]
    ),
    "the revision is the pod template's hash": lambda: (
        ENV["REVISION"]["valueFrom"]["fieldRef"]["fieldPath"]
        == "metadata.labels['rollouts-pod-template-hash']"
    ),
    "the token for gated models may be missing": lambda: (
        ENV["HF_TOKEN"]["valueFrom"]["secretKeyRef"]["optional"] is True
    ),
    "the model cache is a volume": lambda: MOUNTS[ENV["HF_HOME"]["value"]] in VOLUMES,
    "shared memory is an emptyDir in memory, with a limit": lambda: (
        VOLUMES[MOUNTS["/dev/shm"]]["emptyDir"] == {"medium": "Memory", "sizeLimit": "2Gi"}
    ),
    "no variables of Services named vllm-*": lambda: POD["enableServiceLinks"] is False,
    "one GPU": lambda: VLLM["resources"]["limits"] == {"nvidia.com/gpu": "1"},
    "it is ready when /health answers": lambda: (
        VLLM["readinessProbe"]["httpGet"] == {"path": "/health", "port": "http"}
    ),
    "nothing kills a pod that is busy or drains": lambda: "livenessProbe" not in VLLM,
    "the image has a version": lambda: re.fullmatch(r"vllm/vllm-openai:v\d+\.\d+\.\d+", VLLM["image"]),
}


def _after(words, word):
    return words[words.index(word) + 1 :]


@pytest.mark.parametrize("holds", SENTENCES.values(), ids=SENTENCES)
def test_base_keeps_its_promise(holds):
    assert holds()


def test_a_start_may_take_about_ten_minutes():
    assert _startup_budget_s() == pytest.approx(600, abs=30)


def test_the_progress_deadline_leaves_time_for_the_image_before_the_startup_budget():
    assert ROLLOUT["spec"]["progressDeadlineSeconds"] >= _startup_budget_s() + 300


def test_the_services_select_the_pods_and_their_port():
    labels = ROLLOUT["spec"]["template"]["metadata"]["labels"]
    ports = {port["name"]: port["containerPort"] for port in VLLM["ports"]}
    assert ports["http"] == int(option(ROLLOUT, "port"))
    for name in ("vllm-stable", "vllm-preview"):
        spec = one(OBJECTS, "Service", name)["spec"]
        assert spec["selector"].items() <= labels.items()
        assert spec["ports"] == [{"name": "http", "port": 8000, "targetPort": "http"}]
    assert ROLLOUT["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_the_services_come_before_the_rollout():
    kinds = [each["kind"] for each in OBJECTS]
    assert kinds == ["Namespace", "ConfigMap", "Service", "Service", "Rollout"]


def test_the_budget_is_115_s():
    assert read_budget(ROLLOUT).total_s == 30 + 60 + 25


def test_another_model_is_another_pod_template():
    (operation,) = edits.set_model(ROLLOUT, "another/model")
    assert operation["path"] == "/spec/template/spec/containers/0/env"
    assert {"name": "MODEL", "value": "another/model"} in operation["value"]


def test_no_setting_is_one_of_the_template():
    """The container's own variable would win, and the ConfigMap's be there for nothing."""
    assert one(OBJECTS, "ConfigMap")["data"].keys().isdisjoint(ENV)


def _startup_budget_s():
    probe = VLLM["startupProbe"]
    return probe.get("initialDelaySeconds", 0) + probe["periodSeconds"] * probe["failureThreshold"]
