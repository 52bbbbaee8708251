"""Requests, traits, exchanges for tests."""

from collections.abc import Iterable
from typing import Any

from midstream.streams.deadlines import Deadlines
from midstream.streams.ending import Ending
from midstream.streams.exchange import Exchange
from midstream.streams.record import Lane, StreamRecord
from midstream.streams.request import StreamRequest
from midstream.streams.traits import Traits, UsageShown

VLLM = Traits(
    done=True,
    finish_reason=True,
    usage=UsageShown.CONTINUOUS,
    token_ids=True,
    honours_length=True,
    stop_is_early=True,
    one_label=True,
)
PLAIN = Traits(done=True, finish_reason=True, one_label=True)
DEADLINES = Deadlines(connect_s=1.0, headers_s=2.0, first_token_s=3.0, idle_s=4.0, total_s=50.0)
SECOND = 1_000_000_000


def request(**changes: Any) -> StreamRequest:
    fields: dict[str, Any] = {
        "id": "stream-1",
        "scenario": "test",
        "lane": Lane.MAIN,
        "fresh": True,
        "api": "completions",
        "model": "m",
        "prompt": "Say x.",
        "tokens": 4,
        "contract": True,
        "scheduled_ns": 0,
    }
    return StreamRequest(**(fields | changes))


def begun(traits: Traits = VLLM, deadlines: Deadlines = DEADLINES, **changes: Any) -> Exchange:
    """An exchange that was opened at 0, connected at 1, sent at 2 ns."""
    exchange = Exchange(request(**changes), traits, deadlines, opened_ns=0)
    exchange.connected(1, "127.0.0.1:5", "127.0.0.1:80")
    exchange.sent(2)
    return exchange


def feed(exchange: Exchange, pieces: Iterable[bytes], start_ns: int = 10) -> Exchange:
    """One read a piece, 10 ns apart."""
    before_ns, now_ns = start_ns, start_ns
    for piece in pieces:
        now_ns += 10
        exchange.feed(piece, now_ns, before_ns)
        before_ns = now_ns
    return exchange


def ended(data: bytes, traits: Traits = VLLM, **changes: Any) -> StreamRecord:
    """The record of a response that came whole, then FIN where that did not end it."""
    exchange = feed(begun(traits, **changes), [data])
    if exchange.ending is None:
        exchange.eof(10**6)
    return exchange.record()


def ending_of(data: bytes, traits: Traits = VLLM, **changes: Any) -> Ending:
    return ended(data, traits, **changes).ending
