import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midstream.streams.ending import Ending, Outcome
from midstream.streams.exchange import ERROR_LIMIT, REFUSAL_LIMIT_BYTES, Exchange
from midstream.streams.sse import EVENT_LIMIT_BYTES
from midstream.streams.traits import Traits, UsageShown
from tests.midstream.streams import wire
from tests.midstream.streams.feeding import cut_at, every_way
from tests.midstream.streams.streams import DEADLINES, PLAIN, SECOND, VLLM, begun, ended, feed, request

FIN_HEAD = b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
ABORT = wire.token(3, finish="abort", ids=[], usage=2, text="")
ERROR = {"error": {"message": "engine died", "type": "InternalServerError", "param": None, "code": 500}}
STRING_CODE = {"error": {"message": "upstream gone", "code": "503"}}


def sse_body(events) -> bytes:
    return b"".join(wire.sse(event) for event in events)


def stream(*events) -> bytes:
    return wire.response([*events, "[DONE]"])


def json_answer(status: str, document: object, kind: str = "application/json") -> bytes:
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


GZIP = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\n\r\n\x1f\x8b"
FOUR = wire.tokens(4)

ENDINGS: dict[str, tuple[bytes, Ending, str]] = {
    "complete": (wire.whole(4), Ending.COMPLETE, ""),
    "complete, content_filter is a finish": (
        stream(*wire.tokens(3), wire.token(4, finish="content_filter")),
        Ending.COMPLETE,
        "",
    ),
    "complete, close-delimited": (FIN_HEAD + sse_body([*FOUR, "[DONE]"]), Ending.COMPLETE, ""),
    "complete, comments between": (
        wire.HEAD + wire.chunk(b": ping\n\n") + wire.body([*FOUR, "[DONE]"]) + wire.LAST_CHUNK,
        Ending.COMPLETE,
        "",
    ),
    "complete, all events in one chunk": (
        wire.HEAD + wire.chunk(sse_body([*FOUR, "[DONE]"])) + wire.LAST_CHUNK,
        Ending.COMPLETE,
        "",
    ),
    "complete, behind 100 Continue": (b"HTTP/1.1 100 Continue\r\n\r\n" + wire.whole(4), Ending.COMPLETE, ""),
    "aborted": (stream(*wire.tokens(2, None), ABORT), Ending.ABORTED, "finish_reason abort"),
    "aborted, then cut": (wire.HEAD + wire.body([*wire.tokens(2, None), ABORT]), Ending.ABORTED, "abort"),
    "finish_reason error": (stream(wire.token(1, finish="error")), Ending.ERROR_EVENT, "finish_reason error"),
    "error event": (
        stream(*wire.tokens(2, None), ERROR),
        Ending.ERROR_EVENT,
        "engine died | InternalServerError | 500",
    ),
    "error event of a gateway: code as string, no [DONE]": (
        wire.response([*wire.tokens(2, None), STRING_CODE]),
        Ending.ERROR_EVENT,
        "upstream gone | 503",
    ),
    "error in words": (stream({"error": "out of memory"}), Ending.ERROR_EVENT, "out of memory"),
    "error as the whole object": (
        stream({"object": "error", "message": "dead", "code": 500}),
        Ending.ERROR_EVENT,
        "dead",
    ),
    "event of type error": (
        wire.HEAD + wire.chunk(b'event: error\ndata: {"error": {"message": "dead"}}\n\n') + wire.LAST_CHUNK,
        Ending.ERROR_EVENT,
        "dead",
    ),
    "clean cut": (wire.response(wire.tokens(2, None)), Ending.ENDED_EARLY, "no finish_reason"),
    "clean cut with [DONE]": (stream(*wire.tokens(2, None)), Ending.ENDED_EARLY, "no finish_reason"),
    "[DONE] alone": (stream(), Ending.ENDED_EARLY, "no finish_reason"),
    "empty body": (wire.response([]), Ending.ENDED_EARLY, "no finish_reason"),
    "clean cut of an HTTP/1.0 hop": (FIN_HEAD + sse_body(wire.tokens(2, None)), Ending.ENDED_EARLY, ""),
    "finish without [DONE]": (wire.response(FOUR), Ending.NO_DONE, "no [DONE]"),
    "[DONE] that no blank line closed": (
        wire.HEAD + wire.body(FOUR) + wire.chunk(b"data: [DONE]\n") + wire.LAST_CHUNK,
        Ending.NO_DONE,
        "no [DONE]",
    ),
    "finish and [DONE], last chunk missing": (
        wire.HEAD + wire.body([*FOUR, "[DONE]"]),
        Ending.TRUNCATED,
        "without the last one",
    ),
    "cut within an event": (wire.HEAD + wire.body(wire.tokens(2, None))[:-9], Ending.TRUNCATED, "promised"),
    "short": (stream(*wire.tokens(3)), Ending.SHORT, "3 of 4 tokens came, by ids"),
    "a token lost on the way": (
        stream(wire.token(1), wire.token(2), wire.token(4, finish="length")),
        Ending.SHORT,
        "3 of 4 tokens came, by ids",
    ),
    "doubled event": (
        stream(wire.token(1), wire.token(2), wire.token(2), wire.token(3), wire.token(4, finish="length")),
        Ending.REPEATED,
        "3 token ids came where usage counts 2",
    ),
    "usage falls": (
        stream(
            wire.token(1), wire.token(3, ids=[1, 2]), wire.token(2, ids=[]), wire.token(4, finish="length")
        ),
        Ending.REPEATED,
        "usage fell from 3 to 2",
    ),
    "more ids than asked": (stream(*wire.tokens(5)), Ending.REPEATED, "5 token ids came where 4 were asked"),
    "two labels": (
        stream(
            *wire.tokens(2, None), wire.token(3, model="rev-b"), wire.token(4, model="rev-b", finish="length")
        ),
        Ending.MIXED_REVISION,
        "rev-a, rev-b",
    ),
    "event behind [DONE]": (
        wire.HEAD + wire.body([*FOUR, "[DONE]", wire.token(5)]) + wire.LAST_CHUNK,
        Ending.MALFORMED,
        "after [DONE]",
    ),
    "not JSON": (stream("{half"), Ending.MALFORMED, "not JSON: b'{half'"),
    "JSON, but no object": (stream("[1, 2]"), Ending.MALFORMED, "unknown shape"),
    "JSON of another shape": (stream({"choices": "many"}), Ending.MALFORMED, "unknown shape"),
    "broken chunk": (
        wire.HEAD + wire.body(wire.tokens(2, None)) + b"zz\r\n",
        Ending.MALFORMED,
        "chunk 3 begins with",
    ),
    "no HTTP": (b"SSH-2.0\r\n", Ending.MALFORMED, "not with HTTP/1."),
    "gzip though identity was asked": (GZIP, Ending.MALFORMED, "content-encoding is gzip"),
    "error event, then broken framing": (
        wire.HEAD + wire.body([ERROR]) + b"zz\r\n",
        Ending.ERROR_EVENT,
        "engine died",
    ),
    "429": (
        json_answer("429 Too Many Requests", {"error": {"message": "slow down"}}),
        Ending.HTTP_429,
        "429 Too Many",
    ),
    "404": (
        json_answer("404 Not Found", {"error": {"message": "no model"}}),
        Ending.HTTP_4XX,
        "404 Not Found: no model",
    ),
    "301": (b"HTTP/1.1 301 Moved\r\nlocation: /\r\ncontent-length: 0\r\n\r\n", Ending.HTTP_4XX, "301 Moved"),
    "101": (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", Ending.HTTP_4XX, "101 Switching"),
    "500 of a drain": (
        json_answer("500 Oops", {"error": {"message": "shutdown"}}),
        Ending.HTTP_5XX,
        "500 Oops: shutdown",
    ),
    "503 whose body is cut": (
        b"HTTP/1.1 503 Busy\r\ncontent-length: 99\r\n\r\nno",
        Ending.HTTP_5XX,
        "503 Busy: no",
    ),
    "502 in HTML": (
        json_answer("502 Bad Gateway", "<html>", "text/html"),
        Ending.HTTP_5XX,
        "502 Bad Gateway",
    ),
    "200 in JSON": (json_answer("200 OK", {"id": "x", "choices": []}), Ending.NOT_SSE, '200 OK: {"id": "x"'),
    "200 without a type": (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Ending.NOT_SSE, "200 OK"),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", Ending.NOT_SSE, "204 No Content"),
    "FIN before the head": (b"", Ending.RESET_BEFORE_HEADERS, "0 bytes came"),
    "FIN within the head": (b"HTTP/1.1 200", Ending.RESET_BEFORE_HEADERS, "12 bytes came"),
}


@pytest.mark.parametrize(("data", "ending", "words"), ENDINGS.values(), ids=ENDINGS)
def test_ending_however_it_is_cut(data, ending, words):
    for pieces in every_way(data) if data else [[]]:
        exchange = feed(begun(VLLM), pieces)
        if exchange.ending is None:
            exchange.eof(10**6)
        assert (exchange.ending, words in exchange.record().evidence.error) == (ending, True)


def test_every_ending_that_bytes_can_tell_is_in_the_table():
    told_by_the_socket = {
        Ending.RESET,
        Ending.STALLED,
        Ending.NO_FIRST_TOKEN,
        Ending.TIMED_OUT,
        Ending.NAME_UNRESOLVED,
        Ending.TLS_FAILED,
        Ending.CONNECT_REFUSED,
        Ending.CONNECT_TIMEOUT,
        Ending.NO_HEADERS,
        Ending.STALE_CONNECTION,
        Ending.CUT,
        Ending.CLIENT_ERROR,
    }
    told_by_other_streams = {Ending.CREDENTIAL}
    assert {row[1] for row in ENDINGS.values()} == set(Ending) - told_by_the_socket - told_by_other_streams


# What a server does not show is not demanded of it.

NO_DONE = Traits(finish_reason=True, usage=UsageShown.AT_END, honours_length=True, stop_is_early=True)
DONE_ALONE = Traits(done=True)
COUNT_ALONE = Traits(usage=UsageShown.AT_END, honours_length=True)
STOPS_EARLY = Traits(done=True, finish_reason=True, usage=UsageShown.AT_END)
GATEWAY = Traits(
    done=True, finish_reason=True, usage=UsageShown.AT_END, honours_length=True, stop_is_early=True
)


def plain(number: int, finish: str | None = None) -> dict[str, Any]:
    return {"model": "m", "choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": finish}]}


def bare_usage(count: int) -> dict[str, Any]:
    return {"model": "m", "choices": [{"index": 0}], "usage": {"completion_tokens": count}}


PLAIN_FOUR = [plain(1), plain(2), plain(3), plain(4, "length")]
BY_TRAITS: dict[str, tuple[Traits, list[Any], Ending]] = {
    "no [DONE] where none is sent": (NO_DONE, [*PLAIN_FOUR, bare_usage(4)], Ending.COMPLETE),
    "no [DONE], cut": (NO_DONE, PLAIN_FOUR[:2], Ending.ENDED_EARLY),
    "[DONE] alone is shown": (DONE_ALONE, [plain(1), "[DONE]"], Ending.COMPLETE),
    "[DONE] alone is shown, cut": (DONE_ALONE, [plain(1)], Ending.ENDED_EARLY),
    "the count alone is shown": (COUNT_ALONE, [plain(1), bare_usage(4)], Ending.COMPLETE),
    "the count alone is shown, cut": (COUNT_ALONE, [plain(1), bare_usage(2)], Ending.ENDED_EARLY),
    "stops early by its nature": (STOPS_EARLY, [plain(1, "stop"), bare_usage(1), "[DONE]"], Ending.COMPLETE),
    "gateway, whole": (GATEWAY, [*PLAIN_FOUR, bare_usage(4), "[DONE]"], Ending.COMPLETE),
    "gateway tells a cut as stop": (GATEWAY, [plain(1, "stop"), bare_usage(1), "[DONE]"], Ending.SHORT),
    "gateway tells a cut as stop with an invented count": (
        GATEWAY,
        [plain(1, "stop"), bare_usage(9), "[DONE]"],
        Ending.SHORT,
    ),
    "usage is shown but never came": (GATEWAY, [*PLAIN_FOUR, "[DONE]"], Ending.SHORT),
    "nothing is counted, stop betrays the cut": (
        Traits(done=True, finish_reason=True, honours_length=True, stop_is_early=True),
        [plain(1, "stop"), "[DONE]"],
        Ending.SHORT,
    ),
    "nothing is counted, length": (
        Traits(done=True, finish_reason=True, honours_length=True, stop_is_early=True),
        [plain(1, "length"), "[DONE]"],
        Ending.COMPLETE,
    ),
    "labels that change by nature": (
        Traits(done=True, finish_reason=True),
        [plain(1), {**plain(2, "stop"), "model": "m-2"}, "[DONE]"],
        Ending.COMPLETE,
    ),
}


@pytest.mark.parametrize(("traits", "events", "ending"), BY_TRAITS.values(), ids=BY_TRAITS)
def test_only_what_a_server_shows_is_demanded(traits, events, ending):
    record = ended(wire.response(events), traits)
    assert (record.ending, record.evidence.error != "") == (ending, ending is not Ending.COMPLETE)


def test_without_a_contract_fewer_tokens_are_no_loss():
    record = ended(stream(*wire.tokens(3)), VLLM, contract=False)
    assert (record.ending, record.asked_tokens) == (Ending.COMPLETE, None)
    assert ended(wire.whole(4)).asked_tokens == 4


# What the socket's side tells.


def test_reset_before_and_within_the_body():
    early, late, done = begun(), feed(begun(), [wire.HEAD]), feed(begun(), [wire.whole(4)])
    for exchange in (early, late, done):
        exchange.reset(99, "ECONNRESET")
    assert [e.ending for e in (early, late, done)] == [
        Ending.RESET_BEFORE_HEADERS,
        Ending.RESET,
        Ending.COMPLETE,
    ]
    assert early.record().evidence.errno == "ECONNRESET"


def test_the_first_ending_is_the_only_one():
    exchange = feed(begun(), [wire.HEAD])
    exchange.eof(50)
    for again in (exchange.cut, exchange.eof):
        again(60)
    exchange.fail(70, "late")
    exchange.feed(b"zz", 80, 80)
    assert (exchange.record().ending, exchange.record().end_ns) == (Ending.TRUNCATED, 50)


CUTS = {
    "before anything": ([], Ending.CUT),
    "in mid-stream": ([wire.HEAD, wire.body(wire.tokens(2, None))], Ending.CUT),
    "when the server had aborted": ([wire.HEAD, wire.body([ABORT])], Ending.ABORTED),
    "when an error event had come": ([wire.HEAD, wire.body([ERROR])], Ending.ERROR_EVENT),
    "when two revisions had answered": (
        [wire.HEAD, wire.body([wire.token(1), wire.token(2, model="rev-b")])],
        Ending.MIXED_REVISION,
    ),
    "when the status had refused": ([b"HTTP/1.1 503 Busy\r\n\r\n"], Ending.HTTP_5XX),
}


@pytest.mark.parametrize(("pieces", "ending"), CUTS.values(), ids=CUTS)
def test_our_cut_hides_no_damage_that_was_proven(pieces, ending):
    exchange = feed(begun(), pieces)
    exchange.cut(99)
    assert exchange.ending is ending


def test_our_own_fault_says_nothing_of_the_service():
    exchange = begun()
    exchange.fail(9, "ValueError: x")
    record = exchange.record()
    assert (record.ending, record.outcome, record.evidence.error) == (
        Ending.CLIENT_ERROR,
        Outcome.OURS,
        "ValueError: x",
    )


def test_a_stream_that_has_not_ended_has_no_record():
    with pytest.raises(RuntimeError, match="has not ended"):
        begun().record()


# Limits.

S = SECOND
LIMITS = {
    "no connection": (None, 1 * S, Ending.CONNECT_TIMEOUT),
    "no head": ([], 2 * S + 2, Ending.NO_HEADERS),
    "head alone": ([wire.HEAD], 3 * S + 2, Ending.NO_FIRST_TOKEN),
    "comments for ever": ([wire.HEAD, wire.chunk(b": ping\n\n")], 3 * S + 2, Ending.NO_FIRST_TOKEN),
    "a role is no token": (
        [wire.HEAD, wire.body([{"choices": [{"delta": {"role": "assistant", "content": ""}}]}])],
        3 * S + 2,
        Ending.NO_FIRST_TOKEN,
    ),
    "silence behind a token": ([wire.HEAD, wire.body([wire.token(1)])], 4 * S + 30, Ending.STALLED),
    "comments behind a token": (
        [wire.HEAD, wire.body([wire.token(1)]), wire.chunk(b": ping\n\n")],
        4 * S + 30,
        Ending.STALLED,
    ),
    "finished, but the last chunk never comes": (
        [wire.HEAD, wire.body([*FOUR, "[DONE]"])],
        4 * S + 30,
        Ending.STALLED,
    ),
    "an abort and then silence": ([wire.HEAD, wire.body([wire.token(1), ABORT])], 4 * S + 30, Ending.ABORTED),
    "error body that never ends": ([b"HTTP/1.1 500 Oops\r\n\r\nx"], 4 * S + 20, Ending.HTTP_5XX),
}


@pytest.mark.parametrize(("pieces", "at_ns", "ending"), LIMITS.values(), ids=LIMITS)
def test_each_limit_has_its_ending(pieces, at_ns, ending):
    exchange = Exchange(request(), VLLM, DEADLINES, opened_ns=0) if pieces is None else feed(begun(), pieces)
    assert exchange.deadline[0] == at_ns
    assert not exchange.pass_deadline(at_ns - 1)
    assert exchange.pass_deadline(at_ns)
    assert exchange.record().ending is ending


def test_total_limit_ends_a_stream_that_still_flows():
    exchange = feed(begun(), [wire.HEAD])
    for second in range(1, 50):
        exchange.feed(wire.body([wire.token(second)]), second * S, (second - 1) * S)
    assert exchange.deadline == (50 * S, Ending.TIMED_OUT)


def test_phase_changes_whenever_the_limit_may_come_nearer():
    exchange = begun()
    phases = [exchange.phase]
    for piece in (wire.HEAD, wire.body([wire.token(1)]), wire.body([wire.token(2)])):
        feed(exchange, [piece])
        phases.append(exchange.phase)
    assert phases == [1, 2, 3, 3]


# Memory.


def test_an_endless_refusal_is_not_read_to_its_end():
    exchange = feed(begun(), [b"HTTP/1.1 500 Oops\r\n\r\n", b"x" * 10_000])
    assert exchange.ending is None
    feed(exchange, [b"x" * REFUSAL_LIMIT_BYTES])
    assert exchange.ending is Ending.HTTP_5XX
    assert len(exchange.record().evidence.error) < 600


def test_of_an_endless_reason_only_its_begin_is_kept():
    head = b"HTTP/1.1 500 " + b"x" * 60_000 + b"\r\ncontent-length: 0\r\n\r\n"
    record = ended(head)
    assert record.ending is Ending.HTTP_5XX
    assert len(record.evidence.error) <= ERROR_LIMIT


def test_ten_megabytes_in_one_event_are_malformed():
    piece = wire.chunk(b"data: " + b"x" * 1_000_000)
    exchange = feed(begun(), [wire.HEAD, *[piece] * (EVENT_LIMIT_BYTES // 1_000_000 + 1)])
    assert exchange.ending is Ending.MALFORMED
    assert str(EVENT_LIMIT_BYTES) in exchange.record().evidence.error


# Instants.


def test_a_stamp_dates_the_last_event_of_a_read_and_bounds_the_others():
    exchange = feed(begun(tokens=5), [wire.HEAD])
    exchange.feed(wire.body([wire.token(1)]), 100, 50)
    exchange.feed(wire.body([wire.token(2), wire.token(3)]), 300, 100)
    exchange.feed(wire.body([wire.token(4)]), 400, 300)
    exchange.feed(wire.body([wire.token(5, finish="length"), "[DONE]"]) + wire.LAST_CHUNK, 450, 400)
    record = exchange.record()
    assert record.first_token_ns == 100
    assert record.uncertain_tokens == 2  # 2 was read with 3, 5 with [DONE]
    # Certain: 1 at 100, 3 at 300, 4 at 400. Only 3 -> 4 lies between two of them.
    assert sum(record.gap_counts.values()) == 1
    assert [(gap.start_ns, gap.end_ns, gap.certain) for gap in record.longest_gaps] == [
        (100, 300, False),
        (300, 400, True),
    ]


def test_an_inexact_stamp_makes_no_certain_token():
    exchange = feed(begun(), [wire.HEAD])
    for number in (1, 2, 3):
        exchange.feed(wire.body([wire.token(number)]), number * 100, number * 100 - 90, exact=False)
    exchange.cut(999)
    assert exchange.record().uncertain_tokens == 3
    assert exchange.record().gap_counts == {}


def test_an_event_whose_chunk_end_comes_later_is_dated_by_its_own_bytes():
    exchange = feed(begun(), [wire.HEAD])
    data = wire.body([wire.token(1)])
    exchange.feed(data[:-2], 100, 50)
    exchange.feed(data[-2:], 200, 100)
    exchange.cut(999)
    assert (exchange.record().first_token_ns, exchange.record().uncertain_tokens) == (100, 0)


def test_a_body_is_kept_for_a_second_reader_only_where_asked():
    events = [*FOUR, "[DONE]"]
    for pieces in every_way(stream(*FOUR)):
        assert feed(begun(keep_body=True), pieces).observed().body == sse_body(events)
        assert feed(begun(), pieces).observed().body == b""


def test_the_record_keeps_the_instants():
    record = feed(
        begun(), [wire.HEAD, wire.body(wire.tokens(4)), wire.body(["[DONE]"]), wire.LAST_CHUNK]
    ).record()
    assert (record.opened_ns, record.connected_ns, record.sent_ns, record.headers_ns) == (0, 1, 2, 20)
    assert (record.first_event_ns, record.first_token_ns, record.last_token_ns, record.end_ns) == (
        30,
        30,
        30,
        50,
    )
    assert record.ttft_ns == 28
    assert (record.local, record.peer, record.status) == ("127.0.0.1:5", "127.0.0.1:80", 200)


def test_a_kept_connection_is_reused_only_when_all_was_sent_and_read():
    assert feed(begun(), [wire.whole(4)]).reusable
    assert not feed(begun(), [wire.HEAD]).reusable
    assert not feed(begun(), [wire.whole(4) + b"x"]).reusable
    unsent = begun()
    unsent.sent_ns = None
    assert not feed(unsent, [wire.whole(4)]).reusable


# Laws.

events = st.one_of(
    st.builds(
        wire.token,
        st.integers(1, 6),
        model=st.sampled_from(["rev-a", "rev-b", ""]),
        finish=st.sampled_from([None, None, None, "length", "stop", "abort"]),
        ids=st.lists(st.integers(0, 9), max_size=3),
        usage=st.integers(0, 6),
        text=st.sampled_from(["", "x", "ä"]),
    ),
    st.sampled_from([ERROR, "[DONE]", "{half", wire.closing(4), bare_usage(3), plain(1)]),
)
streams = st.lists(events, max_size=8).map(lambda some: wire.HEAD + wire.body(some))
all_traits = st.sampled_from([VLLM, PLAIN, Traits(), GATEWAY, DONE_ALONE])
cuts = st.lists(st.integers(1, 2500), max_size=12)


@settings(max_examples=300)
@given(streams, st.sampled_from([b"", wire.LAST_CHUNK, b"zz\r\n"]), all_traits, cuts)
def test_any_split_gives_the_same_record(head_and_events, tail, traits, places):
    data = head_and_events + tail
    whole, split = feed(begun(traits), [data]), feed(begun(traits), cut_at(data, places))
    for exchange in (whole, split):
        exchange.eof(10**6)
    one, other = whole.record(), split.record()
    for field in ("ending", "tokens", "token_source", "finish_reason", "revisions", "status"):
        assert getattr(one, field) == getattr(other, field)
    assert one.evidence.error == other.evidence.error


@settings(max_examples=200)
@given(st.integers(0, 1_500), cuts)
def test_a_stream_that_is_cut_anywhere_is_never_complete(length, places):
    data = wire.whole(4)[:-1][:length]
    exchange = feed(begun(VLLM), cut_at(data, places) if data else [])
    exchange.eof(10**6)
    assert exchange.record().outcome in (Outcome.LOST, Outcome.REFUSED)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 4)), min_size=1, max_size=12))
def test_no_certain_gap_is_longer_than_the_true_one(reads):
    """Tokens read late in groups: a certain gap is the true one, an uncertain one its bound."""
    exchange = feed(begun(tokens=99), [wire.HEAD], start_ns=0)
    now_ns, before_ns, number, true_ns = 10, 10, 0, []
    for pause_ns, group in reads:
        data = b""
        for _ in range(group):
            number += 1
            now_ns += pause_ns
            true_ns.append(now_ns)
            data += wire.body([wire.token(number)])
        exchange.feed(data, now_ns, before_ns)
        before_ns = now_ns
    exchange.cut(10**6)
    record = exchange.record()
    true_gaps = {(a, b) for a, b in pairwise(true_ns)}
    for gap in record.longest_gaps:
        if gap.certain:
            assert (gap.start_ns, gap.end_ns) in true_gaps
        else:
            assert any(gap.start_ns <= a and b <= gap.end_ns for a, b in true_gaps)
    assert sum(record.gap_counts.values()) <= len(true_gaps)
