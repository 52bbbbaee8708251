"""How a service loses streams by itself, before anything was changed: the rule with what shows it."""

from midstream.causes.evidence import Loss, Rule, Scene, Sighting
from midstream.rollouts.timeline import MarkName
from midstream.run import State


def _before_the_change(loss: Loss, scene: Scene) -> Sighting | None:
    """Losses before the Rollout's template changed, or in a run that never came to change it."""
    changed = scene.run.timeline.first(MarkName.T0)
    if changed is not None:
        return Sighting((changed,)) if loss.failed_ns <= changed.not_before_ns else None
    if not scene.run.watches_rollout or scene.run.script.state is not State.BASELINE:
        return None
    return Sighting((), words=("the Rollout was not changed",))


RULES: tuple[Rule, ...] = (
    Rule(
        "before_the_update",
        _before_the_change,
        "the service failed before anything was changed, so the update is not the reason",
        "see the logs of the pods and what the service does under this load without any update (--host URL), "
        "then run it again",
    ),
)
