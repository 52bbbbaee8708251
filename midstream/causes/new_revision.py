"""How a new revision loses the streams that are begun on it: each rule with the evidence that shows it."""

from midstream.causes.evidence import Loss, Rule, Scene, Sighting
from midstream.cohorts import NS_PER_S
from midstream.credential import is_key_refused
from midstream.streams.ending import Ending


def _refused_after_cutover(loss: Loss, scene: Scene) -> Sighting | None:
    """New streams refused within the time in which the cutover reaches every node."""
    if loss.cutover is None or loss.ending not in _NOT_REACHED:
        return None
    at = loss.cutover.at
    last_ns = at.seen_ns + round(scene.run.limits.max_propagation_s * NS_PER_S)
    if not at.not_before_ns < loss.member.stream.opened_ns <= last_ns:
        return None
    return Sighting((at,))


_NOT_REACHED = frozenset(
    {
        Ending.CONNECT_REFUSED,
        Ending.CONNECT_TIMEOUT,
        Ending.RESET_BEFORE_HEADERS,
        Ending.NO_HEADERS,
        Ending.HTTP_5XX,
    }
)


def _key_refused(loss: Loss, scene: Scene) -> Sighting | None:
    """Answers 401 and 403 of a new revision that gives its clients no other."""
    if loss.cutover is None or not is_key_refused(loss.member.stream):
        return None
    if loss.cutover.number not in scene.keyless:
        return None
    return Sighting((loss.cutover.at,), words=(f"answered {loss.member.stream.status}",))


RULES: tuple[Rule, ...] = (
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
)
