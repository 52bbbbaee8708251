"""Why streams were lost: groups of losses, each set beside the evidence that explains it."""

from itertools import chain

from midstream.causes import before_update, container_death, network, new_revision, old_revision
from midstream.causes.cause import UNEXPLAINED, Cause
from midstream.causes.evidence import Loss, Rule, Scene, Sighting, at_sigterm, losses, read_scene
from midstream.causes.without_loss import dead_key, late_ways, slow_first_tokens, switched_back, unfit
from midstream.causes.words import ENDING_WORDS, Group, Seen, cause_of
from midstream.cohorts import Cohort, Cohorts
from midstream.run import Run
from midstream.streams.record import Lane

__all__ = ["ENDING_WORDS", "RULES", "UNEXPLAINED", "Cause", "find_causes"]

# The first rule that the evidence shows is told, so the narrower one stands before the wider.
RULES: tuple[Rule, ...] = (
    *before_update.RULES,
    *container_death.RULES,
    *old_revision.RULES,
    *network.RULES,
    *new_revision.RULES,
)
UNKNOWN = Rule(
    UNEXPLAINED,
    lambda _, __: None,
    "unexplained, nothing in the evidence says why",
    "look at the pods' logs at that moment",
)


def _explain(loss: Loss, scene: Scene) -> tuple[Rule, Sighting]:
    for rule in RULES:
        sighting = rule.shown_by(loss, scene)
        if sighting is not None:
            return rule, sighting
    return UNKNOWN, Sighting(at_sigterm(loss, scene))


def _rank(group: Group) -> tuple[bool, bool]:
    return group.lane is Lane.PULSE, group.place.cohort is not Cohort.CROSSING


def find_causes(run: Run, cohorts: Cohorts) -> tuple[Cause, ...]:
    """One cause for each group of losses; an unfit revision before all.

    Those that the verdict's sentence speaks of come first: of the main lane, crossing; then the largest.
    """
    scene = read_scene(run, cohorts)
    groups: dict[Group, list[Seen]] = {}
    for loss in losses(run, cohorts):
        rule, sighting = _explain(loss, scene)
        stream = loss.member.stream
        group = Group(rule, stream.lane, loss.place, loss.member.revision, stream.ending)
        groups.setdefault(group, []).append(Seen(loss, sighting))
    ordered = sorted(groups.items(), key=lambda item: (*_rank(item[0]), -len(item[1])))
    told = tuple(cause_of(group, seen, scene) for group, seen in ordered)
    named = {cause.cause for cause in told}
    late = (cause for cause in late_ways(scene) if cause.cause not in named)
    without_loss = (unfit(run), dead_key(run), switched_back(run), late, slow_first_tokens(run, cohorts))
    return (*chain.from_iterable(without_loss), *told)
