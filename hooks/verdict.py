"""The verdict of a test: gathers what happened into a Run, judges it, writes the results."""

import sys
import time
from collections.abc import Sequence

import msgspec

from hooks.faces import going_on
from hooks.prove import prove
from hooks.session import Session
from hooks.settings import Mode
from midstream.contract import NOT_KEPT, stops_early, without_contract
from midstream.credential import with_credential
from midstream.promotion import Script, latest_cutover
from midstream.reports.console import write_console
from midstream.reports.report import Report, read_report
from midstream.reports.results import ResultsError, write_results, write_summary
from midstream.rollouts.client import ClusterError
from midstream.rollouts.preflight import subject_images
from midstream.rollouts.timeline import Timeline
from midstream.run import Run, ScriptEnd, State, Subject
from midstream.streams.record import StreamRecord
from midstream.verdict import Decision, Verdict, judge

PROVE_SLACK_S = 5.0  # beyond the idle limit, which a stream that fell silent is given


def conclude(session: Session) -> Report:
    """Judge the test and write its files; the console comes later, when Locust has printed its own tables."""
    run = gather(session)
    judged = judge(run)
    if judged.decision is Decision.PASS and session.settings.prove and session.tested.rollout is not None:
        session.progress.say("PASS so far; now a pod is killed under a throw-away stream (--prove)")
        limit_s = session.settings.deadlines.idle_s + PROVE_SLACK_S
        run = msgspec.structs.replace(run, control=prove(session.tested.rollout, session.load, limit_s))
        judged = judge(run)
    report = read_report(run, judged)
    try:
        write_results(session.folder, report)
    except ResultsError as error:
        report = msgspec.structs.replace(report, verdict=_unwritten(report.verdict, error))
    session.verdict = report.verdict
    why = write_summary(report)
    if why:
        session.progress.say(f"the summary file was not written: {why}")
    return report


def _unwritten(verdict: Verdict, error: ResultsError) -> Verdict:
    """A verdict that nobody can look into later is none, though what was found is still told."""
    return msgspec.structs.replace(
        verdict,
        decision=Decision.INCONCLUSIVE,
        sentence=f"INCONCLUSIVE: {error}. It would have been {verdict.sentence}",
        reasons=(str(error), *verdict.reasons),
    )


def show(session: Session, report: Report) -> None:
    """Print the report, the verdict last."""
    is_written = (session.folder / "verdict.json").exists()  # the last of the files
    with going_on(sys.stdout):
        write_console(report, sys.stdout, session.folder if is_written else None)
        sys.stdout.flush()


def gather(session: Session) -> Run:
    """What happened, as the one value that judging reads."""
    settings, promotion = session.settings, session.promotion
    timeline = Timeline() if promotion is None else promotion.timeline
    end = _script_end(session)
    streams = tuple(session.load.ledger.records)
    relaxed = stops_early(_undisturbed(streams, timeline))
    if relaxed:
        streams = without_contract(streams)
    run = Run(
        subject=_subject(session, timeline),
        limits=settings.limits,
        deadlines=settings.deadlines,
        started_ns=session.started_ns,
        stopped_ns=time.monotonic_ns(),
        wall_minus_monotonic_ns=time.time_ns() - time.monotonic_ns(),
        streams=streams,
        ledger=session.load.ledger.count(),
        script=end,
        watches_rollout=settings.mode is not Mode.PLAIN,
        timeline=timeline,
        budget=session.tested.rollout.budget if session.tested.rollout else None,
        preview=None if promotion is None else promotion.preview,
        baseline_ns=None if promotion is None else promotion.baseline_ns,
        late=session.lateness.spells,
        clocks=session.reactor.clocks(),
        open_loop=session.arrivals.loop if session.arrivals else None,
        traits_missing=(*session.tested.traits.missing, *([NOT_KEPT] if relaxed else [])),
        notes=_notes(session, end),
    )
    return with_credential(run)


def _undisturbed(streams: Sequence[StreamRecord], timeline: Timeline) -> Sequence[StreamRecord]:
    """Those that ended before anything was switched; all of them where nothing was."""
    if not timeline.cutovers:
        return streams
    switched_ns = timeline.cutovers[0].at.not_before_ns
    return [stream for stream in streams if stream.end_ns <= switched_ns]


def _notes(session: Session, end: ScriptEnd) -> tuple[str, ...]:
    planned = session.load_plan.findings
    if session.promotion is None:
        return planned
    left = () if end.finished else (session.promotion.left_as(),)
    return (*planned, *session.promotion.notes, *filter(None, left))


def _script_end(session: Session) -> ScriptEnd:
    script: Script | None = session.promotion.script if session.promotion else None
    state = script.state if script else State.BASELINE
    if session.crash:
        return ScriptEnd(state=state, reason="", crash=session.crash)
    if script is not None and script.end is not None:
        return script.end
    if session.stop_reason:
        return ScriptEnd(
            state=state, reason=session.stop_reason, interrupted=True, next_step=session.next_step
        )
    if session.settings.mode is Mode.PLAIN:
        return ScriptEnd(state=State.DONE, reason="", finished=True)
    return ScriptEnd(state=state, reason="the test was stopped from outside", interrupted=True)


def _subject(session: Session, timeline: Timeline) -> Subject:
    """With the new revision, once there is one."""
    rollout, cutover = session.tested.rollout, latest_cutover(timeline)
    if rollout is None or cutover is None:
        return session.tested.subject
    try:
        found = rollout.cluster.get("rollouts", rollout.namespace, rollout.name)
        new = found and subject_images(rollout.cluster, rollout.namespace, found, cutover.new)
    except ClusterError:
        return session.tested.subject  # the API server is away: the name of the revision is on the timeline
    return msgspec.structs.replace(session.tested.subject, new=new or None)
