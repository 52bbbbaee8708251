"""Causes that stand beside no lost stream: an unfit revision, a key of ours that died."""

from collections.abc import Iterator

from midstream.causes.cause import Cause
from midstream.checks.check import is_unfit
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
