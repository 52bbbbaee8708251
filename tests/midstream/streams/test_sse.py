import re

import pytest
import sseclient
from hypothesis import example, given, settings
from hypothesis import strategies as st

from midstream.streams.sse import EventReader
from tests.midstream.streams.feeding import cut_at, every_way

Seen = list[tuple[str, str, str]]


def read(pieces: list[bytes]) -> Seen:
    reader = EventReader()
    return [
        (event.type, event.data.decode("utf-8", "replace"), event.last_id)
        for piece in pieces
        for event in reader.feed(piece)
    ]


def reference(data: bytes) -> Seen:
    """The text of the standard, on the whole stream at once."""
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = re.split("\r\n|\r|\n", text)[:-1]  # what no line end closes is no line
    events: Seen = []
    kind, last_id = "", ""
    content: list[str] = []
    for line in lines:
        if line == "":
            if content:
                events.append((kind or "message", "\n".join(content), last_id))
            kind, content = "", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            kind = value
        elif name == "data":
            content.append(value)
        elif name == "id" and "\0" not in value:
            last_id = value
    return events


CASES = {
    "one event": (b"data: a\n\n", [("message", "a", "")]),
    "no space behind the colon": (b"data:a\n\n", [("message", "a", "")]),
    "two spaces": (b"data:  a\n\n", [("message", " a", "")]),
    "no colon": (b"data\n\n", [("message", "", "")]),
    "several lines": (b"data: a\ndata: b\ndata\n\n", [("message", "a\nb\n", "")]),
    "type": (b"event: error\ndata: a\n\ndata: b\n\n", [("error", "a", ""), ("message", "b", "")]),
    "type without data": (b"event: x\n\ndata: b\n\n", [("message", "b", "")]),
    "id stays": (b"id: 7\ndata: a\n\ndata: b\n\n", [("message", "a", "7"), ("message", "b", "7")]),
    "id with NUL": (b"id: 7\0\ndata: a\n\n", [("message", "a", "")]),
    "id emptied": (b"id: 7\ndata: a\n\nid\ndata: b\n\n", [("message", "a", "7"), ("message", "b", "")]),
    "comment": (b": ping\n\n:\ndata: a\n: in between\n\n", [("message", "a", "")]),
    "unknown field": (b"x: 1\ndata: a\n\n", [("message", "a", "")]),
    "CR": (b"data: a\r\rdata: b\r\r", [("message", "a", ""), ("message", "b", "")]),
    "CR LF": (b"data: a\r\n\r\ndata: b\r\n\r\n", [("message", "a", ""), ("message", "b", "")]),
    "line ends mixed": (
        b"data: a\rdata: b\ndata: c\r\n\n\rdata: d\n\r",
        [("message", "a\nb\nc", ""), ("message", "d", "")],
    ),
    "BOM": (b"\xef\xbb\xbfdata: a\n\n", [("message", "a", "")]),
    "second BOM belongs to the field's name": (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", []),
    "half a BOM": (b"\xef\xbbdata: a\n\ndata: b\n\n", [("message", "b", "")]),
    "U+2028 is no line end": ("data: a\u2028b\n\n".encode(), [("message", "a\u2028b", "")]),
    "invalid UTF-8": (b"data: a\xffb\n\n", [("message", "a\ufffdb", "")]),
    "unterminated tail": (b"data: a\n\ndata: [DONE]\n", [("message", "a", "")]),
    "unterminated line": (b"data: a\n\ndata: [DONE]", [("message", "a", "")]),
    "nothing": (b"", []),
}


@pytest.mark.parametrize(("data", "events"), CASES.values(), ids=CASES)
def test_events_however_they_are_cut(data, events):
    assert reference(data) == events
    for pieces in every_way(data) if data else [[]]:
        assert read(pieces) == events


def test_retry_takes_digits_only():
    reader = EventReader()
    reader.feed(b"retry: 12\n")
    reader.feed(b"retry: soon\n")
    assert reader.retry_ms == 12


def test_end_is_the_offset_behind_the_blank_line():
    reader = EventReader()
    data = b": x\n\ndata: a\n\ndata: b\r\n\r\n: tail"
    assert [data[: event.end] for event in reader.feed(data)] == [data[:14], data[:25]]
    assert [event.end for event in EventReader().feed(b"data: a\n\n")] == [9]


def test_end_counts_from_the_piece_when_a_bom_came_before():
    reader = EventReader()
    assert reader.feed(b"\xef\xbb") == []
    assert [event.end for event in reader.feed(b"\xbfdata: a\n\n")] == [10]


LIMIT = 64
TOO_LONG = {
    "one line": b"data: " + b"x" * 70 + b"\n\n",
    "many lines": b"data: 12345678\n" * 9,
    "a comment": b":" + b"x" * 70,
    "an unfinished line": b"data: " + b"x" * 70,
    "empty lines of data": b"data\n" * 70,
}


@pytest.mark.parametrize("data", TOO_LONG.values(), ids=TOO_LONG)
def test_an_event_beyond_the_limit_is_a_fault_and_what_came_before_is_kept(data):
    for pieces in every_way(b"data: a\n\n" + data):
        reader = EventReader(limit_bytes=LIMIT)
        events = []
        for piece in pieces:
            events += reader.feed(piece)
            if reader.fault:
                break
        assert [event.data for event in events] == [b"a"]
        assert reader.fault == "one event is longer than 64 bytes"


def test_many_events_within_the_limit_are_no_fault():
    reader = EventReader(limit_bytes=LIMIT)
    assert len(reader.feed(b"data: 12345678\n\n" * 100)) == 100
    assert reader.fault == ""


WORDS = [b"data", b"event", b"id", b"retry", b":", b" ", b"\n", b"\r", b"\r\n", b"\n\n", b"x", b"7", b"\0"]
WORDS += [b"\xef\xbb\xbf", b"\xef", b"\xff", b"\xe2\x80\xa8", b"data: ", b"data: a\n\n", b"\xc3\xa4"]
texts = st.lists(st.sampled_from(WORDS), max_size=40).map(b"".join)
cuts = st.lists(st.integers(1, 120), max_size=10)


@settings(max_examples=600)
@given(texts, cuts)
@example(b"data: a\r\r\ndata: b\n\n", [9])
def test_reads_what_the_standard_says(data, places):
    assert read(cut_at(data, places) if data else []) == reference(data)


plain_texts = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.sampled_from(["message", "error"]), st.lists(plain_texts, min_size=1, max_size=3))),
    cuts,
)
def test_reads_what_sseclient_reads_where_that_is_right(events, places):
    """Right: LF line ends, no BOM, no id, valid UTF-8, every event closed, some data in it (facts 6)."""
    events = [(kind, [f"x{line}" for line in lines]) for kind, lines in events]
    data = b"".join(
        f"event: {kind}\n".encode() + b"".join(f"data: {line}\n".encode() for line in lines) + b"\n"
        for kind, lines in events
    )
    pieces = cut_at(data, places) if data else []
    theirs = [(event.event, event.data) for event in sseclient.SSEClient(iter(pieces)).events()]
    assert [(kind, text) for kind, text, _ in read(pieces)] == theirs


WRONG_IN_SSECLIENT = {
    "dispatches an unterminated tail": b"data: a\n\ndata: [DONE]",
    "loses the first event behind a BOM": b"\xef\xbb\xbfdata: a\n\n",
    "merges events on mixed line ends": b"data: a\n\r\ndata: b\n\n",
}


@pytest.mark.parametrize("data", WRONG_IN_SSECLIENT.values(), ids=WRONG_IN_SSECLIENT)
def test_where_sseclient_is_wrong_we_keep_to_the_standard(data):
    theirs = [event.data for event in sseclient.SSEClient(iter([data])).events()]
    assert [text for _, text, _ in read([data])] == [text for _, text, _ in reference(data)] != theirs
