"""One plain request with its whole answer, such as of /v1/models."""

from typing import NamedTuple

from midstream.streams.ending import Ending
from midstream.streams.http1 import ResponseReader

ANSWER_LIMIT_BYTES = 16_777_216  # lists of models are small; an endless answer must not fill memory


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes


class Question:
    """What the loop tells of it is what it tells of a stream (talk.py); sans-IO."""

    began = False
    reusable = False
    phase = 0

    def __init__(self, limit_s: float, opened_ns: int) -> None:
        self.ending: Ending | None = None
        self.deadline = (opened_ns + int(limit_s * 1_000_000_000), Ending.TIMED_OUT)
        self.why = ""  # no whole answer came
        self._reader = ResponseReader()
        self._body: list[bytes] = []
        self._bytes = 0

    def answer(self) -> Answer | None:
        """The answer once it is whole."""
        head = self._reader.head
        if self.ending is not Ending.COMPLETE or head is None:
            return None
        return Answer(head.status, b"".join(self._body))

    def connected(self, _at_ns: int, _local: str, _peer: str) -> None:
        """A connection is there."""

    def again(self, _at_ns: int) -> None:
        """Never told: it uses no kept connection."""

    def sent(self, _at_ns: int) -> None:
        """The request was handed to the kernel."""

    def feed(self, data: bytes, _stamp_ns: int, _not_before_ns: int, _exact: bool = True) -> None:
        """Bytes of one read."""
        body = self._reader.feed(data)
        self._body.append(body)
        self._bytes += len(body)
        if self._reader.complete:
            self._conclude(Ending.COMPLETE, "")
        elif self._reader.fault:
            self._conclude(Ending.MALFORMED, f"it does not answer in HTTP: {self._reader.fault}")
        elif self._bytes > ANSWER_LIMIT_BYTES:
            self._conclude(Ending.MALFORMED, f"its answer is longer than {ANSWER_LIMIT_BYTES} bytes")

    def eof(self, _at_ns: int) -> None:
        """The peer's FIN."""
        missing = self._reader.eof()
        silent = missing and not self._reader.began  # as a server does that expects TLS
        ending = Ending.RESET_BEFORE_HEADERS if silent else Ending.TRUNCATED if missing else Ending.COMPLETE
        self._conclude(ending, missing)

    def reset(self, _at_ns: int, errno: str) -> None:
        """The connection broke."""
        ending = Ending.RESET if self._reader.began else Ending.RESET_BEFORE_HEADERS
        self._conclude(ending, f"{ending.sentence} {errno}")

    def refuse(self, ending: Ending, _at_ns: int, error: str, _errno: str = "") -> None:
        """No connection came about."""
        # A connection that did not come about has only a list of what was tried for its words.
        listed = ending in (Ending.CONNECT_REFUSED, Ending.CONNECT_TIMEOUT)
        self._conclude(ending, f"{ending.sentence} {error}" if listed else error)

    def pass_deadline(self, now_ns: int) -> bool:
        """Conclude when the limit is over; whether it was."""
        over = now_ns >= self.deadline[0]
        if over:
            self._conclude(Ending.TIMED_OUT, "it did not answer in time")
        return over

    def cut(self, _at_ns: int) -> None:
        """We stop it."""
        self._conclude(Ending.CUT, Ending.CUT.sentence)

    def fail(self, _at_ns: int, error: str) -> None:
        """Our own code raised."""
        self._conclude(Ending.CLIENT_ERROR, error)

    def _conclude(self, ending: Ending, why: str) -> None:
        if self.ending is None:
            self.ending, self.why = ending, why
