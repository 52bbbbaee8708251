"""What keeps a Rollout from going on, each thing with its kind, for people and for the one who waits."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

from midstream.rollouts import argo
from midstream.rollouts.budget import scale_down_delay
from midstream.rollouts.scene import Scene, conditions
from midstream.rollouts.unready import Hold, Obstacle, obstacles

Object: TypeAlias = dict[str, Any]

# Events that say that a node is on its way to a pod: cluster-autoscaler, Karpenter
_NODE_COMES = frozenset({"TriggeredScaleUp", "Nominated"})
# Events that tell what no status does of a pod that does not get as far as its containers
_NOT_SET_UP = frozenset({"FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"})


class Stop(StrEnum):
    """Why a Rollout as a whole does not go on."""

    NOT_LOOKED_AT = "not looked at"
    INVALID = "invalid spec"
    TOO_LATE = "too late"
    ABORTED = "aborted"
    HELD = "held"
    NO_PODS = "no pods"
    NO_ROOM_YET = "no room yet"


class Block(NamedTuple):
    """Something that keeps the Rollout from going on, as one row for people."""

    kind: Hold | Stop
    words: str
    revision: str = ""  # hash; empty where it is the whole Rollout
    pod: str = ""
    container: str = ""
    has_log: bool = False

    @property
    def key(self) -> tuple[str, ...]:
        """What makes it the same one when it is seen again, in another pod of that revision too."""
        return self.kind, self.revision, self.container


def blocks(scene: Scene) -> tuple[Block, ...]:
    """All of them, those of the Rollout as a whole first; pure."""
    return (*_stops(scene), *_of_pods(scene))


def _stops(scene: Scene) -> Iterator[Block]:
    """What the Rollout's own status says."""
    rollout = scene.rollout
    invalid = conditions(rollout, "InvalidSpec", "True")
    if not invalid and (not argo.generation_observed(rollout) or argo.current_hash(rollout) is None):
        yield Block(Stop.NOT_LOOKED_AT, "the controller has not looked at the newest spec")
        return  # what else the status says is of an earlier one
    for condition in invalid:
        yield Block(Stop.INVALID, condition.get("message") or "the spec is invalid")
    if argo.is_aborted(rollout):
        yield Block(Stop.ABORTED, f"the update is aborted: {argo.message(rollout) or 'no reason told'}")
        return
    for condition in conditions(rollout, "Progressing", "False"):
        if condition.get("reason") == "ProgressDeadlineExceeded":
            yield Block(Stop.TOO_LATE, condition.get("message") or "progressDeadlineSeconds is over")
    if not argo.is_promotable(rollout) and argo.phase(rollout) is argo.Phase.PAUSED:
        yield Block(Stop.HELD, _held(rollout))


def _held(rollout: Object) -> str:
    reasons = [condition.get("reason") or "no reason" for condition in argo.pause_conditions(rollout)]
    if reasons:
        return f"the controller holds it: {', '.join(reasons)}"
    return "somebody holds it (spec.paused is true)"


def _of_pods(scene: Scene) -> Iterator[Block]:
    """What each pod says, and each ReplicaSet that cannot make them; nothing of those on their way out."""
    room_comes = _frees_room(scene)
    for item in scene.replica_sets:
        revision = argo.labels(item).get(argo.HASH_LABEL, "")
        if revision not in _awaited(scene):
            continue
        for condition in conditions(item, "ReplicaFailure", "True"):
            words = f"no pods of revision {revision}: {condition.get('message')}"
            yield Block(Stop.NO_ROOM_YET if room_comes else Stop.NO_PODS, words, revision)
        for pod in scene.pods_of(revision):
            if "deletionTimestamp" not in pod["metadata"]:
                for obstacle in (*obstacles(pod), *_not_set_up(scene, pod)):
                    comes = room_comes or scene.events_of(pod["metadata"]["name"], _NODE_COMES)
                    yield _block(obstacle, revision, pod["metadata"]["name"], room_comes=bool(comes))


def _awaited(scene: Scene) -> set[str | None]:
    return {argo.current_hash(scene.rollout), argo.stable_hash(scene.rollout)}


def _frees_room(scene: Scene) -> bool:
    """Whether a pod is about to go: an older revision with a scaleDownDelaySeconds of 0 stays."""
    stays = scale_down_delay(scene.rollout).seconds is None
    return any(
        "deletionTimestamp" in pod["metadata"]
        or (not stays and argo.labels(pod).get(argo.HASH_LABEL) not in _awaited(scene))
        for pod in scene.pods
    )


def _not_set_up(scene: Scene, pod: Object) -> Iterator[Obstacle]:
    """What no status tells of a pod whose containers are still being made."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    reasons = {((entry.get("state") or {}).get("waiting") or {}).get("reason") for entry in statuses}
    words = scene.last_word(pod["metadata"]["name"], _NOT_SET_UP)
    if words and reasons == {"ContainerCreating"}:
        yield Obstacle(Hold.NOT_SET_UP, words)


def _block(obstacle: Obstacle, revision: str, pod: str, *, room_comes: bool) -> Block:
    no_room_yet = obstacle.hold is Hold.NO_ROOM and room_comes
    return Block(
        Stop.NO_ROOM_YET if no_room_yet else obstacle.hold,
        f"pod {pod}: {obstacle.words}",
        revision,
        pod,
        obstacle.container,
        obstacle.has_log,
    )
