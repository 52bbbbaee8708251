"""SPDY/3 frames: what Go's reader needs to find, whole frames however the bytes come."""

import struct
import zlib

import pytest

from midstream.forward import spdy


def test_header_blocks_share_one_window_and_claim_no_dictionary():
    press, reader = spdy.HeaderPress(), zlib.decompressobj()
    first = press.block({"streamType": "error"})
    assert not first[1] & 0x20  # FDICT, RFC 1950: Go would look for SPDY's dictionary
    plain = b"\x00\x00\x00\x01\x00\x00\x00\x0astreamtype\x00\x00\x00"
    assert reader.decompress(first) == plain + b"\x05error"
    assert reader.decompress(press.block({"streamType": "data"})) == plain + b"\x04data"


def test_opening_a_stream_tells_its_number_and_that_nothing_follows():
    frame = spdy.open_stream(1, b"block", is_last=True)
    assert frame == b"\x80\x03\x00\x01\x01\x00\x00\x0f\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00block"


REPLY = struct.pack("!HHB", 0x8003, 2, 0) + b"\x00\x00\x04\x00\x00\x00\x01"
PING = struct.pack("!HHB", 0x8003, 6, 0) + b"\x00\x00\x04\x00\x00\x00\x07"
CAME = REPLY + spdy.data(3, b"hello") + PING + spdy.data(3, b"", is_last=True) + spdy.reset(1)


@pytest.mark.parametrize("size", [1, 7, len(CAME)], ids=["byte by byte", "in pieces", "at once"])
def test_frames_are_whole_however_the_bytes_come(size):
    unpacker = spdy.Unpacker()
    pieces = [CAME[at : at + size] for at in range(0, len(CAME), size)]
    assert [frame for piece in pieces for frame in unpacker.feed(piece)] == [
        spdy.Data(3, b"hello", is_last=False),
        spdy.Ping(7),
        spdy.Data(3, b"", is_last=True),
        spdy.Reset(1),
    ]
    assert spdy.pong(spdy.Ping(7)) == PING


@pytest.mark.parametrize(
    "came",
    [b"\x80\x02\x00\x01\x00\x00\x00\x00", b"\x80\x03\x00\x03\x00\x00\x00\x00"],
    ids=["another version", "a reset of nothing"],
)
def test_what_is_no_spdy_is_an_error(came):
    with pytest.raises(spdy.SpdyError):
        list(spdy.Unpacker().feed(came))
