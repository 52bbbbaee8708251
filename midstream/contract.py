"""Whether a server keeps the length contract in long streams, which a short probe cannot show."""

from collections.abc import Iterable, Sequence

import msgspec

from midstream.streams.ending import Ending
from midstream.streams.record import StreamRecord

# Above this share an early `stop` is how the server ends, below it a loss that a gateway hides (design 3).
RULE_SHARE = 0.2
FEWEST = 3  # early stops that make a rule
NOT_KEPT = "the exact number of tokens asked in long streams (many end early with `stop`)"


def stops_early(undisturbed: Iterable[StreamRecord]) -> bool:
    """Whether early stops are the rule among streams that no update disturbed.

    Share = early stops / (complete + early stops).
    """
    early = whole = 0
    for record in undisturbed:
        early += is_early_stop(record)
        whole += record.ending is Ending.COMPLETE
    return early >= FEWEST and early > RULE_SHARE * (early + whole)


def is_early_stop(record: StreamRecord) -> bool:
    """A stream with fewer tokens than asked that the server itself called finished."""
    return record.ending is Ending.SHORT and record.finish_reason == "stop"


def without_contract(records: Sequence[StreamRecord]) -> tuple[StreamRecord, ...]:
    """The records as they read where the number of tokens is not demanded."""
    return tuple(
        msgspec.structs.replace(record, ending=Ending.COMPLETE) if is_early_stop(record) else record
        for record in records
    )
