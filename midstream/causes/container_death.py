"""How the death of a container in the middle of its life loses streams, with the evidence that shows it."""

import signal

from midstream.causes.evidence import Loss, Rule, Scene, Sighting
from midstream.causes.paths import CUT, REFUSED, USUAL_LAG_S, is_new
from midstream.cohorts import NS_PER_S
from midstream.rollouts.timeline import ContainerEnd
from midstream.run import Run

DEATH_TOLD_S = 3.0  # the kubelet looks at its containers once a second, and tells of it a little later
DEATH_SLACK_S = 0.5  # between the watch of pods and the sockets
SIGNAL_EXIT = 128  # an exit code above it is a signal's number
USUAL_LAG_NS = round(USUAL_LAG_S * NS_PER_S)


def _container_died(loss: Loss, scene: Scene) -> Sighting | None:
    """Cut when a container of that revision ended, or refused until its pod was ready again."""
    for end in scene.run.timeline.container_ends:
        if _was_cut_by(end, loss) or _was_refused_by(end, loss, scene):
            return Sighting((), words=(_death_told(end),), pods=(end.pod,))
    return None


def _was_cut_by(end: ContainerEnd, loss: Loss) -> bool:
    if loss.ending not in CUT or loss.member.revision not in (None, end.revision):
        return False
    return _died_from(end) < loss.member.stream.end_ns <= end.seen_ns + round(DEATH_SLACK_S * NS_PER_S)


def _was_refused_by(end: ContainerEnd, loss: Loss, scene: Scene) -> bool:
    """The revision that clients are led to has not all of its pods."""
    stream = loss.member.stream
    if loss.ending not in REFUSED or not is_new(stream, scene.since):
        return False
    if _active_at(stream.opened_ns, scene.run) not in (None, end.revision):
        return False
    return _died_from(end) < loss.failed_ns and (
        end.ready_ns is None or stream.opened_ns <= end.ready_ns + USUAL_LAG_NS
    )


def _died_from(end: ContainerEnd) -> int:
    """The earliest moment at which it can have died; the watch alone may know no bound for long."""
    return max(end.not_before_ns, end.seen_ns - round(DEATH_TOLD_S * NS_PER_S))


def _active_at(instant_ns: int, run: Run) -> str | None:
    before = [cutover for cutover in run.timeline.cutovers if cutover.at.seen_ns <= instant_ns]
    if before:
        return before[-1].new
    return run.timeline.cutovers[0].old if run.timeline.cutovers else None


def _death_told(end: ContainerEnd) -> str:
    code = "" if end.exit_code is None else f" with exit code {end.exit_code}{_signal(end.exit_code)}"
    reason = f", reason {end.reason}" if end.reason else ""
    again = f", restartCount {end.restarts}" if end.restarts else ""
    return f"container {end.container} of pod {end.pod} ended{code}{reason}{again}: {end.source}"


def _signal(exit_code: int) -> str:
    try:
        return f" ({signal.Signals(exit_code - SIGNAL_EXIT).name})"
    except ValueError:
        return ""


RULES: tuple[Rule, ...] = (
    Rule(
        "container_died",
        _container_died,
        "a serving container died and had to start again",
        "see why it died: kubectl describe pod, kubectl logs --previous; OOMKilled asks for a higher memory "
        "limit or a smaller --max-num-seqs; with more replicas one death costs less",
    ),
)
