"""The manifests carry the plan, the ports, and a command of somebody else."""

import os
from typing import Any

import pytest

from midstream.rehearsal.manifest import manifests, words_of
from midstream.rehearsal.plan import RehearsalPlan
from midstream.rehearsal.podspec import environment, expand, read_spec

COMMAND = ["serve", "--host", "$(POD_IP)", "--port=$(PORT)", "--name", "$(REVISION)", "$(MODEL)"]


def rollout_of(**wanted: Any) -> Any:
    *_, rollout = manifests(RehearsalPlan(), 8100, **wanted)
    return rollout


def container_of(**wanted: Any) -> Any:
    (container,) = rollout_of(**wanted)["spec"]["template"]["spec"]["containers"]
    return container


@pytest.mark.parametrize(
    ("service_ports", "expected"), [(None, [8100, 8100]), ((9000, 9001), [9000, 9001])], ids=["pods'", "own"]
)
def test_ports_of_services(service_ports, expected) -> None:
    stable, preview, _ = manifests(RehearsalPlan(), 8100, service_ports=service_ports)
    assert [service["metadata"]["name"] for service in (stable, preview)] == ["vllm-stable", "vllm-preview"]
    assert [service["spec"]["ports"][0]["port"] for service in (stable, preview)] == expected


def test_pod_command_takes_the_place_of_the_engine_and_of_nothing_else() -> None:
    own, bundled = container_of(pod_command=COMMAND), container_of()
    assert own["command"] == COMMAND
    assert "args" not in own
    assert own["workingDir"] == os.getcwd()
    for kept in ("image", "ports", "readinessProbe", "lifecycle"):
        assert own[kept] == bundled[kept]
    spec, without = (rollout_of(pod_command=command)["spec"]["template"]["spec"] for command in (COMMAND, []))
    assert spec["terminationGracePeriodSeconds"] == without["terminationGracePeriodSeconds"]


def test_references_in_a_pod_command_are_filled_in() -> None:
    template = rollout_of(pod_command=COMMAND)["spec"]["template"]
    pod = {
        "metadata": {"name": "vllm-x", "labels": {"rollouts-pod-template-hash": "abc"}},
        "spec": template["spec"],
    }
    (container,) = read_spec(pod).containers
    env = environment(container, pod, "127.0.0.9")
    assert [expand(word, env) for word in container.command] == [
        *("serve", "--host", "127.0.0.9", "--port=8100", "--name", "abc", "rehearsal-model")
    ]


def test_words_as_a_shell_splits_them() -> None:
    assert words_of("a 'b c' --d=\"e f\" $(PORT)") == ["a", "b c", "--d=e f", "$(PORT)"]


@pytest.mark.parametrize("text", ["", "  ", "a 'b"], ids=["empty", "blank", "open quotation"])
def test_what_has_no_words_is_refused(text) -> None:
    with pytest.raises(ValueError, match=r"no command|quotation"):
        words_of(text)
