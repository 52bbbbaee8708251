"""What the rest of the project opens streams by."""

import time
from collections.abc import Callable, Iterator

from midstream.streams.access import USUAL, Access
from midstream.streams.clock import Clocks
from midstream.streams.deadlines import Deadlines
from midstream.streams.ending import Ending
from midstream.streams.exchange import Exchange, Observed
from midstream.streams.reactor.loop import Loop
from midstream.streams.reactor.question import Answer, Question
from midstream.streams.record import Lane, StreamRecord
from midstream.streams.request import StreamRequest
from midstream.streams.secret import Secrets
from midstream.streams.target import Target
from midstream.streams.traits import Traits
from midstream.streams.wire import question_bytes, stream_bytes


class Reactor:
    """All streams of one process. Use it from greenlets of the thread that made it."""

    def __init__(self, deadlines: Deadlines, worker: str = "local", access: Access = USUAL) -> None:
        """ValueError when a file of `access` cannot be used."""
        self._deadlines = deadlines
        self._worker = worker
        self._loop = Loop(deadlines, access)
        self.secrets = Secrets(access.secrets())  # starred in all records and errors

    def stream(
        self,
        target: Target,
        request: StreamRequest,
        traits: Traits,
        on_open: Callable[[str, int], None] | None = None,
        on_close: Callable[[StreamRecord], None] | None = None,
    ) -> StreamRecord:
        """Open one stream, block this greenlet until it is over, return its record.

        `on_open(id, opened_ns)` is called before anything is sent; `on_close(record)` exactly once after it,
        also when this greenlet is killed (the ending is `cut`, the kill goes on). An exception of ours
        becomes the ending client_error.
        """
        return self.observe(target, request, traits, on_open, on_close).record

    def observe(
        self,
        target: Target,
        request: StreamRequest,
        traits: Traits,
        on_open: Callable[[str, int], None] | None = None,
        on_close: Callable[[StreamRecord], None] | None = None,
    ) -> Observed:
        """Like `stream`, with what the stream showed."""
        opened_ns = time.monotonic_ns()
        exchange = Exchange(request, traits, self._deadlines, opened_ns=opened_ns, worker=self._worker)
        talk = self._loop.begin(target, exchange, fresh=request.fresh)
        try:
            if on_open is not None:
                on_open(request.id, opened_ns)
            self._loop.run(talk, stream_bytes(target, request, traits))
        except Exception as error:  # noqa: BLE001 our own fault is a record, never a traceback
            exchange.fail(time.monotonic_ns(), f"{type(error).__name__}: {error}")
        finally:
            exchange.cut(time.monotonic_ns())  # no effect on one that has ended: only a kill gets here
            self._loop.leave(talk)
            observed = exchange.observed()
            observed = observed._replace(record=self.secrets.cleaned(observed.record))
            if on_close is not None:
                on_close(observed.record)
        return observed

    def ask(self, target: Target, method: str, path: str, timeout_s: float, body: bytes = b"") -> Answer:
        """One plain request with its whole answer, such as of /v1/models; blocks this greenlet.

        OSError when none came within `timeout_s`, ValueError when it is not HTTP or cannot be asked for.
        """
        question = Question(timeout_s, time.monotonic_ns())
        talk = self._loop.begin(target, question, fresh=True)
        try:
            self._loop.run(talk, question_bytes(target, method, path, body))
        finally:
            question.cut(time.monotonic_ns())
            self._loop.leave(talk)
        answer = question.answer()
        if answer is not None:
            return answer
        why = self.secrets.hide(question.why)
        if question.ending is Ending.TIMED_OUT:
            raise TimeoutError(f"{target.url} did not answer within {timeout_s:g} s")
        if question.ending is Ending.MALFORMED:
            raise ValueError(why)
        raise ConnectionError(why)

    def cut_all(self) -> None:
        """Stop every open stream; each still yields its record."""
        self._loop.cut_all()

    def open_by_revision(self) -> dict[str, int]:
        """Open streams of the main lane by the label seen last; "" where none has come."""
        counts: dict[str, int] = {}
        for exchange in self._exchanges():
            if exchange.request.lane is Lane.MAIN:
                counts[exchange.label] = counts.get(exchange.label, 0) + 1
        return counts

    def flowing(self) -> frozenset[str]:
        """Ids of the open streams of the main lane that have had a token."""
        return frozenset(
            exchange.request.id
            for exchange in self._exchanges()
            if exchange.has_token and exchange.request.lane is Lane.MAIN
        )

    def clocks(self) -> Clocks:
        """How the reads of this process were dated until now."""
        return self._loop.clocks

    def close(self) -> None:
        """Cut what is open, close what is kept, let go of the hub."""
        self._loop.close()

    def _exchanges(self) -> Iterator[Exchange]:
        return (each for each in self._loop.conversations() if isinstance(each, Exchange))
