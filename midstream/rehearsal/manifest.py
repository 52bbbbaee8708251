"""The objects of a rehearsal: the manifests with the plan's numbers in their places."""

from collections.abc import Iterator
from pathlib import Path

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
    "port": (
        ("Rollout/vllm", f"{CONTAINER}/args/--port", "--port={}"),
        ("Rollout/vllm", f"{CONTAINER}/ports/http/containerPort", ""),
        ("Service/vllm-stable", "/spec/ports/http/port", ""),
        ("Service/vllm-preview", "/spec/ports/http/port", ""),
    ),
}


def manifests(plan: RehearsalPlan, port: int) -> list[Object]:
    """The objects that make up the rehearsal, in the order in which they are applied."""
    objects = [obj for name in APPLIED for obj in yaml.safe_load_all((MANIFESTS / name).read_text())]
    return edited(objects, _edits({**msgspec.structs.asdict(plan), "port": port}))


def _edits(numbers: dict[str, float]) -> Iterator[Edit]:
    for name, number in numbers.items():
        for obj, path, text in PLACES[name]:
            yield Edit(object=obj, op="replace", path=path, value=text.format(number) if text else number)
