"""What a Rollout object says of itself, read in the order of Argo's kubectl plugin."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeAlias

Object: TypeAlias = dict[str, Any]

HASH_LABEL = "rollouts-pod-template-hash"
REVISION_ANNOTATION = "rollout.argoproj.io/revision"
WORKLOAD_GENERATION_ANNOTATION = "rollout.argoproj.io/workload-generation"
SCALE_DOWN_DEADLINE_ANNOTATION = "scale-down-deadline"
PROMOTION_PAUSE = "BlueGreenPause"
CANARY_PAUSE = "CanaryPauseStep"


class Phase(StrEnum):
    """The state of a Rollout. Degraded is not terminal: a later reconcile may leave it."""

    HEALTHY = "Healthy"
    PROGRESSING = "Progressing"
    PAUSED = "Paused"
    DEGRADED = "Degraded"


def phase(rollout: Object) -> Phase:
    """The phase as `kubectl argo rollouts status` computes it.

    status.phase alone is stale right after a change, so that three questions come first (Argo
    `utils/rollout`, GetRolloutPhase).
    """
    if any(waits(rollout) for waits in _NOT_YET):
        return Phase.PROGRESSING
    told = _status(rollout).get("phase")
    return Phase(told) if told in set(Phase) else Phase.PROGRESSING


def generation_observed(rollout: Object) -> bool:
    """Whether the controller has seen the present spec.

    observedGeneration is a string; before Argo 0.10 it was a hash, which says nothing.
    """
    return _reached(_status(rollout).get("observedGeneration"), rollout["metadata"].get("generation", 0))


def is_unpausing(rollout: Object) -> bool:
    """The pause was lifted by a patch that the controller has not acted on yet."""
    return bool(_status(rollout).get("controllerPause")) and not pause_conditions(rollout)


def _workload_observed(rollout: Object) -> bool:
    wanted = annotations(rollout).get(WORKLOAD_GENERATION_ANNOTATION)
    if workload_ref(rollout) is None or wanted is None:
        return True
    return _reached(_status(rollout).get("workloadObservedGeneration"), int(wanted))


_NOT_YET: tuple[Callable[[Object], bool], ...] = (
    lambda rollout: not generation_observed(rollout),
    is_unpausing,
    lambda rollout: not _workload_observed(rollout),
)


def is_healthy(rollout: Object) -> bool:
    """Healthy, which is before any old pod is killed (facts 3)."""
    return phase(rollout) is Phase.HEALTHY


def is_paused_for_promotion(rollout: Object) -> bool:
    """Whether a promotion sent now would be acted on; at other times it answers 200 and is lost."""
    reasons = {condition.get("reason") for condition in pause_conditions(rollout)}
    return PROMOTION_PAUSE in reasons and bool(_status(rollout).get("controllerPause"))


def is_promotable(rollout: Object) -> bool:
    """Paused for a person's promotion, of a canary in a pause of its steps."""
    reasons = {condition.get("reason") for condition in pause_conditions(rollout)}
    held = bool(_status(rollout).get("controllerPause"))
    return held and bool(reasons & {PROMOTION_PAUSE, CANARY_PAUSE})


def is_aborted(rollout: Object) -> bool:
    """Whether the present update was aborted."""
    return bool(_status(rollout).get("abort"))


def is_blue_green(rollout: Object) -> bool:
    """Whether the strategy is blue/green."""
    return "blueGreen" in rollout["spec"].get("strategy", {})


def is_half_updated(rollout: Object) -> bool:
    """Whether an update is under way: the newest revision is not the stable one."""
    return current_hash(rollout) != stable_hash(rollout)


def pause_conditions(rollout: Object) -> list[Object]:
    """Why the controller holds the update; empty when it does not."""
    return _status(rollout).get("pauseConditions") or []


def paused_since(rollout: Object) -> str | None:
    """When the pause began, as the object tells it (RFC 3339)."""
    return next((condition.get("startTime") for condition in pause_conditions(rollout)), None)


def active_service(rollout: Object) -> str | None:
    """The Service that users reach; None without a blue/green strategy."""
    return _blue_green(rollout).get("activeService")


def preview_service(rollout: Object) -> str | None:
    """The Service that selects the new revision before its promotion; None when there is none."""
    return _blue_green(rollout).get("previewService")


def current_hash(rollout: Object) -> str | None:
    """pod-template-hash of the newest revision, as the controller last saw it."""
    return _status(rollout).get("currentPodHash") or None


def stable_hash(rollout: Object) -> str | None:
    """pod-template-hash of the revision that is fully promoted."""
    return _status(rollout).get("stableRS") or None


def message(rollout: Object) -> str:
    """The controller's own words on the phase."""
    return _status(rollout).get("message") or ""


def workload_ref(rollout: Object) -> Object | None:
    """The Deployment whose template is used instead of an own one; None when there is none."""
    reference: Object | None = rollout["spec"].get("workloadRef")
    return reference


def annotations(item: Object) -> dict[str, str]:
    """An object's annotations; empty when it has none."""
    return item["metadata"].get("annotations") or {}


def labels(item: Object) -> dict[str, str]:
    """An object's labels; empty when it has none."""
    return item["metadata"].get("labels") or {}


def owned_by(item: Object, kind: str, name: str) -> bool:
    """Whether the object belongs to that owner."""
    owners = item["metadata"].get("ownerReferences") or []
    return any(owner["kind"] == kind and owner["name"] == name for owner in owners)


def label_selector(rollout: Object) -> str:
    """The Rollout's selector in the words of a list request; matchExpressions included."""
    selector = rollout["spec"].get("selector") or {}
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    return ",".join(parts + [_expression(entry) for entry in selector.get("matchExpressions") or []])


def _expression(entry: Object) -> str:
    values = ",".join(entry.get("values") or [])
    words = {
        "In": f"{entry['key']} in ({values})",
        "NotIn": f"{entry['key']} notin ({values})",
        "Exists": entry["key"],
        "DoesNotExist": f"!{entry['key']}",
    }
    return str(words[entry["operator"]])


def _reached(observed: str | int | None, wanted: int) -> bool:
    try:
        return int(observed or "") >= wanted
    except ValueError:
        return True


def _status(rollout: Object) -> Object:
    return rollout.get("status") or {}


def _blue_green(rollout: Object) -> Object:
    return rollout["spec"].get("strategy", {}).get("blueGreen") or {}
