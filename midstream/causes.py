"""Why streams were lost: groups of losses set beside the marks, the budget, the arguments of the engine."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from statistics import median
from typing import NamedTuple, TypeVar

import msgspec

from midstream.checks.check import is_unfit
from midstream.checks.doubt import last_wait_ns
from midstream.cohorts import NS_PER_S, Cohort, Cohorts, Member, Place, pod_marks
from midstream.credential import FEWEST, is_key_refused, was_accepted
from midstream.rollouts.timeline import Cutover, Mark, MarkName
from midstream.run import Run
from midstream.streams.ending import Ending, Outcome
from midstream.streams.record import Lane

_T = TypeVar("_T")

UNEXPLAINED = "unexplained"
# vLLM ends its streams within 0.5 s of SIGTERM (facts 2); the kubelet may send it a second later than T13.
SIGTERM_REACTION_S = 2.0
TOKEN_PAUSE_S = 1.0  # a stream that falls silent at SIGTERM had its last token up to so long before
KILL_SEEN_S = 2.0  # the kubelet reports a container's end about a second late
KILL_SLACK_S = 0.5  # between the watches of pods and the sockets
SIGKILL_EXIT = 137  # 128 + 9
PODS_NAMED = 3  # of many alike, in one line
ERRORS_TOLD = 3
ERROR_LENGTH = 200  # characters; streams.jsonl has the whole
SPREAD_S = 1.0  # losses farther apart than this are told by their range
FINEST_S = 0.1  # no moment is told finer: a kubelet acts on its own beat

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
    why: str  # what is wrong, in words; empty where it is the verdict's own sentence
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


class _Scene(NamedTuple):
    """What losses are set beside, sorted once for all of them."""

    run: Run
    marks: dict[tuple[MarkName, int], tuple[Mark, ...]]  # of the old pods, by promotion
    totals: Counter[tuple[Place, Lane]]
    keyless: frozenset[int]  # promotions whose new revision refused the key, and nobody had before


class _Sighting(NamedTuple):
    """What in the evidence a loss agrees with."""

    marks: tuple[Mark, ...]  # of one name, one a pod: the moments that it is set beside
    also: tuple[Mark, ...] = ()  # others that show the same
    words: tuple[str, ...] = ()


class _Rule(NamedTuple):
    """One misconfiguration: when the evidence shows it, how it is said, how it is mended."""

    name: str
    shown_by: Callable[[_Loss, _Scene], _Sighting | None]
    sentence: str
    mend: str


class _Group(NamedTuple):
    """Losses that are told in one line."""

    rule: _Rule
    lane: Lane
    place: Place
    revision: str | None
    ending: Ending


class _Seen(NamedTuple):
    """One loss with what it agrees with."""

    loss: _Loss
    sighting: _Sighting


def find_causes(run: Run, cohorts: Cohorts) -> tuple[Cause, ...]:
    """One cause for each group of losses, the largest first; an unfit revision before all."""
    scene = _scene(run, cohorts)
    groups: dict[_Group, list[_Seen]] = {}
    for loss in _losses(run, cohorts):
        rule, sighting = _explain(loss, scene)
        stream = loss.member.stream
        group = _Group(rule, stream.lane, loss.place, loss.member.revision, stream.ending)
        groups.setdefault(group, []).append(_Seen(loss, sighting))
    largest = sorted(groups.items(), key=lambda item: -len(item[1]))
    told = tuple(_cause(group, seen, scene) for group, seen in largest)
    return (*_unfit(run), *_dead_key(run), *told)


def _scene(run: Run, cohorts: Cohorts) -> _Scene:
    return _Scene(
        run,
        {
            (name, cutover.number): pod_marks(run.timeline, name, cutover)
            for name in (MarkName.T12, MarkName.T13, MarkName.T14)
            for cutover in run.timeline.cutovers
        },
        Counter((place, member.stream.lane) for member in cohorts.members for place in member.places),
        frozenset(cutover.number for cutover in run.timeline.cutovers if _refuses_key(cutover, run)),
    )


def _refuses_key(cutover: Cutover, run: Run) -> bool:
    """No key was refused before the cutover; after it, on new connections, several were and none accepted."""
    from_ns = cutover.at.seen_ns + round(run.limits.max_propagation_s * NS_PER_S)
    later_ns = (other.at.not_before_ns for other in run.timeline.cutovers if other.number > cutover.number)
    to_ns = min(later_ns, default=run.stopped_ns)
    of_new = [stream for stream in run.streams if stream.fresh and from_ns < stream.opened_ns < to_ns]
    refused_before = any(
        is_key_refused(stream) and stream.end_ns <= cutover.at.not_before_ns for stream in run.streams
    )
    several = sum(map(is_key_refused, of_new)) >= FEWEST
    return several and not refused_before and not any(map(was_accepted, of_new))


def _losses(run: Run, cohorts: Cohorts) -> Iterator[_Loss]:
    cutovers = {cutover.number: cutover for cutover in run.timeline.cutovers}
    for member in cohorts.members:
        if member.stream.outcome in (Outcome.LOST, Outcome.REFUSED):
            place = min(member.places, key=lambda place: (_ORDER[place.cohort], place.cutover))
            yield _Loss(member, place, cutovers.get(place.cutover))


_ORDER = {cohort: number for number, cohort in enumerate(Cohort)}


def _explain(loss: _Loss, scene: _Scene) -> tuple[_Rule, _Sighting]:
    for rule in RULES:
        sighting = rule.shown_by(loss, scene)
        if sighting is not None:
            return rule, sighting
    return _UNEXPLAINED, _Sighting(_at_sigterm(loss, scene))


# --- what the evidence shows ------------------------------------------------------------------------


def _marks(loss: _Loss, scene: _Scene, name: MarkName) -> tuple[Mark, ...]:
    if loss.cutover is None or loss.member.revision not in (None, loss.cutover.old):
        return ()
    return scene.marks[name, loss.cutover.number]


def _at_sigterm(loss: _Loss, scene: _Scene) -> tuple[Mark, ...]:
    """T13 of the old pods whose SIGTERM the loss follows within a short time."""
    before_ns = round(TOKEN_PAUSE_S * NS_PER_S) if loss.ending.is_deadline else 0
    after_ns = round(SIGTERM_REACTION_S * NS_PER_S)
    return tuple(
        mark
        for mark in _marks(loss, scene, MarkName.T13)
        if mark.not_before_ns - before_ns < loss.failed_ns <= mark.seen_ns + after_ns
    )


def _ended_as_by_default(loss: _Loss, scene: _Scene) -> tuple[Mark, ...]:
    """T13 where the ending is one of those that vLLM's default gives at SIGTERM: abort, error, silence."""
    return _at_sigterm(loss, scene) if loss.ending in _DEFAULT_AT_SIGTERM else ()


_DEFAULT_AT_SIGTERM = frozenset({Ending.ABORTED, Ending.ERROR_EVENT, Ending.STALLED})  # facts 2


def _no_shutdown_timeout(loss: _Loss, scene: _Scene) -> _Sighting | None:
    marks, command = _ended_as_by_default(loss, scene), _old_command(scene.run)
    if not marks or not command or _SHUTDOWN_TIMEOUT.search(command):
        return None
    if scene.run.budget is not None and scene.run.budget.engine_drain_s:
        return None  # it drains by other means
    return _Sighting(marks, words=(f"command without --shutdown-timeout: {command}",))


def _shutdown_timeout_0(loss: _Loss, scene: _Scene) -> _Sighting | None:
    marks, command = _ended_as_by_default(loss, scene), _old_command(scene.run)
    if not marks or not _SHUTDOWN_TIMEOUT.search(command):
        return None
    if scene.run.budget is None or scene.run.budget.engine_drain_s != 0:
        return None
    return _Sighting(marks, words=(f"engine drain 0 s in the command: {command}",))


_SHUTDOWN_TIMEOUT = re.compile(r"--shutdown[-_]timeout\b")


def _old_command(run: Run) -> str:
    return "" if run.subject.old is None else " ".join(run.subject.old.command)


def _killed_in_grace(loss: _Loss, scene: _Scene) -> _Sighting | None:
    """SIGKILL (exit 137) after the deletion of the pod was asked, once its grace period was over."""
    if loss.ending not in (Ending.TRUNCATED, Ending.RESET):
        return None
    asked = {mark.pod: mark for mark in _marks(loss, scene, MarkName.T12)}
    killed = {
        asked[mark.pod]: mark
        for mark in _marks(loss, scene, MarkName.T14)
        if mark.pod in asked
        and _is_end(mark, loss)
        and _is_grace_kill(mark, asked[mark.pod], loss, scene.run)
    }
    if not killed:
        return None
    budget = scene.run.budget
    grace = () if budget is None else (f"terminationGracePeriodSeconds {budget.grace_s:g}",)
    return _Sighting(tuple(killed), also=tuple(killed.values()), words=grace)


def _is_grace_kill(end: Mark, asked: Mark, loss: _Loss, run: Run) -> bool:
    """The watch alone bounds T14 loosely: that the stream lived until the grace was over tells more."""
    if end.exit_code != SIGKILL_EXIT or end.reason == "OOMKilled":
        return False
    if run.budget is None:
        return True
    over_ns = asked.not_before_ns + round((run.budget.grace_s - KILL_SLACK_S) * NS_PER_S)
    return min(end.seen_ns, loss.failed_ns) >= over_ns


def _is_end(end: Mark, loss: _Loss) -> bool:
    from_ns = end.not_before_ns - round(KILL_SEEN_S * NS_PER_S)
    return from_ns < loss.failed_ns <= end.seen_ns + round(KILL_SLACK_S * NS_PER_S)


def _ended_at_sigterm(loss: _Loss, scene: _Scene) -> _Sighting | None:
    """The server ended its answers at SIGTERM: cleanly, or by exiting without a SIGKILL."""
    marks = _at_sigterm(loss, scene)
    if not marks:
        return None
    if loss.ending in (Ending.ENDED_EARLY, Ending.NO_DONE, Ending.SHORT):
        return _Sighting(marks)
    pods = {mark.pod for mark in marks}
    exits = tuple(mark for mark in _marks(loss, scene, MarkName.T14) if mark.pod in pods)
    exited = bool(exits) and all(mark.exit_code not in (None, SIGKILL_EXIT) for mark in exits)
    if loss.ending in (Ending.TRUNCATED, Ending.RESET) and exited:
        return _Sighting(marks, also=exits)
    return None


def _refused_after_cutover(loss: _Loss, scene: _Scene) -> _Sighting | None:
    """New streams refused within the time in which the cutover reaches every node."""
    if loss.cutover is None or loss.ending not in _NOT_REACHED:
        return None
    at = loss.cutover.at
    last_ns = at.seen_ns + round(scene.run.limits.max_propagation_s * NS_PER_S)
    if not at.not_before_ns < loss.member.stream.opened_ns <= last_ns:
        return None
    return _Sighting((at,))


_NOT_REACHED = frozenset(
    {
        Ending.CONNECT_REFUSED,
        Ending.CONNECT_TIMEOUT,
        Ending.RESET_BEFORE_HEADERS,
        Ending.NO_HEADERS,
        Ending.HTTP_5XX,
    }
)


def _key_refused(loss: _Loss, scene: _Scene) -> _Sighting | None:
    """Answers 401 and 403 of a new revision that gives its clients no other."""
    if loss.cutover is None or not is_key_refused(loss.member.stream):
        return None
    if loss.cutover.number not in scene.keyless:
        return None
    return _Sighting((loss.cutover.at,), words=(f"answered {loss.member.stream.status}",))


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
    _Rule(
        "key_refused",
        _key_refused,
        "the new revision does not accept the clients' key",
        "give the new revision the keys of the old one (vLLM: --api-key or VLLM_API_KEY)",
    ),
)
_UNEXPLAINED = _Rule(
    UNEXPLAINED,
    lambda _, __: None,
    "unexplained, nothing in the evidence says why",
    "look at the pods' logs at that moment",
)


# --- in words ---------------------------------------------------------------------------------------


def _unfit(run: Run) -> Iterator[Cause]:
    if run.preview is None or not is_unfit(run):
        return
    yield Cause(
        line=f"the new revision did not stream well before its promotion: {run.preview.why}",
        cause="new_revision_unfit",
        why="",
        streams=run.preview.streams,
        evidence=(f"{run.preview.streams} streams through the preview Service",),
        mend="mend the new revision: what it runs, its arguments, the model's name",
    )


def _dead_key(run: Run) -> Iterator[Cause]:
    """What `credential.with_credential` found: our own key died, which says nothing of the service."""
    refused = [stream for stream in run.streams if stream.ending is Ending.CREDENTIAL]
    if not refused:
        return
    by = "both revisions" if run.timeline.cutovers else "the server"
    statuses = sorted({str(stream.status) for stream in refused})
    yield Cause(
        line=f"{len(refused)} of {len(run.streams)} streams were answered {' or '.join(statuses)}: "
        f"the key was no longer accepted by {by}",
        cause="dead_key",
        why=f"the key was no longer accepted by {by}",
        streams=len(refused),
        evidence=(Ending.CREDENTIAL.sentence,) if run.timeline.cutovers else (),
        mend="give --api-key-command, a command that prints a key that is still good",
    )


def _cause(group: _Group, seen: Sequence[_Seen], scene: _Scene) -> Cause:
    marks = _once(each.sighting.marks for each in seen)
    also = _once(each.sighting.also for each in seen)
    words = _once(each.sighting.words for each in seen)
    line = f"{_subject(group, len(seen), scene)}{_moment(seen, scene.run)}{_where(group, marks, scene)}"
    return Cause(
        line=f"{line}: {group.rule.sentence}",
        cause=group.rule.name,
        why=group.rule.sentence,
        streams=len(seen),
        evidence=(
            *_own_words(seen),
            *_told((*marks, *also) if group.rule is not _UNEXPLAINED else ()),
            *words,
        ),
        mend=group.rule.mend,
    )


def _once(several: Iterable[Iterable[_T]]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(several)))


def _subject(group: _Group, lost: int, scene: _Scene) -> str:
    kind = "pulses" if group.lane is Lane.PULSE else "streams"
    cohort = group.place.cohort
    named = f"{kind} open at SIGTERM" if cohort is Cohort.AT_SIGTERM else f"{cohort} {kind}"
    if not scene.run.watches_rollout:
        named = kind
    return f"{lost} of {scene.totals[group.place, group.lane]} {named} {ENDING_WORDS[group.ending]}"


_MARK_WORDS: dict[MarkName, str] = {
    MarkName.T8: "the cutover",
    MarkName.T12: "the deletion of their pod was asked",
    MarkName.T13: "SIGTERM",
}


def _moment(seen: Sequence[_Seen], run: Run) -> str:
    """How far the losses are from the mark that they agree with, else from a cutover, else from the start."""
    cutover = seen[0].loss.cutover or next(iter(run.timeline.cutovers), None)
    beside = seen[0].sighting.marks or (() if cutover is None else (cutover.at,))
    if not beside:
        return f" {_into([(each.loss.failed_ns - run.started_ns) / NS_PER_S for each in seen])} into the test"
    away_s = [_nearest_s(each.loss.failed_ns, each.sighting.marks or beside) for each in seen]
    widest_s = max(mark.seen_ns - mark.not_before_ns for mark in beside) / NS_PER_S
    return f" {_away(away_s, max(FINEST_S, widest_s), _MARK_WORDS[beside[0].name])}"


def _nearest_s(instant_ns: int, marks: Iterable[Mark]) -> float:
    return min((instant_ns - mark.seen_ns for mark in marks), key=abs) / NS_PER_S


def _away(distances_s: Sequence[float], finest_s: float, moment: str) -> str:
    """Their median, or their range where they are far apart; never finer than the moment is known."""
    first_s, last_s, middle_s = min(distances_s), max(distances_s), median(distances_s)
    if last_s - first_s > SPREAD_S and first_s < 0 < last_s:
        return f"from {_tenths(-first_s)} s before to {_tenths(last_s)} s after {moment}"
    if last_s - first_s <= SPREAD_S and abs(middle_s) <= finest_s:
        return f"within {_tenths(math.ceil(10 * finest_s) / 10)} s of {moment}"
    return (
        f"{_into([abs(away_s) for away_s in distances_s])} {'after' if middle_s > 0 else 'before'} {moment}"
    )


def _into(distances_s: Sequence[float]) -> str:
    if max(distances_s) - min(distances_s) > SPREAD_S:
        return f"{_tenths(min(distances_s))} to {_tenths(max(distances_s))} s"
    return f"{_tenths(median(distances_s))} s"


def _tenths(length_s: float) -> str:
    return f"{length_s:.1f}" if length_s < 10 else f"{length_s:.0f}"


def _where(group: _Group, marks: Iterable[Mark], scene: _Scene) -> str:
    revision = f" on rev {group.revision}" if group.revision else ""
    pods = [_pod(mark.pod, scene.run) for mark in marks if mark.pod is not None]
    return revision + (f" ({_few(pods, '; ')})" if pods else "")


def _pod(pod: str, run: Run) -> str:
    end = run.timeline.of_pod(MarkName.T14, pod)
    if end is None or end.exit_code is None:
        return f"pod {pod}"
    return f"pod {pod}, exit {end.exit_code}"


def _few(names: Sequence[str], between: str) -> str:
    more = len(names) - PODS_NAMED
    return between.join([*names[:PODS_NAMED], *[f"{more} more"] * (more > 0)])


def _told(marks: Iterable[Mark]) -> tuple[str, ...]:
    """The marks in words, those of several pods together where their source is of one kind."""
    alike: dict[tuple[str, int | None, str], list[str]] = {}
    for mark in marks:
        source = mark.source.replace(mark.pod, "*") if mark.pod else mark.source
        alike.setdefault((mark.name.value, mark.exit_code, source), []).extend(filter(None, [mark.pod]))
    return tuple(_mark_words(*key, pods) for key, pods in alike.items())


def _mark_words(name: str, exit_code: int | None, source: str, pods: Sequence[str]) -> str:
    code = "" if exit_code is None else f" exit code {exit_code}"
    match pods:
        case []:
            return f"{name}{code}: {source}"
        case [pod]:
            return f"{name} of pod {pod}{code}: {source.replace('*', pod)}"
        case _:
            return f"{name} of {len(pods)} pods ({_few(pods, ', ')}){code}: {source}"


def _own_words(seen: Iterable[_Seen]) -> tuple[str, ...]:
    """What the streams themselves showed: the ending's sentence, then a few errors that are not alike."""
    streams = [each.loss.member.stream for each in seen]
    errors = sorted({stream.evidence.error or stream.evidence.errno for stream in streams} - {""})
    unlike = {_NUMBERS.sub("0", error): error for error in reversed(errors)}
    told = list(unlike.values())[::-1][:ERRORS_TOLD]
    return (streams[0].ending.sentence, *(_shortened(error) for error in told))


_NUMBERS = re.compile(r"\d+(\.\d+)?")  # "limit 20.0 s passed after 54 tokens" is one error, not fifty


def _shortened(error: str) -> str:
    return error if len(error) <= ERROR_LENGTH else f"{error[:ERROR_LENGTH]}..."
