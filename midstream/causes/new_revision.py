"""How a new revision loses the streams that are begun on it: each rule with the evidence that shows it."""

from midstream.causes.evidence import Loss, Rule, Scene, Sighting
from midstream.causes.paths import REFUSED, USUAL_LAG_S, is_new
from midstream.cohorts import NS_PER_S
from midstream.credential import is_key_refused
from midstream.streams.ending import Ending


def _not_warm(loss: Loss, scene: Scene) -> Sighting | None:
    """Answers 5xx on new connections from the cutover on, by a revision that served well after that."""
    if loss.cutover is None or loss.ending is not Ending.HTTP_5XX or not loss.member.stream.fresh:
        return None
    last_ns = scene.cold_ns.get(loss.cutover.number)
    if last_ns is None or not loss.cutover.at.not_before_ns < loss.member.stream.opened_ns <= last_ns:
        return None
    cold_s = (last_ns - loss.cutover.at.not_before_ns) / NS_PER_S
    preview = scene.run.preview
    well = preview is not None and preview.fit
    return Sighting(
        (loss.cutover.at,),
        words=(
            f"the last 5xx on a new connection {cold_s:.1f} s after the cutover, whole streams after that",
            *["its streams through the preview Service were whole"] * bool(well),
        ),
    )


def _refused_after_cutover(loss: Loss, scene: Scene) -> Sighting | None:
    """New streams refused within the time in which the cutover reaches every node.

    Once the new revision has answered for a while, it served: what comes then has another reason.
    """
    if loss.cutover is None or loss.ending not in REFUSED or not is_new(loss.member.stream, scene.since):
        return None
    answered = scene.reached[loss.cutover.number].by_new
    if answered and loss.member.stream.opened_ns > answered[0] + round(USUAL_LAG_S * NS_PER_S):
        return None
    at = loss.cutover.at
    last_ns = at.seen_ns + round(scene.run.limits.max_propagation_s * NS_PER_S)
    if not at.not_before_ns < loss.member.stream.opened_ns <= last_ns:
        return None
    return Sighting((at,))


def _rate_limited(loss: Loss, scene: Scene) -> Sighting | None:
    """Answers 429 to requests after the cutover, to some on new connections, which nobody got before it."""
    if loss.cutover is None or loss.ending is not Ending.HTTP_429:
        return None
    at = loss.cutover.at
    if loss.member.stream.opened_ns <= at.not_before_ns or loss.cutover.number not in scene.limited:
        return None
    return Sighting((at,), words=("no 429 came before the cutover",))


def _came_with_cutover(loss: Loss, scene: Scene) -> bool:
    """Whether no stream ended so before the cutover, while some were whole."""
    return loss.cutover is not None and loss.ending in scene.sound_before[loss.cutover.number]


def _mixed(loss: Loss, scene: Scene) -> Sighting | None:
    """Labels of several upstreams within one answer, which no answer had before the cutover."""
    if loss.cutover is None or loss.ending is not Ending.MIXED_REVISION:
        return None
    if not _came_with_cutover(loss, scene):
        return None
    return Sighting((loss.cutover.at,), words=("no answer carried two labels before the cutover",))


def _damaged_by_new(loss: Loss, scene: Scene) -> Sighting | None:
    """Damage in streams of the new revision alone."""
    if loss.cutover is None or loss.ending not in scene.of_new_alone[loss.cutover.number]:
        return None
    words = f"only streams of revision {loss.cutover.new} ended so, none of {loss.cutover.old}"
    return Sighting((loss.cutover.at,), words=(words,))


def _repeats(loss: Loss, scene: Scene) -> Sighting | None:
    """Tokens that came twice, on the new revision alone."""
    return _damaged_by_new(loss, scene) if loss.ending is Ending.REPEATED else None


def _drops(loss: Loss, scene: Scene) -> Sighting | None:
    """Tokens missing in streams of the new revision whose finish_reason says that all were made."""
    is_length = loss.member.stream.finish_reason == "length"
    return _damaged_by_new(loss, scene) if loss.ending is Ending.SHORT and is_length else None


def _stops_early(loss: Loss, scene: Scene) -> Sighting | None:
    """Streams of the new revision that end as if whole before the length that the request fixed."""
    return _damaged_by_new(loss, scene) if loss.ending is Ending.SHORT else None


def _key_refused(loss: Loss, scene: Scene) -> Sighting | None:
    """Answers 401 and 403 of a new revision that gives its clients no other."""
    if loss.cutover is None or not is_key_refused(loss.member.stream):
        return None
    if loss.cutover.number not in scene.keyless:
        return None
    return Sighting((loss.cutover.at,), words=(f"answered {loss.member.stream.status}",))


RULES: tuple[Rule, ...] = (
    Rule(
        "not_warm",
        _not_warm,
        "the new revision was not warm: it answered 5xx right after the cutover, and served later",
        "let the readiness probe pass only once the model answers under load (warm it up before), and let a "
        "prePromotionAnalysis hold the promotion until then",
    ),
    Rule(
        "refused_after_cutover",
        _refused_after_cutover,
        "the new revision did not serve yet when the Service selected it",
        "make the readiness probe ask the model itself, and keep scaleDownDelaySeconds above the time that "
        "the cutover needs to reach every node",
    ),
    Rule(
        "key_refused",
        _key_refused,
        "the new revision does not accept the clients' key",
        "give the new revision the keys of the old one (vLLM: --api-key or VLLM_API_KEY)",
    ),
    Rule(
        "rate_limited",
        _rate_limited,
        "a rate limit of the new revision, or of what stands before it, refuses requests",
        "give the new revision the rate limit of the old one (Envoy, Istio or gateway policies that select "
        "its pods; limits of its key or model name)",
    ),
    Rule(
        "upstream_changed",
        _mixed,
        "what stands before the pods changed the upstream in the middle of an answer",
        "let the gateway retry or fall back only before the first byte of an answer, never within a stream",
    ),
    Rule(
        "tokens_repeated",
        _repeats,
        "the new revision, or what stands before it, sends tokens twice",
        "compare one of its streams past the gateway with one straight from a pod (python -m midstream "
        "smoke): the side that repeats is the one to mend; switch off retries within a stream",
    ),
    Rule(
        "tokens_dropped",
        _drops,
        "the new revision, or what stands before it, loses tokens within its streams, whose ends look whole",
        "compare one of its streams past the gateway with one straight from a pod (python -m midstream "
        "smoke): the side that lacks tokens is the one to mend",
    ),
    Rule(
        "stops_early",
        _stops_early,
        "the new revision ends its streams before the length asked, as if they were whole",
        "see whether the new revision keeps ignore_eos and min_tokens, and whether a gateway before it tells "
        "a cut as stop",
    ),
)
