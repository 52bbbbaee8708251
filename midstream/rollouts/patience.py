"""How long waiting for a Rollout makes sense: each kind of obstacle has its time, then its reason to stop."""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from midstream.rollouts.blocks import Block, Stop
from midstream.rollouts.standing import Standing
from midstream.rollouts.unready import Hold

Seen: TypeAlias = Mapping[tuple[str, ...], int]  # key of a block -> since when it is seen, without a break

NS_PER_S = 1_000_000_000


class Patience(NamedTuple):
    """None for `seconds`: time alone may mend it, so that only the deadline ends the waiting."""

    seconds: float | None
    why: str = ""


PATIENCE: dict[Hold | Stop, Patience] = {
    # A registry may answer the next time: the kubelet tries at once, after 10 s, after another 20 s.
    Hold.IMAGE: Patience(30, "the image could not be pulled for 30 s"),
    Hold.IMAGE_NAME: Patience(5, "no registry has an image of such a name"),
    # The ConfigMap or Secret may be applied a moment after the Rollout.
    Hold.NOT_CREATED: Patience(30, "the container could not be made for 30 s"),
    Hold.NOT_STARTED: Patience(30, "the container could not be started for 30 s"),
    # The first end may be a dependency that came late; the restart tells.
    Hold.ENDED: Patience(None),
    Hold.ENDED_AGAIN: Patience(0, "the container ended at each of its starts"),
    Hold.POD_OVER: Patience(None),  # its ReplicaSet makes another one
    # An autoscaler says within some 10 s that a node comes: then it is NO_ROOM_YET.
    Hold.NO_ROOM: Patience(60, "no node had room for 60 s, none is on its way"),
    Stop.NO_ROOM_YET: Patience(None),
    Hold.NOT_SET_UP: Patience(None),  # a volume may have to be let go by another node first
    Stop.NO_PODS: Patience(30, "the cluster refused to make the pods for 30 s"),
    Stop.INVALID: Patience(30, "the controller refused the spec for 30 s"),
    # Both may be left over of an earlier spec for a moment, until the controller writes the status anew.
    Stop.TOO_LATE: Patience(10, "the Rollout's own progressDeadlineSeconds is over"),
    Stop.ABORTED: Patience(10, "an aborted update does not go on by itself"),
    Stop.HELD: Patience(10, "it does not go on by itself"),
    # The controller's back-off for one Rollout was seen to reach 15 s (facts 4).
    Stop.NOT_LOOKED_AT: Patience(60, "no controller looked at the Rollout for 60 s"),
}


def seen_now(standing: Standing, seen: Seen, now_ns: int) -> Seen:
    """Since when each present block is seen; one that went away is forgotten."""
    return {block.key: seen.get(block.key, now_ns) for block in standing.blocks}


def hopeless(standing: Standing, seen: Seen, now_ns: int) -> str:
    """Why waiting any longer makes no sense; "" as long as it does.

    Only what holds up the newest revision counts: the others are not waited for.
    """
    for block in standing.blocks:
        patience = PATIENCE[block.kind]
        if patience.seconds is None or not _counts(block, standing):
            continue
        if now_ns - seen.get(block.key, now_ns) >= patience.seconds * NS_PER_S:
            return patience.why
    return ""


def _counts(block: Block, standing: Standing) -> bool:
    return block.revision in ("", standing.newest)
