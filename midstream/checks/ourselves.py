"""Whether the test itself can be trusted."""

import math
from collections.abc import Sequence

from midstream.checks.check import Answer, Status, is_in_doubt, is_unfit, nothing_finished, percent, seconds
from midstream.checks.rates import Count, count_endings
from midstream.cohorts import NS_PER_S, Cohorts
from midstream.run import Run, State
from midstream.streams.ending import Ending, Outcome
from midstream.streams.record import Lane, StreamRecord

# Of the idle limit: a stream that was silent for so long when we cut it may have been lost already.
SILENT_SHARE = 0.2
SLIP_LIMIT_S = 1.0  # of a stream that lasts a minute: later, other streams are open than the plan means

_NEXT_STEP: dict[State, str] = {
    State.PREFLIGHT: "see the message above",
    State.BASELINE: "see whether the service holds this load without any promotion (--host URL)",
    State.TRIGGER: "see whether the Rollout can be changed: kubectl describe rollout",
    State.PREVIEW: "see why the new pods are not ready (kubectl get pods), or raise --preview-limit",
    State.PROMOTE: "promote, or raise --cutover-limit",
    State.CUTOVER: "see whether the Argo Rollouts controller runs, or raise --cutover-limit",
    State.DRAIN: "see why the old pods do not end (kubectl get pods), or raise --drain-limit",
    State.QUIET: "shorten the streams, or raise --quiet-limit",
    State.DONE: "run it again",
}
# What the Rollout did by itself before its cutover ends the script in whatever state that is.
_NEXT_AFTER: dict[str, str] = {
    "aborted": "see who or what aborted it: kubectl describe rollout, kubectl get analysisruns",
    "degraded": "see why: kubectl describe rollout, kubectl get pods",
    "deleted": "see who deleted it",
}
_LOOK_AT_PREVIEW = "look at one of its streams (python -m midstream smoke --rollout NAMESPACE/NAME --preview)"


def script(run: Run, _: Cohorts) -> Answer:
    """Whether the test went through all its states."""
    end, limit = run.script, "finished"
    if end.crash:
        why = f"a part of the test itself failed in state {end.state}: {end.crash}"
        return Answer(Status.INCONCLUSIVE, f"failed in {end.state}", limit, why)
    if end.finished:
        return Answer(Status.PASS, "finished", limit, "the test went through all its states")
    observed = f"stopped in {end.state}"
    if is_unfit(run):
        return Answer(Status.NOT_EXAMINED, observed, limit, "an unfit revision is not promoted")
    next_step = end.next_step or "let the test run to its end (-t is only an upper limit)"
    if not end.interrupted:
        did = [event.what for event in run.timeline.events if event.what in _NEXT_AFTER]
        of_itself = bool(did) and not run.timeline.cutovers
        of_state = _NEXT_AFTER[did[0]] if of_itself else _NEXT_STEP[end.state]
        next_step = _LOOK_AT_PREVIEW if is_in_doubt(run) else of_state
    reason = end.reason.rstrip(".") or "the test was stopped"
    return Answer(
        Status.INCONCLUSIVE, observed, limit, f"stopped in state {end.state}: {reason}. Next: {next_step}"
    )


def ledger(run: Run, _: Cohorts) -> Answer:
    """Whether every stream that was opened is accounted for: opened = closed + still open, all recorded."""
    books, limit = run.ledger, "opened = closed + open"
    observed = f"{books.opened} = {books.closed} + {books.still_open}"
    if books.workers_lost:
        why = f"lost with their streams: worker {', '.join(books.workers_lost)}"
        return Answer(Status.INCONCLUSIVE, observed, limit, why)
    if books.opened != books.closed + books.still_open:
        missing = abs(books.opened - books.closed - books.still_open)
        why = f"{missing} streams are not accounted for"
        return Answer(Status.INCONCLUSIVE, observed.replace("=", "!="), limit, why)
    if books.closed != len(run.streams):
        why = f"{books.closed} streams were closed, but {len(run.streams)} have a record"
        return Answer(Status.INCONCLUSIVE, observed, limit, why)
    return Answer(Status.PASS, observed, limit, "every stream is accounted for", "reports of every worker")


def baseline(run: Run, _: Cohorts) -> Answer:
    """Whether the service was well before anything was triggered.

    That the baseline broke is decided once, by the script while it ran, and voids the other checks.
    Losses found here only make this check INCONCLUSIVE: else one more early loss would turn a proven FAIL
    into something better.
    """
    limit = f"<= {percent(run.limits.max_error_rate)} lost or refused"
    if run.script.baseline_failed:
        return Answer(Status.INCONCLUSIVE, "failed", limit, run.script.reason)
    if run.baseline_ns is None:
        if is_unfit(run):
            return Answer(Status.NOT_EXAMINED, "none", limit, "no baseline was held")
        return Answer(Status.INCONCLUSIVE, "none", limit, "there was no undisturbed time before the update")
    since_ns, trigger_ns = run.baseline_ns
    count = count_endings((stream for stream in run.streams if since_ns < stream.end_ns <= trigger_ns), run)
    errors = count.streams - count.complete
    share = errors / count.streams if count.streams else 0.0
    words = f"{errors} of {count.streams} streams lost or refused before the trigger"
    if not count.streams:
        words = "no stream was lost before the trigger, none had to end so early"
    status = Status.INCONCLUSIVE if share > run.limits.max_error_rate else Status.PASS
    return Answer(status, percent(share), limit, words, "streams that ended within the baseline")


def ourselves(run: Run, _: Cohorts) -> Answer:
    """Whether the load generator itself held: endings of our own making could hide a failed service.

    They hide one where a rate of the main lane would be beyond its limit if each of them had been what
    that rate counts. Streams that we stopped while they flowed are left out: that is how a test ends.
    """
    limit = "too few by our own doing to change a rate"
    if run.script.crash:
        return Answer(Status.INCONCLUSIVE, "failed", limit, f"a part of ours failed: {run.script.crash}")
    own = [stream for stream in run.streams if stream.lane is Lane.MAIN and _hides_something(stream, run)]
    late_ns = sum(spell.length_ns for spell in run.late)
    observed = f"{len(own)} streams, {seconds(late_ns)} late"
    count = count_endings(run.streams, run)
    hidden = [name for name, is_beyond in _if_lost(count, own, run).items() if is_beyond]
    if not own or not hidden:
        return Answer(Status.PASS, observed, limit, "the load generator held", "own endings, own delay")
    kinds = ", ".join(sorted({stream.ending.value for stream in own}))
    why = (
        f"{len(own)} of {count.streams + len(own)} streams say nothing of the service ({kinds}), enough to "
        f"hide a failure ({', '.join(hidden)})"
    )
    return Answer(Status.INCONCLUSIVE, observed, limit, why)


def negative_control(run: Run, _: Cohorts) -> Answer:
    """Whether a stream that was killed on purpose was called lost: a PASS of who sees no loss is none."""
    limit, control = ">= 1 lost", run.control
    if control is None:
        return Answer(Status.NOT_EXAMINED, "none", limit, "no negative control was asked for (--prove)")
    observed = f"{control.lost} lost of {control.streams}"
    if not control.lost:
        why = control.why or f"none of {control.streams} streams was lost when pod {control.pod} was killed"
        return Answer(Status.INCONCLUSIVE, observed, limit, f"the negative control showed nothing: {why}")
    why = f"when pod {control.pod} was killed, {control.lost} of {control.streams} streams were called lost"
    return Answer(Status.PASS, observed, limit, why, "throw-away streams after the test")


def arrivals(run: Run, _: Cohorts) -> Answer:
    """Whether the load of an open loop was the one asked for: streams began when they were due.

    The slip is opened - scheduled, of each main stream. Shed arrivals are told; they are the service's doing
    where streams take too long.
    """
    limit = f"slip p95 <= {SLIP_LIMIT_S:g} s"
    slips_ns = sorted(
        stream.opened_ns - stream.scheduled_ns for stream in run.streams if stream.lane is Lane.MAIN
    )
    if not slips_ns or run.open_loop is None:
        return nothing_finished(limit)
    p95_ns = slips_ns[math.ceil(0.95 * len(slips_ns)) - 1]
    loop = run.open_loop
    observed = f"{seconds(p95_ns)}, {loop.shed} of {loop.offered} shed"
    if p95_ns > SLIP_LIMIT_S * NS_PER_S:
        why = (
            f"the load generator was too slow: a twentieth of the arrivals began {seconds(p95_ns)} late or "
            "later; lower --arrivals, or give it more CPU"
        )
        return Answer(Status.INCONCLUSIVE, observed, limit, why)
    shed = f"; {loop.shed} were shed, as {loop.most_open} were open (--max-inflight)" if loop.shed else ""
    why = f"{loop.offered} arrivals at {loop.rate:g}/s began when they were due{shed}"
    return Answer(Status.PASS, observed, limit, why, "scheduled and opened instants of the records")


def _hides_something(stream: StreamRecord, run: Run) -> bool:
    if stream.ending is not Ending.CUT:
        return stream.outcome is Outcome.OURS
    heard_ns = stream.last_token_ns or stream.headers_ns or stream.opened_ns
    return stream.end_ns - heard_ns > SILENT_SHARE * run.deadlines.idle_s * NS_PER_S


def _if_lost(count: Count, own: Sequence[StreamRecord], run: Run) -> dict[str, bool]:
    """Which rates would be beyond their limits if every ending of ours were the service's."""
    limits, whole = run.limits, count.streams + len(own)
    begun = count.complete + count.lost + len(own)
    unanswered = sum(stream.status is None for stream in own)
    return {
        "error_rate": (whole - count.complete) > limits.max_error_rate * whole,
        "5xx_rate": (count.refused_5xx + unanswered) > limits.max_5xx_rate * whole,
        "completion": count.complete < limits.min_stream_completion * begun,
    }
