"""Where a Rollout stands: its phase, what it waits for, each revision with its pods, Services."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

from midstream.rollouts import argo
from midstream.rollouts.blocks import Block, blocks
from midstream.rollouts.budget import scale_down_delay, serving_container
from midstream.rollouts.edits import model_of
from midstream.rollouts.scene import Scene, conditions
from midstream.rollouts.unready import is_ready

Object: TypeAlias = dict[str, Any]

_PROBED = frozenset({"Unhealthy"})  # events of probes


class Role(StrEnum):
    """What a revision is to its Rollout."""

    STABLE = "stable"
    FIRST = "the first one, no user reaches it yet"
    PREVIEW = "preview"  # the newest one, before users reach it
    SERVING = "serving, not stable yet"  # the newest one, after the switch
    ABORTED = "aborted"
    LEAVING = "on its way out"
    KEPT = "kept"  # an older one that no setting scales down


class PodStanding(msgspec.Struct, frozen=True, kw_only=True):
    """One pod."""

    name: str
    ready: bool
    leaving: bool
    restarts: int
    age_s: float | None
    probed: str = ""  # what a probe said last; a model that is still loading fails its own, too


class RevisionStanding(msgspec.Struct, frozen=True, kw_only=True):
    """One ReplicaSet that has pods, or should have."""

    hash: str
    number: int | None
    role: Role
    images: dict[str, str]
    model: str | None
    wanted: int
    scaled_down_in_s: float | None
    pods: tuple[PodStanding, ...]

    @property
    def ready(self) -> int:
        """How many of its pods are."""
        return sum(pod.ready and not pod.leaving for pod in self.pods)


class ServiceStanding(msgspec.Struct, frozen=True, kw_only=True):
    """One Service that the Rollout names."""

    name: str
    role: str
    there: bool
    revision: str | None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; nothing here was judged by the clock but ages."""

    namespace: str
    name: str
    phase: argo.Phase
    message: str
    awaits: str  # empty at rest
    is_promotable: bool
    is_blue_green: bool
    is_half_updated: bool
    newest: str | None  # hash of the revision that the controller works on
    active: str | None  # hash of the revision that users reach
    paused_s: float | None
    revisions: tuple[RevisionStanding, ...]
    services: tuple[ServiceStanding, ...]
    blocks: tuple[Block, ...]

    @property
    def is_healthy(self) -> bool:
        """Healthy by its controller, which is before any old pod is killed."""
        return self.phase is argo.Phase.HEALTHY

    @property
    def is_at_rest(self) -> bool:
        """Nothing moves by itself any more, and well: Healthy with nothing on its way out, or paused."""
        drains = any(revision.role is Role.LEAVING for revision in self.revisions)
        return self.is_promotable or (self.is_healthy and not drains)


def read_standing(scene: Scene) -> Standing:
    """Judge what was read; pure."""
    rollout, metadata = scene.rollout, scene.rollout["metadata"]
    revisions, services = tuple(_revisions(scene)), tuple(_services(scene))
    return Standing(
        namespace=metadata["namespace"],
        name=metadata["name"],
        phase=argo.phase(rollout),
        message=argo.message(rollout),
        awaits=_awaits(scene, revisions),
        is_promotable=argo.is_promotable(rollout),
        is_blue_green=argo.is_blue_green(rollout),
        is_half_updated=argo.is_half_updated(rollout),
        newest=argo.current_hash(rollout),
        active=next((each.revision for each in services if each.role == "active"), None),
        paused_s=_seconds_since(argo.paused_since(rollout), scene.now),
        revisions=revisions,
        services=services,
        blocks=blocks(scene),
    )


def _revisions(scene: Scene) -> Iterator[RevisionStanding]:
    name = scene.rollout["metadata"]["name"]
    owned = [item for item in scene.replica_sets if argo.owned_by(item, "Rollout", name)]
    for item in sorted(owned, key=lambda item: -(_number(item) or 0)):
        found = argo.labels(item).get(argo.HASH_LABEL, "")
        pods = tuple(_pod(pod, scene) for pod in scene.pods_of(found))
        newest = found in (argo.current_hash(scene.rollout), argo.stable_hash(scene.rollout))
        wanted = item["spec"].get("replicas") or 0
        if not (newest or pods or wanted):
            continue
        spec = item["spec"]["template"]["spec"]
        yield RevisionStanding(
            hash=found,
            number=_number(item),
            role=_role(scene.rollout, item, found),
            images={container["name"]: container["image"] for container in spec["containers"]},
            model=model_of(serving_container(spec)),
            wanted=wanted,
            scaled_down_in_s=_seconds_until(
                argo.annotations(item).get(argo.SCALE_DOWN_DEADLINE_ANNOTATION), scene.now
            ),
            pods=pods,
        )


def _role(rollout: Object, replica_set: Object, found: str) -> Role:
    active = ((rollout.get("status") or {}).get("blueGreen") or {}).get("activeSelector")
    if found == argo.stable_hash(rollout):
        return Role.STABLE if active or not argo.is_blue_green(rollout) else Role.FIRST
    if found == argo.current_hash(rollout):
        if argo.is_aborted(rollout):
            return Role.ABORTED
        return Role.SERVING if found == active else Role.PREVIEW
    due = argo.SCALE_DOWN_DEADLINE_ANNOTATION in argo.annotations(replica_set)
    never = scale_down_delay(rollout).seconds is None and argo.is_blue_green(rollout)
    return Role.KEPT if never and not due and replica_set["spec"].get("replicas") else Role.LEAVING


def _pod(pod: Object, scene: Scene) -> PodStanding:
    status, metadata = pod.get("status") or {}, pod["metadata"]
    ready = is_ready(pod)
    return PodStanding(
        name=metadata["name"],
        ready=ready,
        leaving="deletionTimestamp" in metadata,
        restarts=sum(
            entry.get("restartCount", 0)
            for field in ("initContainerStatuses", "containerStatuses")
            for entry in status.get(field) or []
        ),
        age_s=_seconds_since(metadata.get("creationTimestamp"), scene.now),
        probed="" if ready else scene.last_word(metadata["name"], _PROBED),
    )


def _services(scene: Scene) -> Iterator[ServiceStanding]:
    for role, name in named_services(scene.rollout).items():
        found = scene.services.get(name)
        selector = (found or {}).get("spec", {}).get("selector") or {}
        yield ServiceStanding(
            name=name, role=role, there=found is not None, revision=selector.get(argo.HASH_LABEL)
        )


def named_services(rollout: Object) -> dict[str, str]:
    """The Services that the Rollout names, by their role."""
    canary = rollout["spec"].get("strategy", {}).get("canary") or {}
    named = {
        "active": argo.active_service(rollout),
        "preview": argo.preview_service(rollout),
        "stable": canary.get("stableService"),
        "canary": canary.get("canaryService"),
    }
    return {role: name for role, name in named.items() if name}


# --- what it waits for ----------------------------------------------------------------------------------


def _awaits(scene: Scene, revisions: Sequence[RevisionStanding]) -> str:
    """The first thing that has to happen next; "" at rest."""
    rollout = scene.rollout
    current = argo.current_hash(rollout)
    not_seen = not argo.generation_observed(rollout) or current is None
    states = (
        (bool(conditions(rollout, "InvalidSpec", "True")), "its spec to be mended"),
        (not_seen, "the Argo Rollouts controller to look at it"),
        (argo.is_promotable(rollout), "its promotion"),
        (argo.is_aborted(rollout), "somebody: an aborted update does not go on by itself"),
        (argo.is_unpausing(rollout), "the controller to act on the promotion"),
    )
    for holds, words in states:
        if holds:
            return words
    newest = next((each for each in revisions if each.hash == current), None)
    if argo.phase(rollout) is not argo.Phase.HEALTHY:
        return _awaits_of_update(rollout, newest)
    leaving = [each for each in revisions if each.role is Role.LEAVING]
    return "; ".join(map(_end_of, leaving))


def _awaits_of_update(rollout: Object, newest: RevisionStanding | None) -> str:
    wanted = rollout["spec"].get("replicas", 1)
    if newest is None:
        return "the ReplicaSet of its newest revision"
    if newest.ready < wanted:
        return f"the pods of revision {newest.hash} ({newest.ready} of {wanted} ready)"
    if newest.role is Role.PREVIEW:
        return f"the controller: revision {newest.hash} is ready, users do not reach it yet"
    if newest.role is Role.SERVING:
        return f"the controller to call revision {newest.hash} stable"
    return "the controller"


def _end_of(leaving: RevisionStanding) -> str:
    return f"the end of the pods of revision {leaving.hash} ({len(leaving.pods)} left)"


def _number(replica_set: Object) -> int | None:
    told = argo.annotations(replica_set).get(argo.REVISION_ANNOTATION, "")
    return int(told) if told.isdecimal() else None


def _seconds_since(told: str | None, now: datetime) -> float | None:
    try:
        return None if told is None else (now - datetime.fromisoformat(told)).total_seconds()
    except (TypeError, ValueError):  # of another form, or without its zone
        return None


def _seconds_until(told: str | None, now: datetime) -> float | None:
    since = _seconds_since(told, now)
    return None if since is None else -since
