"""Faults: the bundled ones fit the manifests, a file of that form is one too, anything else is refused."""

import re

import pytest

from midstream.rehearsal.edits import edited
from midstream.rehearsal.faults import (
    FAULTS,
    FaultError,
    bundled_faults,
    find_fault,
    ignored_gates,
    image_environments,
    manifest_edits,
    networks_of,
    node_of,
    steps_of,
)
from midstream.rehearsal.images import bundled_images
from midstream.rehearsal.manifest import manifests
from midstream.rehearsal.network import Network
from midstream.rehearsal.plan import RehearsalPlan
from midstream.rehearsal.steps import ChangeNetwork, PatchObject, SignalPods
from midstream.rollouts.budget import pre_stop

ENGINE_ARGS = "MIDSTREAM_ENGINE_ARGS"
STABLE = "vllm-stable"
BOTH = ("midstream/engine:v1", "midstream/engine:v2")
DRAINS = "--shutdown-timeout=25"


def what(name: str) -> dict[str, object]:
    """What a fault changes, in the words of the manifests."""
    fault = find_fault(name)
    *_, rollout = edited(manifests(RehearsalPlan(), 8000), manifest_edits([fault]))
    spec = rollout["spec"]["template"]["spec"]
    return {
        "drains": DRAINS in spec["containers"][0]["args"],
        "grace": spec["terminationGracePeriodSeconds"],
        "preStop": pre_stop(spec).seconds,
        "command": spec["containers"][0]["command"],
        "delay": rollout["spec"]["strategy"]["blueGreen"]["scaleDownDelaySeconds"],
        "progress": rollout["spec"].get("progressDeadlineSeconds"),
        "images": image_environments([fault]),
        "node": node_of([fault]),
        "ignored": set(ignored_gates([fault])),
        "network": networks_of([fault]),
        "steps": [(step.at.value, type(step)) for step in steps_of([fault])],
    }


WHOLE: dict[str, object] = {
    "drains": True,
    "grace": 30,
    "preStop": 2,
    "command": ["python", "-m", "midstream.rehearsal.engine"],
    "delay": 5,
    "progress": None,
    "images": {},
    "node": {},
    "ignored": set(),
    "network": (),
    "steps": [],
}


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("no-shutdown-timeout", {"drains": False}),
        ("short-grace", {"grace": 3}),
        (
            "clean-cut",
            {"images": {"midstream/engine:v1": {ENGINE_ARGS: "--on-sigterm=cut --shutdown-timeout=0"}}},
        ),
        ("bad-preview", {"images": {"midstream/engine:v2": {ENGINE_ARGS: "--garbage"}}}),
        ("promote-ignored", {"ignored": {"promotion"}}),
        (
            "hang-at-sigterm",
            {"drains": False, "images": {"midstream/engine:v1": {ENGINE_ARGS: "--on-sigterm=hang"}}},
        ),
        (
            "error-event",
            {"drains": False, "images": {"midstream/engine:v1": {ENGINE_ARGS: "--on-sigterm=error"}}},
        ),
        (
            "shell-pid1",
            {
                "grace": 3,
                "command": [
                    "sh",
                    "-c",
                    'python -m midstream.rehearsal.engine "$@"; echo "it ended: $?"',
                    "sh",
                ],
            },
        ),
        ("shutdown-timeout-short", {"drains": False}),
        ("prestop-missing", {"drains": False, "preStop": 0}),
        ("grace-below-prestop", {"grace": 1, "preStop": 10}),
        (
            "renamed-model",
            {"images": {"midstream/engine:v2": {ENGINE_ARGS: "--served-model-name rehearsal-model-v2"}}},
        ),
        ("comment-pings", {"images": {image: {ENGINE_ARGS: "--ping-seconds=0.3"} for image in BOTH}}),
        ("stale-keep-alive", {"images": {image: {ENGINE_ARGS: "--stale-keep-alive"} for image in BOTH}}),
        ("slow-tokens", {"images": {"midstream/engine:v2": {ENGINE_ARGS: "--tokens-per-second=10"}}}),
        ("no-capacity", {"node": {"nvidia.com/gpu": 1}}),
        ("never-scaled-down", {"delay": 0}),
        ("slow-propagation", {"network": (Network(service=STABLE, late_s=6),)}),
        ("cut-at-switch", {"network": (Network(service=STABLE, cut_at_switch=True),)}),
        ("proxy-timeout", {"steps": [("cutover", ChangeNetwork)]}),
        ("crash-mid-stream", {"steps": [("cutover", SignalPods)]}),
        ("switched-back", {"steps": [("cutover", PatchObject)]}),
        ("second-cutover", {"steps": [("cutover", PatchObject), ("paused", PatchObject)]}),
    ],
)
def test_a_bundled_fault_breaks_one_thing(name, changed) -> None:
    assert what(name) == {**WHOLE, **changed}


@pytest.mark.parametrize("path", sorted(FAULTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_bundled_file_is_named_as_its_fault_and_changes_something_known(path) -> None:
    fault = bundled_faults()[path.stem]
    assert what(fault.name) != WHOLE
    assert fault.sentence.endswith(".")
    assert set(fault.images) <= set(bundled_images())


def test_a_fault_under_another_name_is_found_by_its_path(tmp_path) -> None:
    path = tmp_path / "q7x.yaml"
    path.write_text((FAULTS / "short-grace.yaml").read_text().replace("short-grace", "q7x"))
    assert find_fault(str(path)).manifest == find_fault("short-grace").manifest


def test_faults_add_up_their_arguments_too(tmp_path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(
        "{name: o, sentence: s, images: {midstream/engine:v2: {MIDSTREAM_ENGINE_ARGS: -x, B: b}}}"
    )
    faults = [find_fault(name) for name in ("bad-preview", "short-grace", "promote-ignored", str(other))]
    assert image_environments(faults) == {"midstream/engine:v2": {ENGINE_ARGS: "--garbage -x", "B": "b"}}
    assert len(manifest_edits(faults)) == 1
    assert ignored_gates(faults) == {"promotion"}


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(FaultError, match=re.escape(", ".join(sorted(bundled_faults())))):
        find_fault("no-such")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("{name: a, sentence: b, manifests: []}", "manifests", id="unknown key"),
        pytest.param("{name: a, sentence: b, controller: {ignores: []}}", "ignores", id="unknown key inside"),
        pytest.param("{name: a, sentence: b, controller: {ignore: [nap]}}", "no gate nap", id="unknown gate"),
        pytest.param("{name: a}", "sentence", id="missing key"),
        pytest.param("{name: [", "fault.yaml", id="no YAML"),
        pytest.param(
            "{name: a, sentence: b, manifest: [{object: o, op: move, path: /}]}", "move", id="unknown op"
        ),
        pytest.param("{name: a, sentence: b, steps: [{at: cutover, do: nap}]}", "nap", id="unknown action"),
        pytest.param(
            "{name: a, sentence: b, steps: [{at: noon, do: signal, pods: old, number: KILL}]}",
            "noon",
            id="unknown moment",
        ),
        pytest.param(
            "{name: a, sentence: b, steps: [{at: cutover, do: signal, pods: old, number: NAP}]}",
            "no signal NAP",
            id="unknown signal",
        ),
    ],
)
def test_a_file_that_is_no_fault_is_refused_in_one_line(tmp_path, text, said) -> None:
    path = tmp_path / "fault.yaml"
    path.write_text(text)
    with pytest.raises(FaultError, match=said) as caught:
        find_fault(str(path))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_said() -> None:
    with pytest.raises(FaultError, match="No such file"):
        find_fault("./absent.yaml")
