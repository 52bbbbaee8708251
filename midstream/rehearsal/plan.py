"""The numbers of a rehearsal."""

from typing import Annotated

import msgspec
from msgspec import Meta

START_LIMIT_S = 60.0  # to healthy, beyond the engine's own load time; 3 s on an idle machine
POD_COMMAND_LIMIT_S = 600.0  # of programs that are not ours: as long as Argo waits (progressDeadlineSeconds)


class RehearsalPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How large a rehearsal is, and how long its pods are given.

    A stream open at the cutover can live for scale_down_delay_s + pre_stop_s +
    min(shutdown_timeout_s, grace_s - pre_stop_s) more (facts 3).
    """

    replicas: Annotated[int, Meta(ge=1, le=20, description="pods of each revision")] = 1
    tokens_per_second: Annotated[float, Meta(gt=0, le=1000, description="of each stream")] = 20
    load_seconds: Annotated[float, Meta(ge=0, description="an engine's start before its port is bound")] = 1
    scale_down_delay_s: Annotated[int, Meta(ge=0, description="from the cutover to scale-down; 0: never")] = 5
    pre_stop_s: Annotated[int, Meta(ge=0, description="before SIGTERM, within the grace period")] = 2
    grace_s: Annotated[int, Meta(ge=1, description="from a pod's deletion to SIGKILL")] = 30
    shutdown_timeout_s: Annotated[int, Meta(ge=0, description="how long an engine drains after SIGTERM")] = 25


def start_limit_s(plan: RehearsalPlan, *, with_pod_command: bool) -> float:
    """How long the first revision may take to become healthy."""
    return POD_COMMAND_LIMIT_S if with_pod_command else START_LIMIT_S + plan.load_seconds
