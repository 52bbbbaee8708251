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
    def on_the_wire(self) -> str:
        """What a capture of the connection shows."""
        return ENDINGS[self].on_the_wire

    @property
    def usual_cause(self) -> str:
        """Who usually brings it about; a hint, where causes.py has evidence."""
        return ENDINGS[self].usual_cause

    @property
    def is_deadline(self) -> bool:
        """Whether a limit of ours ended the stream, so that our own delay could have caused it."""
        return ENDINGS[self].is_deadline


class EndingFact(NamedTuple):
    """What is fixed about an ending."""

    outcome: Outcome
    sentence: str
    on_the_wire: str
    usual_cause: str
    is_deadline: bool = False


_COMPLETE, _LOST, _REFUSED, _OURS = Outcome.COMPLETE, Outcome.LOST, Outcome.REFUSED, Outcome.OURS
ENDINGS: dict[Ending, EndingFact] = {
    Ending.COMPLETE: EndingFact(
        _COMPLETE,
        "Every part that this server promises arrived.",
        "a finish_reason, [DONE], all tokens asked, the body's end as its framing says",
        "a server that finished its work",
    ),
    Ending.ABORTED: EndingFact(
        _LOST,
        "The server said itself that it aborted the stream.",
        "finish_reason abort, then often usage, [DONE] and a clean end",
        "vLLM at SIGTERM without --shutdown-timeout",
    ),
    Ending.ERROR_EVENT: EndingFact(
        _LOST,
        "An error event came inside the stream.",
        "an error object or finish_reason error after HTTP 200, then often [DONE] and a clean end",
        "an engine process that died; a gateway whose upstream was cut",
    ),
    Ending.ENDED_EARLY: EndingFact(
        _LOST,
        "The body ended cleanly, without a finish_reason.",
        "the last chunk or FIN of a sound body, but no finish_reason; [DONE] with or without it",
        "a proxy that turns an upstream's cut into a clean end; vLLM that answers during its drain",
    ),
    Ending.TRUNCATED: EndingFact(
        _LOST,
        "The connection closed within the body.",
        "FIN before the last chunk or before Content-Length bytes",
        "a server process that was killed; a proxy's read timeout",
    ),
    Ending.RESET: EndingFact(
        _LOST,
        "The connection was reset within the body.",
        "RST after the head",
        "a process that ended with unread data; a load balancer or firewall that dropped the connection",
    ),
    Ending.STALLED: EndingFact(
        _LOST,
        "No token came for the idle limit; the socket stayed open.",
        "silence or SSE comments alone after the last token, no FIN",
        "vLLM at SIGTERM without --shutdown-timeout, or at its deadline; a node that vanished",
        is_deadline=True,
    ),
    Ending.NO_FIRST_TOKEN: EndingFact(
        _LOST,
        "Headers came, but no token within its limit.",
        "HTTP 200 with its head, then silence, comments or events without a token",
        "an engine with a full queue; one that hung while the request waited",
        is_deadline=True,
    ),
    Ending.TIMED_OUT: EndingFact(
        _LOST,
        "The stream was not over within the total limit.",
        "tokens that still came, none of them the last, when the limit passed",
        "an engine too slow for the length asked; a limit too short for it",
        is_deadline=True,
    ),
    Ending.NO_DONE: EndingFact(
        _LOST,
        "A finish_reason came, but not the [DONE] this server sends.",
        "a finish_reason, then a sound end of the body without [DONE]",
        "a proxy whose upstream was cut just before its end",
    ),
    Ending.SHORT: EndingFact(
        _LOST,
        "Fewer tokens came than the request fixed.",
        "a finish_reason (often stop), [DONE], a clean end, but too few tokens by ids or usage",
        "a gateway that tells a cut as stop; a server that ignores ignore_eos in long streams",
    ),
    Ending.REPEATED: EndingFact(
        _LOST,
        "Tokens came twice or out of order.",
        "more token ids than usage counts or than were asked, or usage that falls within one choice",
        "a proxy that repeated the request upstream within one response",
    ),
    Ending.MIXED_REVISION: EndingFact(
        _LOST,
        "One stream carried the labels of two revisions.",
        "two values of model in the events of one response",
        "a gateway that moved an open stream to another upstream",
    ),
    Ending.MALFORMED: EndingFact(
        _LOST,
        "The bytes broke HTTP, SSE or JSON.",
        "a bad chunk size, gzip unasked, a head or event too large, half a JSON object, events after [DONE]",
        "a proxy that glues two responses together; a server that writes no HTTP",
    ),
    Ending.NAME_UNRESOLVED: EndingFact(
        _REFUSED,
        "The host's name did not resolve.",
        "a DNS answer without an address, or none within the limit; no connection",
        "a name mistyped; a cluster's DNS under load; a Service that was deleted",
    ),
    Ending.TLS_FAILED: EndingFact(
        _REFUSED,
        "The TLS handshake failed.",
        "a TLS alert, or a certificate that does not verify; no request was sent",
        "a certificate that expired or is signed by a company's own CA; plain HTTP behind an https URL",
    ),
    Ending.CONNECT_REFUSED: EndingFact(
        _REFUSED,
        "The connection was refused.",
        "RST or an ICMP error in answer to SYN, at every address of the name",
        "a Service without ready endpoints; a pod that ended while it still was an endpoint",
    ),
    Ending.CONNECT_TIMEOUT: EndingFact(
        _REFUSED,
        "No connection within its limit.",
        "SYN without an answer, or a TLS handshake that hung",
        "a firewall or NetworkPolicy that drops packets; a node that vanished; a full accept queue",
        is_deadline=True,
    ),
    Ending.RESET_BEFORE_HEADERS: EndingFact(
        _REFUSED,
        "The connection ended before the whole head had come.",
        "RST or FIN after the request was sent, before the blank line that ends the head",
        "a server that stopped with requests in its accept queue; a proxy without an upstream",
    ),
    Ending.NO_HEADERS: EndingFact(
        _REFUSED,
        "No response head within its limit.",
        "an open connection that stays silent after the request",
        "a process that hangs; a gateway that holds the head back until the first token",
        is_deadline=True,
    ),
    Ending.HTTP_429: EndingFact(
        _REFUSED,
        "The server answered 429, too many requests.",
        "status 429, often with Retry-After",
        "a rate limit of a gateway or of the API key",
    ),
    Ending.HTTP_4XX: EndingFact(
        _REFUSED,
        "The server answered with another status below 500 that is no success.",
        "a status below 500 that is neither 2xx nor 429, often with a JSON error",
        "a model name that the new revision does not serve; a request it refuses; a redirect",
    ),
    Ending.HTTP_5XX: EndingFact(
        _REFUSED,
        "The server answered with a status of 500 or above.",
        "status 5xx, often with a JSON error",
        "vLLM during its drain or with a dead engine (500); a proxy without an upstream (502, 503, 504)",
    ),
    Ending.NOT_SSE: EndingFact(
        _REFUSED,
        "The answer was a success, but no event stream.",
        "status 2xx with a Content-Type other than text/event-stream",
        "a login or error page in front; a URL that is no completions endpoint",
    ),
    Ending.STALE_CONNECTION: EndingFact(
        _OURS,
        "A kept connection was closed under the request, and the repeat on a fresh one failed too.",
        "FIN or RST before any byte of an answer, on the kept connection and again on the fresh one",
        "the keep-alive race: server and client close and use a connection at the same moment",
    ),
    Ending.CREDENTIAL: EndingFact(
        _OURS,
        "Both revisions refused a credential that the baseline accepted.",
        "status 401 or 403 from both revisions",
        "an API key that expired or was revoked during the test",
    ),
    Ending.CUT: EndingFact(
        _OURS,
        "We stopped it.",
        "our own FIN or RST, while the stream was sound",
        "the end of the test: Ctrl-C, a wind-down that was over",
    ),
    Ending.CLIENT_ERROR: EndingFact(
        _OURS,
        "Our own code failed.",
        "anything: the connection was closed by us",
        "a limit of this machine, such as open files; a fault of this program",
    ),
}
