"""Causes that stand beside no lost stream: an unfit revision, a slow one, a key of ours that died."""

from collections.abc import Iterator

from midstream.causes.cause import Cause
from midstream.checks.check import is_unfit
from midstream.checks.doubt import dated_by
from midstream.cohorts import NS_PER_S, Cohorts
from midstream.first_tokens import slower_starts
from midstream.run import Run
from midstream.streams.ending import Ending


def unfit(run: Run) -> Iterator[Cause]:
    """What validating the new revision before its promotion showed."""
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


def slow_first_tokens(run: Run, cohorts: Cohorts) -> Iterator[Cause]:
    """A new revision whose first tokens alone are beyond --max-ttft-p95."""
    limit_s = run.limits.max_ttft_p95_s
    for slower in slower_starts(run, cohorts):
        if limit_s is None or slower.new_least_ns <= limit_s * NS_PER_S:
            continue
        yield Cause(
            line=slower.sentence,
            cause="slow_first_tokens",
            why="the new revision is slow to its first tokens",
            streams=slower.streams,
            evidence=(f"TTFT of {slower.streams} streams on revision {slower.new}, {dated_by(run.clocks)}",),
            mend="warm the new revision up before its promotion (requests through the preview Service), and "
            "compare its prefill with the old one's under the same load",
        )


def dead_key(run: Run) -> Iterator[Cause]:
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
