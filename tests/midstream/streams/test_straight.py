import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstream.streams import exchange
from midstream.streams.ending import Ending
from midstream.streams.http1 import ChunkedBody
from midstream.streams.record import StreamRecord
from midstream.streams.sse import EventReader
from midstream.streams.straight import whole_event
from tests.midstream.streams.feeding import every_way
from tests.midstream.streams.streams import begun, feed
from tests.midstream.streams.test_captures import READINGS, bytes_of, every_event, exchange_for
from tests.midstream.streams.wire import HEAD, LAST_CHUNK, body, chunk, closing, sse, token, tokens


def layers(read: bytes) -> tuple[list[bytes], bool]:
    """What the layers make of a read between two events, and whether it leaves them between two."""
    framing, events = ChunkedBody(), EventReader()
    events.feed(framing.feed(chunk(b": begun\n\n")))
    found = [event.data for event in events.feed(framing.feed(read))]
    return found, framing.between_chunks and events.between_events


ONE_EVENT = {
    "a token": chunk(sse(token(1))),
    "[DONE]": chunk(sse("[DONE]")),
    "the shortest": chunk(b"data: x\n\n"),
    "size of one digit, at its end": chunk(b"data: 1234567\n\n"),
    "size of two digits": chunk(b"data: 12345678\n\n"),
    "size of three digits": chunk(b"data: " + b"y" * 248 + b"\n\n"),
    "spaces around the data": chunk(b"data:   x  \n\n"),
}
OTHER_SHAPES = {
    "nothing": b"",
    "no data": chunk(b"data: \n\n"),
    "no space": chunk(b"data:xx\n\n"),
    "CR LF as line end": chunk(b"data: x\r\n\r\n"),
    "CR within": chunk(b"data: x\ry\n\n"),
    "two lines of data": chunk(b"data: x\ndata: y\n\n"),
    "two events in one chunk": chunk(b"data: x\n\ndata: y\n\n"),
    "two chunks": chunk(b"data: x\n\n") * 2,
    "a comment": chunk(b": ping\n\n"),
    "a type": chunk(b"event: error\ndata: x\n\n"),
    "half an event": chunk(b"data: x\n"),
    "half a chunk": chunk(b"data: x\n\n")[:-1],
    "size in upper case": b"F\r\ndata: 1234567\n\n\r\n",
    "size with a zero": b"00f\r\ndata: 1234567\n\n\r\n",
    "chunk extension": b"f;a=b\r\ndata: 1234567\n\n\r\n",
    "size too small": b"9\r\ndata: xx\n\n\r\n",
    "size too large": b"b\r\ndata: xx\n\n\r\n",
    "last chunk": LAST_CHUNK,
    "longer than it reads": chunk(b"data: " + b"y" * 65_536 + b"\n\n"),
}


@pytest.mark.parametrize("read", ONE_EVENT.values(), ids=ONE_EVENT)
def test_one_event_is_read_as_the_layers_read_it(read):
    assert layers(read) == ([whole_event(read)], True)


@pytest.mark.parametrize("read", OTHER_SHAPES.values(), ids=OTHER_SHAPES)
def test_every_other_shape_is_left_to_the_layers(read):
    assert whole_event(read) == b""


@given(
    st.binary(max_size=40)
    | st.lists(st.sampled_from([b"data: ", b"x", b"\n", b"\r", b"f", b"\r\n", b"\n\n\r\n", b"a\r\n"])).map(
        b"".join
    )
)
def test_whatever_it_takes_the_layers_take_alike(payload):
    for read in (payload, chunk(payload), chunk(b"data: " + payload + b"\n\n")):
        data = whole_event(read)
        if data:
            assert layers(read) == ([data], True)


def concluded(stream: exchange.Exchange) -> StreamRecord:
    if stream.ending is None:
        stream.eof(10**9)
    return stream.record()


@pytest.mark.parametrize("name", READINGS)
def test_records_of_captures_are_those_of_the_layers_however_they_are_cut(name, monkeypatch):
    data, reading = bytes_of(name), READINGS[name]
    for pieces in (*every_way(data), every_event(data)):
        straight = concluded(feed(exchange_for(reading), pieces))
        with monkeypatch.context() as without:
            without.setattr(exchange, "whole_event", lambda read: b"")
            plain = concluded(feed(exchange_for(reading), pieces))
        assert straight == plain


ODD_STREAMS = {
    "a damaged event": [chunk(sse("{"))],
    "an event after [DONE]": [chunk(sse("[DONE]")), chunk(sse(token(5)))],
    "an error object": [chunk(sse({"error": {"message": "lost"}}))],
    "invalid UTF-8": [chunk(b'data: {"choices":[{"text":"\xff"}]}\n\n')],
    "a cut chunk": [chunk(sse(token(5)))[:40]],
    "an event begun in the chunk before": [chunk(b"data: {}\n"), chunk(sse(token(5)))],
    "CR at the chunk's end": [chunk(b"data: {}\r"), chunk(b"\n"), chunk(sse(token(5)))],
    "a type that waits": [chunk(b"event: error\n"), chunk(sse("boom"))],
    "usage that falls": [chunk(sse(token(5, usage=1)))],
    "closing usage": [chunk(sse(closing(4))), chunk(sse("[DONE]")), LAST_CHUNK],
    "bytes behind the end": [chunk(sse("[DONE]")), LAST_CHUNK + chunk(sse(token(5)))],
    "a bad size line": [b"zz\r\n"],
}


@pytest.mark.parametrize("end", ODD_STREAMS.values(), ids=ODD_STREAMS)
def test_records_of_odd_streams_are_those_of_the_layers(end, monkeypatch):
    pieces = [HEAD, *(body([event]) for event in tokens(4)), *end]
    straight = concluded(feed(begun(), pieces))
    monkeypatch.setattr(exchange, "whole_event", lambda read: b"")
    assert straight == concluded(feed(begun(), pieces))


def test_inexact_stamp_leaves_an_interval():
    stream = feed(begun(), [HEAD, *(body([event]) for event in tokens(2, finish=None))])
    stream.feed(body([token(3)]), 90, 30, exact=False)
    stream.cut(100)
    assert stream.record().uncertain_tokens == 1
    assert stream.ending is Ending.CUT
