import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midstream.streams import http1
from midstream.streams.http1 import ResponseReader, request_bytes
from tests.midstream.streams.feeding import cut_at, every_way

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

WHOLE = {
    "chunked": (CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"),
    "chunked, sizes in capitals with leading zeros": (
        CHUNKED + b"00A\r\n0123456789\r\n00\r\n\r\n",
        b"0123456789",
    ),
    "chunk extensions": (CHUNKED + b'3;name="v;w" \r\nabc\r\n0;last\r\n\r\n', b"abc"),
    "trailers": (CHUNKED + b"1\r\na\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n", b"a"),
    "chunk data that looks like framing": (CHUNKED + b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", b"\r\n0\r\n\r\n"),
    "Content-Length": (OK + b"Content-Length: 5\r\n\r\nhello", b"hello"),
    "Content-Length 0": (OK + b"Content-Length: 0\r\n\r\n", b""),
    "Content-Length twice alike": (OK + b"Content-Length: 2, 2\r\n\r\nab", b"ab"),
    "chunked beside Content-Length": (
        OK + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        b"a",
    ),
    "204 has no body": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "no reason phrase": (b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", b"x"),
    "lone LF in the head": (b"HTTP/1.1 200 OK\nContent-Length: 1\n\nx", b"x"),
    "folded header": (OK + b"X-A: b\r\n  c\r\nContent-Length: 1\r\n\r\nx", b"x"),
    "100 Continue first": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\nx", b"x"),
    "103 twice first": (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 2 + OK + b"Content-Length: 1\r\n\r\nx",
        b"x",
    ),
}


@pytest.mark.parametrize(("data", "body"), WHOLE.values(), ids=WHOLE)
def test_whole_response_however_it_is_cut(data, body):
    for pieces in every_way(data):
        reader = ResponseReader()
        got = b"".join(reader.feed(piece) for piece in pieces)
        assert (reader.complete, reader.fault, got, reader.rest) == (True, "", body, b"")
        assert reader.eof() == ""


@pytest.mark.parametrize(("data", "body"), WHOLE.values(), ids=WHOLE)
def test_bytes_behind_the_end_are_left_untouched(data, body):
    for pieces in every_way(data + b"HTTP/1.1 500"):
        reader = ResponseReader()
        got = b"".join(reader.feed(piece) for piece in pieces)
        assert (got, reader.rest) == (body, b"HTTP/1.1 500")
        assert not reader.keeps_connection


@pytest.mark.parametrize(("data", "body"), WHOLE.values(), ids=WHOLE)
def test_no_prefix_is_whole(data, body):
    for length in range(len(data)):
        reader = ResponseReader()
        got = reader.feed(data[:length])
        assert not reader.complete
        assert reader.eof() != ""
        assert body.startswith(got)


def test_close_delimited_body_ends_with_fin():
    reader = ResponseReader()
    assert reader.feed(b"HTTP/1.0 200 OK\r\n\r\nab") == b"ab"
    assert reader.feed(b"c") == b"c"
    assert not reader.complete
    assert reader.eof() == ""
    assert reader.complete
    assert not reader.keeps_connection


MISSING = {
    "within a chunk": (CHUNKED + b"a\r\n1234", "chunk 1 promised 10 bytes, 4 came"),
    "between chunks": (CHUNKED + b"1\r\na\r\n", "after 1 chunks without the last one"),
    "within the counted body": (
        OK + b"Content-Length: 700\r\n\r\n" + b"x" * 120,
        "promised 700 bytes, 120 came",
    ),
    "within the head": (OK, "within the response head, 17 bytes came"),
}


@pytest.mark.parametrize(("data", "words"), MISSING.values(), ids=MISSING)
def test_eof_says_what_is_missing(data, words):
    reader = ResponseReader()
    reader.feed(data)
    assert words in reader.eof()


FAULTY = {
    "not HTTP": (b"SSH-2.0-OpenSSH\r\n", "begins with b'S"),
    "HTTP/2": (b"HTTP/2 200\r\n\r\n", "not with HTTP/1."),
    "status of two digits": (b"HTTP/1.1 20 OK\r\n\r\n", "status line"),
    "empty header name": (OK + b": x\r\n\r\n", "header line 1"),
    "space before the colon": (OK + b"Server: x\r\nLength : 1\r\n\r\n", "header line 2"),
    "NUL in a header": (OK + b"X: a\0b\r\n\r\n", "header line 1"),
    "two lengths": (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "two values: 1 and 2"),
    "negative length": (OK + b"Content-Length: -1\r\n\r\n", "Content-Length is '-1'"),
    "empty length": (OK + b"Content-Length:\r\n\r\n", "Content-Length is ''"),
    "NUL in the reason": (b"HTTP/1.1 200 O\0K\r\n\r\n", "status line"),
    "trailer that is no header": (CHUNKED + b"0\r\nnonsense\r\n\r\n", "trailer section holds b'nonsense"),
    "length in words": (OK + b"Content-Length: ten\r\n\r\n", "Content-Length is 'ten'"),
    "gzip as transfer coding": (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "'gzip, chunked'"),
    "chunk size in words": (CHUNKED + b"xyz\r\n", "chunk 1 begins with b'xyz"),
    "negative chunk size": (CHUNKED + b"-1\r\n", "chunk 1 begins with b'-1"),
    "chunk size ended by a lone LF": (CHUNKED + b"1\na\r\n", "chunk 1 begins with b'1\\n'"),
    "chunk size of 17 digits": (CHUNKED + b"1" * 17 + b"\r\n", "chunk 1 begins"),
    "chunk longer than its size": (CHUNKED + b"1\r\nab\r\n", "chunk 1 of 1 bytes is followed by b'b"),
    "endless chunk size line": (CHUNKED + b"1;" + b"x" * 5000, "size line of chunk 1 is longer than 4096"),
    "endless header": (OK + b"X: " + b"x" * 70_000, "head is longer than 65536"),
    "CR within a trailer": (CHUNKED + b"0\r\nX: \r\r\n\r\n", "trailer section holds b'X: "),
    "endless trailers": (CHUNKED + b"0\r\n" + b"X: y\r\n" * 12_000, "trailer section is longer"),
    "endless 1xx": (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20, "more than 16 responses of status 1xx"),
}


@pytest.mark.parametrize(("data", "words"), FAULTY.values(), ids=FAULTY)
def test_fault_is_named_however_it_is_cut(data, words):
    for pieces in (
        every_way(data) if len(data) < 10_000 else [[data], cut_at(data, list(range(1000, 90_000, 1000)))]
    ):
        reader = ResponseReader()
        for piece in pieces:
            reader.feed(piece)
            if reader.fault:
                break
        assert words in reader.fault
        assert not reader.complete


def test_what_came_before_a_fault_is_still_returned():
    reader = ResponseReader()
    assert reader.feed(CHUNKED + b"3\r\nabc\r\nnonsense\r\n") == b"abc"
    assert "chunk 2 begins" in reader.fault


SETTLED = {
    "one whole chunk": (b"3\r\nabc\r\n", True),
    "a chunk whose CR LF has not come": (b"3\r\nabc", True),
    "a chunk with half its CR LF": (b"3\r\nabc\r", True),
    "the next chunk has begun": (b"3\r\nabc\r\n4", False),
    "the last chunk follows": (b"3\r\nabc\r\n0\r\n\r\n", False),
    "two chunks": (b"3\r\nabc\r\n1\r\nd\r\n", True),
}


@pytest.mark.parametrize(("data", "settled"), SETTLED.values(), ids=SETTLED)
def test_settled_tells_whether_the_stamp_dates_the_last_body_byte(data, settled):
    reader = ResponseReader()
    reader.feed(CHUNKED)
    reader.feed(data)
    assert reader.body is not None
    assert reader.body.settled is settled


KEEPS = {
    "HTTP/1.1": (CHUNKED + b"0\r\n\r\n", True),
    "connection: close": (OK + b"Connection: Close\r\nContent-Length: 0\r\n\r\n", False),
    "close among others": (OK + b"Connection: x, close\r\nContent-Length: 0\r\n\r\n", False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
    "both framings": (
        OK + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        False,
    ),
    "not yet whole": (CHUNKED, False),
}


@pytest.mark.parametrize(("data", "keeps"), KEEPS.values(), ids=KEEPS)
def test_whether_the_connection_may_be_used_again(data, keeps):
    reader = ResponseReader()
    reader.feed(data)
    assert reader.keeps_connection is keeps


def test_request_is_what_h11_reads_as_one():
    data = request_bytes("POST", "/v1/completions", [("Host", "h:1"), ("X-Request-Id", "a")], b"{}")
    server = h11.Connection(h11.SERVER)
    server.receive_data(data)
    head, content, end = server.next_event(), server.next_event(), server.next_event()
    assert isinstance(head, h11.Request)
    assert isinstance(content, h11.Data)
    assert (head.method, head.target) == (b"POST", b"/v1/completions")
    assert dict(head.headers) == {b"host": b"h:1", b"x-request-id": b"a", b"content-length": b"2"}
    assert content.data == b"{}"
    assert isinstance(end, h11.EndOfMessage)


# Against h11.


def h11_reading(data: bytes, eof: bool) -> tuple[str, bytes]:
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "h")]))
    client.send(h11.EndOfMessage())
    body = b""
    try:
        if data:
            client.receive_data(data)
        if eof:
            client.receive_data(b"")
        while True:
            event = client.next_event()
            if isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return "complete", body
            elif event is h11.NEED_DATA or event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                return "more", body
    except h11.RemoteProtocolError:
        return "broken", body


def our_reading(pieces: list[bytes], eof: bool) -> tuple[str, bytes]:
    reader = ResponseReader()
    body = b"".join(reader.feed(piece) for piece in pieces)
    missing = reader.eof() if eof and not reader.fault else ""
    if reader.fault or missing:
        return "broken", body
    return ("complete" if reader.complete else "more"), body


chunk_sizes = st.lists(st.binary(min_size=1, max_size=40), max_size=5)
extensions = st.sampled_from([b"", b";a", b'; a="b"', b";a=b;c"])


@st.composite
def responses(draw):
    status = draw(st.sampled_from([b"200 OK", b"404 Not Found", b"500 ", b"204 No Content"]))
    head = b"HTTP/1." + draw(st.sampled_from([b"0", b"1"])) + b" " + status + b"\r\nServer: x\r\n"
    pieces = draw(chunk_sizes)
    framing = draw(st.sampled_from(["chunked", "counted", "close"]))
    if framing == "counted":
        body = b"".join(pieces)
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    if framing == "close":
        return head + b"\r\n" + b"".join(pieces)
    chunks = b"".join(b"%x%s\r\n%s\r\n" % (len(piece), draw(extensions), piece) for piece in pieces)
    trailers = draw(st.sampled_from([b"", b"X-T: 1\r\n"]))
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n" + trailers + b"\r\n"


cuts = st.lists(st.integers(1, 400), max_size=8)


@settings(max_examples=300)
@given(responses(), cuts, st.integers(0, 400), st.booleans())
def test_reads_what_h11_reads(data, places, length, eof):
    data = data[: length + 20]
    assert our_reading(cut_at(data, places), eof) == h11_reading(data, eof)


@settings(max_examples=400)
@given(responses(), cuts, st.data())
def test_a_damaged_response_is_never_read_as_whole_where_h11_finds_it_broken(data, places, chance):
    at = chance.draw(st.integers(0, len(data) - 1))
    damaged = data[:at] + chance.draw(st.binary(max_size=3)) + data[at + 1 :]
    theirs, our = h11_reading(damaged, eof=True), our_reading(cut_at(damaged, places), eof=True)
    if theirs[0] == "broken":
        assert our[0] == "broken"
    elif our[0] != "broken":
        assert our == theirs


def test_limits_have_room_for_what_real_servers_send():
    assert http1.HEAD_LIMIT_BYTES >= 32_768
