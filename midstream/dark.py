"""Whether the pulses of one kind of connection are answered at present."""

import msgspec

from midstream.streams.ending import Ending, Outcome
from midstream.streams.record import StreamRecord

NS_PER_S = 1_000_000_000


class Dark(msgspec.Struct, frozen=True, kw_only=True):
    """What the pulses of a run have shown until now; instants are when a pulse was opened."""

    ended: int = 0  # those that say nothing of the service left out
    failed: int = 0
    failed_in_row: int = 0
    since_ns: int | None = None  # the first of those in a row
    last_failed_ns: int | None = None


# What came was an answer from its first token to its end: its content is for the rates to judge.
_DAMAGED = (Ending.MIXED_REVISION, Ending.REPEATED, Ending.SHORT)


def was_answered(pulse: StreamRecord) -> bool:
    """Whether a pulse shows that the service could be reached."""
    return pulse.outcome is Outcome.COMPLETE or pulse.ending in _DAMAGED


def after_pulse(dark: Dark, record: StreamRecord) -> tuple[Dark, str]:
    """One more pulse has ended: what is known now, with a line for people where that has changed."""
    if record.outcome is Outcome.OURS:
        return dark, ""
    ended = dark.ended + 1
    if was_answered(record):
        if dark.since_ns is None or record.opened_ns < dark.since_ns:
            return msgspec.structs.replace(dark, ended=ended), ""
        lasted_s = (record.opened_ns - dark.since_ns) / NS_PER_S
        words = f"pulses on {_connections(record)} are answered again after {lasted_s:.1f} s"
        return msgspec.structs.replace(dark, ended=ended, failed_in_row=0, since_ns=None), words
    begins = dark.since_ns is None
    return msgspec.structs.replace(
        dark,
        ended=ended,
        failed=dark.failed + 1,
        failed_in_row=dark.failed_in_row + 1,
        since_ns=record.opened_ns if dark.since_ns is None else min(dark.since_ns, record.opened_ns),
        last_failed_ns=max(dark.last_failed_ns or 0, record.opened_ns),
    ), f"pulses on {_connections(record)} are not answered: {record.ending}" if begins else ""


def _connections(record: StreamRecord) -> str:
    return "new connections" if record.fresh else "kept connections"
