"""Why streams were lost: groups of losses set beside the marks, the budget, the arguments of the engine."""

import re
from collections.abc import Callable, Iterator
from statistics import median
from typing import NamedTuple

import msgspec

from midstream.checks.check import is_unfit, seconds
from midstream.checks.doubt import last_wait_ns
from midstream.cohorts import NS_PER_S, Cohort, Cohorts, Member, Place, pod_marks
from midstream.rollouts.timeline import Cutover, Mark, MarkName
from midstream.run import Run
from midstream.streams.ending import Ending, Outcome
from midstream.streams.record import Lane

UNEXPLAINED = "unexplained"
# vLLM ends its streams within 0.5 s of SIGTERM (facts 2); the kubelet may send it a second later than T13.
SIGTERM_REACTION_S = 2.0
TOKEN_PAUSE_S = 1.0  # a stream that falls silent at SIGTERM had its last token up to so long before
KILL_SEEN_S = 2.0  # the kubelet reports a container's end about a second late
KILL_SLACK_S = 0.5  # between the watches of pods and the sockets
SIGKILL_EXIT = 137  # 128 + 9

ENDING_WORDS: dict[Ending, str] = {
    Ending.ABORTED: "aborted",
    Ending.ERROR_EVENT: "ended by an error event",
    Ending.ENDED_EARLY: "ended early",
    Ending.TRUNCATED: "truncated",
    Ending.RESET: "reset",
    Ending.STALLED: "fell silent",
    Ending.NO_FIRST_TOKEN: "without a first token",
    Ending.TIMED_OUT: "not over in time",
    Ending.NO_DONE: "without [DONE]",
    Ending.SHORT: "cut short",
    Ending.REPEATED: "with repeated tokens",
    Ending.MIXED_REVISION: "of two revisions",
    Ending.MALFORMED: "malformed",
    Ending.NAME_UNRESOLVED: "not resolved",
    Ending.TLS_FAILED: "failed in the TLS handshake",
    Ending.CONNECT_REFUSED: "refused",
    Ending.CONNECT_TIMEOUT: "not connected",
    Ending.RESET_BEFORE_HEADERS: "ended before any answer",
    Ending.NO_HEADERS: "not answered",
    Ending.HTTP_429: "answered 429",
    Ending.HTTP_4XX: "answered 4xx",
    Ending.HTTP_5XX: "answered 5xx",
    Ending.NOT_SSE: "answered by no event stream",
}


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """Why a group of streams was lost, with what shows it."""

    line: str  # the whole sentence for people
    cause: str  # short name of the misconfiguration, or "unexplained"
    streams: int
    evidence: tuple[str, ...]
    mend: str


class _Loss(NamedTuple):
    """One lost or refused stream with the cutover it can be set beside."""

    member: Member
    place: Place
    cutover: Cutover | None

    @property
    def ending(self) -> Ending:
        return self.member.stream.ending

    @property
    def failed_ns(self) -> int:
        """When it went wrong: a limit of ours passes long after the last sign of life."""
        stream = self.member.stream
        return last_wait_ns(stream) if stream.ending.is_deadline else stream.end_ns


class _Sighting(NamedTuple):
    """What in the evidence a loss agrees with."""

    marks: tuple[Mark, ...]  # of one name, one a pod
    evidence: tuple[str, ...]


class _Rule(NamedTuple):
    """One misconfiguration: when the evidence shows it, how it is said, how it is mended."""

    name: str
    shown_by: Callable[[_Loss, Run], _Sighting | None]
    sentence: str
    mend: str


class _Group(NamedTuple):
    """Losses that are told in one line."""

    rule: _Rule
    sighting: _Sighting
    lane: Lane
    place: Place
    revision: str | None
    ending: Ending


def find_causes(run: Run, cohorts: Cohorts) -> tuple[Cause, ...]:
    """One cause for each group of losses, the largest first; an unfit revision before all."""
    groups: dict[_Group, list[_Loss]] = {}
    for loss in _losses(run, cohorts):
        groups.setdefault(_group(loss, run), []).append(loss)
    largest = sorted(groups.items(), key=lambda item: -len(item[1]))
    told = tuple(_cause(group, losses, run, cohorts) for group, losses in largest)
    return (*_unfit(run), *told)


def _losses(run: Run, cohorts: Cohorts) -> Iterator[_Loss]:
    cutovers = {cutover.number: cutover for cutover in run.timeline.cutovers}
    for member in cohorts.members:
        if member.stream.outcome in (Outcome.LOST, Outcome.REFUSED):
            place = min(member.places, key=lambda place: (_ORDER[place.cohort], place.cutover))
            yield _Loss(member, place, cutovers.get(place.cutover))


_ORDER = {cohort: number for number, cohort in enumerate(Cohort)}


def _group(loss: _Loss, run: Run) -> _Group:
    rule, sighting = _explain(loss, run)
    stream = loss.member.stream
    return _Group(rule, sighting, stream.lane, loss.place, loss.member.revision, stream.ending)


def _explain(loss: _Loss, run: Run) -> tuple[_Rule, _Sighting]:
    for rule in RULES:
        sighting = rule.shown_by(loss, run)
        if sighting is not None:
            return rule, sighting
    return _UNEXPLAINED, _Sighting(_at_sigterm(loss, run), ())


# --- what the evidence shows ------------------------------------------------------------------------


def _marks(loss: _Loss, run: Run, name: MarkName) -> tuple[Mark, ...]:
    if loss.cutover is None or loss.member.revision not in (None, loss.cutover.old):
        return ()
    return pod_marks(run.timeline, name, loss.cutover)


def _at_sigterm(loss: _Loss, run: Run) -> tuple[Mark, ...]:
    """T13 of the old pods whose SIGTERM the loss follows within a short time."""
    before_ns = round(TOKEN_PAUSE_S * NS_PER_S) if loss.ending.is_deadline else 0
    after_ns = round(SIGTERM_REACTION_S * NS_PER_S)
    return tuple(
        mark
        for mark in _marks(loss, run, MarkName.T13)
        if mark.not_before_ns - before_ns < loss.failed_ns <= mark.seen_ns + after_ns
    )


def _ended_as_by_default(loss: _Loss, run: Run) -> tuple[Mark, ...]:
    """T13 where the ending is one of those that vLLM's default gives at SIGTERM: abort, error, silence."""
    return _at_sigterm(loss, run) if loss.ending in _DEFAULT_AT_SIGTERM else ()


_DEFAULT_AT_SIGTERM = frozenset({Ending.ABORTED, Ending.ERROR_EVENT, Ending.STALLED})  # facts 2


def _no_shutdown_timeout(loss: _Loss, run: Run) -> _Sighting | None:
    marks, command = _ended_as_by_default(loss, run), _old_command(run)
    if not marks or not command or _SHUTDOWN_TIMEOUT.search(command):
        return None
    if run.budget is not None and run.budget.engine_drain_s:
        return None  # it drains by other means
    return _Sighting(marks, (*_told(marks), f"command without --shutdown-timeout: {command}"))


def _shutdown_timeout_0(loss: _Loss, run: Run) -> _Sighting | None:
    marks, command = _ended_as_by_default(loss, run), _old_command(run)
    if not marks or not _SHUTDOWN_TIMEOUT.search(command):
        return None
    if run.budget is None or run.budget.engine_drain_s != 0:
        return None
    return _Sighting(marks, (*_told(marks), f"engine drain 0 s in the command: {command}"))


_SHUTDOWN_TIMEOUT = re.compile(r"--shutdown[-_]timeout\b")


def _old_command(run: Run) -> str:
    return "" if run.subject.old is None else " ".join(run.subject.old.command)


def _killed_in_grace(loss: _Loss, run: Run) -> _Sighting | None:
    """SIGKILL (exit 137) after the deletion of the pod was asked, once its grace period was over."""
    if loss.ending not in (Ending.TRUNCATED, Ending.RESET):
        return None
    asked = {mark.pod: mark for mark in _marks(loss, run, MarkName.T12)}
    ends = tuple(
        mark
        for mark in _marks(loss, run, MarkName.T14)
        if _is_grace_kill(mark, asked.get(mark.pod), run) and _is_end(mark, loss)
    )
    if not ends:
        return None
    grace = () if run.budget is None else (f"terminationGracePeriodSeconds {run.budget.grace_s:g}",)
    return _Sighting(ends, (*_told(ends), *grace))


def _is_grace_kill(end: Mark, asked: Mark | None, run: Run) -> bool:
    if end.exit_code != SIGKILL_EXIT or end.reason == "OOMKilled" or asked is None:
        return False
    if run.budget is None:
        return True
    lived_ns = end.seen_ns - asked.not_before_ns
    return lived_ns >= (run.budget.grace_s - KILL_SLACK_S) * NS_PER_S


def _is_end(end: Mark, loss: _Loss) -> bool:
    from_ns = end.not_before_ns - round(KILL_SEEN_S * NS_PER_S)
    return from_ns < loss.failed_ns <= end.seen_ns + round(KILL_SLACK_S * NS_PER_S)


def _ended_at_sigterm(loss: _Loss, run: Run) -> _Sighting | None:
    """The server ended its answers at SIGTERM: cleanly, or by exiting without a SIGKILL."""
    marks = _at_sigterm(loss, run)
    if not marks:
        return None
    if loss.ending in (Ending.ENDED_EARLY, Ending.NO_DONE, Ending.SHORT):
        return _Sighting(marks, _told(marks))
    exits = _exits(marks, run, loss)
    exited = bool(exits) and all(mark.exit_code not in (None, SIGKILL_EXIT) for mark in exits)
    if loss.ending in (Ending.TRUNCATED, Ending.RESET) and exited:
        return _Sighting(marks, (*_told(marks), *_told(exits)))
    return None


def _exits(marks: tuple[Mark, ...], run: Run, loss: _Loss) -> tuple[Mark, ...]:
    pods = {mark.pod for mark in marks}
    return tuple(mark for mark in _marks(loss, run, MarkName.T14) if mark.pod in pods)


def _refused_after_cutover(loss: _Loss, run: Run) -> _Sighting | None:
    """New streams refused within the time in which the cutover reaches every node."""
    if loss.cutover is None or loss.ending not in _NOT_REACHED:
        return None
    at = loss.cutover.at
    last_ns = at.seen_ns + round(run.limits.max_propagation_s * NS_PER_S)
    if not at.not_before_ns < loss.member.stream.opened_ns <= last_ns:
        return None
    return _Sighting((at,), _told((at,)))


_NOT_REACHED = frozenset(
    {
        Ending.CONNECT_REFUSED,
        Ending.CONNECT_TIMEOUT,
        Ending.RESET_BEFORE_HEADERS,
        Ending.NO_HEADERS,
        Ending.HTTP_5XX,
    }
)


def _told(marks: tuple[Mark, ...]) -> tuple[str, ...]:
    return tuple(_mark_evidence(mark) for mark in marks)


def _mark_evidence(mark: Mark) -> str:
    parts = [mark.name.value]
    parts += [f"of pod {mark.pod}"] * (mark.pod is not None)
    parts += [f"exit code {mark.exit_code}"] * (mark.exit_code is not None)
    return f"{' '.join(parts)}: {mark.source}"


RULES: tuple[_Rule, ...] = (
    _Rule(
        "no_shutdown_timeout",
        _no_shutdown_timeout,
        "the engine runs without --shutdown-timeout",
        "give the engine --shutdown-timeout as long as the longest stream (vLLM >= 0.18), and "
        "terminationGracePeriodSeconds above preStop + that time",
    ),
    _Rule(
        "shutdown_timeout_0",
        _shutdown_timeout_0,
        "the engine runs with --shutdown-timeout 0",
        "raise --shutdown-timeout to the longest stream, and terminationGracePeriodSeconds above preStop + "
        "that time",
    ),
    _Rule(
        "grace_too_short",
        _killed_in_grace,
        "the grace period was over before the streams were, so SIGKILL cut them off",
        "raise terminationGracePeriodSeconds above preStop + the longest stream",
    ),
    _Rule(
        "no_drain",
        _ended_at_sigterm,
        "the server ends its answers at SIGTERM instead of finishing them",
        "let the server finish open answers at SIGTERM (its graceful shutdown), or make preStop as long as "
        "the longest stream",
    ),
    _Rule(
        "refused_after_cutover",
        _refused_after_cutover,
        "the new revision did not serve yet when the Service selected it",
        "make the readiness probe ask the model itself, and keep scaleDownDelaySeconds above the time that "
        "the cutover needs to reach every node",
    ),
)
_UNEXPLAINED = _Rule(
    UNEXPLAINED,
    lambda _, __: None,
    "unexplained: nothing in the evidence says why",
    "look at the pods' logs at that moment",
)


# --- in words ---------------------------------------------------------------------------------------


def _unfit(run: Run) -> Iterator[Cause]:
    if run.preview is None or not is_unfit(run):
        return
    yield Cause(
        line=f"the new revision did not stream well before its promotion: {run.preview.why}",
        cause="new_revision_unfit",
        streams=run.preview.streams,
        evidence=(f"{run.preview.streams} streams through the preview Service", run.preview.why),
        mend="mend the new revision: what it runs, its arguments, the model's name",
    )


def _cause(group: _Group, losses: list[_Loss], run: Run, cohorts: Cohorts) -> Cause:
    where = _where(group, run)
    return Cause(
        line=f"{_subject(group, len(losses), cohorts)}{_moment(group, losses)}{where}: {group.rule.sentence}",
        cause=group.rule.name,
        streams=len(losses),
        evidence=(*_own_words(losses), *group.sighting.evidence),
        mend=group.rule.mend,
    )


def _subject(group: _Group, lost: int, cohorts: Cohorts) -> str:
    total = sum(member.stream.lane is group.lane for member in cohorts.at(group.place))
    kind = "pulses" if group.lane is Lane.PULSE else "streams"
    cohort = group.place.cohort
    named = f"{kind} open at SIGTERM" if cohort is Cohort.AT_SIGTERM else f"{cohort} {kind}"
    return f"{lost} of {total} {named} {ENDING_WORDS[group.ending]}"


_MARK_WORDS: dict[MarkName, str] = {
    MarkName.T8: "the cutover",
    MarkName.T13: "SIGTERM",
    MarkName.T14: "the end of its pod was seen",
}


def _moment(group: _Group, losses: list[_Loss]) -> str:
    """The median distance of the losses from the mark that they agree with, else from the cutover."""
    cutover = losses[0].cutover
    nearest = group.sighting.marks or (() if cutover is None else (cutover.at,))
    if not nearest:
        return ""
    mark = nearest[0]
    away_ns = median(loss.failed_ns - mark.seen_ns for loss in losses)
    return f" {seconds(abs(away_ns))} {'after' if away_ns >= 0 else 'before'} {_MARK_WORDS[mark.name]}"


def _where(group: _Group, run: Run) -> str:
    revision = f" on rev {group.revision}" if group.revision else ""
    pods = [mark.pod for mark in group.sighting.marks if mark.pod is not None]
    return revision + (f" ({'; '.join(_pod(pod, run) for pod in pods)})" if pods else "")


def _pod(pod: str, run: Run) -> str:
    end = run.timeline.of_pod(MarkName.T14, pod)
    if end is None or end.exit_code is None:
        return f"pod {pod}"
    return f"pod {pod}, exit {end.exit_code}"


def _own_words(losses: list[_Loss]) -> tuple[str, ...]:
    """What the streams themselves showed: the ending's sentence, then up to three different errors."""
    errors = {loss.member.stream.evidence.error or loss.member.stream.evidence.errno for loss in losses}
    return (losses[0].ending.sentence, *sorted(errors - {""})[:3])
