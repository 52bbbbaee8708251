"""Whether the new revision is fit to be promoted, by the streams that validated it."""

from collections.abc import Sequence
from typing import NamedTuple

from midstream.run import PreviewFinding
from midstream.streams.ending import Ending, Outcome
from midstream.streams.record import StreamRecord

# Nothing of the revision answered: the data plane may not have followed yet. On a real cluster new endpoints
# were refused for up to 1.1 s after the pods were ready (facts 4).
_NOT_REACHED = frozenset(
    {Ending.NAME_UNRESOLVED, Ending.TLS_FAILED, Ending.CONNECT_REFUSED, Ending.CONNECT_TIMEOUT}
)

PREVIEW_TOKENS = 32  # of each stream that validates a new revision


class ValidatedStream(NamedTuple):
    """One stream to the new revision, read by our reader and by a second one."""

    record: StreamRecord
    disagreement: str = ""  # between the two, in one sentence (streams/second_reader.py)


def read_preview(streams: Sequence[ValidatedStream], stable: str, *, last_try: bool) -> PreviewFinding | None:
    """The finding of one round of streams; None: it says nothing yet, so try again.

    What the revision answered itself is judged at once; where the two readers disagree on that, it is in
    doubt unless another stream failed to both. Streams that did not reach it, that the stable revision
    answered, or that failed by our own doing say nothing; on the last try that is the finding.
    """
    records = [stream.record for stream in streams]
    agreed = (stream.record for stream in streams if not stream.disagreement)
    bad = next((record for record in agreed if _failed(record, last_try)), None)
    if bad is not None:
        return PreviewFinding(fit=False, streams=len(records), why=_why(bad))
    doubt = next((stream.disagreement for stream in streams if stream.disagreement), "")
    if doubt:
        return PreviewFinding(fit=None, streams=len(records), why=doubt, in_doubt=True)
    silent = next((record for record in records if record.outcome is not Outcome.COMPLETE), None)
    elsewhere = any(stable in record.revisions for record in records)
    if silent is None and not elsewhere:
        return PreviewFinding(fit=True, streams=len(records))
    if not last_try:
        return None
    why = f"revision {stable} still answered there" if silent is None else _why(silent)
    return PreviewFinding(fit=None, streams=len(records), why=f"the preview was not reached: {why}")


def _failed(record: StreamRecord, last_try: bool) -> bool:
    if record.outcome is Outcome.LOST:
        return True
    early = record.ending is Ending.RESET_BEFORE_HEADERS and not last_try  # a pod that was just leaving
    return record.outcome is Outcome.REFUSED and record.ending not in _NOT_REACHED and not early


def _why(record: StreamRecord) -> str:
    return f"{record.ending}: {record.ending.sentence} {record.evidence.error}".strip()
