"""How a stream can end: the closed list that every verdict rests on."""

from enum import StrEnum
from typing import NamedTuple


class Outcome(StrEnum):
    """The group of an ending, which is what rates are computed from."""

    COMPLETE = "complete"
    LOST = "lost"  # a stream was promised and not delivered whole
    REFUSED = "refused"  # it never began
    OURS = "ours"  # says nothing of the service


class Ending(StrEnum):
    """Each way a stream can end. `[DONE]` and HTTP 200 prove nothing (facts 2), so neither has a member."""

    COMPLETE = "complete"
    ABORTED = "aborted"
    ERROR_EVENT = "error_event"
    ENDED_EARLY = "ended_early"
    TRUNCATED = "truncated"
    RESET = "reset"
    STALLED = "stalled"
    NO_FIRST_TOKEN = "no_first_token"
    TIMED_OUT = "timed_out"
    NO_DONE = "no_done"
    SHORT = "short"
    REPEATED = "repeated"
    MIXED_REVISION = "mixed_revision"
    MALFORMED = "malformed"
    NAME_UNRESOLVED = "name_unresolved"
    TLS_FAILED = "tls_failed"
    CONNECT_REFUSED = "connect_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    RESET_BEFORE_HEADERS = "reset_before_headers"
    NO_HEADERS = "no_headers"
    HTTP_429 = "http_429"
    HTTP_4XX = "http_4xx"
    HTTP_5XX = "http_5xx"
    NOT_SSE = "not_sse"
    STALE_CONNECTION = "stale_connection"
    CREDENTIAL = "credential"
    CUT = "cut"
    CLIENT_ERROR = "client_error"

    @property
    def outcome(self) -> Outcome:
        """The group this ending counts in."""
        return ENDINGS[self].outcome

    @property
    def sentence(self) -> str:
        """One sentence for people."""
        return ENDINGS[self].sentence

    @property
    def is_deadline(self) -> bool:
        """Whether a limit of ours ended the stream, so that our own delay could have caused it."""
        return ENDINGS[self].is_deadline


class EndingFact(NamedTuple):
    """What is fixed about an ending."""

    outcome: Outcome
    sentence: str
    is_deadline: bool = False


ENDINGS: dict[Ending, EndingFact] = {
    Ending.COMPLETE: EndingFact(Outcome.COMPLETE, "Every part that this server promises arrived."),
    Ending.ABORTED: EndingFact(Outcome.LOST, "The server said itself that it aborted the stream."),
    Ending.ERROR_EVENT: EndingFact(Outcome.LOST, "An error event came inside the stream."),
    Ending.ENDED_EARLY: EndingFact(Outcome.LOST, "The body ended cleanly, without a finish_reason."),
    Ending.TRUNCATED: EndingFact(Outcome.LOST, "The connection closed within the body."),
    Ending.RESET: EndingFact(Outcome.LOST, "The connection was reset within the body."),
    Ending.STALLED: EndingFact(
        Outcome.LOST, "No token came for the idle limit; the socket stayed open.", True
    ),
    Ending.NO_FIRST_TOKEN: EndingFact(Outcome.LOST, "Headers came, but no token within its limit.", True),
    Ending.TIMED_OUT: EndingFact(Outcome.LOST, "The stream was not over within the total limit.", True),
    Ending.NO_DONE: EndingFact(Outcome.LOST, "A finish_reason came, but not the [DONE] this server sends."),
    Ending.SHORT: EndingFact(Outcome.LOST, "Fewer tokens came than the request fixed."),
    Ending.REPEATED: EndingFact(Outcome.LOST, "Tokens came twice or out of order."),
    Ending.MIXED_REVISION: EndingFact(Outcome.LOST, "One stream carried the labels of two revisions."),
    Ending.MALFORMED: EndingFact(Outcome.LOST, "The bytes broke HTTP, SSE or JSON."),
    Ending.NAME_UNRESOLVED: EndingFact(Outcome.REFUSED, "The host's name did not resolve."),
    Ending.TLS_FAILED: EndingFact(Outcome.REFUSED, "The TLS handshake failed."),
    Ending.CONNECT_REFUSED: EndingFact(Outcome.REFUSED, "The connection was refused."),
    Ending.CONNECT_TIMEOUT: EndingFact(Outcome.REFUSED, "No connection within its limit.", True),
    Ending.RESET_BEFORE_HEADERS: EndingFact(
        Outcome.REFUSED, "The connection ended before the whole head had come."
    ),
    Ending.NO_HEADERS: EndingFact(Outcome.REFUSED, "No response head within its limit.", True),
    Ending.HTTP_429: EndingFact(Outcome.REFUSED, "The server answered 429, too many requests."),
    Ending.HTTP_4XX: EndingFact(
        Outcome.REFUSED, "The server answered with another status below 500 that is no success."
    ),
    Ending.HTTP_5XX: EndingFact(Outcome.REFUSED, "The server answered with a status of 500 or above."),
    Ending.NOT_SSE: EndingFact(Outcome.REFUSED, "The answer was a success, but no event stream."),
    Ending.STALE_CONNECTION: EndingFact(
        Outcome.OURS,
        "A kept connection was closed under the request, and the repeat on a fresh one failed too.",
    ),
    Ending.CREDENTIAL: EndingFact(
        Outcome.OURS, "Both revisions refused a credential that the baseline accepted."
    ),
    Ending.CUT: EndingFact(Outcome.OURS, "We stopped it."),
    Ending.CLIENT_ERROR: EndingFact(Outcome.OURS, "Our own code failed."),
}
