"""The drain budget of any workload: what a Rollout's strategy adds, others lack."""

import msgspec

from midstream.rollouts.budget import DrainBudget, Object, read_budget
from midstream.rollouts.lint.case import ROLLOUT, blue_green


def drain_budget(workload: Object) -> DrainBudget:
    """Counted from the cutover; for a rolling update from the deletion of the old pod, which is its cutover.

    A canary with trafficRouting keeps its old pods for the strategy's own scaleDownDelaySeconds (Argo: 30 s
    by default), one without replaces pods like a Deployment.
    """
    budget = read_budget(workload)
    if blue_green(workload) is not None:
        return budget
    canary = (workload["spec"].get("strategy") or {}).get("canary") or {}
    if workload["kind"] == ROLLOUT and canary.get("trafficRouting"):
        where = "spec.strategy.canary.scaleDownDelaySeconds"
        told = canary.get("scaleDownDelaySeconds")
        source = where if told is not None else f"Argo default, no {where}"
        return _with_delay(budget, 30.0 if told is None else float(told), source)
    return _with_delay(budget, 0.0, "a rolling update deletes the old pod as soon as a new one is available")


def _with_delay(budget: DrainBudget, delay_s: float, source: str) -> DrainBudget:
    return msgspec.structs.replace(
        budget, scale_down_delay_s=delay_s, sources=budget.sources | {"scale_down_delay_s": source}
    )
