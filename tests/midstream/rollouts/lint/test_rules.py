"""Every rule: a manifest that triggers it alone, one edit after which nothing is found."""

import copy
from pathlib import Path

import pytest
import yaml

from midstream.rehearsal.patches import json_patched
from midstream.rollouts.lint.manifests import read_manifests
from midstream.rollouts.lint.rules import RULES, judge
from tests.k8s.manifests import OVERLAYS, ROOT, as_written, build, needs_kubectl, one

EDITS = yaml.safe_load((Path(ROOT) / "tests/fixtures/lint/edits.yaml").read_text())
OTHER_KINDS = {
    "Deployment": {"apiVersion": "apps/v1", "spec": {"strategy": {"type": "RollingUpdate"}}},
    "StatefulSet": {"apiVersion": "apps/v1", "spec": {"replicas": 2, "strategy": {}}},
}


def workload(kind):
    base = copy.deepcopy(one(as_written(OVERLAYS["base"]), "Rollout"))
    if kind == "Rollout":
        return base
    other = OTHER_KINDS[kind]
    return base | other | {"kind": kind, "spec": base["spec"] | other["spec"]}


def found(edit, *, is_mended):
    objects = [workload(edit.get("kind", "Rollout")), *copy.deepcopy(edit.get("beside", []))]
    objects[0] = json_patched(objects[0], edit["breaks"])
    if is_mended:
        kind = edit.get("in", objects[0]["kind"])
        objects = [json_patched(each, [edit["mend"]]) if each["kind"] == kind else each for each in objects]
    kubernetes = tuple(edit["kubernetes"]) if "kubernetes" in edit else None
    text = yaml.safe_dump_all(objects)
    (examined,) = read_manifests(text, kubernetes=kubernetes, stream_s=edit.get("stream_s"))
    case = examined.case._replace(nodes=edit.get("nodes", ()), pods=edit.get("pods", ()))
    return [(rule, str(finding.severity)) for rule, finding in judge(case)]


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_one_edit_triggers_it_alone_and_one_clears_it(edit):
    assert found(edit, is_mended=False) == [(edit["rule"], edit.get("severity", "error"))]
    assert found(edit, is_mended=True) == []


def test_every_rule_has_a_manifest():
    assert {edit["rule"] for edit in EDITS.values()} == RULES.keys()


@pytest.mark.parametrize("kind", ["Rollout", *OTHER_KINDS])
def test_base_is_clean_as_any_kind(kind):
    assert found({"kind": kind, "breaks": []}, is_mended=False) == []


NULLS = {
    "httpGet": "/spec/template/spec/containers/0/readinessProbe/httpGet",
    "preStop.sleep": "/spec/template/spec/containers/0/lifecycle/preStop/sleep",
    "lifecycle": "/spec/template/spec/containers/0/lifecycle",
    "strategy": "/spec/strategy",
    "replicas": "/spec/replicas",
}


@pytest.mark.parametrize("kind", ["Rollout", *OTHER_KINDS])
@pytest.mark.parametrize("path", NULLS.values(), ids=NULLS)
def test_a_null_is_as_good_as_nothing(kind, path):
    found({"kind": kind, "breaks": [{"op": "replace", "path": path, "value": None}]}, is_mended=False)


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_overlays_are_clean(overlay):
    objects, _ = build(OVERLAYS[overlay])
    (examined,) = read_manifests(yaml.safe_dump_all(objects), kubernetes=(1, 30), stream_s=None)
    assert judge(examined.case) == ()
