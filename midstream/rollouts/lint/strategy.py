"""The update strategy: who promotes, how long the old pods stay, what else changes their number."""

from collections.abc import Iterator

from midstream.rollouts.lint.case import STATEFUL_SET, Case
from midstream.rollouts.lint.finding import Finding, error, warning

PROPAGATION_S = 2.0  # until a selector's change is on every node: up to 1.1 s seen on Kubernetes 1.34


def promotes_by_itself(case: Case) -> Iterator[Finding]:
    """Argo's default is true."""
    if case.blue_green is None or case.blue_green.get("autoPromotionEnabled") is False:
        return
    told = "is true" if case.blue_green.get("autoPromotionEnabled") else "is not set, so true"
    yield warning(
        f"autoPromotionEnabled {told}",
        "Argo promotes as soon as the pods are ready: an engine that answers wrongly gets all traffic",
        "autoPromotionEnabled: false",
    )


def no_delay(case: Case) -> Iterator[Finding]:
    """0 means never, by Argo's code; less than the propagation sends new connections to a pod that ends."""
    if case.blue_green is None:
        return
    budget = case.budget
    if budget.scale_down_delay_s is None:
        yield warning(
            "scaleDownDelaySeconds is 0, which means never",
            "old pods hold their GPUs for ever: the update after this one finds no room",
            "scaleDownDelaySeconds: 30",
        )
    elif budget.scale_down_delay_s < PROPAGATION_S:
        until_s = budget.scale_down_delay_s + budget.pre_stop_s
        say = error if until_s < PROPAGATION_S else warning
        yield say(
            f"scaleDownDelaySeconds is {budget.scale_down_delay_s:g}",
            f"new connections reach old pods for up to {PROPAGATION_S:g} s after the cutover, while those are"
            + (" ended already" if until_s < PROPAGATION_S else " on their way out: preStop alone covers it"),
            "scaleDownDelaySeconds: 30",
        )


def revision_limit(case: Case) -> Iterator[Finding]:
    """scaleDownDelayHelper in Argo Rollouts: revisions beyond the limit go without their delay."""
    limit = (case.blue_green or {}).get("scaleDownDelayRevisionLimit")
    if limit is None:
        return
    if limit == 0:
        yield error(
            "scaleDownDelayRevisionLimit is 0",
            "no old revision gets its scaleDownDelaySeconds: it is scaled down at the cutover",
            "no scaleDownDelayRevisionLimit",
        )
        return
    yield warning(
        f"scaleDownDelayRevisionLimit is {limit}",
        f"with more than {limit} update{'' if limit == 1 else 's'} within scaleDownDelaySeconds the oldest"
        " revision is scaled down before its time, with its streams",
        "no scaleDownDelayRevisionLimit",
    )


def autoscaled(case: Case) -> Iterator[Finding]:
    """A changed spec.replicas holds Argo's Service switching up; scaling down deletes pods that stream."""
    name = case.workload["metadata"]["name"]
    for each in case.autoscalers:
        target = each["spec"]["scaleTargetRef"]
        down = (each["spec"].get("behavior") or {}).get("scaleDown") or {}
        is_ours = (target["kind"], target["name"]) == (case.kind, name)
        if is_ours and down.get("selectPolicy") != "Disabled":
            held = "while it scales, Argo switches no Service; and " if case.blue_green is not None else ""
            yield warning(
                f"HorizontalPodAutoscaler {each['metadata']['name']} scales it",
                held + "scaling down deletes pods in the midst of streams, with no delay before preStop",
                "no autoscaler while it is updated, or behavior.scaleDown.selectPolicy: Disabled",
            )


def unbridged(case: Case) -> Iterator[Finding]:
    """A rolling update deletes pods as it goes: new ones have to be there, old ones to wait."""
    if not case.is_rolling:
        return
    strategy = case.spec.get("updateStrategy" if case.kind == STATEFUL_SET else "strategy") or {}
    if strategy.get("type") == "Recreate":
        yield error(
            "strategy.type is Recreate",
            "all old pods end before the first new one starts: nobody serves while the model loads",
            "strategy.type: RollingUpdate",
        )
    if case.kind == STATEFUL_SET and case.replicas == 1 and strategy.get("type") != "OnDelete":
        yield error(
            "a StatefulSet of 1 replica",
            "its pod ends before the new one starts: nobody serves while the model loads",
            "replicas: 2, or a Deployment",
        )
    if case.budget.pre_stop_s < PROPAGATION_S and "unknown" not in case.budget.sources["pre_stop_s"]:
        yield error(
            f"preStop takes {case.budget.pre_stop_s:g} s in a rolling update",
            f"SIGTERM comes while the Service still leads to the pod, for up to {PROPAGATION_S:g} s: new"
            " connections are refused",
            "lifecycle.preStop.sleep.seconds: 10",
        )
