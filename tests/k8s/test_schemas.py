"""Every YAML of k8s/ against its schema; typos that must be refused show that the schemas bite."""

import copy

import pytest
import yaml

from tests.k8s.manifests import K8S, OVERLAYS, as_written, documents, faults, parse, yaml_files

FILES = {str(path.relative_to(K8S)): path for path in yaml_files()}
BASE = as_written(OVERLAYS["base"])


def test_there_are_files():
    assert len(FILES) >= 8


@pytest.mark.parametrize("path", FILES.values(), ids=FILES)
def test_it_is_as_its_schema_says(path):
    found = list(documents(path))
    assert found
    assert [f"{place}: {fault}" for place, content in found for fault in faults(content)] == []


KUSTOMIZATIONS = {name: path for name, path in FILES.items() if path.name == "kustomization.yaml"}


@pytest.mark.parametrize("path", KUSTOMIZATIONS.values(), ids=KUSTOMIZATIONS)
def test_a_kustomization_names_all_files_beside_it(path):
    """One that it forgets would be valid and never applied."""
    (content,) = parse(path.read_text())
    named = {
        *content["resources"],
        *(patch["path"] for patch in content.get("patches", ()) if "path" in patch),
    }
    beside = {other.name for other in yaml_files(path.parent) if other.parent == path.parent} - {path.name}
    assert beside == {name for name in named if not (path.parent / name).is_dir()}
    assert all((path.parent / name).exists() for name in named)


UNCOVERED = {
    "a kind without a schema": ("kind.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n"),
    "a version without a schema": ("old.yml", "apiVersion: v1beta1\nkind: Service\nmetadata: {name: a}\n"),
    "JSON": ("a.json", '{"kind": "Job"}'),
    "no object": ("text.yaml", "just words\n"),
}


@pytest.mark.parametrize(("name", "text"), UNCOVERED.values(), ids=UNCOVERED)
def test_a_new_file_that_no_schema_covers_is_found(tmp_path, name, text):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / name).write_text(text)
    (path,) = yaml_files(tmp_path)
    assert any("no schema for" in fault for _, content in documents(path) for fault in faults(content))


POD = "spec.template.spec"
TYPOS = {
    "a key of the strategy": ("Rollout", "spec.strategy.blueGreen.scaleDownDelaySecond", 30),
    "a strategy that is none": ("Rollout", "spec.strategy.bluegreen", {"activeService": "vllm-stable"}),
    "no active Service": ("Rollout", "spec.strategy.blueGreen", {"previewService": "vllm-preview"}),
    "a delay in words": ("Rollout", "spec.strategy.blueGreen.scaleDownDelaySeconds", "30s"),
    "a key of the pod": ("Rollout", f"{POD}.terminationGracePeriod", 90),
    "the grace period in the container": ("Rollout", f"{POD}.containers.0.terminationGracePeriodSeconds", 90),
    "preStop beside lifecycle": ("Rollout", f"{POD}.containers.0.preStop", {"sleep": {"seconds": 60}}),
    "preStop in lower case": ("Rollout", f"{POD}.containers.0.lifecycle.prestop", {"sleep": {"seconds": 60}}),
    "a sleep without its length": ("Rollout", f"{POD}.containers.0.lifecycle.preStop.sleep", {}),
    "a sleep in words": ("Rollout", f"{POD}.containers.0.lifecycle.preStop.sleep.seconds", "60"),
    "a key of a probe": ("Rollout", f"{POD}.containers.0.startupProbe.failuresThreshold", 60),
    "an environment value that is a number": ("Rollout", f"{POD}.containers.0.env.0.value", 1),
    "a downward field that is a word": (
        "Rollout",
        f"{POD}.containers.0.env.2.valueFrom.fieldRef",
        "metadata.labels",
    ),
    "an argument that is a number": ("Rollout", f"{POD}.containers.0.args.4", 25),
    "a command that is one string": ("Rollout", f"{POD}.containers.0.command", "vllm serve"),
    "a volume of no kind": ("Rollout", f"{POD}.volumes.0.emptydir", {}),
    "a key of a volume": ("Rollout", f"{POD}.volumes.0.emptyDir.mediums", "Memory"),
    "a mount without a path": ("Rollout", f"{POD}.containers.0.volumeMounts.0", {"name": "shm"}),
    "replicas as text": ("Rollout", "spec.replicas", "1"),
    "a status": ("Rollout", "status", {}),
    "a key of a port": ("Service", "spec.ports.0.targetport", "http"),
    "a port that is a word": ("Service", "spec.ports.0.port", "http"),
    "a selector that is a list": ("Service", "spec.selector", ["vllm"]),
    "a setting that is a number": ("ConfigMap", "data.VLLM_NO_USAGE_STATS", 1),
    "a label that is a boolean": ("Namespace", "metadata.labels.part", True),
    "labels beside metadata": ("Namespace", "labels", {}),
}


@pytest.mark.parametrize(("kind", "place", "value"), TYPOS.values(), ids=TYPOS)
def test_a_typo_is_refused(kind, place, value):
    content = copy.deepcopy(next(each for each in BASE if each["kind"] == kind))
    assert faults(content) == []
    _put(content, place.split("."), value)
    assert faults(content) != []


KUSTOMIZATION = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a]\n"
OTHER_TYPOS = {
    "a deprecated field": KUSTOMIZATION + "commonLabels: {a: b}",
    "a patch from nowhere": KUSTOMIZATION + "patches: [{target: {kind: Rollout}}]",
    "a patch of nothing": KUSTOMIZATION + "patches: [{path: patch.yaml}]",
    "an image's tag that is a number": KUSTOMIZATION + "images: [{name: midstream, newTag: 1.0}]",
    "an operation that is none": "[{op: set, path: /spec/replicas, value: 1}]",
    "a path like jq's": "[{op: add, path: .spec.replicas, value: 1}]",
    "nothing to add": "[{op: add, path: /spec/replicas}]",
}


@pytest.mark.parametrize("text", OTHER_TYPOS.values(), ids=OTHER_TYPOS)
def test_a_typo_of_kustomize_is_refused(text):
    (content,) = parse(text)
    assert not any("no schema for" in fault for fault in faults(content))
    assert faults(content) != []


def test_a_kustomization_without_a_typo_is_not_refused():
    (content,) = parse(KUSTOMIZATION)
    assert faults(content) == []


def test_an_equal_key_twice_is_refused():
    with pytest.raises(yaml.constructor.ConstructorError, match="twice"):
        parse("spec: {replicas: 1, replicas: 2}")


def _put(content, keys, value):
    *before, last = (int(key) if key.isdigit() else key for key in keys)
    for key in before:
        content = content[key]
    content[last] = value
