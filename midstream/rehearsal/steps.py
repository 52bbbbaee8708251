"""What a fault does in the course of a rehearsal, as data: each step an action at a moment."""

import signal
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from midstream.rehearsal.network import Network, Seconds


class Moment(StrEnum):
    """A moment that the cluster itself shows (moments.py); the marks they are in brackets."""

    HEALTHY = "healthy"  # the Rollout turns Healthy
    UPDATED = "updated"  # its template changes (T0)
    READY = "ready"  # a pod turns ready (T4)
    PAUSED = "paused"  # it waits for its promotion (T6)
    CUTOVER = "cutover"  # the active Service selects another revision (T8)
    SCALE_DOWN = "scale_down"  # a ReplicaSet is scaled to 0 (T11)
    OLD_POD_DELETED = "old_pod_deleted"  # the deletion of a pod is asked (T12)


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do"):
    """One action; the subclass of its `do` says which, with what it needs."""

    at: Moment
    nth: Annotated[int, Meta(ge=1)] = 1  # which of the moments of that name
    after_s: Seconds = 0.0


class SignalPods(Step, frozen=True, tag="signal"):
    """Signal the containers of some pods.

    KILL and STOP reach every process of a container, as an out-of-memory kill does (memory.oom.group,
    which the kubelet sets since Kubernetes 1.28); any other signal reaches PID 1 alone.
    """

    pods: Literal["old", "new"]  # of the revision that was there first, or of any other
    number: str  # KILL, USR1
    count: Annotated[int, Meta(ge=1)] = 1  # pods, at most

    def __post_init__(self) -> None:
        """Refuse what is no signal. Raises ValueError."""
        if f"SIG{self.number}" not in signal.Signals.__members__:
            raise ValueError(f"there is no signal {self.number}")

    @property
    def signum(self) -> signal.Signals:
        """The signal itself."""
        return signal.Signals[f"SIG{self.number}"]


class PatchObject(Step, frozen=True, tag="patch"):
    """Patch an object as another person or controller would: a merge patch, or a JSON patch as a list."""

    object: str  # "Rollout/vllm"
    patch: dict[str, Any] | list[dict[str, Any]]
    subresource: Literal["", "status"] = ""


class ChangeNetwork(Step, frozen=True, tag="network"):
    """The data plane begins to behave so."""

    network: Network


class ApiAway(Step, frozen=True, tag="api_away"):
    """Clients cannot reach the API server: watches are cut, new connections refused.

    The controllers and the kubelet go on, as when a load balancer or a route to the server fails.
    """

    for_s: Seconds


class ExpireWatches(Step, frozen=True, tag="expire_watches"):
    """The API server forgets all versions again and again: each watch gets 410 and has to list anew."""

    every_s: Annotated[float, Meta(gt=0)]
    for_s: Seconds


class RestartController(Step, frozen=True, tag="restart_controller"):
    """The Rollout's controller is gone for a while, then another takes over from what the API holds."""

    away_s: Seconds


class StopOwner(Step, frozen=True, tag="stop_owner"):
    """The process that owns the rehearsal, with its load, gets no CPU for a while (SIGSTOP, SIGCONT)."""

    for_s: Annotated[float, Meta(ge=0, le=60)]


AnyStep: TypeAlias = (
    SignalPods | PatchObject | ChangeNetwork | ApiAway | ExpireWatches | RestartController | StopOwner
)
