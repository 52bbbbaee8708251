"""The figures of a run, each folded from the instants that the records keep."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from midstream.checks.times import silences
from midstream.cohorts import NS_PER_S, Cohort, Cohorts, pod_marks
from midstream.rollouts.timeline import MarkName
from midstream.run import Run
from midstream.streams.ending import Outcome
from midstream.streams.gaps import merged, quantile_ns
from midstream.streams.record import Lane, StreamRecord

# Of the gaps. Fewer certain ones tell nothing of the others: those read alone came at quiet moments.
LEAST_CERTAIN = 0.1


class LongestGap(msgspec.Struct, frozen=True, kw_only=True):
    """The longest silence of a group of streams, with its moment."""

    length_s: float
    from_ns: int
    stream: str
    certain: bool


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What one group of streams shows; None where there is nothing to compute it from.

    Quantiles are by nearest rank. `error_rate` = (judged - complete) / judged, with judged = complete + lost
    + refused; `rate_5xx` = http_5xx / judged; `completion` = complete / (complete + lost). TTFT = first token
    - sent, `ttft_due_p95_s` = first token - when an open loop wanted it to begin; TPOT = (last token - first
    token) / (tokens - 1), of each stream. ITL = the gaps between token-bearing events whose two instants are
    certain, of all streams; `itl_from` = those gaps / (those gaps + uncertain tokens), cautious where an
    event holds several tokens: below LEAST_CERTAIN no ITL is told.
    """

    streams: int
    endings: dict[str, int]
    statuses: dict[str, int]  # HTTP status, "none" without an answer
    error_rate: float | None
    rate_5xx: float | None
    completion: float | None
    tokens: int
    uncertain_tokens: int  # those whose instant is an interval
    tokens_per_s: float | None
    ttft_p50_s: float | None
    ttft_p95_s: float | None
    ttft_due_p95_s: float | None
    itl_p50_s: float | None
    itl_p99_s: float | None
    itl_from: float | None
    tpot_p50_s: float | None
    longest_gap: LongestGap | None


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one lane on one revision, of all its scenarios or of one where the lane has several."""

    lane: Lane
    revision: str | None  # None: not known
    scenario: str | None  # None: all of them
    figures: Figures


class Headroom(msgspec.Struct, frozen=True, kw_only=True):
    """How long streams may live after a cutover, beside how long one was seen to."""

    budget_s: float | None  # from the cutover until no stream can live; None: unknown
    proven_s: float | None  # of it, the most that a complete stream used
    proven_past_sigterm_s: float | None  # the most that a complete stream lived on after SIGTERM
    left_s: float | None  # budget_s - proven_s: so much longer streams could have been


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """All figures: the main lane as a whole, every lane, revision, scenario apart, the headroom."""

    main: Figures
    groups: tuple[Group, ...]
    headroom: Headroom


class _Key(NamedTuple):
    lane: Lane
    revision: str | None
    scenario: str | None


def read_metrics(run: Run, cohorts: Cohorts) -> Metrics:
    """Every figure of the run."""
    main = [stream for stream in run.streams if stream.lane is Lane.MAIN]
    return Metrics(
        main=figures(main, run),
        groups=_groups(run, cohorts),
        headroom=headroom(run, cohorts),
    )


def _groups(run: Run, cohorts: Cohorts) -> tuple[Group, ...]:
    """By lane, revision, scenario; all scenarios of a lane come first."""
    names: dict[Lane, set[str]] = {}
    for stream in run.streams:
        names.setdefault(stream.lane, set()).add(stream.scenario)
    by_key: dict[_Key, list[StreamRecord]] = {}
    for member in cohorts.members:
        stream = member.stream
        several = len(names[stream.lane]) > 1
        for scenario in (None, stream.scenario) if several else (None,):
            by_key.setdefault(_Key(stream.lane, member.revision, scenario), []).append(stream)
    keys = sorted(by_key, key=lambda key: (key.lane, key.revision or "", key.scenario or ""))
    return tuple(
        Group(
            lane=key.lane,
            revision=key.revision,
            scenario=key.scenario,
            figures=figures(by_key[key], run),
        )
        for key in keys
    )


def figures(streams: Sequence[StreamRecord], run: Run) -> Figures:
    """The figures of one group."""
    outcomes = Counter(stream.outcome for stream in streams)
    complete, lost = outcomes[Outcome.COMPLETE], outcomes[Outcome.LOST]
    judged = complete + lost + outcomes[Outcome.REFUSED]
    endings = Counter(stream.ending.value for stream in streams)
    ttfts = sorted(stream.ttft_ns for stream in streams if stream.ttft_ns is not None)
    tpots = sorted(stream.tpot_ns for stream in streams if stream.tpot_ns is not None)
    gap_counts = merged(stream.gap_counts for stream in streams)
    uncertain = sum(stream.uncertain_tokens for stream in streams)
    certain = sum(gap_counts.values())
    itl_from = _share(certain, certain + uncertain)
    told = gap_counts if itl_from is not None and itl_from >= LEAST_CERTAIN else {}
    return Figures(
        streams=len(streams),
        endings=dict(sorted(endings.items())),
        statuses=dict(sorted(Counter(str(stream.status or "none") for stream in streams).items())),
        error_rate=_share(judged - complete, judged),
        rate_5xx=_share(endings["http_5xx"], judged),
        completion=_share(complete, complete + lost),
        tokens=sum(stream.tokens for stream in streams),
        uncertain_tokens=uncertain,
        tokens_per_s=tokens_per_s(streams),
        ttft_p50_s=_seconds(quantile(ttfts, 0.50)),
        ttft_p95_s=_seconds(quantile(ttfts, 0.95)),
        ttft_due_p95_s=_seconds(quantile(_since_due(streams), 0.95)) if run.open_loop else None,
        itl_p50_s=_seconds(quantile_ns(told, 0.50)),
        itl_p99_s=_seconds(quantile_ns(told, 0.99)),
        itl_from=itl_from,
        tpot_p50_s=_seconds(quantile(tpots, 0.50)),
        longest_gap=longest_gap(streams, run),
    )


def _since_due(streams: Iterable[StreamRecord]) -> list[int]:
    """First token - scheduled, in order: what a client waits who was kept from beginning in time, too."""
    return sorted(
        stream.first_token_ns - stream.scheduled_ns for stream in streams if stream.first_token_ns is not None
    )


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The value that `share` (0 to 1) of all do not exceed, by nearest rank; None without values.

    Exact: TTFT and TPOT come from the records themselves. ITL comes from buckets of 2 %
    (streams/gaps.py), by the same rule.
    """
    return ordered[max(1, math.ceil(share * len(ordered))) - 1] if ordered else None


def tokens_per_s(streams: Iterable[StreamRecord]) -> float | None:
    """(all tokens - those of the first instant) / (last token - first token), by the tokens' own time.

    The first token of the group starts the clock and is not counted in it.
    """
    timed = [
        (stream.first_token_ns, stream.last_token_ns, stream.tokens)
        for stream in streams
        if stream.first_token_ns is not None and stream.last_token_ns is not None
    ]
    if not timed:
        return None
    took_ns = max(last for _, last, _ in timed) - min(first for first, _, _ in timed)
    return (sum(tokens for *_, tokens in timed) - 1) * NS_PER_S / took_ns if took_ns > 0 else None


def longest_gap(streams: Iterable[StreamRecord], run: Run) -> LongestGap | None:
    """The longest time from one token-bearing event to the next, or to the limit that ended the wait."""
    gaps = ((gap, stream) for stream in streams for gap in silences(stream, run))
    found = max(gaps, key=lambda pair: pair[0].length_ns, default=None)
    if found is None:
        return None
    gap, stream = found
    return LongestGap(
        length_s=gap.length_ns / NS_PER_S, from_ns=gap.start_ns, stream=stream.id, certain=gap.certain
    )


def headroom(run: Run, cohorts: Cohorts) -> Headroom:
    """budget = scaleDownDelay + preStop + min(engine drain, grace - preStop); left = budget - proven.

    proven = end - T8 of the complete crossing stream that lived longest. Past SIGTERM: end - T13, of the
    complete ones that were certainly open then.
    """
    t8, t13 = {}, {}
    for cutover in run.timeline.cutovers:
        t8[cutover.number] = cutover.at.seen_ns
        marks = pod_marks(run.timeline, MarkName.T13, cutover)
        t13[cutover.number] = max((mark.seen_ns for mark in marks), default=0)
    budget_s = None if run.budget is None else run.budget.total_s
    proven_s = _longest_after_s(cohorts, Cohort.CROSSING, t8)
    return Headroom(
        budget_s=budget_s,
        proven_s=proven_s,
        proven_past_sigterm_s=_longest_after_s(cohorts, Cohort.AT_SIGTERM, t13),
        left_s=None if budget_s is None or proven_s is None else budget_s - proven_s,
    )


def _longest_after_s(cohorts: Cohorts, cohort: Cohort, moments_ns: dict[int, int]) -> float | None:
    lived = [
        member.stream.end_ns - moments_ns[place.cutover]
        for member in cohorts.of(cohort)
        if member.stream.outcome is Outcome.COMPLETE
        for place in member.certain
        if place.cohort is cohort
    ]
    return max(lived) / NS_PER_S if lived else None


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _seconds(length_ns: float | None) -> float | None:
    return None if length_ns is None else length_ns / NS_PER_S
