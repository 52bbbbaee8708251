"""The books of the streams: opened is noted before the connection, closed with the record."""

from midstream.run import LedgerCount
from midstream.streams.record import StreamRecord


class Ledger:
    """What was opened and closed in this process."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}  # id -> opened_ns
        self._opened = 0
        self.records: list[StreamRecord] = []

    def open(self, stream_id: str, opened_ns: int) -> None:
        """Note that a stream is about to begin."""
        self._opened += 1
        self._open[stream_id] = opened_ns

    def close(self, record: StreamRecord) -> None:
        """Note that a stream is over."""
        self._open.pop(record.id, None)
        self.records.append(record)

    @property
    def open_count(self) -> int:
        """Streams that are under way."""
        return len(self._open)

    def open_since(self, instant_ns: int) -> int:
        """Streams under way that were opened before an instant."""
        return sum(opened_ns <= instant_ns for opened_ns in self._open.values())

    def count(self) -> LedgerCount:
        """The books at this moment."""
        return LedgerCount(opened=self._opened, closed=len(self.records), still_open=len(self._open))
