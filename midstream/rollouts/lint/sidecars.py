"""Proxies beside the engine: whether they carry its streams until the last one has ended."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import yaml

from midstream.rollouts.budget import pre_stop
from midstream.rollouts.lint.case import Case, Object
from midstream.rollouts.lint.finding import Finding, error, warning

ISTIO_DRAIN_S = 5.0  # Istio's default of terminationDrainDuration
LINKERD_DRAIN_S = 120.0  # the Linkerd proxy's default of its shutdown grace period

# Envoy ends at SIGTERM as it is; the images of nginx and HAProxy set a STOPSIGNAL that lets connections end
_ENVOY = re.compile(r"(?:^|[/-])envoy(?:$|[-:@])")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class _Proxy(NamedTuple):
    name: str
    lasts_s: float  # from the pod's deletion to the end of its connections
    source: str
    mend: str
    is_seen: bool  # a container of the manifest; else an injector is asked for it


def closes_first(case: Case) -> Iterator[Finding]:
    """Every container gets its own SIGTERM, after its own preStop: the engine's does not hold a proxy's back.

    A native sidecar (an init container that restarts always) ends after the engine: nothing is said of it.
    """
    budget = case.budget
    drain_s = budget.most_drain_s if budget.drain_s is None else budget.drain_s
    needed_s = budget.pre_stop_s + drain_s
    for proxy in _proxies(case):
        if proxy.lasts_s < needed_s:
            condition = "" if proxy.is_seen else " (unless it is injected as a native sidecar)"
            say = error if proxy.is_seen else warning
            yield say(
                f"{proxy.name} closes {proxy.lasts_s:g} s after the pod's deletion ({proxy.source})",
                f"streams live up to {needed_s:g} s after it, and all go through that proxy{condition}",
                proxy.mend.format(seconds=f"{needed_s:g}"),
            )


def _proxies(case: Case) -> Iterator[_Proxy]:
    containers = {each["name"]: each for each in case.pod_spec["containers"]}
    marks = _marks(case.template)
    yield from _istio(containers.pop("istio-proxy", None), marks)
    yield from _linkerd(containers.pop("linkerd-proxy", None), marks)
    for name, container in containers.items():
        is_proxy = _ENVOY.search(name) or _ENVOY.search(str(container.get("image", "")))
        if is_proxy and container is not case.container:
            told = pre_stop({"containers": [container]})
            if told.seconds is not None:
                mend = f"lifecycle.preStop.sleep.seconds: {{seconds}} in the container {name}"
                yield _Proxy(f"the proxy {name}", told.seconds, told.source, mend, is_seen=True)


def _istio(container: Object | None, marks: dict[str, str]) -> Iterator[_Proxy]:
    if container is None and marks.get("sidecar.istio.io/inject") != "true":
        return
    if marks.get("sidecar.istio.io/nativeSidecar") == "true":
        return
    config = _mapping(marks.get("proxy.istio.io/config", ""))
    variables = {each["name"]: each.get("value") for each in (container or {}).get("env") or []}
    variables |= _mapping(config.get("proxyMetadata"))
    if str(variables.get("EXIT_ON_ZERO_ACTIVE_CONNECTIONS", "")).lower() == "true":
        return
    told = config.get("terminationDrainDuration")
    drain_s = ISTIO_DRAIN_S if told is None else _seconds(str(told))
    waits_s = (pre_stop({"containers": [container]}).seconds if container else 0.0) or 0.0
    if drain_s is not None:
        yield _Proxy(
            "Istio's proxy",
            waits_s + drain_s,
            "Istio default" if told is None else "terminationDrainDuration",
            "annotation proxy.istio.io/config with proxyMetadata:"
            ' {{EXIT_ON_ZERO_ACTIVE_CONNECTIONS: "true"}}, or terminationDrainDuration: {seconds}s',
            is_seen=container is not None,
        )


def _linkerd(container: Object | None, marks: dict[str, str]) -> Iterator[_Proxy]:
    if container is None and marks.get("linkerd.io/inject") not in ("enabled", "ingress"):
        return
    if "true" in (
        marks.get(f"config.{stage}linkerd.io/proxy-enable-native-sidecar")
        for stage in ("", "alpha.", "beta.")
    ):
        return
    told = marks.get("config.linkerd.io/shutdown-grace-period")
    drain_s = LINKERD_DRAIN_S if told is None else _seconds(told)
    waits = marks.get("config.alpha.linkerd.io/proxy-wait-before-exit-seconds", "")
    waits_s = float(waits) if waits.isdecimal() else 0.0
    if drain_s is not None:
        yield _Proxy(
            "Linkerd's proxy",
            waits_s + drain_s,
            "Linkerd default" if told is None else "config.linkerd.io/shutdown-grace-period",
            "annotation config.linkerd.io/shutdown-grace-period: {seconds}s",
            is_seen=container is not None,
        )


def _marks(template: Object) -> dict[str, str]:
    """Labels and annotations of the pods: injectors read both."""
    metadata = template.get("metadata") or {}
    return {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}


def _mapping(text: object) -> Object:
    """A mapping, or the YAML of one; empty for all else."""
    if isinstance(text, str):
        try:
            text = yaml.safe_load(text)
        except yaml.YAMLError:
            return {}
    return text if isinstance(text, dict) else {}


def _seconds(text: str) -> float | None:
    """Go's spelling of a duration, such as 1m30s; None where it is none."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)
