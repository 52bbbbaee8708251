"""One pass of Argo's blue/green controller: from the objects as they are to the writes that come next.

As Argo Rollouts 1.9.1 does it, read in its source and measured on a real one. 1.10 differs in two places: it
pauses again after a retry, and it puts an active Service back that somebody else has moved.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from midstream.rehearsal import rollout_status as statuses
from midstream.rehearsal.draft import (
    Draft,
    Seen,
    Write,
    abort_delay_s,
    annotation,
    count,
    delays_abort,
    hash_of,
    is_saturated,
    name_of,
    revision_of,
    selected_hash,
    time_left,
)
from midstream.rehearsal.rollout_status import Findings, replicas_of
from midstream.rehearsal.store import Object
from midstream.rehearsal.templates import (
    DESIRED_REPLICAS,
    HASH_LABEL,
    REVISION,
    REVISION_HISTORY,
    SCALE_DOWN_DEADLINE,
    new_replica_set,
)
from midstream.rehearsal.timestamps import parse_time, time_text
from midstream.rehearsal.validation import spec_fault

MANAGED_BY = "argo-rollouts.argoproj.io/managed-by-rollouts"

SCALE_DOWN_DELAY_S = 30  # Argo default: docs, scaleDownDelaySeconds
HISTORY_LIMIT = 10  # Argo default: revisionHistoryLimit

GATES = frozenset({"promotion"})  # what a fault can make the controller not look at


class Outcome(NamedTuple):
    """What a pass decided: writes in their order, and when time alone makes another pass due."""

    writes: tuple[Write, ...]
    due: datetime | None


def reconcile(seen: Seen, now: datetime, ignore: frozenset[str] = frozenset()) -> Outcome:
    """One pass in Argo's order (rollout/context.go reconcile, rollout/bluegreen.go); pure.

    A step that changed what later ones build upon ends the pass: the changes call for the next one.
    Raises ValueError for a gate in `ignore` that is not one of GATES.
    """
    if not ignore <= GATES:
        raise ValueError(f"{', '.join(sorted(ignore - GATES))}: not one of {', '.join(sorted(GATES))}")
    draft = Draft(seen, now, ignore)
    for step in STEPS:
        if step(draft):
            break
    return Outcome(tuple(draft.writes), min(draft.due, default=None))


# --- the steps, in Argo's order; each returns whether it ends the pass ---------------------------------


def refuse_invalid_spec(draft: Draft) -> bool:
    """A spec that cannot be carried out makes the Rollout Degraded and stops everything else."""
    why = spec_fault(draft.rollout["spec"], draft.services)
    if why is None:
        return False
    status = dict(draft.status)
    said = statuses.Condition("InvalidSpec", "True", "InvalidSpec", why)
    known = statuses.condition(status, "InvalidSpec")
    statuses.set_condition(status, said, draft.now, renew=known is None or known["message"] != why)
    status["observedGeneration"] = str(draft.rollout["metadata"]["generation"])
    statuses.set_phase(draft.rollout, status)
    draft.set_status(status)
    return True


def create_replica_set(draft: Draft) -> bool:
    """T1: the ReplicaSet of a template seen for the first time, at 0 replicas."""
    if draft.new is not None:
        return False
    revision = max(map(revision_of, draft.replica_sets.values()), default=0) + 1
    created = new_replica_set(draft.rollout, revision, draft.replicas)
    draft.writes.append(Write("create", "replicasets", name_of(created), created))
    _number_rollout(draft, str(revision))
    status = dict(draft.status)
    message = f'Created new replica set "{name_of(created)}"'
    made = statuses.Condition("Progressing", "True", "NewReplicaSetCreated", message)
    statuses.set_condition(status, made, draft.now)
    draft.set_status(status)
    return True


def number_revision(draft: Draft) -> bool:
    """A template that comes back gets the newest revision number, and keeps its old ones as history."""
    assert draft.new is not None
    older = [revision_of(rs) for rs in draft.replica_sets.values() if hash_of(rs) != draft.new_hash]
    newest, known = max(older, default=0) + 1, revision_of(draft.new)
    if known < newest:
        history = annotation(draft.new, REVISION_HISTORY)
        past = f"{history},{known}" if history else str(known)
        draft.annotate(draft.new, {REVISION: str(newest), REVISION_HISTORY: past})
    _number_rollout(draft, annotation(draft.new, REVISION) or str(newest))
    return False


def _number_rollout(draft: Draft, revision: str) -> None:
    if annotation(draft.rollout, REVISION) != revision:
        patch: Object = {"metadata": {"annotations": {REVISION: revision}}}
        draft.patch("rollouts", name_of(draft.rollout), patch)


def overlook_promotion(draft: Draft) -> bool:
    """Under that fault: everything stays as the client's promotion left it, until the template changes."""
    known = draft.status.get("currentPodHash")
    return "promotion" in draft.ignore and draft.promotion_asked and known == draft.new_hash


def note_pause(draft: Draft) -> bool:
    """Tell of a pause or its end before acting on it, unless the spec changed meanwhile."""
    if draft.status.get("observedGeneration") != str(draft.rollout["metadata"]["generation"]):
        return False
    status = dict(draft.status)
    if not statuses.note_pause(draft.rollout, status, draft.now):
        return False
    statuses.set_phase(draft.rollout, status)
    draft.set_status(status)
    return True


def scale_only(draft: Draft) -> bool:
    """A changed spec.replicas: nothing else moves in this pass (Argo, syncReplicasOnly)."""
    watched = [rs for rs in (draft.new, draft.stable) if rs and replicas_of(rs) > 0]
    if all(annotation(rs, DESIRED_REPLICAS) == str(draft.replicas) for rs in watched):
        return False
    scale_replica_sets(draft)
    return True


def switch_preview(draft: Draft) -> bool:
    """T2: the preview Service follows the newest revision as soon as its ReplicaSet exists."""
    if draft.preview is not None and not draft.halted:
        _switch(draft, draft.preview, draft.new_hash)
    return False


def _switch(draft: Draft, service: Object, template_hash: str) -> None:
    managed = annotation(service, MANAGED_BY) is not None
    if managed and selected_hash(service) == template_hash:
        return
    patch: Object = {"spec": {"selector": {HASH_LABEL: template_hash}}}
    if not managed:
        patch["metadata"] = {"annotations": {MANAGED_BY: name_of(draft.rollout)}}
    draft.patch("services", name_of(service), patch)


def start_update(draft: Draft) -> bool:
    """Another template than last time: forget the pauses and the abort of the update before it."""
    known = draft.status.get("currentPodHash")
    if not known or known == draft.new_hash:
        return False
    draft.clears_pauses = draft.drops_abort = True
    write_status(draft)
    return True


def scale_replica_sets(draft: Draft) -> bool:
    """T3, T10, T11: new and stable to full size, all others down once their deadline is over."""
    _drop_deadlines(draft)
    if draft.stable:
        draft.scale(draft.stable, draft.replicas)
    _scale_new(draft)
    _scale_others(draft)
    _forget_old(draft)
    return False


def _drop_deadlines(draft: Draft) -> None:
    for replica_set in (None if delays_abort(draft) else draft.new, draft.stable):
        if replica_set and annotation(replica_set, SCALE_DOWN_DEADLINE):
            draft.annotate(replica_set, {SCALE_DOWN_DEADLINE: None})


def _scale_new(draft: Draft) -> None:
    assert draft.new is not None
    if not delays_abort(draft):
        draft.scale(draft.new, draft.replicas)
        return
    if annotation(draft.new, SCALE_DOWN_DEADLINE) is None:
        draft.scale(draft.new, replicas_of(draft.new))
        # Only once the stable revision can carry everything (Argo, reconcileNewReplicaSet).
        if count(draft.stable, "availableReplicas") >= draft.replicas:
            draft.add_deadline(draft.new, abort_delay_s(draft))
        return
    left = time_left(draft.new, draft.now)
    if left is None:
        draft.scale(draft.new, 0)
        return
    draft.due.append(draft.now + left)
    draft.scale(draft.new, replicas_of(draft.new))


def _scale_others(draft: Draft) -> None:
    limit = draft.strategy.get("scaleDownDelayRevisionLimit")
    allowed = len(draft.replica_sets) if limit is None else int(limit)
    delay = draft.strategy.get("scaleDownDelaySeconds")
    delay_s = SCALE_DOWN_DELAY_S if delay is None else int(delay)
    for replica_set in draft.others:
        if replicas_of(replica_set) == 0 or hash_of(replica_set) in _referenced(draft):
            continue
        if allowed <= 0:
            draft.scale(replica_set, 0)
        elif annotation(replica_set, SCALE_DOWN_DEADLINE) is None:
            draft.add_deadline(replica_set, delay_s)
        elif left := time_left(replica_set, draft.now):
            draft.due.append(draft.now + left)
            if replicas_of(replica_set) != draft.replicas:
                draft.scale(replica_set, draft.replicas)
        else:
            draft.scale(replica_set, 0)
        allowed -= 1


def _referenced(draft: Draft) -> set[str]:
    """Hashes that a status field or a Service still names: those are never scaled down."""
    services = draft.status.get("blueGreen", {})
    return {
        draft.status.get("stableRS", ""),
        draft.status.get("currentPodHash", ""),
        services.get("activeSelector", ""),
        services.get("previewSelector", ""),
        selected_hash(draft.active),
        selected_hash(draft.preview),
    }


def _forget_old(draft: Draft) -> None:
    limit = draft.rollout["spec"].get("revisionHistoryLimit")
    kept = HISTORY_LIMIT if limit is None else int(limit)
    for replica_set in draft.others[kept:]:
        if replicas_of(replica_set) == 0 and count(replica_set, "replicas") == 0:
            draft.writes.append(Write("delete", "replicasets", name_of(replica_set), {}))
            del draft.replica_sets[name_of(replica_set)]


def decide_pause(draft: Draft) -> bool:
    """T6: pause before the cutover once the new pods are available; or see that a pause is over."""
    assert draft.new is not None
    if draft.status.get("abort") or draft.halted or not _is_ready_for_pause(draft):
        return False
    if _is_fast_tracked(draft) or not _pauses_before_cutover(draft):
        draft.removes_pause = True
    elif statuses.pause_condition(draft.status):
        draft.removes_pause = _is_pause_over(draft)
    elif not draft.status.get("controllerPause"):
        # controllerPause without a pause condition means that somebody resumed: no second pause.
        draft.adds_pause = True
    return False


def _is_ready_for_pause(draft: Draft) -> bool:
    assert draft.new is not None
    return replicas_of(draft.new) == draft.replicas == count(draft.new, "availableReplicas")


def _pauses_before_cutover(draft: Draft) -> bool:
    return draft.strategy.get("autoPromotionEnabled") is False or _auto_promotion_s(draft) > 0


def _auto_promotion_s(draft: Draft) -> int:
    return int(draft.strategy.get("autoPromotionSeconds") or 0)


def _is_fast_tracked(draft: Draft) -> bool:
    """No pause: it has a scale-down deadline, a full promotion, a first deployment, or already switched.

    The deadline is a rollback's, by intent; that of an aborted update or of a template put back counts as
    well, so a retry inside it goes straight to the cutover (Argo 1.9.1, isBlueGreenFastTracked).
    """
    selected = selected_hash(draft.active)
    return (
        draft.had_deadline
        or bool(draft.status.get("promoteFull"))
        or not selected
        or selected == draft.new_hash
    )


def _is_pause_over(draft: Draft) -> bool:
    """Somebody resumed, or autoPromotionSeconds are over (Argo, CompletedBlueGreenPause)."""
    if draft.adds_pause:
        return False
    pause = statuses.pause_condition(draft.status)
    if draft.strategy.get("autoPromotionEnabled") is False:
        return bool(draft.status.get("controllerPause")) and pause is None
    if not _auto_promotion_s(draft):
        return True
    if pause is None:
        return False
    end = parse_time(pause["startTime"]) + timedelta(seconds=_auto_promotion_s(draft))
    if draft.now >= end:
        return True
    draft.due.append(end)
    return False


def switch_active(draft: Draft) -> bool:
    """T8, the cutover: only to a ReplicaSet with every replica available; an abort turns it back."""
    if draft.halted or not _is_ready_for_pause(draft) or not is_saturated(draft, draft.new):
        return False
    target = selected_hash(draft.active)
    if _is_fast_tracked(draft) or _is_pause_over(draft):
        target = draft.new_hash
    if draft.status.get("abort"):
        target = draft.status.get("stableRS") or target
    _switch(draft, draft.active, target)
    return False


def write_status(draft: Draft) -> bool:
    """T9: what the Services and ReplicaSets now are, who is stable, conditions and phase."""
    status = _base_status(draft)
    if draft.status.get("promoteFull"):
        draft.clears_pauses = draft.drops_abort = True
    if _is_promoted(draft, status):
        draft.clears_pauses = draft.drops_abort = True
        status["promoteFull"] = False
        status["stableRS"] = status["currentPodHash"]
    status |= _pause_fields(draft)
    findings = Findings(
        new_replica_set=name_of(draft.new) if draft.new else "",
        revision=annotation(draft.rollout, REVISION) or "",
        aborted=draft.aborted,
        active_saturated=is_saturated(draft, draft.of_hash(status["blueGreen"].get("activeSelector"))),
        waits_for_scale_down=any(annotation(rs, SCALE_DOWN_DEADLINE) for rs in draft.others),
    )
    statuses.judge(draft.rollout, status, findings, draft.now)
    statuses.set_phase(draft.rollout, status)
    deadline = statuses.progress_deadline(draft.rollout, status)
    if status["phase"] == "Progressing" and deadline is not None and deadline >= draft.now:
        draft.due.append(deadline + timedelta(seconds=1))  # it is over strictly after the deadline
    draft.set_status(status)
    return True


def _base_status(draft: Draft) -> Object:
    every = list(draft.replica_sets.values())
    services = {
        "activeSelector": selected_hash(draft.active),
        "previewSelector": selected_hash(draft.preview),
    }
    active = draft.of_hash(services["activeSelector"])
    serving = [active] if active else every
    changed = draft.clears_pauses  # another template: the wish to promote fully was for the one before
    return {
        "observedGeneration": str(draft.rollout["metadata"]["generation"]),
        "currentPodHash": draft.new_hash,
        "stableRS": draft.status.get("stableRS"),
        "promoteFull": bool(draft.status.get("promoteFull")) and not changed,
        "blueGreen": {field: value for field, value in services.items() if value},
        "selector": _selector_text(active or draft.rollout),
        "replicas": _sum(every, "replicas"),
        "updatedReplicas": count(draft.new, "replicas"),
        "readyReplicas": _sum(serving, "readyReplicas"),
        "availableReplicas": _sum(serving, "availableReplicas"),
        "HPAReplicas": _sum(serving, "replicas"),
        "conditions": draft.status.get("conditions", []),
    }


def _sum(replica_sets: Sequence[Object], field: str) -> int:
    return sum(count(rs, field) for rs in replica_sets)


def _selector_text(obj: Object) -> str:
    labels: dict[str, str] = obj["spec"]["selector"].get("matchLabels", {})
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _is_promoted(draft: Draft, status: Object) -> bool:
    """Whether the newest revision becomes the stable one (Argo, shouldFullPromote)."""
    active = status["blueGreen"].get("activeSelector")
    if draft.stable is None or not active:
        return True
    if active != draft.new_hash:
        return False
    return bool(draft.status.get("promoteFull")) or not draft.aborted


def _pause_fields(draft: Draft) -> Object:
    if draft.aborted:
        return {"abort": True, "abortedAt": draft.status.get("abortedAt") or time_text(draft.now)}
    if draft.clears_pauses:
        return {}
    pauses = [
        pause
        for pause in draft.status.get("pauseConditions") or ()
        if not (draft.removes_pause and pause["reason"] == statuses.PAUSE_REASON)
    ]
    if draft.adds_pause:
        pauses.append({"reason": statuses.PAUSE_REASON, "startTime": time_text(draft.now)})
    if not pauses:
        return {}  # controllerPause goes as well: a promotion that could not be carried out now is lost
    held = draft.adds_pause or bool(draft.status.get("controllerPause"))
    return {"pauseConditions": pauses, "controllerPause": held}


STEPS: tuple[Callable[[Draft], bool], ...] = (
    refuse_invalid_spec,
    create_replica_set,
    number_revision,
    overlook_promotion,
    note_pause,
    scale_only,
    switch_preview,
    start_update,
    scale_replica_sets,
    decide_pause,
    switch_active,
    write_status,
)
