"""One response to one stream's request, from bytes with their instants to exactly one ending."""

from typing import NamedTuple

from midstream.streams.deadlines import Deadlines
from midstream.streams.ending import Ending
from midstream.streams.http1 import ChunkedBody, Head, ResponseReader
from midstream.streams.openai import DONE, error_in_body, read_chunk
from midstream.streams.record import Evidence, StreamRecord
from midstream.streams.request import StreamRequest
from midstream.streams.sse import EventReader
from midstream.streams.straight import whole_event
from midstream.streams.tally import Tally
from midstream.streams.traits import Signs, Traits
from midstream.streams.wholeness import ending_of_body, proven_damage, server_verdict

NS_PER_S = 1_000_000_000
LAST_BYTES = 512
ERROR_LIMIT = 1_024  # characters kept of why; a server's reason phrase may fill a whole head
REFUSAL_LIMIT_BYTES = 16_384  # an error's text stands at its begin; the rest is not worth reading


class Observed(NamedTuple):
    """One stream's record with what it showed, from which traits are learnt."""

    record: StreamRecord
    signs: Signs
    body: bytes = b""  # without framing, where it was to be kept


class Exchange:
    """One attempt at one stream; sans-IO.

    Whoever has the socket tells it what happened (`connected`, `again`, `sent`, `feed`, `eof`, `reset`,
    `refuse`, `pass_deadline`, `cut`, `fail`); once `ending` is set everything else is ignored. All instants
    are ns on CLOCK_MONOTONIC. `deadline` is the next limit, which moves with what came.
    """

    __slots__ = (
        "_asked",
        "_attempt_ns",
        "_body",
        "_connected_ns",
        "_deadlines",
        "_end_ns",
        "_errno",
        "_error",
        "_events",
        "_first_event_ns",
        "_headers_ns",
        "_last_bytes",
        "_local",
        "_peer",
        "_reader",
        "_refusal",
        "_refusal_body",
        "_stale_retried",
        "_straight",
        "_tally",
        "_traits",
        "_worker",
        "ending",
        "head",
        "opened_ns",
        "phase",
        "request",
        "sent_ns",
    )

    def __init__(
        self,
        request: StreamRequest,
        traits: Traits,
        deadlines: Deadlines,
        *,
        opened_ns: int,
        worker: str = "local",
    ) -> None:
        self.request = request
        self.ending: Ending | None = None
        self.sent_ns: int | None = None
        self.head: Head | None = None
        self.phase = 0  # changes whenever `deadline` may have come nearer
        self._traits = traits
        self._deadlines = deadlines
        self.opened_ns = opened_ns
        self._worker = worker
        self._attempt_ns = opened_ns
        self._stale_retried = False
        self._reader = ResponseReader()
        self._events = EventReader()
        self._body: list[bytes] | None = [] if request.keep_body else None
        self._straight: ChunkedBody | None = None  # set while the next read may be one event
        self._refusal: Ending | None = None
        self._refusal_body = b""
        self._connected_ns: int | None = None
        self._headers_ns: int | None = None
        self._first_event_ns: int | None = None
        self._end_ns: int | None = None
        self._error = self._errno = ""
        self._last_bytes = b""
        self._local = self._peer = ""
        self._asked = request.tokens if request.contract and traits.honours_length else None
        self._tally = Tally(traits, self._asked)

    # What the socket's side tells.

    def connected(self, at_ns: int, local: str, peer: str) -> None:
        """A connection is there, new or kept."""
        self._connected_ns, self._local, self._peer = at_ns, local, peer
        self.phase += 1

    def again(self, at_ns: int) -> None:
        """The kept connection closed before a byte came: begin once more, on a fresh one."""
        self._attempt_ns, self._stale_retried = at_ns, True
        self._connected_ns = self.sent_ns = None
        self._local = self._peer = ""
        self.phase += 1

    def sent(self, at_ns: int) -> None:
        """The last byte of the request was handed to the kernel."""
        self.sent_ns = at_ns

    def feed(self, data: bytes, stamp_ns: int, not_before_ns: int, exact: bool = True) -> None:
        """Bytes of one read. The stamp dates the last of them; none is older than `not_before_ns`.

        `exact` is false where the stamp is no kernel stamp or does not date the last byte given.
        """
        if self.ending is not None:
            return
        self._last_bytes = (
            data[-LAST_BYTES:] if len(data) >= LAST_BYTES else (self._last_bytes + data)[-LAST_BYTES:]
        )
        if self._straight is not None:
            # Past the layers, where a read is one event: 7.5 -> 2.6 us each (this method alone, 2026-11-24).
            event = whole_event(data)
            if event:
                self._straight.chunks += 1
                self._read_data(event, stamp_ns if exact else not_before_ns, stamp_ns)
                return
        self._feed_layers(data, stamp_ns, not_before_ns, exact)

    def _feed_layers(self, data: bytes, stamp_ns: int, not_before_ns: int, exact: bool) -> None:
        body = self._reader.feed(data)
        if self._body is not None:
            self._body.append(body)
        if self.head is None and self._reader.head is not None:
            self._begin(self._reader.head, stamp_ns)
        if self._refusal is not None:
            self._read_refusal(body, stamp_ns)
        elif body and self.ending is None:
            self._read_events(body, stamp_ns, not_before_ns, exact)
        if self.ending is not None:
            return
        if self._reader.fault:
            self._conclude(Ending.MALFORMED, stamp_ns, self._reader.fault)
        elif self._reader.complete:
            self._conclude_whole(stamp_ns)
        else:
            self._straight = self._between_events()

    def eof(self, at_ns: int) -> None:
        """The peer's FIN."""
        missing = self._reader.eof()
        if self.head is None:
            self._conclude(self._closed_early(), at_ns, missing)
        elif missing:
            self._conclude(Ending.TRUNCATED, at_ns, missing)
        else:
            self._conclude_whole(at_ns)

    def reset(self, at_ns: int, errno: str) -> None:
        """The connection broke; `errno` is its symbol, such as ECONNRESET."""
        ending = self._closed_early() if self.head is None else Ending.RESET
        self._conclude(ending, at_ns, self._reader.eof(), errno)

    def refuse(self, ending: Ending, at_ns: int, error: str, errno: str = "") -> None:
        """No connection came about: name_unresolved, tls_failed, connect_refused, connect_timeout."""
        self._conclude(ending, at_ns, error, errno)

    def pass_deadline(self, now_ns: int) -> bool:
        """Conclude when the next limit is over; whether it was."""
        at_ns, ending = self.deadline
        if now_ns < at_ns:
            return False
        limit_s = self._deadlines.limit_s(ending)
        self._conclude(ending, now_ns, f"limit {limit_s} s passed after {self._tally.tokens()[0]} tokens")
        return True

    def cut(self, at_ns: int) -> None:
        """We stop it. Damage that was already proven stays the server's."""
        signs = self.signs
        damage = proven_damage(signs, self._traits) if server_verdict(signs) is None else None
        ending, error = damage or (Ending.CUT, "")
        self._conclude(ending, at_ns, error)

    def fail(self, at_ns: int, error: str) -> None:
        """Our own code raised; `error` is the exception in one line."""
        if self.ending is None:
            self.ending, self._end_ns, self._error = Ending.CLIENT_ERROR, at_ns, error

    # What it tells.

    @property
    def began(self) -> bool:
        """Whether a byte of the response has come."""
        return self._reader.began

    @property
    def has_token(self) -> bool:
        """Whether a token has come."""
        return self._tally.first_token_ns is not None

    @property
    def label(self) -> str:
        """The model label seen last; "" before the first."""
        return self._tally.label

    @property
    def rest(self) -> bytes:
        """Bytes behind the end of the response."""
        return self._reader.rest

    @property
    def reusable(self) -> bool:
        """Whether the connection may carry another request: all was sent, all was read."""
        return self.sent_ns is not None and self._reader.keeps_connection

    @property
    def deadline(self) -> tuple[int, Ending]:
        """The next limit, with the ending of a stream that passes it."""
        limits = self._deadlines
        if self._connected_ns is None:
            start_ns, limit_s, ending = self._attempt_ns, limits.connect_s, Ending.CONNECT_TIMEOUT
        elif self._headers_ns is None:
            start_ns, limit_s, ending = (
                self.sent_ns or self._connected_ns,
                limits.headers_s,
                Ending.NO_HEADERS,
            )
        elif self._tally.last_token_ns is not None:
            start_ns, limit_s, ending = self._tally.last_token_ns, limits.idle_s, Ending.STALLED
        elif self._refusal is not None:  # the body of an error: its text is evidence, its status the ending
            start_ns, limit_s, ending = self._headers_ns, limits.idle_s, self._refusal
        else:
            start_ns, limit_s = self.sent_ns or self._connected_ns, limits.first_token_s
            ending = Ending.NO_FIRST_TOKEN
        total_ns = self.opened_ns + int(limits.total_s * NS_PER_S)
        return min((start_ns + int(limit_s * NS_PER_S), ending), (total_ns, Ending.TIMED_OUT))

    @property
    def signs(self) -> Signs:
        """What the stream has shown until now."""
        return self._tally.signs(framed=self._reader.complete)

    def observed(self) -> Observed:
        """The record of a stream that has ended, with what it showed."""
        return Observed(self.record(), self.signs, b"".join(self._body or ()))

    def record(self) -> StreamRecord:
        """The record of a stream that has ended."""
        if self.ending is None or self._end_ns is None:
            raise RuntimeError(f"stream {self.request.id} has not ended")
        signs, request = self.signs, self.request
        whole = self.ending is Ending.COMPLETE
        last_bytes = "" if whole else self._last_bytes.decode("utf-8", "backslashreplace")
        return StreamRecord(
            id=request.id,
            scenario=request.scenario,
            lane=request.lane,
            fresh=request.fresh,
            worker=self._worker,
            ending=self.ending,
            scheduled_ns=request.scheduled_ns,
            opened_ns=self.opened_ns,
            end_ns=self._end_ns,
            connected_ns=self._connected_ns,
            sent_ns=self.sent_ns,
            headers_ns=self._headers_ns,
            first_event_ns=self._first_event_ns,
            first_token_ns=self._tally.first_token_ns,
            last_token_ns=self._tally.last_token_ns,
            status=self.head.status if self.head is not None else None,
            finish_reason=signs.finish_reason,
            tokens=signs.tokens,
            token_source=signs.token_source,
            asked_tokens=self._asked,
            uncertain_tokens=self._tally.uncertain_tokens,
            gap_counts=self._tally.silences.counts,
            longest_gaps=self._tally.silences.longest(),
            revisions=signs.labels,
            local=self._local,
            peer=self._peer,
            stale_retried=self._stale_retried,
            evidence=Evidence(last_bytes=last_bytes, error=self._error, errno=self._errno),
        )

    # From bytes to events.

    def _begin(self, head: Head, at_ns: int) -> None:
        self.head, self._headers_ns = head, at_ns
        self.phase += 1
        kinds = [value.partition(";")[0].strip() for value in head.values("content-type")]
        codings = [value for value in head.values("content-encoding") if value not in ("", "identity")]
        self._refusal = _refusal(head.status, kinds)
        if self._refusal is None and codings:
            coding = f"content-encoding is {', '.join(codings)}, although identity was asked"
            self._conclude(Ending.MALFORMED, at_ns, coding)

    def _read_refusal(self, body: bytes, at_ns: int) -> None:
        self._refusal_body += body
        over = len(self._refusal_body) > REFUSAL_LIMIT_BYTES
        if self._refusal is not None and (over or self._reader.complete or self._reader.fault):
            self._conclude(self._refusal, at_ns)

    def _read_events(self, body: bytes, stamp_ns: int, not_before_ns: int, exact: bool) -> None:
        framing = self._reader.body
        # A stamp dates the last byte of its read. Behind an event only its own chunk's CR LF may stand.
        dated_end = len(body) if exact and framing is not None and framing.settled else -1
        for event in self._events.feed(body):
            lo_ns = stamp_ns if event.end == dated_end else not_before_ns
            if event.type != "error" or self._tally.done or event.data == DONE:
                self._read_data(event.data, lo_ns, stamp_ns)
            else:
                self._read_error(event.data, stamp_ns)
            if self.ending is not None:
                return
        if self._events.fault:
            self._conclude(Ending.MALFORMED, stamp_ns, self._events.fault)

    def _read_data(self, data: bytes, lo_ns: int, hi_ns: int) -> None:
        if self._first_event_ns is None:
            self._first_event_ns = hi_ns
        tally = self._tally
        if tally.done:
            self._conclude(Ending.MALFORMED, hi_ns, f"an event came after [DONE]: {data[:80]!r}")
            return
        if data == DONE:
            tally.done = True
            return
        try:
            chunk = read_chunk(data)
        except ValueError as error:
            self._conclude(Ending.MALFORMED, hi_ns, str(error))
            return
        flowed = tally.first_token_ns is not None
        tally.add(chunk, lo_ns, hi_ns)
        if not flowed and tally.first_token_ns is not None:
            self.phase += 1

    def _read_error(self, data: bytes, at_ns: int) -> None:
        """An event of type `error`, whose data need not be JSON."""
        if self._first_event_ns is None:
            self._first_event_ns = at_ns
        self._tally.error = error_in_body(data)

    def _between_events(self) -> ChunkedBody | None:
        """The body, where the next read may be read straight: tokens flow, nothing is half read."""
        body = self._reader.body
        if self._body is not None or self._tally.first_token_ns is None or not isinstance(body, ChunkedBody):
            return None
        return body if body.between_chunks and self._events.between_events else None

    # The end.

    def _closed_early(self) -> Ending:
        never_began = self._stale_retried and not self._reader.began
        return Ending.STALE_CONNECTION if never_began else Ending.RESET_BEFORE_HEADERS

    def _conclude_whole(self, at_ns: int) -> None:
        ending, error = ending_of_body(self.signs, self._traits, self.request.tokens, self.request.contract)
        self._conclude(ending, at_ns, error)

    def _conclude(self, ending: Ending, at_ns: int, error: str = "", errno: str = "") -> None:
        """Set the ending once; a status or error that the server wrote outlasts the connection's end."""
        if self.ending is not None:
            return
        told = server_verdict(self.signs)
        if self._refusal is not None and self.head is not None:
            text = error_in_body(self._refusal_body) or error
            ending, error = self._refusal, f"{self.head.status} {self.head.reason}: {text}"
        elif told is not None:
            ending, error = told
        self.ending, self._end_ns, self._error, self._errno = ending, at_ns, error[:ERROR_LIMIT], errno


def _refusal(status: int, kinds: list[str]) -> Ending | None:
    """What the head alone tells; None for a success that is an event stream."""
    if status == 429:
        return Ending.HTTP_429
    if status >= 500:
        return Ending.HTTP_5XX
    if not 200 <= status < 300:
        return Ending.HTTP_4XX
    return None if kinds[:1] == ["text/event-stream"] else Ending.NOT_SSE
