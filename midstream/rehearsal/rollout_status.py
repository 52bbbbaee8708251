"""What a Rollout's status says after a pass: its conditions, then the phase that follows from them."""

from datetime import datetime, timedelta
from typing import NamedTuple

from midstream.rehearsal.store import Object
from midstream.rehearsal.timestamps import parse_time, time_text

PROGRESS_DEADLINE_S = 600  # Argo default: utils/defaults, DefaultProgressDeadlineSeconds
PAUSE_REASON = "BlueGreenPause"

# Reasons of the Progressing condition (Argo, utils/conditions).
PAUSED, RESUMED, RETRIED = "RolloutPaused", "RolloutResumed", "RolloutRetry"
ABORTED, TIMED_OUT = "RolloutAborted", "ProgressDeadlineExceeded"
# The two that make a Rollout Degraded.
DEGRADING = (ABORTED, TIMED_OUT)


class Findings(NamedTuple):
    """What the pass knows beside the status fields."""

    new_replica_set: str  # its name
    revision: str
    aborted: bool
    active_saturated: bool  # the active ReplicaSet has all replicas available
    waits_for_scale_down: bool  # an old ReplicaSet has a scale-down deadline


class Condition(NamedTuple):
    """One statement of status.conditions."""

    type: str
    status: str  # "True" | "False" | "Unknown"
    reason: str
    message: str


def condition(status: Object, kind: str) -> Object | None:
    """The condition of that type."""
    return next((found for found in status.get("conditions", ()) if found["type"] == kind), None)


def set_condition(status: Object, new: Condition, now: datetime, *, renew: bool = False) -> bool:
    """Write a condition into the status and return whether it changed; status + reason are its identity.

    The transition time moves only with its status. With `renew` an unchanged one is written again, with a
    new lastUpdateTime: that is what the progress deadline counts from (Argo, utils/conditions).
    """
    old = condition(status, new.type)
    if old and not renew and (old["status"], old["reason"]) == (new.status, new.reason):
        return False
    moved = old["lastTransitionTime"] if old and old["status"] == new.status else time_text(now)
    written = {**new._asdict(), "lastUpdateTime": time_text(now), "lastTransitionTime": moved}
    status["conditions"] = [c for c in status.get("conditions", ()) if c["type"] != new.type] + [written]
    return True


def replicas_of(obj: Object) -> int:
    """spec.replicas, 1 where it is not set."""
    replicas = obj["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def pause_condition(status: Object) -> Object | None:
    """The controller's own pause, if it stands."""
    return next((c for c in status.get("pauseConditions") or () if c["reason"] == PAUSE_REASON), None)


def is_paused(rollout: Object, status: Object) -> bool:
    """Paused by the controller or by spec.paused."""
    return bool(status.get("pauseConditions")) or bool(rollout["spec"].get("paused"))


def is_completed(status: Object) -> bool:
    """The newest revision is the stable one."""
    return bool(status.get("stableRS")) and status["stableRS"] == status.get("currentPodHash")


def note_pause(rollout: Object, status: Object, now: datetime) -> bool:
    """Tell of a pause, a resume or a retry in the conditions; returns whether there was one to tell.

    Argo does it before anything else, so that the progress deadline does not count paused time
    (rollout/sync.go, checkPausedConditions).
    """
    progressing, paused = condition(status, "Progressing"), is_paused(rollout, status)
    reason = progressing["reason"] if progressing else ""
    changed = False
    if paused != (reason == PAUSED) and reason != ABORTED and not is_completed(status):
        new = (PAUSED, "Rollout is paused") if paused else (RESUMED, "Rollout is resumed")
        changed |= set_condition(status, Condition("Progressing", "Unknown", *new), now)
    if reason == ABORTED and not status.get("abort"):
        retried = Condition("Progressing", "Unknown", RETRIED, "Retrying Rollout after abort")
        changed |= set_condition(status, retried, now)
    known = condition(status, "Paused")
    if paused != (known is not None and known["status"] == "True") and reason != ABORTED:
        said = Condition("Paused", str(paused), PAUSED, "Rollout is paused")
        changed |= set_condition(status, said, now)
    return changed


def judge(rollout: Object, status: Object, findings: Findings, now: datetime) -> None:
    """Write the conditions of the new status (Argo, rollout/sync.go, calculateRolloutConditions)."""
    status["conditions"] = [c for c in status.get("conditions", ()) if c["type"] != "InvalidSpec"]
    healthy = _is_healthy(rollout, status)
    became_unhealthy = _judge_health(rollout, status, healthy, now)
    if findings.aborted:
        message = f"Rollout aborted update to revision {findings.revision}"
        set_condition(status, Condition("Progressing", "False", ABORTED, message), now)
    else:
        _judge_progress(rollout, status, findings, now, healthy=healthy, became_unhealthy=became_unhealthy)
    has = "has" if findings.active_saturated else "does not have"
    message = f"Rollout {has} minimum availability"
    available = Condition("Available", str(findings.active_saturated), "AvailableReason", message)
    set_condition(status, available, now)
    completed = str(is_completed(status))
    set_condition(status, Condition("Completed", completed, "RolloutCompleted", "RolloutCompleted"), now)


def _judge_health(rollout: Object, status: Object, healthy: bool, now: datetime) -> bool:
    """Returns whether the Rollout just stopped being healthy."""
    if healthy and not is_paused(rollout, status):
        set_condition(status, Condition("Healthy", "True", "RolloutHealthy", "Rollout is healthy"), now)
        return False
    if condition(status, "Healthy") is None:
        return False
    unhealthy = Condition("Healthy", "False", "RolloutHealthy", "Rollout is not healthy")
    return set_condition(status, unhealthy, now)


def _judge_progress(
    rollout: Object,
    status: Object,
    findings: Findings,
    now: datetime,
    *,
    healthy: bool,
    became_unhealthy: bool,
) -> None:
    name = findings.new_replica_set
    if healthy:
        message = f'ReplicaSet "{name}" has successfully progressed.'
        reached = Condition("Progressing", "True", "NewReplicaSetAvailable", message)
        set_condition(status, reached, now)
    elif became_unhealthy and is_completed(status):
        message = "Rollout does not have minimum availability"
        lost = Condition("Progressing", "True", "ReplicaSetNotAvailable", message)
        set_condition(status, lost, now, renew=True)
    elif became_unhealthy or _made_progress(rollout.get("status", {}), status):
        message = f'ReplicaSet "{name}" is progressing.'
        moved = Condition("Progressing", "True", "ReplicaSetUpdated", message)
        set_condition(status, moved, now, renew=True)
    elif not findings.waits_for_scale_down:
        deadline = progress_deadline(rollout, status)
        if deadline is not None and deadline < now:
            message = f'ReplicaSet "{name}" has timed out progressing.'
            set_condition(status, Condition("Progressing", "False", TIMED_OUT, message), now)


def progress_deadline(rollout: Object, status: Object) -> datetime | None:
    """When lack of progress becomes a failure; None while nothing is expected to move."""
    paused, progressing = condition(status, "Paused"), condition(status, "Progressing")
    if progressing is None or (paused is not None and paused["status"] == "True"):
        return None
    if progressing["reason"] in (ABORTED, PAUSED, TIMED_OUT):
        return None
    limit_s = rollout["spec"].get("progressDeadlineSeconds") or PROGRESS_DEADLINE_S
    return parse_time(progressing["lastUpdateTime"]) + timedelta(seconds=limit_s)


def _is_healthy(rollout: Object, status: Object) -> bool:
    """All replicas updated, available, and both Services on them; old pods may still live (facts 3)."""
    wanted, current = replicas_of(rollout), status["currentPodHash"]
    services = status["blueGreen"]
    has_preview = bool(rollout["spec"]["strategy"]["blueGreen"].get("previewService"))
    return (
        status.get("updatedReplicas", 0) == wanted
        and status.get("availableReplicas", 0) == wanted
        and rollout.get("status", {}).get("observedGeneration") == str(rollout["metadata"]["generation"])
        and services.get("activeSelector") == current
        and (not has_preview or services.get("previewSelector") == current)
    )


def _made_progress(old: Object, new: Object) -> bool:
    """Pods came up, old ones went down or a Service moved (Argo, utils/conditions, RolloutProgressing)."""

    def count(status: Object, field: str) -> int:
        return int(status.get(field, 0))

    old_left = count(old, "replicas") - count(old, "updatedReplicas")
    new_left = count(new, "replicas") - count(new, "updatedReplicas")
    return (
        count(new, "updatedReplicas") != count(old, "updatedReplicas")
        or new_left < old_left
        or count(new, "readyReplicas") > count(old, "readyReplicas")
        or count(new, "availableReplicas") > count(old, "availableReplicas")
        or new.get("blueGreen", {}) != old.get("blueGreen", {})
    )


def set_phase(rollout: Object, status: Object) -> None:
    """Write phase and message (Argo, utils/rollout, CalculateRolloutPhase; the order is significant)."""
    status["phase"], status["message"] = _phase(rollout, status)


def _phase(rollout: Object, status: Object) -> tuple[str, str]:
    for found in status.get("conditions", ()):
        if found["type"] == "InvalidSpec" or found["reason"] in DEGRADING:
            said = found["type"] if found["type"] == "InvalidSpec" else found["reason"]
            return "Degraded", f"{said}: {found['message']}"
    if rollout["spec"].get("paused"):
        return "Paused", "manually paused"
    if status.get("pauseConditions"):
        return "Paused", status["pauseConditions"][0]["reason"]
    active = status.get("blueGreen", {}).get("activeSelector")
    waits = (
        (status.get("updatedReplicas", 0) < replicas_of(rollout), "more replicas need to be updated"),
        (
            status.get("availableReplicas", 0) < status.get("updatedReplicas", 0),
            "updated replicas are still becoming available",
        ),
        (not active or active != status.get("currentPodHash"), "active service cutover pending"),
        (not is_completed(status), "waiting for post-promotion verification to complete"),
    )
    for waiting, message in waits:
        if waiting:
            return "Progressing", message
    return "Healthy", ""
