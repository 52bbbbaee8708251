"""The analyses that a Rollout runs at a promotion: whether they can say no."""

import re
from collections.abc import Iterator

from midstream.rollouts.lint.case import Case, Object
from midstream.rollouts.lint.finding import Finding, error, warning

# These judge by themselves; every other provider's value goes through the metric's conditions
_OWN_VERDICT = frozenset({"job", "kayenta", "plugin"})
_NOTHING_STOPS = "the promotion goes on whatever it measures: a bad revision gets all traffic"


def cannot_fail(case: Case) -> Iterator[Finding]:
    """Without a condition Argo's EvaluateResult always says Successful (Argo Rollouts 1.9)."""
    wanted = referenced(case.workload)
    for template in case.analyses:
        if (template["kind"], template["metadata"]["name"]) not in wanted:
            continue
        spec, name = template["spec"], template["metadata"]["name"]
        for metric in spec.get("metrics") or []:
            where = f"metric {metric['name']} of {template['kind']} {name}"
            yield from _of_metric(metric, where, spec.get("dryRun") or [])


def referenced(workload: Object) -> frozenset[tuple[str, str]]:
    """Kind and name of each analysis template that the strategy names."""
    strategy = workload["spec"].get("strategy") or {}
    blue_green, canary = strategy.get("blueGreen") or {}, strategy.get("canary") or {}
    analyses = [
        blue_green.get("prePromotionAnalysis"),
        blue_green.get("postPromotionAnalysis"),
        canary.get("analysis"),
        *(step.get("analysis") for step in canary.get("steps") or []),
    ]
    return frozenset(
        ("ClusterAnalysisTemplate" if each.get("clusterScope") else "AnalysisTemplate", each["templateName"])
        for analysis in analyses
        if analysis
        for each in analysis.get("templates") or []
    )


def _of_metric(metric: Object, where: str, dry_runs: list[Object]) -> Iterator[Finding]:
    providers = set(metric.get("provider") or {})
    if any(re.search(each["metricName"], metric["name"]) for each in dry_runs):
        yield error(
            f"{where} is a dry run", f"its failure is not counted: {_NOTHING_STOPS}", "no dryRun for it"
        )
        return
    if not providers & _OWN_VERDICT and not (
        metric.get("successCondition") or metric.get("failureCondition")
    ):
        yield error(
            f"{where} has neither successCondition nor failureCondition",
            f"Argo counts every answer as a success: {_NOTHING_STOPS}",
            f"a successCondition, such as result.{'ok == true' if 'web' in providers else 'value < 1'}",
        )
    limit, count = _number(metric.get("failureLimit")), _number(metric.get("count"))
    times = 1 if metric.get("count") is None and not metric.get("interval") else count
    if limit is not None and (limit < 0 or (times is not None and limit >= times)):
        taken = "an unknown number of times" if times is None else f"{times} time{'' if times == 1 else 's'}"
        yield error(
            f"{where} has failureLimit {limit}, and is taken {taken}",
            f"it cannot fail often enough: {_NOTHING_STOPS}",
            "failureLimit: 0",
        )
    job = (metric.get("provider") or {}).get("job")
    if job is not None and (job.get("spec") or {}).get("backoffLimit") != 0:
        yield warning(
            f"the Job of {where} has no backoffLimit: 0",
            "a Job that failed is tried again (6 times by default): one success hides the failures",
            "backoffLimit: 0 in the Job's spec",
        )


def _number(value: object) -> int | None:
    """None for what is not there, and for an argument ({{args.limit}})."""
    is_number = isinstance(value, int) or (isinstance(value, str) and value.lstrip("-").isdecimal())
    return int(str(value)) if is_number else None
