"""The streams that this process holds: opened, booked, told to Locust, wound down."""

import itertools
import time
from collections.abc import Callable

import gevent
import msgspec
from gevent.event import Event
from locust.env import Environment

from hooks.figure_rows import enter_rows
from hooks.ledger import Ledger
from hooks.planning import server_of, wish_of
from hooks.pulses import PULSE
from hooks.settings import Settings
from hooks.tested import Tested
from midstream.arrivals import steady_open
from midstream.contract import is_early_stop, stops_early
from midstream.credential import is_key_refused
from midstream.lengths import Pace
from midstream.planner.lengths import lasting, main_length
from midstream.planner.wish import open_at_once
from midstream.preview import ValidatedStream
from midstream.scenarios import Ask
from midstream.streams.ending import Outcome
from midstream.streams.reactor import Reactor
from midstream.streams.record import Lane, StreamRecord
from midstream.streams.request import StreamRequest
from midstream.streams.second_reader import disagreement
from midstream.streams.target import Target

POLL_S = 0.05
THROW_AWAY_S = 60.0


class StreamNotCompleteError(Exception):
    """What Locust shows as the failure of a stream."""


class Load:
    """Holds streams on the target and keeps the books of them."""

    def __init__(
        self,
        environment: Environment,
        settings: Settings,
        tested: Tested,
        reactor: Reactor,
        on_lost: Callable[[StreamRecord], None],
    ) -> None:
        self._on_lost = on_lost
        self._environment = environment
        self._wish = wish_of(settings)
        self._tested = tested
        self._reactor = reactor
        self._numbers = itertools.count(1)
        self._run_id = f"midstream-{time.time_ns():x}"
        self.ledger = Ledger()
        self.pace = Pace(tested.probed_tokens_per_s)
        self.winding_down = False
        self._cut_asked = False
        self._api_key: str | None = None  # another than the targets carry
        self.key_refused = Event()  # some stream was
        self.traits = tested.traits
        self.undisturbed = True  # until the promotion: what streams show then is how this server is
        self.settled = 0  # streams that ended and say something of the service
        self._failed = 0
        self.last_failed_ns: int | None = None
        self._early_stops = 0

    def hold(
        self, ask: Ask, *, fresh: bool, share: float = 1.0, scheduled_ns: int | None = None
    ) -> StreamRecord:
        """Hold one stream to its end: one record, one Locust request event, whatever happens.

        Its length is the scenario's, else the plan's; `share` shortens it. `scheduled_ns` is when an open
        loop wanted it to begin.
        """
        tokens = max(1, round(share * self._tokens(ask, None)))
        request = self._request(ask, fresh, tokens, Lane.MAIN)
        if scheduled_ns is not None:
            request = msgspec.structs.replace(request, scheduled_ns=scheduled_ns)
        return self._hold(request)

    @property
    def wanted(self) -> int:
        """How many streams have to flow before the load is steady."""
        most = open_at_once(self._wish, self.pace.tokens_per_s)
        return most if self._wish.open_loop is None else steady_open(most)

    def _hold(self, request: StreamRequest) -> StreamRecord:
        closed: list[StreamRecord] = []
        try:
            return self._reactor.stream(
                self._with_key(self._tested.target),
                request,
                self.traits,
                on_open=self.ledger.open,
                on_close=closed.append,
            )
        finally:
            for record in closed:
                self._book(record)

    def pulse(self, fresh: bool, scheduled_ns: int) -> StreamRecord:
        """One short stream of the pulse lane; its length is not judged, only that it is answered."""
        request = self._request(PULSE, fresh, PULSE.tokens or 1, Lane.PULSE)
        return self._hold(msgspec.structs.replace(request, contract=False, scheduled_ns=scheduled_ns))

    def validate(self, target: Target, ask: Ask, tokens: int) -> ValidatedStream:
        """One stream to a revision that serves nobody yet: its record is no part of the load's."""
        request = msgspec.structs.replace(self._request(ask, True, tokens, Lane.PULSE), keep_body=True)
        traits = self.traits
        observed = self._reactor.observe(self._with_key(target), request, traits)
        return ValidatedStream(observed.record, disagreement(observed, traits))

    def throw_away(self, on_close: Callable[[StreamRecord], None]) -> None:
        """One stream that is no part of the test, long enough to be killed on purpose."""
        request = self._request(PULSE, True, self._tokens(PULSE, THROW_AWAY_S), Lane.MAIN)
        self._reactor.stream(self._with_key(self._tested.target), request, self.traits, on_close=on_close)

    @property
    def failed(self) -> int:
        """Streams lost or refused; early stops only while this server is held to its length."""
        return self._failed + (self._early_stops if self.traits.honours_length else 0)

    def flowing(self) -> int:
        """Open streams of the main lane that have had a token."""
        return len(self._reactor.flowing())

    def open_by_revision(self) -> dict[str, int]:
        """Open streams by the label seen last."""
        return self._reactor.open_by_revision()

    def begin_long(self, ask: Callable[[], Ask], count: int, seconds: float, limit_s: float) -> int:
        """Begin streams of that length; how many of them had a token within the limit."""
        asks = [ask() for _ in range(count)]
        requests = [self._request(each, True, self._tokens(each, seconds), Lane.MAIN) for each in asks]
        for request in requests:
            gevent.spawn(self._hold, request)
        long = {request.id for request in requests}  # users begin streams meanwhile
        deadline = time.monotonic() + limit_s
        while (begun := len(self._reactor.flowing() & long)) < count and time.monotonic() < deadline:
            gevent.sleep(POLL_S)
        return begun

    def wind_down(self, limit_s: float, on_wait: Callable[[int], None]) -> None:
        """No new streams; open ones may end by themselves until the limit, then they are cut."""
        self.winding_down = True
        deadline = time.monotonic() + limit_s
        while self.ledger.open_count and time.monotonic() < deadline and not self._cut_asked:
            on_wait(self.ledger.open_count)
            gevent.sleep(POLL_S)
        self._reactor.cut_all()
        while self.ledger.open_count:  # each is closed by its own greenlet
            gevent.sleep(0)

    def cut_soon(self) -> None:
        """Shorten a wind-down that is under way: what is still open is cut and counts as `cut`."""
        self._cut_asked = True

    def use_key(self, key: str) -> None:
        """Streams that begin from now on carry this API key."""
        self._reactor.secrets.add(key)
        self._api_key = key

    def _with_key(self, target: Target) -> Target:
        return (
            target
            if self._api_key is None
            else target.with_header("Authorization", f"Bearer {self._api_key}")
        )

    def _book(self, record: StreamRecord) -> None:
        self.ledger.close(record)
        enter_rows(self._environment.stats, record)
        if record.lane is Lane.MAIN:
            self._book_main(record)

    def _book_main(self, record: StreamRecord) -> None:
        self.pace.learn(record)
        self.settled += record.outcome is not Outcome.OURS
        if is_key_refused(record):
            self.key_refused.set()
        if is_early_stop(record):
            self._early_stops += 1
            self._learn_length()
        elif record.outcome in (Outcome.LOST, Outcome.REFUSED):
            self._failed += 1
            self.last_failed_ns = record.end_ns
            self._on_lost(record)
        self._environment.events.request.fire(
            request_type="SSE",
            name=record.scenario,
            response_time=(record.end_ns - record.opened_ns) / 1_000_000,
            response_length=record.tokens,
            exception=_failure(record),
            context={},
        )

    def _learn_length(self) -> None:
        """Stop demanding the length where early stops turn out to be the rule; never once promoted."""
        if self.undisturbed and stops_early(self.ledger.records):
            self.traits = msgspec.structs.replace(self.traits, honours_length=False)

    def _request(self, ask: Ask, fresh: bool, tokens: int, lane: Lane) -> StreamRequest:
        return StreamRequest(
            id=f"{self._run_id}-{next(self._numbers):06d}",
            scenario=ask.scenario,
            lane=lane,
            fresh=fresh,
            api=self._tested.api,
            model=self._tested.model,
            prompt=ask.prompt,
            tokens=tokens,
            contract=True,
            scheduled_ns=time.monotonic_ns(),
        )

    def _tokens(self, ask: Ask, seconds: float | None) -> int:
        server = server_of(self._tested, self.pace.tokens_per_s)
        length = main_length(ask, self._wish, server) if seconds is None else lasting(seconds, ask, server)
        return length.tokens


def _failure(record: StreamRecord) -> StreamNotCompleteError | None:
    if record.outcome is Outcome.COMPLETE:
        return None
    return StreamNotCompleteError(f"{record.ending}: {record.ending.sentence}")
