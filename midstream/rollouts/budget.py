"""How long a stream can still live after the cutover, as a sum with the source of each number."""

import re
import shlex
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec

Object: TypeAlias = dict[str, Any]

SCALE_DOWN_DELAY_S = 30.0  # Argo default: spec.strategy.blueGreen.scaleDownDelaySeconds
GRACE_S = 30.0  # Kubernetes default: terminationGracePeriodSeconds
VLLM_SHUTDOWN_TIMEOUT_S = 0.0  # vLLM default of --shutdown-timeout: abort at SIGTERM (facts 3)

_SHELL_SLEEP = re.compile(r"^\s*(?:exec\s+)?(?:/bin/|/usr/bin/)?sleep\s+([0-9.]+)(s?)\s*;?\s*$")
_SHUTDOWN_TIMEOUT = re.compile(r"--shutdown[-_]timeout(?:=|\s+|$)[\"']?([^\s\"';]*)")
_VARIABLE = re.compile(r"\$(?:\((\w+)\)|\{(\w+)\}|(\w+))")  # Kubernetes' own spelling, then a shell's
_VLLM = re.compile(r"\bvllm\b", re.IGNORECASE)


class DrainBudget(msgspec.Struct, frozen=True, kw_only=True):
    """scaleDownDelay + preStop + min(engine drain, grace - preStop) of the OLD revision (facts 3).

    None for `scale_down_delay_s`: never scaled down (0 in the spec). None for `engine_drain_s`: the
    engine is not one whose drain can be read off its arguments.
    """

    scale_down_delay_s: float | None
    pre_stop_s: float
    grace_s: float
    engine_drain_s: float | None
    sources: dict[str, str]  # field -> where the number was read, for people

    @property
    def until_sigterm_s(self) -> float | None:
        """From the cutover to SIGTERM."""
        return None if self.scale_down_delay_s is None else self.scale_down_delay_s + self.pre_stop_s

    @property
    def most_drain_s(self) -> float:
        """From SIGTERM to SIGKILL."""
        return max(0.0, self.grace_s - self.pre_stop_s)

    @property
    def drain_s(self) -> float | None:
        """From SIGTERM to the last moment a stream can live; None when unknown."""
        if self.engine_drain_s is None:
            return None
        return max(0.0, min(self.engine_drain_s, self.most_drain_s))

    @property
    def total_s(self) -> float | None:
        """From the cutover to the last moment a stream can live; None when unknown."""
        if self.until_sigterm_s is None or self.drain_s is None:
            return None
        return self.until_sigterm_s + self.drain_s


class Reading(NamedTuple):
    """A number of seconds with its source; None: it cannot be told from the spec."""

    seconds: float | None
    source: str


def read_budget(rollout: Object) -> DrainBudget:
    """The budget that the Rollout's present spec gives its pods; read it before the trigger.

    A preStop that cannot be told counts as 0 with "unknown" in its source: the sum is a lower bound.
    """
    pod_spec = rollout["spec"]["template"]["spec"]
    readings = {
        "scale_down_delay_s": scale_down_delay(rollout),
        "pre_stop_s": pre_stop(pod_spec),
        "grace_s": grace(pod_spec),
        "engine_drain_s": engine_drain(serving_container(pod_spec)),
    }
    return DrainBudget(
        scale_down_delay_s=readings["scale_down_delay_s"].seconds,
        pre_stop_s=readings["pre_stop_s"].seconds or 0.0,
        grace_s=readings["grace_s"].seconds or 0.0,
        engine_drain_s=readings["engine_drain_s"].seconds,
        sources={field: reading.source for field, reading in readings.items()},
    )


def scale_down_delay(rollout: Object) -> Reading:
    """From the cutover to the old ReplicaSet's end; None: 0 in the spec, which means never."""
    blue_green = (rollout["spec"].get("strategy") or {}).get("blueGreen") or {}
    told = blue_green.get("scaleDownDelaySeconds")
    where = "spec.strategy.blueGreen.scaleDownDelaySeconds"
    if told is None:
        return Reading(SCALE_DOWN_DELAY_S, f"Argo default, no {where}")
    if told == 0:
        return Reading(None, f"{where} 0: never scaled down")
    return Reading(float(told), where)


def grace(pod_spec: Object) -> Reading:
    """From a pod's deletion to SIGKILL; preStop runs inside it."""
    told = pod_spec.get("terminationGracePeriodSeconds")
    if told is None:
        return Reading(GRACE_S, "Kubernetes default, no terminationGracePeriodSeconds")
    return Reading(float(told), "terminationGracePeriodSeconds")


def pre_stop(pod_spec: Object) -> Reading:
    """How long the serving container's preStop hook sleeps before SIGTERM; None: cannot be told."""
    hook = (serving_container(pod_spec).get("lifecycle") or {}).get("preStop") or {}
    if not hook:
        return Reading(0.0, "no preStop")
    if hook.get("sleep"):
        return Reading(float(hook["sleep"]["seconds"]), "lifecycle.preStop.sleep")
    command = (hook.get("exec") or {}).get("command")
    if command is None:
        return Reading(None, "unknown: lifecycle.preStop is neither sleep nor exec")
    slept = _slept(command)
    if slept is None:
        return Reading(None, f"unknown: lifecycle.preStop.exec {shlex.join(command)}")
    return Reading(slept, f"lifecycle.preStop.exec {shlex.join(command)}")


def engine_drain(container: Object) -> Reading:
    """How long the engine lets streams go on after SIGTERM, from its arguments; None: cannot be told."""
    told = _SHUTDOWN_TIMEOUT.findall(_with_variables(" ".join(command_line(container)), container))
    if told:
        return _shutdown_timeout(told[-1])  # the last one wins, as in argparse
    if _looks_like_vllm(container):
        return Reading(VLLM_SHUTDOWN_TIMEOUT_S, "vLLM default, no --shutdown-timeout")
    return Reading(None, "unknown engine: measured only")


def serving_container(pod_spec: Object) -> Object:
    """The container that streams: the one that looks like vLLM, else the first."""
    containers: list[Object] = pod_spec["containers"]
    return next(filter(_looks_like_vllm, containers), containers[0])


def command_line(container: Object) -> tuple[str, ...]:
    """command and args as the container runtime joins them."""
    return (*(container.get("command") or []), *(container.get("args") or []))


def _looks_like_vllm(container: Object) -> bool:
    return bool(_VLLM.search(" ".join([*command_line(container), container.get("image", "")])))


def _shutdown_timeout(value: str) -> Reading:
    try:
        return Reading(float(value), f"--shutdown-timeout {value}")
    except ValueError:
        return Reading(None, f"unknown: --shutdown-timeout {value} is no number")


def _with_variables(text: str, container: Object) -> str:
    values = {entry["name"]: entry["value"] for entry in container.get("env") or [] if "value" in entry}
    return _VARIABLE.sub(lambda found: str(values.get(found[found.lastindex or 0], found[0])), text)


def _slept(command: Sequence[str]) -> float | None:
    match command:
        case [shell, "-c", script] if shell.rpartition("/")[2] in ("sh", "bash", "ash", "dash"):
            found = _SHELL_SLEEP.match(script)
        case _:
            found = _SHELL_SLEEP.match(" ".join(command))
    return float(found[1]) if found else None
