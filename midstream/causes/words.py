"""A group of losses that agree with the same evidence, told in one line."""

import math
import re
from collections.abc import Iterable, Sequence
from itertools import chain
from statistics import median
from typing import NamedTuple, TypeVar

from midstream.causes.cause import UNEXPLAINED, Cause
from midstream.causes.evidence import Loss, Rule, Scene, Sighting
from midstream.cohorts import NS_PER_S, Cohort, Place
from midstream.rollouts.timeline import Mark, MarkName
from midstream.run import Run
from midstream.streams.ending import Ending
from midstream.streams.record import Lane

_T = TypeVar("_T")

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


class Group(NamedTuple):
    """Losses that are told in one line."""

    rule: Rule
    lane: Lane
    place: Place
    revision: str | None
    ending: Ending


class Seen(NamedTuple):
    """One loss with what it agrees with."""

    loss: Loss
    sighting: Sighting


def cause_of(group: Group, seen: Sequence[Seen], scene: Scene) -> Cause:
    """The line of a group, with what shows it."""
    marks = _once(each.sighting.marks for each in seen)
    also = _once(each.sighting.also for each in seen)
    words = _once(each.sighting.words for each in seen)
    pods = _once(each.sighting.pods for each in seen)
    line = f"{_subject(group, seen, scene)}{_moment(seen, scene.run)}{_where(group, marks, pods, scene)}"
    return Cause(
        line=f"{line}: {group.rule.sentence}",
        cause=group.rule.name,
        why=group.rule.sentence,
        streams=len(seen),
        evidence=(
            *_own_words(seen),
            *_told((*marks, *also) if group.rule.name != UNEXPLAINED else ()),
            *words,
        ),
        mend=group.rule.mend,
    )


def _once(several: Iterable[Iterable[_T]]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(several)))


def _subject(group: Group, seen: Sequence[Seen], scene: Scene) -> str:
    kind = "pulses" if group.lane is Lane.PULSE else "streams"
    cohort = group.place.cohort
    named = f"{kind} open at SIGTERM" if cohort is Cohort.AT_SIGTERM else f"{cohort} {kind}"
    if not scene.run.watches_rollout:
        named = kind
    ended = ENDING_WORDS[group.ending]
    if not group.ending.is_deadline and all(_at_ns(each) < each.loss.member.stream.end_ns for each in seen):
        ended = f"fell silent (later {ended})"
    return f"{len(seen)} of {scene.totals[group.place, group.lane]} {named} {ended}"


def _at_ns(seen: Seen) -> int:
    """The moment of a loss that its evidence speaks of: of a kill its end, else when it went wrong."""
    killed = any(mark.name is MarkName.T12 for mark in seen.sighting.marks)
    return seen.loss.member.stream.end_ns if killed else seen.loss.failed_ns


_MARK_WORDS: dict[MarkName, str] = {
    MarkName.T0: "the change of the template",
    MarkName.T8: "the cutover",
    MarkName.T12: "the deletion of their pod was asked",
    MarkName.T13: "SIGTERM",
}


def _moment(seen: Sequence[Seen], run: Run) -> str:
    """How far the losses are from the mark that they agree with, else from a cutover, else from the start."""
    cutover = seen[0].loss.cutover or next(iter(run.timeline.cutovers), None)
    beside = seen[0].sighting.marks or (() if cutover is None else (cutover.at,))
    if not beside:
        return f" {_into([(_at_ns(each) - run.started_ns) / NS_PER_S for each in seen])} into the test"
    away_s = [_nearest_s(_at_ns(each), each.sighting.marks or beside) for each in seen]
    widest_s = max(mark.seen_ns - mark.not_before_ns for mark in beside) / NS_PER_S
    return f" {away(away_s, max(FINEST_S, widest_s), _MARK_WORDS[beside[0].name])}"


def _nearest_s(instant_ns: int, marks: Iterable[Mark]) -> float:
    return min((instant_ns - mark.seen_ns for mark in marks), key=abs) / NS_PER_S


def away(distances_s: Sequence[float], finest_s: float, moment: str) -> str:
    """Their median, or their range where they are far apart; never finer than the moment is known."""
    first_s, last_s, middle_s = min(distances_s), max(distances_s), median(distances_s)
    if max(abs(first_s), abs(last_s)) <= finest_s:
        return f"within {_tenths(math.ceil(10 * finest_s) / 10)} s of {moment}"
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


def _where(group: Group, marks: Iterable[Mark], named: Iterable[str], scene: Scene) -> str:
    revision = f" on rev {group.revision}" if group.revision else ""
    of_marks = dict.fromkeys(mark.pod for mark in marks if mark.pod is not None)
    pods = [_pod(pod, scene.run) for pod in [*of_marks, *named]]
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


def _own_words(seen: Iterable[Seen]) -> tuple[str, ...]:
    """What the streams themselves showed: the ending's sentence, then a few errors that are not alike."""
    streams = [each.loss.member.stream for each in seen]
    errors = sorted({stream.evidence.error or stream.evidence.errno for stream in streams} - {""})
    unlike = {_NUMBERS.sub("0", error): error for error in reversed(errors)}
    told = list(unlike.values())[::-1][:ERRORS_TOLD]
    return (streams[0].ending.sentence, *(_shortened(error) for error in told))


_NUMBERS = re.compile(r"\d+(\.\d+)?")  # "limit 20.0 s passed after 54 tokens" is one error, not fifty


def _shortened(error: str) -> str:
    return error if len(error) <= ERROR_LENGTH else f"{error[:ERROR_LENGTH]}..."
