from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

import midstream
from midstream.cohorts import STEADY, read_cohorts
from midstream.rollouts.timeline import Cutover, MarkName, RolloutEvent, Timeline, WatchGap
from midstream.run import LateSpell, LedgerCount, Limits, PreviewFinding, Run, ScriptEnd, State
from midstream.streams.ending import Ending, Outcome
from midstream.streams.record import Gap, Lane, StreamRecord
from midstream.verdict import Check, Decision, Status, Verdict, decide, judge
from tests.midstream.builders import (
    LIMITS,
    NEW,
    NS,
    OLD,
    SUBJECT,
    WHOLE,
    mark,
    ns,
    plain,
    pulse,
    run,
    stream,
    streams,
    timeline,
)

PASS, FAIL, INCONCLUSIVE = Decision.PASS, Decision.FAIL, Decision.INCONCLUSIVE
REHEARSAL = structs.replace(SUBJECT, rehearsal=True)
LONG: dict[str, Any] = {"at": 95.0, "lasts": 15.0}
UNFIT = PreviewFinding(fit=False, streams=3, why="3 of 3 streams malformed")


def stopped(state, reason="", **changes):
    return {"script": ScriptEnd(state=state, reason=reason, **changes)}


def test_a_verdict_is_closed_until_evidence_opens_it():
    assert Verdict().decision is INCONCLUSIVE
    assert Verdict().exit_code == 3
    assert Verdict().sentence == "INCONCLUSIVE: not judged yet"


@pytest.mark.parametrize(("decision", "code"), [(PASS, 0), (FAIL, 1), (INCONCLUSIVE, 3)])
def test_exit_codes(decision, code):
    assert Verdict(decision=decision).exit_code == code


@pytest.mark.parametrize(
    ("found", "decision"),
    [
        pytest.param([Status.PASS, Status.NOT_EXAMINED], PASS, id="what was not examined changes nothing"),
        pytest.param([Status.PASS, Status.INCONCLUSIVE], INCONCLUSIVE, id="a doubt beats a pass"),
        pytest.param([Status.PASS, Status.INCONCLUSIVE, Status.FAIL], FAIL, id="a proof beats a doubt"),
        pytest.param([Status.NOT_EXAMINED], None, id="nothing examined"),
        pytest.param([], None, id="no checks"),
    ],
)
def test_precedence(found, decision):
    asked = [Check(name="x", status=status, observed="", limit="", why="") for status in found]
    decided = decide(asked)
    assert (None if decided is None else decided[0]) is decision


@pytest.mark.parametrize(
    ("judged", "decision", "words"),
    [
        pytest.param(
            run(WHOLE),
            PASS,
            "PASS: 80 of 80 crossing streams survived the cutover, "
            "at 95 % confidence the loss rate is below 3.7 %; not examined: reachability (no pulses ran)",
            id="a clean promotion",
        ),
        pytest.param(
            run(streams(80, **LONG)),
            PASS,
            "not examined: reachability (no pulses ran), routing (no label after T8)",
            id="no stream after the cutover told its revision",
        ),
        pytest.param(
            run([structs.replace(record, revisions=()) for record in WHOLE]),
            PASS,
            "not examined: reachability (no pulses ran), routing (no labels)",
            id="unlabelled revisions",
        ),
        pytest.param(
            run(WHOLE, preview=None),
            PASS,
            "not examined: preview (not validated), reachability",
            id="the new revision was not validated",
        ),
        pytest.param(
            run((*WHOLE, stream(Ending.CUT)), limits=structs.replace(LIMITS, max_crossing_lost=1)),
            PASS,
            "PASS: 80 of 81 crossing streams survived the cutover; not",
            id="one that we cut survived nothing",
        ),
        pytest.param(
            run(streams(80, at=60.0)), INCONCLUSIVE, "0 streams crossed the cutover", id="all over before T8"
        ),
        pytest.param(
            run(WHOLE, timeline=timeline(width=12)),
            INCONCLUSIVE,
            "within the 12 s in which the cutover lies",
            id="a cutover known to 12 s only",
        ),
        pytest.param(
            run(WHOLE, timeline=timeline(without=[MarkName.T14])),
            INCONCLUSIVE,
            "the end of vllm-7c9f-x was not seen (T14)",
            id="the old pod's end was not seen",
        ),
        pytest.param(
            run(WHOLE, subject=REHEARSAL),
            PASS,
            "PASS (rehearsal: nothing of yours was tested): 80 of 80",
            id="rehearsal",
        ),
        pytest.param(
            plain(streams(120)), PASS, "120 of 120 streams were complete; no rollout was watched", id="plain"
        ),
        pytest.param(
            plain([*streams(9), stream(Ending.RESET)]),
            FAIL,
            "1 of 10 streams lost or refused",
            id="plain, lost",
        ),
        pytest.param(plain([]), INCONCLUSIVE, "no stream finished", id="plain, empty"),
        pytest.param(run([]), INCONCLUSIVE, "no stream finished", id="empty"),
        pytest.param(
            run((*WHOLE, stream(Ending.ABORTED))),
            FAIL,
            "FAIL: 1 of 81 crossing streams were lost",
            id="one of 81 lost",
        ),
        pytest.param(run(streams(10, **LONG)), INCONCLUSIVE, "raise -u to 59 or more", id="ten users"),
        pytest.param(
            run(WHOLE, timeline=Timeline(), preview=UNFIT, **stopped(State.PREVIEW, "new revision unfit")),
            FAIL,
            "FAIL: new revision unfit, not promoted: 3 of 3 streams malformed",
            id="unfit preview",
        ),
        pytest.param(
            run(WHOLE, timeline=Timeline(), **stopped(State.CUTOVER, "not over within 20 s")),
            INCONCLUSIVE,
            "INCONCLUSIVE: stopped in state cutover: not over within 20 s. Next: see whether the Argo",
            id="promotion ignored",
        ),
        pytest.param(
            run(WHOLE, **stopped(State.DRAIN, "-t was reached", interrupted=True)),
            INCONCLUSIVE,
            "stopped in state drain: -t was reached",
            id="run time reached",
        ),
        pytest.param(
            run((*WHOLE, stream(Ending.RESET)), **stopped(State.DRAIN, "Ctrl-C", interrupted=True)),
            FAIL,
            "1 of 81 crossing streams were lost",
            id="a loss proven before the interruption stays",
        ),
        pytest.param(
            run(WHOLE, **stopped(State.DRAIN, "", crash="KeyError: 'x'")),
            INCONCLUSIVE,
            "KeyError",
            id="a crash of ours",
        ),
        pytest.param(
            run(WHOLE, ledger=LedgerCount(opened=81, closed=80, still_open=0)),
            INCONCLUSIVE,
            "1 streams are not accounted for",
            id="opened is not closed + open",
        ),
        pytest.param(
            run(WHOLE, ledger=LedgerCount(opened=80, closed=80, still_open=0, workers_lost=("w2",))),
            INCONCLUSIVE,
            "worker w2",
            id="a worker lost",
        ),
        pytest.param(
            run(
                streams(20, Ending.RESET, at=70.0),
                timeline=Timeline(),
                **stopped(State.BASELINE, "20 of 20 lost", baseline_failed=True),
            ),
            INCONCLUSIVE,
            "stopped in state baseline: 20 of 20 lost. Next: see whether the service holds this load",
            id="a broken baseline",
        ),
        pytest.param(
            run(WHOLE, preview=PreviewFinding(fit=None, why="no route to it")),
            PASS,
            "not examined: preview (not reached), reachability",
            id="preview not reached",
        ),
        pytest.param(
            run(WHOLE, subject=structs.replace(SUBJECT, path_proves_not="your ingress was not tested")),
            PASS,
            "; your ingress was not tested",
            id="what the path does not prove",
        ),
        pytest.param(
            run(streams(80), limits=structs.replace(LIMITS, require_drain=False)),
            PASS,
            "not examined: at_sigterm (none open), reachability",
            id="no stream met SIGTERM",
        ),
        pytest.param(
            run((*WHOLE, stream(Ending.RESET)), limits=structs.replace(LIMITS, max_crossing_lost=1)),
            PASS,
            "PASS: 80 of 81 crossing streams survived the cutover",
            id="a loss that is allowed bounds nothing",
        ),
    ],
)
def test_verdicts(judged, decision, words):
    found = judge(judged)
    assert found.decision is decision
    assert words in found.sentence
    assert found.reasons


def test_a_loss_that_is_allowed_claims_no_confidence():
    allowed = run((*WHOLE, stream(Ending.RESET)), limits=structs.replace(LIMITS, max_crossing_lost=1))
    assert "confidence" not in judge(allowed).sentence


def test_with_pulses_and_labels_everything_was_examined():
    pulses = [pulse(98 + 0.5 * number) for number in range(68)]
    assert "not examined" not in judge(run((*WHOLE, *pulses))).sentence


def test_a_fail_carries_its_causes():
    (cause,) = judge(run((*WHOLE, stream(Ending.ENDED_EARLY, lasts=11.4)))).causes
    assert cause.cause == "no_drain"


@pytest.mark.parametrize(
    "judged",
    [run(WHOLE), run((*WHOLE, stream(Ending.ABORTED))), run(streams(10)), plain(streams(3))],
    ids=["pass", "fail", "inconclusive", "plain"],
)
def test_a_rehearsal_is_judged_like_the_real_thing(judged):
    rehearsed = judge(structs.replace(judged, subject=structs.replace(judged.subject, rehearsal=True)))
    real = judge(judged)
    assert (rehearsed.decision, rehearsed.checks, rehearsed.causes) == (
        real.decision,
        real.checks,
        real.causes,
    )


def test_only_the_pass_sentence_knows_of_a_rehearsal():
    core = Path(midstream.__file__).parent
    judging = [core / name for name in ("cohorts.py", "metrics.py")]
    packages = (source for name in ("causes", "checks") for source in (core / name).glob("*.py"))
    for source in (*judging, *packages):
        assert "rehearsal" not in source.read_text(), source
    assert (core / "verdict.py").read_text().count(".rehearsal") == 1


# --- the law: making a stream worse never improves the verdict ---------------------------------------

_SECONDS = st.integers(min_value=850, max_value=1150).map(lambda tenths: tenths / 10)
_LENGTHS = st.integers(min_value=1, max_value=200).map(lambda tenths: tenths / 10)
_NOT_COMPLETE = st.sampled_from([ending for ending in Ending if ending.outcome is not Outcome.COMPLETE])
_REFUSED = st.sampled_from([ending for ending in Ending if ending.outcome is Outcome.REFUSED])
_WORSE = st.sampled_from([e for e in Ending if e.outcome in (Outcome.LOST, Outcome.REFUSED)])


@st.composite
def _records(draw) -> StreamRecord:
    """Any stream; mostly one that breaks nothing, so that many runs hang on one check alone."""
    at = draw(_SECONDS)
    record = stream(
        draw(st.just(Ending.COMPLETE) | _NOT_COMPLETE),
        at=at,
        lasts=draw(_LENGTHS),
        lane=draw(_mostly(Lane.MAIN, Lane.PULSE)),
        fresh=draw(st.booleans()),
        uncertain_tokens=draw(_mostly(0, 90)),
        longest_gaps=draw(st.just(()) | _gaps(at)),
    )
    if record.first_token_ns is not None and draw(_mostly(False, True)):
        record = structs.replace(record, first_token_ns=record.end_ns)
    return structs.replace(record, revisions=draw(_mostly(record.revisions, (), (OLD,), (NEW,), (OLD, NEW))))


def _mostly(usual, *rare):
    return st.sampled_from([usual] * (8 * len(rare)) + list(rare))


def _gaps(at: float) -> st.SearchStrategy[tuple[Gap, ...]]:
    return st.builds(
        lambda length, certain: (Gap(start_ns=ns(at), end_ns=ns(at + length), certain=certain),),
        _LENGTHS,
        st.booleans(),
    )


_PULSES = tuple(pulse(99.75 + 0.25 * number, fresh=number % 2 == 0) for number in range(14))
_CROSSING = (*streams(3, **LONG), *streams(2, at=101.0))


@st.composite
def _runs(draw) -> Run:
    base = draw(st.sampled_from([_CROSSING, ()])) + draw(_mostly((), _PULSES))
    records = (*base, *draw(st.lists(_records(), max_size=4)))
    late = draw(st.just([]) | st.lists(_LENGTHS, min_size=2, max_size=4))
    missing, still_open = draw(_mostly((0, 0), (1, 0), (0, 1)))
    ends = [90 + sum(late[: number + 1]) for number in range(len(late))]
    closed = len(records)
    changes = {
        "limits": draw(_limits()),
        "late": tuple(
            LateSpell(from_ns=ns(a), to_ns=ns(b)) for a, b in zip(ends[::2], ends[1::2], strict=False)
        ),
        "timeline": draw(_timelines()),
        "ledger": LedgerCount(opened=closed + missing + still_open, closed=closed, still_open=still_open),
        "script": draw(
            _mostly(
                ScriptEnd(state=State.DONE, reason="", finished=True),
                ScriptEnd(state=State.DRAIN, reason="-t", interrupted=True),
                ScriptEnd(state=State.BASELINE, reason="lost", baseline_failed=True),
                ScriptEnd(state=State.DRAIN, reason="", crash="KeyError"),
            )
        ),
        "preview": draw(_mostly(PreviewFinding(fit=True), UNFIT, None)),
    }
    judged: Run = draw(_mostly(run, plain))(records, **changes)
    return judged


def _limits() -> st.SearchStrategy[Limits]:
    return st.builds(
        Limits,
        max_error_rate=st.sampled_from([0.05, 0.3, 1.0]),
        max_5xx_rate=st.sampled_from([0.0, 1.0]),
        min_stream_completion=st.sampled_from([0.0, 0.5, 1.0]),
        max_crossing_lost=st.sampled_from([0, 1, 9]),
        min_crossing=st.sampled_from([0, 1, 3]),
        require_drain=st.booleans(),
        watch_after_s=st.just(2.0),
        max_ttft_p95_s=st.sampled_from([None, 0.04, 1.0]),
        max_gap_s=st.sampled_from([None, 1.0, 10.0]),
    )


@st.composite
def _timelines(draw) -> Timeline:
    degraded = RolloutEvent(what="degraded", seen_ns=ns(110), source="watch")
    unwatched = WatchGap(kind="pods", from_ns=ns(101), to_ns=ns(103), why="410")
    line = timeline(
        without=draw(_mostly((), *((name,) for name in (MarkName.T12, MarkName.T13, MarkName.T14)))),
        width=draw(st.sampled_from([0.02, 5.0])),
        events=draw(_mostly((), (degraded,))),
        gaps=draw(_mostly((), (unwatched,))),
    )
    drawn: Timeline = draw(_mostly(line, Timeline(), _and_back(line)))
    return drawn


def _and_back(line: Timeline) -> Timeline:
    """A second cutover 5 s after the first, to the first revision."""
    at = mark(MarkName.T8, 105.0, cutover=2, revision=OLD)
    back = Cutover(number=2, old=NEW, new=OLD, at=at, old_pods=("vllm-b2d4-x",))
    return structs.replace(line, marks=(*line.marks, at), cutovers=(*line.cutovers, back))


_RANK = {FAIL: 0, INCONCLUSIVE: 1, PASS: 2}
_CHECK_RANK = {Status.FAIL: 0, Status.INCONCLUSIVE: 1, Status.PASS: 2, Status.NOT_EXAMINED: 2}


def _never_better(before: Run, number: int, after: StreamRecord) -> None:
    records = (*before.streams[:number], after, *before.streams[number + 1 :])
    good, worse = judge(before), judge(structs.replace(before, streams=records))
    assert _RANK[worse.decision] <= _RANK[good.decision], (good, worse)
    for was, now in zip(good.checks, worse.checks, strict=True):
        assert _CHECK_RANK[now.status] <= _CHECK_RANK[was.status], (was, now)


@settings(max_examples=400)
@given(_runs(), st.data())
def test_turning_a_complete_stream_into_a_lost_one_never_improves_the_verdict(before, data):
    complete = [number for number, record in enumerate(before.streams) if record.outcome is Outcome.COMPLETE]
    if complete:
        number = data.draw(st.sampled_from(complete))
        _never_better(before, number, structs.replace(before.streams[number], ending=data.draw(_WORSE)))


@settings(max_examples=300)
@given(_runs(), st.data())
def test_our_own_failure_instead_of_a_complete_stream_never_improves_the_verdict(before, data):
    complete = [number for number, record in enumerate(before.streams) if record.outcome is Outcome.COMPLETE]
    if complete:
        number = data.draw(st.sampled_from(complete))
        own = data.draw(st.sampled_from([e for e in Ending if e.outcome is Outcome.OURS]))
        _never_better(before, number, structs.replace(before.streams[number], ending=own))


@settings(max_examples=300)
@given(_runs(), st.data())
def test_a_stream_that_the_server_itself_broke_is_never_better_than_one_that_passed_a_limit(before, data):
    limited = [number for number, record in enumerate(before.streams) if record.ending.is_deadline]
    if limited:
        number = data.draw(st.sampled_from(limited))
        record = before.streams[number]
        broken = Ending.RESET if record.outcome is Outcome.LOST else Ending.CONNECT_REFUSED
        silence = Gap(start_ns=record.last_token_ns or 0, end_ns=record.end_ns, certain=True)
        gaps = record.longest_gaps if record.last_token_ns is None else (*record.longest_gaps, silence)
        _never_better(before, number, structs.replace(record, ending=broken, longest_gaps=gaps))


@settings(max_examples=300)
@given(_runs(), st.data())
def test_a_later_first_token_or_a_longer_gap_never_improves_the_verdict(before, data):
    for number, record in data.draw(st.permutations(list(enumerate(before.streams))))[:1]:
        gap = Gap(start_ns=record.opened_ns, end_ns=record.end_ns + NS, certain=True)
        longer = structs.replace(record, longest_gaps=(*record.longest_gaps, gap))
        _never_better(before, number, longer)
        if record.first_token_ns is not None:
            _never_better(before, number, structs.replace(record, first_token_ns=record.end_ns))


@settings(max_examples=300)
@given(_runs(), st.data())
def test_refusing_a_complete_stream_never_improves_the_verdict(before, data):
    """Unless it showed something wrong itself, which a refused one cannot: a label, a silence."""
    complete = [
        number
        for number, record in enumerate(before.streams)
        if record.outcome is Outcome.COMPLETE and not record.longest_gaps
    ]
    misrouted = any(each.name == "routing" and each.status is Status.FAIL for each in judge(before).checks)
    if complete and not misrouted:
        number = data.draw(st.sampled_from(complete))
        _never_better(before, number, _refused(before.streams[number], data.draw(_REFUSED)))


def _refused(record: StreamRecord, ending: Ending) -> StreamRecord:
    return structs.replace(
        record,
        ending=ending,
        headers_ns=None,
        first_event_ns=None,
        first_token_ns=None,
        last_token_ns=None,
        tokens=0,
        revisions=(),
    )


@settings(max_examples=100)
@given(_runs())
def test_every_stream_is_in_some_cohort_and_the_certain_ones_are_possible_ones(judged):
    for member in read_cohorts(judged).members:
        assert member.cohorts
        assert member.certain - STEADY <= member.possible
