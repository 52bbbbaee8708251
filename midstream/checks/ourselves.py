"""Whether the test itself can be trusted."""

from midstream.checks.check import Answer, Status, is_unfit, percent, seconds
from midstream.checks.rates import count_endings
from midstream.cohorts import Cohorts
from midstream.run import Run, State
from midstream.streams.ending import Ending, Outcome
from midstream.streams.record import Lane

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
    next_step = "let the test run to its end (-t is only an upper limit)"
    if not end.interrupted:
        next_step = _NEXT_STEP[end.state]
    reason = end.reason or "the test was stopped"
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
    trigger_ns = run.baseline_ns[1]
    count = count_endings((stream for stream in run.streams if stream.end_ns <= trigger_ns), run)
    errors = count.streams - count.complete
    share = errors / count.streams if count.streams else 0.0
    words = f"{errors} of {count.streams} streams lost or refused before the trigger"
    status = Status.INCONCLUSIVE if share > run.limits.max_error_rate else Status.PASS
    return Answer(status, percent(share), limit, words, "streams that ended before the trigger")


def ourselves(run: Run, _: Cohorts) -> Answer:
    """Whether the load generator itself held: endings of our own making could hide a failed service.

    Streams that we stopped on purpose are left out: that is how a test ends.
    """
    limit = f"<= {percent(run.limits.max_error_rate)} by our own doing"
    if run.script.crash:
        return Answer(Status.INCONCLUSIVE, "failed", limit, f"a part of ours failed: {run.script.crash}")
    own = [
        stream
        for stream in run.streams
        if stream.lane is Lane.MAIN and stream.outcome is Outcome.OURS and stream.ending is not Ending.CUT
    ]
    count = count_endings(run.streams, run)
    whole = count.streams + len(own)
    share = (count.streams - count.complete + len(own)) / whole if own else 0.0
    late_ns = sum(spell.length_ns for spell in run.late)
    observed = f"{len(own)} streams, late {seconds(late_ns)}"
    if share <= run.limits.max_error_rate:
        return Answer(Status.PASS, observed, limit, "the load generator held", "own endings, own delay")
    kinds = ", ".join(sorted({stream.ending.value for stream in own}))
    why = f"{len(own)} of {whole} streams say nothing of the service ({kinds}), enough to hide a failure"
    return Answer(Status.INCONCLUSIVE, observed, limit, why)
