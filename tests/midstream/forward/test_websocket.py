"""WebSocket frames: masked as a client's are, read as a server's."""

import pytest

from midstream.forward import websocket


def test_the_key_is_answered_as_in_the_standard():
    assert websocket.accept("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, 1.3


def test_the_request_asks_for_the_protocol_with_all_headers():
    asked = websocket.request("/path", "host:1", "KEY", "proto", {"authorization": "Bearer x"}).decode()
    assert asked.startswith("GET /path HTTP/1.1\r\nHost: host:1\r\n")
    assert asked.endswith("Sec-WebSocket-Protocol: proto\r\nauthorization: Bearer x\r\n\r\n")


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 70_001])
def test_a_masked_payload_is_the_payload_again(size):
    payload = bytes(index % 251 for index in range(size))
    frame = websocket.frame(websocket.BINARY, payload)
    head = len(frame) - size - 4
    key, masked = frame[head : head + 4], frame[head + 4 :]
    assert frame[0] == 0x82
    assert bytes(byte ^ key[index % 4] for index, byte in enumerate(masked)) == payload


SMALL, MIDDLE, LARGE = b"", b"m" * 126, b"l" * 65_536
CAME = (
    b"\x89\x00" + b"\x82\x7e\x00\x7e" + MIDDLE + b"\x82\x7f" + (65_536).to_bytes(8, "big") + LARGE + b"\x88"
)


@pytest.mark.parametrize("step", [1_000, len(CAME)], ids=["in pieces", "at once"])
def test_frames_are_whole_however_the_bytes_come(step):
    unpacker = websocket.Unpacker()
    pieces = [CAME[at : at + step] for at in range(0, len(CAME), step)]
    assert [message for piece in pieces for message in unpacker.feed(piece)] == [
        websocket.Message(websocket.PING, SMALL),
        websocket.Message(websocket.BINARY, MIDDLE),
        websocket.Message(websocket.BINARY, LARGE),
    ]
