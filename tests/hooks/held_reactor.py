"""A reactor whose streams have a token, and end, when the test says so."""

import time
from collections.abc import Callable

from gevent.event import AsyncResult

from midstream.streams.clock import Clocks
from midstream.streams.ending import Ending
from midstream.streams.exchange import Observed
from midstream.streams.record import StreamRecord
from midstream.streams.request import StreamRequest
from midstream.streams.secret import Secrets
from midstream.streams.target import Target
from midstream.streams.traits import Signs, Traits
from tests.midstream.builders import stream


class HeldReactor:
    def __init__(self) -> None:
        self.asked: list[StreamRequest] = []
        self.secrets = Secrets()
        self._open: dict[str, AsyncResult] = {}
        self._with_token: set[str] = set()

    def stream(
        self,
        target: Target,
        request: StreamRequest,
        traits: Traits,
        on_open: Callable[[str, int], None] | None = None,
        on_close: Callable[[StreamRecord], None] | None = None,
    ) -> StreamRecord:
        self.asked.append(request)
        over = self._open[request.id] = AsyncResult()
        if on_open is not None:
            on_open(request.id, time.monotonic_ns())
        ending = Ending.CUT
        try:
            ending = over.get()
        finally:
            del self._open[request.id]
            record = stream(
                ending,
                id=request.id,
                scenario=request.scenario,
                lane=request.lane,
                asked_tokens=request.tokens,
                finish_reason="stop" if ending is Ending.SHORT else None,
            )
            if on_close is not None:
                on_close(record)
        return record

    def observe(self, target: Target, request: StreamRequest, traits: Traits) -> Observed:
        return Observed(self.stream(target, request, traits), Signs())

    def give_token(self, *requests: StreamRequest) -> None:
        self._with_token |= {request.id for request in requests}

    def end(self, ending: Ending, *requests: StreamRequest) -> None:
        """End these, or all that are open."""
        for name in [request.id for request in requests] or list(self._open):
            self._open[name].set(ending)

    def flowing(self) -> frozenset[str]:
        return frozenset(self._with_token & self._open.keys())

    def clocks(self) -> Clocks:
        return Clocks(reads=7, undated_reads=2, steps=1)

    def open_by_revision(self) -> dict[str, int]:
        return {"": len(self._open)}

    def cut_all(self) -> None:
        for over in self._open.values():
            over.set(Ending.CUT)
