"""Whether an update may begin, go on or be taken back, by where the Rollout stands now."""

from enum import StrEnum

from midstream.rollouts.blocks import Stop
from midstream.rollouts.standing import Role, Standing


class Deed(StrEnum):
    """What shall be done to the Rollout."""

    BEGIN = "begin"
    PROMOTE = "promote"
    GO_BACK = "go back"


def refusal(standing: Standing, deed: Deed) -> str:
    """Why it cannot be done now, with the way out; "" where it can."""
    if not standing.is_blue_green:
        return f"Rollout {standing.name} is no blue/green one: use kubectl argo rollouts set image, promote"
    if any(block.kind is Stop.NOT_LOOKED_AT for block in standing.blocks):
        return f"Rollout {standing.name} was changed, and its controller has not looked at it yet: try again"
    return _REFUSALS[deed](standing)


def waits_in_preview(standing: Standing, before: str | None) -> bool:
    """The newest revision can be promoted, or was so by its Rollout: it is another one than before."""
    if standing.newest == before:
        return False
    return standing.is_promotable or is_promoted(standing)


def is_promoted(standing: Standing) -> bool:
    """Users reach the newest revision, and its controller calls that Healthy."""
    return standing.is_healthy and not standing.is_half_updated and standing.active in (None, standing.newest)


def _no_begin(standing: Standing) -> str:
    whose = f"--rollout {standing.namespace}/{standing.name}"
    if _is_aborted(standing):
        return f"the update is aborted, go back first: python -m midstream update {whose} --undo"
    if standing.is_half_updated:
        return (
            f"an update is under way (revision {standing.newest} waits for {standing.awaits}):"
            f" python -m midstream update {whose} with --promote goes on, with --undo goes back"
        )
    leaving = [revision.hash for revision in standing.revisions if revision.role is Role.LEAVING]
    if leaving:
        return (
            f"revision {', '.join(leaving)} is still on its way out: wait for its end with"
            f" python -m midstream status {whose} --wait 600"
        )
    return ""


def _no_promotion(standing: Standing) -> str:
    whose = f"--rollout {standing.namespace}/{standing.name}"
    if _is_aborted(standing):
        return f"the update is aborted, go back first: python -m midstream update {whose} --undo"
    if not standing.is_half_updated:
        return f"no update waits for its promotion: the newest revision, {standing.newest}, is the stable one"
    return ""


def _no_way_back(standing: Standing) -> str:
    if not standing.is_half_updated:
        return f"there is no update to take back: the newest revision, {standing.newest}, is the stable one"
    return ""


_REFUSALS = {Deed.BEGIN: _no_begin, Deed.PROMOTE: _no_promotion, Deed.GO_BACK: _no_way_back}


def _is_aborted(standing: Standing) -> bool:
    return any(revision.role is Role.ABORTED for revision in standing.revisions)
