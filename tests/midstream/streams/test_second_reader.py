"""sseclient-py as a second reader: right where it was wrong, heard where it differs from ours."""

import json
import time

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from midstream.streams import second_reader
from midstream.streams.ending import Ending
from midstream.streams.exchange import Observed
from midstream.streams.second_reader import BODY_LIMIT_BYTES, TooLargeError, disagreement, read_again
from midstream.streams.sse import Event, EventReader
from midstream.streams.traits import Traits
from tests.midstream.streams.streams import DEADLINES, PLAIN, SECOND, VLLM, begun, feed
from tests.midstream.streams.test_captures import READINGS, Reading, bytes_of, each_capture
from tests.midstream.streams.test_sse import reference, texts

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n"
TOKEN = b'data: {"choices": [{"index": 0, "text": "a", "finish_reason": null}]}\n\n'
LAST = b'data: {"choices": [{"index": 0, "text": "b", "finish_reason": "length"}]}\n\n'
ABORT = b'data: {"choices": [{"index": 0, "text": "b", "finish_reason": "abort"}]}\n\n'
ERROR = b'data: {"error": {"message": "engine dead", "code": 500}}\n\n'
DONE = b"data: [DONE]\n\n"
WHOLE = TOKEN + LAST + DONE
MIXED_ENDS = b"data: a\n\r\ndata: b\r\rdata: c\r\n\ndata: d\n\n"


def observed(body: bytes, traits: Traits = PLAIN) -> Observed:
    """What our reader makes of a body that came whole."""
    exchange = begun(traits, contract=False, keep_body=True)
    return feed(exchange, [HEAD % len(body), body]).observed()


def captured(name: str, reading: Reading) -> Observed:
    exchange = begun(reading.traits, contract=reading.asked > 0, tokens=reading.asked or 5, keep_body=True)
    feed(exchange, [bytes_of(name)])
    if reading.ending is Ending.TRUNCATED:
        exchange.eof(10**9)
    if reading.ending is Ending.STALLED:
        exchange.pass_deadline(10**9 + int(DEADLINES.idle_s * SECOND))
    return exchange.observed()


@each_capture
def test_the_readers_agree_on_every_capture(name, reading):
    found = captured(name, reading)
    assert found.record.ending is reading.ending
    assert disagreement(found, reading.traits) == ""


COMPLETE = [name for name, reading in READINGS.items() if reading.ending is Ending.COMPLETE]


@pytest.mark.parametrize("name", COMPLETE)
def test_what_it_finds_in_a_whole_capture(name):
    reading = READINGS[name]
    found = captured(name, reading)
    again = read_again(found.body)
    assert again.done
    assert set(again.finish_reasons) == {reading.finish}
    assert again.tokens == found.signs.ids
    assert again.chunks == len(again.events) - 1 > 0
    assert (again.error, again.fault) == ("", "")


def test_it_reads_the_text_of_both_apis():
    for name in ("completions-complete", "chat-complete"):
        again = read_again(captured(name, READINGS[name]).body)
        wanted = ""
        for line in bytes_of(name).decode().splitlines():
            if line.startswith("data: {"):
                for choice in json.loads(line[6:])["choices"]:
                    wanted += choice.get("text") or choice.get("delta", {}).get("content") or ""
        assert again.text == wanted


CLOSED = {
    "an unterminated tail": (b"data: a\n\ndata: [DONE]", ["a"]),
    "a tail closed by one line end": (b"data: a\n\ndata: [DONE]\n", ["a"]),
    "a BOM": (b"\xef\xbb\xbfdata: a\n\ndata: b\n\n", ["a", "b"]),
    "mixed line ends": (MIXED_ENDS, ["a", "b", "c", "d"]),
    "invalid UTF-8": (b"data: \xff\xc3\n\ndata: b\n\n", ["\ufffd\ufffd", "b"]),
    "U+2028 is no line end": ("data: a\u2028b\n\n".encode(), ["a\u2028b"]),
    "nothing": (b"", []),
}


@pytest.mark.parametrize(("body", "data"), CLOSED.values(), ids=CLOSED)
def test_its_known_defects_are_closed(body, data):
    assert [text for _, text in read_again(body).events] == data


@settings(max_examples=500)
@given(texts)
@example(b"data: a\r")
@example(b"data: \xe2\x80\n\n")
def test_it_reads_what_the_standard_says_whatever_comes(body):
    assert list(read_again(body).events) == [(kind, text) for kind, text, _ in reference(body)]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "abort", "stop", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
FIELDS = ("index", "text", "delta", "finish_reason", "token_ids")
odd_choices = st.dictionaries(st.sampled_from(FIELDS), json_values)
odd_chunks = st.dictionaries(
    st.sampled_from(["choices", "error", "object", "usage", "message"]),
    st.lists(odd_choices, max_size=3) | json_values | st.just("error"),
)


@settings(max_examples=300)
@given(st.lists(odd_chunks, max_size=4), st.booleans())
def test_no_shape_of_json_makes_it_raise_or_speak_against_a_sound_reader(chunks, done):
    body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + DONE * done
    read_again(body)
    found = observed(body)
    if found.record.ending is Ending.COMPLETE:
        assert disagreement(found, PLAIN) == ""


counts = st.integers(1, 20)


@settings(max_examples=200)
@given(counts, st.sampled_from([LAST, ABORT, ERROR, b""]), st.booleans(), st.integers(0, 2), counts)
def test_the_readers_agree_on_any_end_of_a_stream(tokens, end, done, missing_bytes, comments):
    body = TOKEN * tokens + b": ping\n\n" * comments + end + DONE * done
    found = observed(body[: len(body) - missing_bytes])
    assert disagreement(found, PLAIN) == ""
    again = read_again(found.body)
    complete = found.record.ending is Ending.COMPLETE
    assert complete is (end is LAST and done and not missing_bytes)
    assert complete is (again.lack(PLAIN) == "")


OURS_MISSED = {
    "no [DONE]": (TOKEN + LAST, PLAIN, "sseclient-py finds no [DONE]"),
    "[DONE] not closed": (TOKEN + LAST + DONE[:-1], PLAIN, "sseclient-py finds no [DONE]"),
    "no finish_reason": (TOKEN + DONE, PLAIN, "sseclient-py finds no finish_reason"),
    "an abort": (TOKEN + ABORT + DONE, PLAIN, "sseclient-py finds finish_reason abort"),
    "an error": (TOKEN + LAST + ERROR + DONE, PLAIN, "sseclient-py finds the error 'engine dead | 500'"),
    "an error event": (b"event: error\ndata: out\n\n" + WHOLE, PLAIN, "sseclient-py finds the error 'out'"),
    "no JSON": (b"data: {\n\n" + WHOLE, PLAIN, "sseclient-py finds an event that is no JSON object"),
    "behind [DONE]": (WHOLE + TOKEN, PLAIN, "sseclient-py finds an event behind [DONE]"),
    "other tokens": (b'data: {"choices": [{"text": "", "token_ids": [7]}]}\n\n' + WHOLE, VLLM, "0 token ids"),
}


@pytest.mark.parametrize(("body", "traits", "words"), OURS_MISSED.values(), ids=OURS_MISSED)
def test_a_reader_of_ours_that_calls_it_complete_is_contradicted(body, traits, words):
    blind = observed(WHOLE)._replace(body=body)
    assert blind.record.ending is Ending.COMPLETE
    said = disagreement(blind, traits)
    assert said.startswith("the two readers disagree: ours ")
    assert words in said


@pytest.mark.parametrize(
    "ending", [Ending.ENDED_EARLY, Ending.NO_DONE, Ending.ABORTED, Ending.ERROR_EVENT], ids=str
)
def test_a_reader_of_ours_that_calls_a_whole_stream_lost_is_contradicted(ending):
    found = observed(WHOLE)
    blind = found._replace(record=msgspec.structs.replace(found.record, ending=ending))
    assert f"ours says {ending}" in disagreement(blind, PLAIN)


@pytest.mark.parametrize("ending", [Ending.TRUNCATED, Ending.RESET, Ending.STALLED, Ending.SHORT], ids=str)
def test_on_sockets_framing_and_time_it_has_no_opinion(ending):
    found = observed(WHOLE)
    assert (
        disagreement(found._replace(record=msgspec.structs.replace(found.record, ending=ending)), PLAIN) == ""
    )


def test_a_piece_that_our_reader_skipped_is_noticed(monkeypatch):
    class Skipping(EventReader):
        def feed(self, piece: bytes) -> list[Event]:
            return super().feed(piece)[1:]

    monkeypatch.setattr(second_reader, "EventReader", Skipping)
    assert "ours reads 2 events, sseclient-py 3" in disagreement(observed(WHOLE), PLAIN)


DEMANDED = {
    "no [DONE] shown": (TOKEN + LAST, Traits(finish_reason=True)),
    "no finish_reason shown": (TOKEN + DONE, Traits(done=True)),
}


@pytest.mark.parametrize(("body", "traits"), DEMANDED.values(), ids=DEMANDED)
def test_what_the_server_does_not_show_is_not_demanded(body, traits):
    found = observed(body, traits)
    assert found.record.ending is Ending.COMPLETE
    assert disagreement(found, traits) == ""


TOO_LARGE = {
    "one event of many lines": b"data: a\n" * 1_000_000 + b"\n",
    "a long body": b": ping\n\n" * (BODY_LIMIT_BYTES // 8 + 1),
}


@pytest.mark.parametrize("body", TOO_LARGE.values(), ids=TOO_LARGE)
def test_what_would_take_it_long_is_not_read_and_that_is_said(body):
    began = time.monotonic()
    with pytest.raises(TooLargeError):
        read_again(body)
    assert time.monotonic() - began < 5.0
    assert "cannot be compared" in disagreement(observed(WHOLE)._replace(body=body), PLAIN)
