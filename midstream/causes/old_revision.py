"""How the end of the old revision's pods loses streams: each rule with the evidence that shows it."""

import re
import shlex
from collections.abc import Iterator, Sequence

from midstream.causes.evidence import (
    KUBELET_BEAT_S,
    SIGTERM_REACTION_S,
    Loss,
    Rule,
    Scene,
    Sighting,
    at_sigterm,
    old_command,
    old_pod_marks,
)
from midstream.cohorts import NS_PER_S
from midstream.rollouts.timeline import Cutover, Mark, MarkName
from midstream.run import Run
from midstream.streams.ending import Ending

KILL_SEEN_S = 2.0  # the kubelet reports a container's end about a second late
KILL_SLACK_S = 0.5  # between the watches of pods and the sockets
SIGKILL_EXIT = 137  # 128 + 9


def _ended_as_by_default(loss: Loss, scene: Scene) -> tuple[Mark, ...]:
    """T13 where the ending is one of those that vLLM's default gives at SIGTERM: abort, error, silence."""
    return at_sigterm(loss, scene) if _as_by_default(loss) else ()


def _as_by_default(loss: Loss) -> bool:
    return loss.fell_silent or loss.ending in (Ending.ABORTED, Ending.ERROR_EVENT)  # facts 2


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


def _drain_over(loss: Loss, scene: Scene) -> Sighting | None:
    """Silent from the engine's own deadline on: T13 + --shutdown-timeout (vLLM 0.32: 3 of 3, facts 2)."""
    budget = scene.run.budget
    if budget is None or not budget.engine_drain_s or not _as_by_default(loss):
        return None
    marks = at_sigterm(loss, scene, later_s=budget.engine_drain_s)
    if not marks:
        return None
    told = budget.sources.get("engine_drain_s", f"engine drain {budget.engine_drain_s:g} s")
    return Sighting(marks, words=(f"{told}: over {budget.engine_drain_s:g} s after SIGTERM",))


def _no_pre_stop(loss: Loss, scene: Scene) -> Sighting | None:
    """The same where no preStop gives the streams the time that the engine does not."""
    budget = scene.run.budget
    if budget is None or budget.pre_stop_s or "unknown" in budget.sources.get("pre_stop_s", ""):
        return None
    sighting = _drain_over(loss, scene)
    return sighting and sighting._replace(words=("no preStop in the old pods", *sighting.words))


def _grace_below_pre_stop(loss: Loss, scene: Scene) -> Sighting | None:
    """The kubelet ends a preStop with the grace period: SIGTERM, and SIGKILL 2 s later."""
    budget = scene.run.budget
    sighting = _killed_in_grace(loss, scene)
    if sighting is None or budget is None or budget.grace_s > budget.pre_stop_s:
        return None
    return sighting._replace(words=(*sighting.words, f"preStop {budget.pre_stop_s:g} s"))


def _shell_as_pid_1(loss: Loss, scene: Scene) -> Sighting | None:
    """SIGTERM was not heard, and PID 1 is a shell that may pass none on."""
    sighting, old = _deaf(loss, scene), scene.run.subject.old
    if sighting is None or old is None or not may_swallow_sigterm(old.command):
        return None
    return sighting._replace(words=(*sighting.words, f"PID 1 of the pod: {shlex.join(old.command[:3])}"))


def _deaf(loss: Loss, scene: Scene) -> Sighting | None:
    """Killed at the end of the grace period, until which all went on as if SIGTERM had never come."""
    sighting = _killed_in_grace(loss, scene)
    if sighting is None or loss.cutover is None:
        return None
    words = [*_goes_on_beginning(loss.cutover, scene), *_flows_beyond_drain(loss, scene)]
    return sighting._replace(words=(*sighting.words, *words)) if words else None


def _goes_on_beginning(cutover: Cutover, scene: Scene) -> Iterator[str]:
    """A server that was told to end begins nothing more (vLLM 0.32 answers 500, facts 2)."""
    begun = scene.deaf[cutover.number]
    if begun:
        yield f"the old pods still began {begun} streams more than {KUBELET_BEAT_S:g} s after SIGTERM"


def _flows_beyond_drain(loss: Loss, scene: Scene) -> Iterator[str]:
    budget, last_ns = scene.run.budget, loss.member.stream.last_token_ns
    told = old_pod_marks(loss, scene, MarkName.T13)
    if budget is None or budget.engine_drain_s is None or last_ns is None or not told:
        return
    late_s = (last_ns - max(mark.seen_ns for mark in told)) / NS_PER_S
    if late_s > budget.engine_drain_s + SIGTERM_REACTION_S:
        yield f"tokens came {late_s:.1f} s after SIGTERM, the engine drains for {budget.engine_drain_s:g} s"


def may_swallow_sigterm(command: Sequence[str]) -> bool:
    """Whether PID 1 is a shell that may wait for the server: an init ignores SIGTERM (pid_namespaces(7)).

    One that `exec`s or traps does not. Whether a shell replaces itself by its last command is its own affair:
    bash 5.2 does, dash 0.5.12 does not even where there is a single one.
    """
    match command:
        case [shell, flags, script, *_] if shell.rpartition("/")[2] in _SHELLS and _RUNS.fullmatch(flags):
            return not _PASSES_ON.search(script)
    return False


_SHELLS = ("sh", "bash", "dash", "ash", "zsh")
_RUNS = re.compile(r"-[a-z]*c[a-z]*")
_PASSES_ON = re.compile(r"(?:^|[\s;&|(])(?:exec|trap)\s")


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
    return min(end.seen_ns, loss.member.stream.end_ns) >= over_ns


def _is_end(end: Mark, loss: Loss) -> bool:
    from_ns = end.not_before_ns - round(KILL_SEEN_S * NS_PER_S)
    return from_ns < loss.member.stream.end_ns <= end.seen_ns + round(KILL_SLACK_S * NS_PER_S)


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
    if loss.ending is Ending.HTTP_429 and loss.cutover is not None and loss.cutover.number in scene.limited:
        return None  # new connections are told so too
    # Of any promotion: a connection may be kept over several of them.
    each = [loss._replace(cutover=cutover) for cutover in scene.run.timeline.cutovers]
    ends = {mark.pod: mark for one in each for mark in old_pod_marks(one, scene, MarkName.T14)}
    draining = tuple(
        mark
        for one in each
        for mark in old_pod_marks(one, scene, MarkName.T13)
        if mark.not_before_ns - KILL_SLACK_S * NS_PER_S < loss.failed_ns
        and (mark.pod not in ends or loss.failed_ns <= ends[mark.pod].seen_ns)
    )
    also = tuple(ends[mark.pod] for mark in draining if mark.pod in ends)
    return Sighting(draining, also=also) if draining else None


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
        "prestop_missing",
        _no_pre_stop,
        "no preStop holds SIGTERM back, and the engine's --shutdown-timeout is over before the streams are",
        "add a preStop as long as the longest stream, or raise --shutdown-timeout to it; keep "
        "terminationGracePeriodSeconds above preStop + --shutdown-timeout",
    ),
    Rule(
        "shutdown_timeout_short",
        _drain_over,
        "the engine's --shutdown-timeout is over before the streams are",
        "raise --shutdown-timeout to the longest stream, and terminationGracePeriodSeconds above preStop + "
        "that time",
    ),
    Rule(
        "grace_below_prestop",
        _grace_below_pre_stop,
        "the grace period is not longer than preStop, so SIGKILL came before the engine could drain",
        "raise terminationGracePeriodSeconds above preStop + the longest stream: preStop runs inside of it",
    ),
    Rule(
        "shell_pid1",
        _shell_as_pid_1,
        "PID 1 is a shell that does not pass SIGTERM on, so the engine was never asked to drain and SIGKILL "
        "cut it off",
        "start the engine by `exec` in the shell, or as the container's command itself; then see that "
        "terminationGracePeriodSeconds is above preStop + the longest stream",
    ),
    Rule(
        "sigterm_ignored",
        _deaf,
        "SIGTERM did not reach the engine, or it ignores it: the old pods went on as before until SIGKILL",
        "make the engine PID 1 of its container (`exec` in a start script), or put an init such as tini "
        "before it; then see that terminationGracePeriodSeconds is above preStop + the longest stream",
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
