"""The part of a pod's spec that the kubelet acts on, typed, with its variables filled in."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec


class PodSpecError(Exception):
    """The spec asks for what cannot be done here; the message is for the container's waiting state."""


class _Spec(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class _Closed(_Spec, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Where a key that we do not know would change what the pod does."""


class HttpGet(_Closed, frozen=True, kw_only=True, rename="camel"):
    """A GET that succeeds with a status from 200 to 399."""

    port: int | str
    path: str = "/"
    host: str = ""  # the pod's address


class Probe(_Closed, frozen=True, kw_only=True, rename="camel"):
    """How a container is asked for its health; the defaults are Kubernetes' own."""

    http_get: HttpGet
    initial_delay_seconds: float = 0
    period_seconds: float = 10
    timeout_seconds: float = 1
    failure_threshold: int = 3
    success_threshold: int = 1


class Sleep(_Closed, frozen=True, kw_only=True, rename="camel"):
    """A preStop that only waits (Kubernetes >= 1.30)."""

    seconds: float


class Exec(_Closed, frozen=True, kw_only=True, rename="camel"):
    """A preStop that runs a command in the container."""

    command: tuple[str, ...]


class PreStop(_Closed, frozen=True, kw_only=True, rename="camel"):
    """What happens before SIGTERM, inside the grace period."""

    sleep: Sleep | None = None
    exec: Exec | None = None


class Lifecycle(_Closed, frozen=True, kw_only=True, rename="camel"):
    """The hooks of a container."""

    pre_stop: PreStop | None = None


class FieldRef(_Spec, frozen=True, kw_only=True, rename="camel"):
    """A field of the pod."""

    field_path: str


class ValueFrom(_Closed, frozen=True, kw_only=True, rename="camel"):
    """Where a variable's value is read."""

    field_ref: FieldRef


class EnvVar(_Closed, frozen=True, kw_only=True, rename="camel"):
    """One environment variable."""

    name: str
    value: str = ""
    value_from: ValueFrom | None = None


class Port(_Spec, frozen=True, kw_only=True, rename="camel"):
    """A port that probes can name."""

    container_port: int
    name: str = ""


class Resources(_Spec, frozen=True, kw_only=True, rename="camel"):
    """What a container asks of its node: a number, or a quantity such as "500m"."""

    limits: dict[str, int | float | str] = msgspec.field(default_factory=dict)
    requests: dict[str, int | float | str] = msgspec.field(default_factory=dict)


class Container(_Spec, frozen=True, kw_only=True, rename="camel"):
    """One process of the pod."""

    name: str
    image: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = "/"
    env: tuple[EnvVar, ...] = ()
    ports: tuple[Port, ...] = ()
    startup_probe: Probe | None = None
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    lifecycle: Lifecycle = Lifecycle()
    resources: Resources = Resources()

    @property
    def pre_stop(self) -> PreStop:
        """What happens before SIGTERM; nothing where no hook is set."""
        return self.lifecycle.pre_stop or PreStop()

    def port(self, wanted: int | str) -> int:
        """The number of a port given by number or name. Raises PodSpecError."""
        if isinstance(wanted, int):
            return wanted
        for port in self.ports:
            if port.name == wanted:
                return port.container_port
        raise PodSpecError(f'container {self.name} has no port named "{wanted}"')


class PodSpec(_Spec, frozen=True, kw_only=True, rename="camel"):
    """What runs in a pod, for how long after its deletion."""

    containers: tuple[Container, ...]
    termination_grace_period_seconds: float = 30


def read_spec(pod: Mapping[str, Any]) -> PodSpec:
    """The spec of a Pod object. Raises PodSpecError that names the field it cannot follow."""
    try:
        return msgspec.convert(pod.get("spec", {}), PodSpec)
    except msgspec.ValidationError as error:
        raise PodSpecError(f"the rehearsal cannot run this pod: {error}") from None


def environment(container: Container, pod: Mapping[str, Any], pod_ip: str) -> dict[str, str]:
    """The variables of a container's `env`, each able to use those before it. Raises PodSpecError."""
    env: dict[str, str] = {}
    for variable in container.env:
        if variable.value_from:
            env[variable.name] = _field(variable.value_from.field_ref.field_path, pod, pod_ip)
        else:
            env[variable.name] = expand(variable.value, env)
    return env


def expand(text: str, env: Mapping[str, str]) -> str:
    """Fill in `$(NAME)`; `$$` gives `$`, an unknown name stays (Kubernetes, third_party/expansion)."""

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return env.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", value, text)


# Kubernetes' downward API: fields that an environment variable may refer to
FIELDS: dict[str, Callable[[Mapping[str, Any], str], str]] = {
    "metadata.name": lambda pod, _: pod["metadata"]["name"],
    "metadata.namespace": lambda pod, _: pod["metadata"]["namespace"],
    "metadata.uid": lambda pod, _: pod["metadata"]["uid"],
    "status.podIP": lambda _, pod_ip: pod_ip,
}
_KEYED = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


def _field(path: str, pod: Mapping[str, Any], pod_ip: str) -> str:
    if read := FIELDS.get(path):
        return read(pod, pod_ip)
    if keyed := _KEYED.fullmatch(path):
        return str(pod["metadata"].get(keyed[1], {}).get(keyed[2], ""))
    raise PodSpecError(
        f"fieldRef {path} is not known here: use {', '.join(FIELDS)} or metadata.labels['NAME']"
    )
