from pathlib import Path
from typing import NamedTuple

import pytest

from midstream.streams.ending import Ending
from midstream.streams.record import TokenSource
from midstream.streams.traits import Traits, UsageShown
from tests.midstream.streams.feeding import every_way
from tests.midstream.streams.streams import DEADLINES, PLAIN, SECOND, VLLM, begun, feed

FOLDER = Path(__file__).parents[2] / "fixtures" / "vllm"
USAGE_ONLY = Traits(
    done=True,
    finish_reason=True,
    usage=UsageShown.CONTINUOUS,
    honours_length=True,
    stop_is_early=True,
    one_label=True,
)
AT_END = Traits(done=True, finish_reason=True, usage=UsageShown.AT_END, one_label=True)
IDS_ONLY = Traits(done=True, finish_reason=True, token_ids=True, honours_length=True, one_label=True)


class Reading(NamedTuple):
    ending: Ending
    tokens: int | None = None  # None: they cannot be counted
    source: TokenSource = TokenSource.EVENTS
    traits: Traits = PLAIN
    asked: int = 0  # the length contract; 0: none
    finish: str | None = None


def by_ids(
    tokens: int, ending: Ending = Ending.COMPLETE, asked: int | None = None, finish: str | None = "length"
):
    return Reading(ending, tokens, TokenSource.IDS, VLLM, tokens if asked is None else asked, finish)


READINGS: dict[str, Reading] = {
    "completions-complete": Reading(Ending.COMPLETE, 4, TokenSource.USAGE, USAGE_ONLY, 4, "length"),
    "chat-complete": Reading(Ending.COMPLETE, 4, TokenSource.USAGE, USAGE_ONLY, 4, "length"),
    "completions-token-ids": by_ids(12),
    "chat-token-ids": by_ids(12),
    "completions-token-ids-300-under-load": by_ids(300),
    "chat-token-ids-300-under-load": by_ids(300),
    "completions-stream-interval-5": by_ids(12),
    "chat-stream-interval-5": by_ids(12),
    "completions-x-request-id": by_ids(3),
    "chat-x-request-id": by_ids(3),
    "completions-without-usage": Reading(Ending.COMPLETE, finish="length"),
    "chat-without-usage": Reading(Ending.COMPLETE, finish="length"),
    "completions-token-ids-without-usage": Reading(
        Ending.COMPLETE, 6, TokenSource.IDS, IDS_ONLY, 6, "length"
    ),
    "completions-usage-at-end": Reading(Ending.COMPLETE, 6, TokenSource.IDS, AT_END, 6, "length"),
    "completions-n2": Reading(Ending.COMPLETE, 12, TokenSource.IDS, VLLM, 6, "length"),
    "chat-n2": Reading(Ending.COMPLETE, 12, TokenSource.IDS, VLLM, 6, "length"),
    "completions-echo": Reading(Ending.COMPLETE, 4, TokenSource.USAGE, USAGE_ONLY, 4, "length"),
    "completions-echo-token-ids": by_ids(6),
    "completions-stop-string": by_ids(11, asked=0, finish="stop"),
    "chat-stop-string": by_ids(8, asked=0, finish="stop"),
    "http10-close-delimited": Reading(Ending.COMPLETE, finish="length"),
    "http10-request-chunked": Reading(Ending.COMPLETE, finish="length"),
    "drain-stream-completes": Reading(Ending.COMPLETE, finish="length"),
    "sigterm-abort": Reading(Ending.ABORTED, 85, TokenSource.USAGE, AT_END, finish="abort"),
    "sigterm-abort-token-ids": by_ids(15, Ending.ABORTED, 300, "abort"),
    "chat-sigterm-abort-token-ids": by_ids(14, Ending.ABORTED, 300, "abort"),
    "sigterm-abort-no-token-in-last-event": by_ids(16, Ending.ABORTED, 300, "abort"),
    "sigterm-hang": Reading(Ending.STALLED),
    "sigterm-hang-token-ids": by_ids(14, Ending.STALLED, 300, None),
    "chat-sigterm-hang-token-ids": by_ids(13, Ending.STALLED, 300, None),
    "drain-deadline-hang": Reading(Ending.STALLED),
    "sigterm-error-event-token-ids": by_ids(16, Ending.ERROR_EVENT, 300, None),
    "chat-sigterm-error-event": Reading(Ending.ERROR_EVENT),
    "engine-killed-error-event": Reading(Ending.ERROR_EVENT),
    "chat-engine-killed-error-event": Reading(Ending.ERROR_EVENT),
    "api-server-killed-truncated": Reading(Ending.TRUNCATED),
    "drain-late-token-id-prompt": Reading(Ending.ENDED_EARLY, traits=VLLM),
    "drain-late-pooled-token-id-prompt": Reading(Ending.ENDED_EARLY, traits=VLLM),
    "drain-late-token-id-prompt-without-usage": Reading(Ending.ENDED_EARLY),
    "drain-late-completions": Reading(Ending.HTTP_5XX),
    "drain-late-chat": Reading(Ending.HTTP_5XX),
    "drain-late-completions-not-streaming": Reading(Ending.HTTP_5XX),
    "drain-late-chat-not-streaming": Reading(Ending.HTTP_5XX),
    "drain-late-pooled-connection": Reading(Ending.HTTP_5XX),
    "400-bad-json": Reading(Ending.HTTP_4XX),
    "400-max-tokens": Reading(Ending.HTTP_4XX),
    "404-unknown-model": Reading(Ending.HTTP_4XX),
    "completions-not-streaming": Reading(Ending.NOT_SSE),
    "completions-not-streaming-token-ids": Reading(Ending.NOT_SSE),
    "chat-not-streaming": Reading(Ending.NOT_SSE),
    "completions-echo-not-streaming": Reading(Ending.NOT_SSE),
    "drain-late-token-id-prompt-not-streaming": Reading(Ending.NOT_SSE),
    "drain-health": Reading(Ending.NOT_SSE),
    "models": Reading(Ending.NOT_SSE),
    "metrics": Reading(Ending.NOT_SSE),
}
OPEN = (Ending.STALLED, Ending.TRUNCATED)  # these captures stop within the body
REFUSALS = (Ending.HTTP_4XX, Ending.HTTP_5XX, Ending.NOT_SSE)
SERVER_WORDS = {Ending.ABORTED: b'"finish_reason":"abort"', Ending.ERROR_EVENT: b'data: {"error"'}

each_capture = pytest.mark.parametrize(("name", "reading"), READINGS.items(), ids=READINGS)


def bytes_of(name: str) -> bytes:
    return (FOLDER / f"{name}.response.http").read_bytes()


def exchange_for(reading: Reading):
    return begun(reading.traits, contract=reading.asked > 0, tokens=reading.asked or 5)


def test_every_capture_has_a_reading():
    found = {path.name.removesuffix(".response.http") for path in FOLDER.glob("*.response.http")}
    assert found == READINGS.keys() | {"keepalive-two-streams"}


@each_capture
def test_right_ending_however_it_is_cut(name, reading):
    data = bytes_of(name)
    for pieces in every_way(data):
        exchange = feed(exchange_for(reading), pieces)
        if reading.ending is Ending.TRUNCATED:
            exchange.eof(10**9)
        if reading.ending is Ending.STALLED:
            assert exchange.ending is None
            assert exchange.pass_deadline(10**9 + int(DEADLINES.idle_s * SECOND))
        record = exchange.record()
        assert record.ending is reading.ending
        assert record.finish_reason == reading.finish
        assert record.token_source is reading.source
        if reading.tokens is not None:
            assert record.tokens == reading.tokens
        if reading.ending is Ending.COMPLETE:
            assert record.revisions == ("rev-abc",)
            assert record.evidence.last_bytes == ""
        else:
            assert record.evidence.last_bytes != ""
            assert record.evidence.error != ""


def prefixes(data: bytes) -> list[int]:
    """Every length of short captures; of long ones those near head and end, with some between."""
    if len(data) < 1500:
        return list(range(len(data)))
    ends = [*range(0, 700, 3), *range(len(data) - 300, len(data))]
    return sorted({*ends, *range(0, len(data), max(97, len(data) // 60))})


def ending_of_prefix(data: bytes, length: int, ending: Ending) -> Ending:
    """From the bytes alone: what FIN behind `length` of them must be called."""
    if length < data.index(b"\r\n\r\n") + 4:
        return Ending.RESET_BEFORE_HEADERS
    if ending in REFUSALS:
        return ending
    words = SERVER_WORDS.get(ending)
    if words is not None and length >= data.index(b"\n\n", data.index(words)) + 2:
        return ending
    return Ending.TRUNCATED


@each_capture
def test_fin_behind_every_prefix_has_its_own_ending(name, reading):
    data = bytes_of(name)
    for length in prefixes(data):
        exchange = feed(exchange_for(reading), [data[:length]] if length else [])
        exchange.eof(10**9)
        assert (length, exchange.ending) == (length, ending_of_prefix(data, length, reading.ending))


@each_capture
def test_reset_within_a_capture_is_told_from_fin(name, reading):
    data = bytes_of(name)
    for length in prefixes(data)[::9]:
        exchange = feed(exchange_for(reading), [data[:length]] if length else [])
        over = exchange.ending is not None  # a long refusal is not read to its end
        exchange.reset(10**9, "ECONNRESET")
        wanted = ending_of_prefix(data, length, reading.ending)
        assert exchange.ending is (Ending.RESET if wanted is Ending.TRUNCATED else wanted)
        assert over or exchange.record().evidence.errno == "ECONNRESET"


def test_second_stream_of_a_kept_connection_begins_behind_the_first():
    data = bytes_of("keepalive-two-streams")
    for pieces in every_way(data):
        first, second = begun(VLLM, tokens=5, fresh=False), begun(VLLM, tokens=5, fresh=False)
        rest = b""
        for at, piece in enumerate(pieces):
            feed(first, [piece])
            if first.ending is not None:
                rest = first.rest + b"".join(pieces[at + 1 :])
                break
        assert len(data) - len(rest) == 1987
        feed(second, [rest])
        for exchange in (first, second):
            record = exchange.record()
            assert (record.ending, record.tokens) == (Ending.COMPLETE, 5)
        assert second.reusable


def test_chat_role_event_is_no_token():
    data = bytes_of("chat-token-ids")
    role_end = data.index(b"\n\n") + 2
    exchange = feed(begun(VLLM, tokens=12), [data[:role_end]])
    assert exchange.label == "rev-abc"
    exchange.eof(10**9)
    assert exchange.record().first_event_ns is not None
    assert exchange.record().first_token_ns is None


def test_several_tokens_in_one_event_are_counted_by_ids():
    data = bytes_of("completions-stream-interval-5")
    record = feed(begun(VLLM, tokens=12), every_event(data)).record()
    assert record.tokens == 12
    assert sum(record.gap_counts.values()) == 3  # four token-bearing events


def every_event(data: bytes) -> list[bytes]:
    """Cut behind each event's chunk, as one segment each."""
    pieces = data.split(b"\n\n\r\n")
    return [piece + b"\n\n\r\n" for piece in pieces[:-1]] + [pieces[-1]]
