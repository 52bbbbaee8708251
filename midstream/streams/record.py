"""The facts of one stream, kept as instants and counts from which every figure is derived later."""

from enum import StrEnum

import msgspec

from midstream.streams.ending import Ending, Outcome


class Lane(StrEnum):
    """Which of the two loads a stream belongs to."""

    MAIN = "main"  # long streams: can they be kept?
    PULSE = "pulse"  # short streams on a schedule: can the service be reached?


class TokenSource(StrEnum):
    """What the token count rests on, best first."""

    IDS = "ids"
    USAGE = "usage"
    EVENTS = "events"


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A silence between two token-bearing events.

    `certain` is false when an end of it was read together with later bytes, so that its instant is
    an interval (the kernel's stamp dates the last byte of a read); such a gap is an upper bound.
    """

    start_ns: int
    end_ns: int
    certain: bool

    @property
    def length_ns(self) -> int:
        """How long the silence was."""
        return self.end_ns - self.start_ns


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an ending was told from; the last bytes only where the stream was not complete."""

    last_bytes: str = ""  # at most 512, undecodable ones escaped
    error: str = ""  # the server's error text, or ours
    errno: str = ""  # symbolic: ECONNRESET


class StreamRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One stream, from the intent to send to its end.

    Every `_ns` is CLOCK_MONOTONIC of the machine that judges; None means that the moment never came.
    """

    id: str  # sent as X-Request-Id
    scenario: str
    lane: Lane
    fresh: bool  # on a connection opened for it
    worker: str
    ending: Ending
    scheduled_ns: int  # when the load wanted it: equals opened_ns in a closed loop
    opened_ns: int  # before the connection was begun
    end_ns: int
    connected_ns: int | None = None
    sent_ns: int | None = None
    headers_ns: int | None = None
    first_event_ns: int | None = None
    first_token_ns: int | None = None
    last_token_ns: int | None = None
    status: int | None = None
    finish_reason: str | None = None
    tokens: int = 0
    token_source: TokenSource = TokenSource.EVENTS
    asked_tokens: int | None = None  # the length contract; None: none was made
    uncertain_tokens: int = 0  # tokens whose instant is an interval
    gap_counts: dict[int, int] = msgspec.field(
        default_factory=dict
    )  # bucket -> gaps; streams/gaps.py has the rule
    longest_gaps: tuple[Gap, ...] = ()
    revisions: tuple[str, ...] = ()  # labels in the order they were first seen
    local: str = ""
    peer: str = ""
    stale_retried: bool = False  # repeated once after a keep-alive race
    evidence: Evidence = Evidence()

    @property
    def outcome(self) -> Outcome:
        """The group this stream's ending counts in."""
        return self.ending.outcome

    @property
    def ttft_ns(self) -> int | None:
        """Time to first token: first_token_ns - sent_ns (facts 7; a chat role event is no token)."""
        if self.first_token_ns is None or self.sent_ns is None:
            return None
        return self.first_token_ns - self.sent_ns

    @property
    def tpot_ns(self) -> float | None:
        """Time per output token: (last_token_ns - first_token_ns) / (tokens - 1)."""
        if self.first_token_ns is None or self.last_token_ns is None or self.tokens < 2:
            return None
        return (self.last_token_ns - self.first_token_ns) / (self.tokens - 1)

    def open_at(self, instant_ns: int) -> bool:
        """Whether the stream had been sent and was not over at that instant."""
        return self.sent_ns is not None and self.sent_ns <= instant_ns < self.end_ns
