"""How the way to the pods loses streams: each rule with the evidence that shows it."""

from midstream.causes.evidence import Loss, Rule, Scene, Sighting
from midstream.causes.paths import (
    CUT,
    REFUSED,
    TIMED_OUT,
    USUAL_LAG_S,
    Reached,
    age_ns,
    is_new,
    within,
)
from midstream.checks.check import seconds
from midstream.cohorts import NS_PER_S
from midstream.rollouts.timeline import Cutover, MarkName
from midstream.run import Run
from midstream.streams.ending import Outcome

AT_ONCE_S = 0.5  # streams that one event cuts end within this time
USUAL_LAG_NS = round(USUAL_LAG_S * NS_PER_S)


def _cut_at_switch(loss: Loss, scene: Scene) -> Sighting | None:
    """Streams of the old revision cut together after the cutover, while no old pod had been asked to end."""
    cutover, stream = loss.cutover, loss.member.stream
    if cutover is None or loss.ending not in CUT:
        return None
    revision = loss.member.revision
    if revision is None and stream.opened_ns <= cutover.at.not_before_ns:
        revision = cutover.old  # it was cut before it could tell, and there was no other
    if revision != cutover.old:
        return None
    asked = [mark.not_before_ns for mark in scene.marks[MarkName.T12, cutover.number]]
    if asked and stream.end_ns > min(asked):
        return None
    near_ns = round(AT_ONCE_S * NS_PER_S)
    together = within(scene.cut_on_old[cutover.number], stream.end_ns - near_ns, stream.end_ns + near_ns)
    if together < _FEW or not cutover.at.not_before_ns < stream.end_ns:
        return None
    words = "no old pod had been asked to end by then" if asked else "no old pod was seen to be asked to end"
    return Sighting((cutover.at,), words=(words,))


_FEW = 3  # streams cut at once; fewer may be chance


def _router_ignores_service(loss: Loss, scene: Scene) -> Sighting | None:
    """Refused after the cutover, when no new connection ever reached the new revision."""
    if loss.cutover is None or not _is_refused_after(loss.cutover, loss, scene):
        return None
    told = never_reached(loss.cutover, scene.reached[loss.cutover.number], scene.run)
    return Sighting((loss.cutover.at,), words=(told,)) if told else None


def never_reached(cutover: Cutover, seen: Reached, run: Run) -> str | None:
    """In words, that new connections led to the old revision alone, for longer than they usually do."""
    watched_ns = run.stopped_ns - cutover.at.seen_ns
    if seen.by_new or not seen.by_old or watched_ns < run.limits.max_propagation_s * NS_PER_S:
        return None
    last_ns = seen.by_old[-1] - cutover.at.seen_ns
    if last_ns < USUAL_LAG_NS:
        return None
    return (
        f"{len(seen.by_old)} new connections were answered by {cutover.old} until {seconds(last_ns)} after "
        f"the cutover, none by {cutover.new}"
    )


def _sent_to_ended_pods(loss: Loss, scene: Scene) -> Sighting | None:
    """Refused after the SIGTERM of old pods that new connections had still reached until then.

    Where some were refused before that SIGTERM, it was not the old pods that refused.
    """
    cutover = loss.cutover
    if cutover is None or not _is_refused_after(cutover, loss, scene):
        return None
    told = scene.marks[MarkName.T13, cutover.number]
    seen, opened_ns = scene.reached[cutover.number], loss.member.stream.opened_ns
    if not told or not seen.by_old:
        return None
    ended = min(told, key=lambda mark: mark.not_before_ns)
    since_ns = ended.not_before_ns - round(AT_ONCE_S * NS_PER_S)
    reached_until_then = seen.by_old[-1] >= since_ns
    refused_before = within(seen.refused, cutover.at.seen_ns, since_ns) > 0
    followed = bool(seen.by_new) and opened_ns > seen.by_new[0] + USUAL_LAG_NS
    if opened_ns < since_ns or not reached_until_then or refused_before or followed:
        return None
    until = seconds(seen.by_old[-1] - cutover.at.seen_ns)
    words = [f"new connections were answered by {cutover.old} until {until} after the cutover"]
    if seen.by_new:
        words.append(f"by {cutover.new} from {seconds(seen.by_new[0] - cutover.at.seen_ns)} after it on")
    return Sighting(told, words=(", ".join(words),))


def _is_refused_after(cutover: Cutover, loss: Loss, scene: Scene) -> bool:
    stream = loss.member.stream
    return (
        stream.outcome is Outcome.REFUSED
        and loss.ending in REFUSED
        and is_new(stream, scene.since)
        and stream.opened_ns > cutover.at.not_before_ns
    )


def _cut_at_common_age(loss: Loss, scene: Scene) -> Sighting | None:
    """Cut at the age at which all connections end, whenever they began."""
    age, found = age_ns(loss.member.stream, scene.since), scene.common_age
    if age is None or found is None or loss.ending not in TIMED_OUT:
        return None
    if not found.least_ns <= age <= found.most_ns:
        return None
    least, most = seconds(found.least_ns), seconds(found.most_ns)
    spread = least if least == most else f"{least} to {most}"
    words = (
        f"{found.streams} connections ended at the age of {spread}, and none that began later lived longer"
    )
    return Sighting((), words=(words,))


ROUTER_IGNORES_SERVICE = Rule(
    "router_ignores_service",
    _router_ignores_service,
    "the way to the pods does not follow the active Service, so clients are led to the old pods",
    "let the route lead to the Rollout's activeService, not to pods, nor to a Service or host of its own",
)

RULES: tuple[Rule, ...] = (
    Rule(
        "cut_at_switch",
        _cut_at_switch,
        "the data plane cut established connections when the Service changed its pods",
        "let the load balancer, ingress or mesh leave open connections alone when an endpoint goes "
        "(connection draining, deregistration delay), for as long as the longest stream",
    ),
    ROUTER_IGNORES_SERVICE,
    Rule(
        "sent_to_ended_pods",
        _sent_to_ended_pods,
        "the old pods ended while the data plane still sent new connections to them",
        "raise scaleDownDelaySeconds (or preStop) above the time that the cutover needs to reach every node "
        "(Argo advises 30 s or more)",
    ),
    Rule(
        "common_age",
        _cut_at_common_age,
        "every connection is cut at the same age, as by a timeout of a proxy before the pods",
        "raise the timeout for whole requests on the way (nginx proxy_read_timeout, Envoy route timeout, the "
        "load balancer's idle or request timeout) above the longest stream",
    ),
)
