"""The objects of a rehearsal: the manifests with the plan's numbers in their places."""

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import yaml

from midstream.rehearsal.edits import Edit, edited
from midstream.rehearsal.plan import RehearsalPlan
from midstream.rehearsal.store import Object

MANIFESTS = Path(__file__).with_name("manifests")
# Argo answers for a Rollout whose Services are missing with InvalidSpec, so these come first (facts 4).
APPLIED = ("services.yaml", "rollout.yaml")

POD = "/spec/template/spec"
CONTAINER = f"{POD}/containers/vllm"
# What each number replaces in the manifests; "{}" within a text is the number.
PLACES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "replicas": (("Rollout/vllm", "/spec/replicas", ""),),
    "tokens_per_second": (
        ("Rollout/vllm", f"{CONTAINER}/args/--tokens-per-second", "--tokens-per-second={:g}"),
    ),
    "load_seconds": (("Rollout/vllm", f"{CONTAINER}/args/--load-seconds", "--load-seconds={:g}"),),
    "scale_down_delay_s": (("Rollout/vllm", "/spec/strategy/blueGreen/scaleDownDelaySeconds", ""),),
    "pre_stop_s": (("Rollout/vllm", f"{CONTAINER}/lifecycle/preStop/sleep/seconds", ""),),
    "grace_s": (("Rollout/vllm", f"{POD}/terminationGracePeriodSeconds", ""),),
    "shutdown_timeout_s": (
        ("Rollout/vllm", f"{CONTAINER}/args/--shutdown-timeout", "--shutdown-timeout={}"),
    ),
    "pod_port": (
        ("Rollout/vllm", f"{CONTAINER}/args/--port", "--port={}"),
        ("Rollout/vllm", f"{CONTAINER}/ports/http/containerPort", ""),
    ),
    "stable_port": (("Service/vllm-stable", "/spec/ports/http/port", ""),),
    "preview_port": (("Service/vllm-preview", "/spec/ports/http/port", ""),),
}
# The name that clients ask for, whatever the revision; the first served name is the revision's label.
MODEL = "rehearsal-model"


def manifests(
    plan: RehearsalPlan,
    port: int,
    *,
    service_ports: tuple[int, int] | None = None,
    pod_command: Sequence[str] = (),
) -> list[Object]:
    """The objects that make up the rehearsal, in the order in which they are applied.

    Pods listen on `port`, the active and the preview Service too unless told otherwise. `pod_command` runs
    in the pods instead of the bundled engine; all else of a pod stays as it is.
    """
    objects = [obj for name in APPLIED for obj in yaml.safe_load_all((MANIFESTS / name).read_text())]
    stable, preview = service_ports or (port, port)
    ports = {"pod_port": port, "stable_port": stable, "preview_port": preview}
    changed = edited(objects, _edits({**msgspec.structs.asdict(plan), **ports}))
    return edited(changed, _command_edits(pod_command, port)) if pod_command else changed


def words_of(pod_command: str) -> list[str]:
    """The words of a command as a shell would split them. Raises ValueError for what is none."""
    words = shlex.split(pod_command)
    if not words:
        raise ValueError("there is no command in it")
    return words


def _command_edits(command: Sequence[str], port: int) -> Iterator[Edit]:
    """Other variables come from the manifest: POD_IP and REVISION. Relative paths mean where we are now."""

    def edit(op: Literal["add", "replace", "remove"], path: str, value: object = None) -> Edit:
        return Edit(object="Rollout/vllm", op=op, path=f"{CONTAINER}/{path}", value=value)

    yield edit("replace", "command", list(command))
    yield edit("remove", "args")
    yield edit("add", "workingDir", os.getcwd())
    yield edit("replace", "env/MODEL/value", MODEL)
    yield edit("add", "env/-", {"name": "PORT", "value": str(port)})


def _edits(numbers: dict[str, float]) -> Iterator[Edit]:
    for name, number in numbers.items():
        for obj, path, text in PLACES[name]:
            yield Edit(object=obj, op="replace", path=path, value=text.format(number) if text else number)
