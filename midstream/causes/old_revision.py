"""How the end of the old revision's pods loses streams: each rule with the evidence that shows it."""

import re

from midstream.causes.evidence import Loss, Rule, Scene, Sighting, at_sigterm, old_command, old_pod_marks
from midstream.cohorts import NS_PER_S
from midstream.rollouts.timeline import Mark, MarkName
from midstream.run import Run
from midstream.streams.ending import Ending

KILL_SEEN_S = 2.0  # the kubelet reports a container's end about a second late
KILL_SLACK_S = 0.5  # between the watches of pods and the sockets
SIGKILL_EXIT = 137  # 128 + 9


def _ended_as_by_default(loss: Loss, scene: Scene) -> tuple[Mark, ...]:
    """T13 where the ending is one of those that vLLM's default gives at SIGTERM: abort, error, silence."""
    return at_sigterm(loss, scene) if loss.ending in _DEFAULT_AT_SIGTERM else ()


_DEFAULT_AT_SIGTERM = frozenset({Ending.ABORTED, Ending.ERROR_EVENT, Ending.STALLED})  # facts 2


def _no_shutdown_timeout(loss: Loss, scene: Scene) -> Sighting | None:
    marks, command = _ended_as_by_default(loss, scene), old_command(scene.run)
    if not marks or not command or _SHUTDOWN_TIMEOUT.search(command):
        return None
    if scene.run.budget is not None and scene.run.budget.engine_drain_s:
        return None  # it drains by other means
    return Sighting(marks, words=(f"command without --shutdown-timeout: {command}",))


def _shutdown_timeout_0(loss: Loss, scene: Scene) -> Sighting | None:
    marks, command = _ended_as_by_default(loss, scene), old_command(scene.run)
    if not marks or not _SHUTDOWN_TIMEOUT.search(command):
        return None
    if scene.run.budget is None or scene.run.budget.engine_drain_s != 0:
        return None
    return Sighting(marks, words=(f"engine drain 0 s in the command: {command}",))


_SHUTDOWN_TIMEOUT = re.compile(r"--shutdown[-_]timeout\b")


def _killed_in_grace(loss: Loss, scene: Scene) -> Sighting | None:
    """SIGKILL (exit 137) after the deletion of the pod was asked, once its grace period was over."""
    if loss.ending not in (Ending.TRUNCATED, Ending.RESET):
        return None
    asked = {mark.pod: mark for mark in old_pod_marks(loss, scene, MarkName.T12)}
    killed = {
        asked[mark.pod]: mark
        for mark in old_pod_marks(loss, scene, MarkName.T14)
        if mark.pod in asked
        and _is_end(mark, loss)
        and _is_grace_kill(mark, asked[mark.pod], loss, scene.run)
    }
    if not killed:
        return None
    budget = scene.run.budget
    grace = () if budget is None else (f"terminationGracePeriodSeconds {budget.grace_s:g}",)
    return Sighting(tuple(killed), also=tuple(killed.values()), words=grace)


def _is_grace_kill(end: Mark, asked: Mark, loss: Loss, run: Run) -> bool:
    """The watch alone bounds T14 loosely: that the stream lived until the grace was over tells more."""
    if end.exit_code != SIGKILL_EXIT or end.reason == "OOMKilled":
        return False
    if run.budget is None:
        return True
    over_ns = asked.not_before_ns + round((run.budget.grace_s - KILL_SLACK_S) * NS_PER_S)
    return min(end.seen_ns, loss.failed_ns) >= over_ns


def _is_end(end: Mark, loss: Loss) -> bool:
    from_ns = end.not_before_ns - round(KILL_SEEN_S * NS_PER_S)
    return from_ns < loss.failed_ns <= end.seen_ns + round(KILL_SLACK_S * NS_PER_S)


def _ended_at_sigterm(loss: Loss, scene: Scene) -> Sighting | None:
    """The server ended its answers at SIGTERM: cleanly, or by exiting without a SIGKILL."""
    marks = at_sigterm(loss, scene)
    if not marks:
        return None
    if loss.ending in (Ending.ENDED_EARLY, Ending.NO_DONE, Ending.SHORT):
        return Sighting(marks)
    pods = {mark.pod for mark in marks}
    exits = tuple(mark for mark in old_pod_marks(loss, scene, MarkName.T14) if mark.pod in pods)
    exited = bool(exits) and all(mark.exit_code not in (None, SIGKILL_EXIT) for mark in exits)
    if loss.ending in (Ending.TRUNCATED, Ending.RESET) and exited:
        return Sighting(marks, also=exits)
    return None


def _kept_into_drain(loss: Loss, scene: Scene) -> Sighting | None:
    """Refused on a kept connection while an old pod drained: vLLM 0.32 answers 500 there (facts 2)."""
    if loss.member.stream.fresh or loss.ending not in (Ending.HTTP_5XX, Ending.HTTP_429):
        return None
    ends = {mark.pod: mark for mark in old_pod_marks(loss, scene, MarkName.T14)}
    draining = tuple(
        mark
        for mark in old_pod_marks(loss, scene, MarkName.T13)
        if mark.not_before_ns - KILL_SLACK_S * NS_PER_S < loss.failed_ns
        and (mark.pod not in ends or loss.failed_ns <= ends[mark.pod].seen_ns)
    )
    return Sighting(draining, also=tuple(ends.values())) if draining else None


RULES: tuple[Rule, ...] = (
    Rule(
        "kept_connection_drained",
        _kept_into_drain,
        "the old pods refuse requests that come on connections kept from before their SIGTERM",
        "have clients send again on a new connection when a kept one answers 5xx, or open new ones at the "
        "cutover",
    ),
    Rule(
        "no_shutdown_timeout",
        _no_shutdown_timeout,
        "the engine runs without --shutdown-timeout",
        "give the engine --shutdown-timeout as long as the longest stream (vLLM >= 0.18), and "
        "terminationGracePeriodSeconds above preStop + that time",
    ),
    Rule(
        "shutdown_timeout_0",
        _shutdown_timeout_0,
        "the engine runs with --shutdown-timeout 0",
        "raise --shutdown-timeout to the longest stream, and terminationGracePeriodSeconds above preStop + "
        "that time",
    ),
    Rule(
        "grace_too_short",
        _killed_in_grace,
        "the grace period was over before the streams were, so SIGKILL cut them off",
        "raise terminationGracePeriodSeconds above preStop + the longest stream",
    ),
    Rule(
        "no_drain",
        _ended_at_sigterm,
        "the server ends its answers at SIGTERM instead of finishing them",
        "let the server finish open answers at SIGTERM (its graceful shutdown), or make preStop as long as "
        "the longest stream",
    ),
)
