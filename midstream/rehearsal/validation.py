"""Which Rollout specs the controller refuses, in the words of the InvalidSpec condition."""

from collections.abc import Collection, Iterator

from midstream.rehearsal.store import Object

# Said loudly instead of ignored quietly: what of Argo this controller does not do.
UNSUPPORTED_STRATEGY = (
    "prePromotionAnalysis",
    "postPromotionAnalysis",
    "previewReplicaCount",
    "previewMetadata",
    "activeMetadata",
)
UNSUPPORTED_SPEC = ("workloadRef", "restartAt", "rollbackWindow", "progressDeadlineAbort")


SHAPES: tuple[tuple[str, type | tuple[type, ...]], ...] = (
    ("replicas", (int, type(None))),
    ("strategy", dict),
    ("selector", dict),
    ("template", dict),
)


def spec_fault(spec: Object, services: Collection[str]) -> str | None:
    """What is wrong with the spec, first things first; `services` are the names that exist."""
    for field, shape in SHAPES:
        if not isinstance(spec.get(field), shape):
            return f"spec.{field}: Invalid value: {spec.get(field)!r}"
    strategy = spec["strategy"].get("blueGreen")
    if not isinstance(strategy, dict):
        return "the rehearsal's controller knows spec.strategy.blueGreen alone"
    faults = (*_unsupported(spec, strategy), *_selector_faults(spec), *_service_faults(strategy, services))
    return next(iter(faults), None)


def _unsupported(spec: Object, strategy: Object) -> Iterator[str]:
    for field in UNSUPPORTED_SPEC:
        if spec.get(field):
            yield f"the rehearsal's controller does not do spec.{field}"
    for field in UNSUPPORTED_STRATEGY:
        if strategy.get(field) is not None:
            yield f"the rehearsal's controller does not do spec.strategy.blueGreen.{field}"


def _selector_faults(spec: Object) -> Iterator[str]:
    labels = spec["template"].get("metadata", {}).get("labels", {})
    selector = spec["selector"].get("matchLabels")
    if not selector or not selector.items() <= labels.items():
        yield "`selector` does not match template `labels`"


def _service_faults(strategy: Object, services: Collection[str]) -> Iterator[str]:
    if not strategy.get("activeService"):
        yield "Rollout has missing field '.spec.strategy.blueGreen.activeService'"
    for field in ("activeService", "previewService"):
        name = strategy.get(field)
        if name and name not in services:
            yield f'spec.strategy.blueGreen.{field}: Invalid value: "{name}": service "{name}" not found'
