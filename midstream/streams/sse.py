"""The WHATWG event-stream format, read piece by piece."""

import re
from typing import NamedTuple

EVENT_LIMIT_BYTES = 10 * 1024 * 1024

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\r|\n")


class Event(NamedTuple):
    """One dispatched event. `data` are its raw bytes: they need not be valid UTF-8."""

    type: str
    data: bytes
    last_id: str
    end: int  # offset in the fed piece just behind the blank line that dispatched it


class EventReader:
    """Feed it body bytes cut anywhere; an event not closed by a blank line at the end is never dispatched.

    `fault` becomes a sentence when one event passes its size limit; events before it were still returned.
    Rules: html.spec.whatwg.org, 9.2.6 Interpreting an event stream.
    """

    def __init__(self, limit_bytes: int = EVENT_LIMIT_BYTES) -> None:
        self.fault = ""
        self.retry_ms: int | None = None
        self._limit_bytes = limit_bytes
        self._at_start = True
        self._held = b""  # the begin of what may be a BOM
        self._after_cr = False
        self._line_pieces: list[bytes] = []
        self._line_size = 0
        self._data: list[bytes] = []
        self._data_size = 0
        self._type = b""
        self._last_id = b""

    def feed(self, piece: bytes) -> list[Event]:
        """The events that this piece completes."""
        if self._at_start:
            return self._feed_start(piece)
        return self._feed_lines(piece, 0)

    @property
    def between_events(self) -> bool:
        """Whether the next byte begins an event's first line."""
        begun = self._at_start or self._after_cr or self._line_size or self._data or self._type
        return not begun and not self.fault

    def _feed_start(self, piece: bytes) -> list[Event]:
        """Read over one BOM, which may come in three pieces."""
        joined = self._held + piece
        if len(joined) < len(_BOM) and _BOM.startswith(joined):
            self._held = joined
            return []
        held, self._held, self._at_start = len(self._held), b"", False
        begin = len(_BOM) if joined.startswith(_BOM) else 0
        return [event._replace(end=event.end - held) for event in self._feed_lines(joined, begin)]

    def _feed_lines(self, piece: bytes, begin: int) -> list[Event]:
        events: list[Event] = []
        if self.fault or begin == len(piece):
            return events
        if self._after_cr:
            self._after_cr = False
            if piece.startswith(b"\n", begin):
                begin += 1
        for ending in _LINE_END.finditer(piece, begin):
            line = self._whole_line(piece[begin : ending.start()])
            begin = ending.end()
            if self._data_size + len(line) > self._limit_bytes:
                self._too_long()
                return events
            if line:
                self._field(line)
            else:
                self._dispatch(events, begin)
        self._after_cr = piece.endswith(b"\r")
        self._keep(piece[begin:])
        return events

    def _whole_line(self, end: bytes) -> bytes:
        if not self._line_size:
            return end
        line = b"".join([*self._line_pieces, end])
        self._line_pieces.clear()
        self._line_size = 0
        return line

    def _keep(self, begin_of_line: bytes) -> None:
        if begin_of_line:
            self._line_pieces.append(begin_of_line)
            self._line_size += len(begin_of_line)
            if self._data_size + self._line_size > self._limit_bytes:
                self._too_long()

    def _too_long(self) -> None:
        self.fault = f"one event is longer than {self._limit_bytes} bytes"
        self._line_pieces.clear()
        self._data.clear()

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._data_size += len(value) + 1
        elif name == b"event":
            self._type = value
        elif name == b"id" and b"\0" not in value:
            self._last_id = value
        elif name == b"retry" and value.isdigit():
            self.retry_ms = int(value[:18])

    def _dispatch(self, events: list[Event], end: int) -> None:
        if self._data:
            kind = self._type.decode("utf-8", "replace") or "message"
            events.append(Event(kind, b"\n".join(self._data), self._id_text(), end))
        self._data.clear()
        self._data_size = 0
        self._type = b""

    def _id_text(self) -> str:
        return self._last_id.decode("utf-8", "replace") if self._last_id else ""
