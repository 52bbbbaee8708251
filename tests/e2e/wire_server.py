"""A server that ends each stream in another way, by turns, with a list of what it did to which."""

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from midstream.streams.ending import Ending
from tests.midstream.streams import wire
from tests.midstream.streams.raw_server import Peer

MODELS = Path(__file__).parents[1] / "fixtures" / "vllm" / "models.response.http"
PROBE_ID = "midstream-probe-"
CUT_AFTER = 3  # tokens; every stream asks for more
BEAT_S = 0.25  # of what goes on for ever; well below the idle limit
PIECE_BYTES = 262_144
# What a server writes must neither steer a terminal nor be read as our own markup.
RUDE = "engine [/red] dead\x1b[31m\r\n{}"


class Turn(NamedTuple):
    """How a stream is played, with what it is to be called. `play` gets the number of tokens asked."""

    ending: Ending
    play: Callable[[Peer, int], None]
    words: str = ""  # within the record's error, as a regular expression


def sent(*parts: bytes) -> Callable[[Peer, int], None]:
    """These bytes, then FIN."""
    return lambda peer, _: peer.send(b"".join(parts))


def answer(status: str, kind: str, content: bytes) -> Callable[[Peer, int], None]:
    """A response that is no stream."""
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(content)}\r\n\r\n"
    return sent(head.encode(), content)


def without_end(
    first: bytes, again: Callable[[int], bytes], pause_s: float = 0.0
) -> Callable[[Peer, int], None]:
    """`first`, then more until the client closes."""

    def play(peer: Peer, _: int) -> None:
        peer.send(first)
        for number in itertools.count(CUT_AFTER + 1):
            peer.send(again(number))
            time.sleep(pause_s)

    return play


def silent(*parts: bytes) -> Callable[[Peer, int], None]:
    """These bytes, then nothing."""

    def play(peer: Peer, _: int) -> None:
        peer.send(b"".join(parts))
        peer.wait_for_close()

    return play


def reset(*parts: bytes) -> Callable[[Peer, int], None]:
    """These bytes, then RST."""

    def play(peer: Peer, _: int) -> None:
        peer.send(b"".join(parts))
        peer.reset()

    return play


def whole(peer: Peer, asked: int) -> None:
    """All that was asked for."""
    peer.send(wire.whole(asked))


def two_labels(peer: Peer, asked: int) -> None:
    """A whole stream whose last token another revision made."""
    events = [*wire.tokens(asked - 1, None), wire.token(asked, model="rev-b", finish="length")]
    peer.send(wire.response([*events, wire.closing(asked), "[DONE]"]))


def behind_done(peer: Peer, asked: int) -> None:
    """A whole stream with a second one glued to it."""
    peer.send(wire.response([*wire.tokens(asked), "[DONE]", wire.token(1)]))


def no_done(peer: Peer, asked: int) -> None:
    """A whole stream but for its [DONE]."""
    peer.send(wire.response([*wire.tokens(asked), wire.closing(asked)]))


BEGUN = wire.HEAD + wire.body(wire.tokens(CUT_AFTER, None))
COMMENT = wire.chunk(b": keep-alive\n\n")
ERROR_EVENT = wire.body([{"error": {"message": RUDE, "code": 500}}, "[DONE]"])
ABORT = wire.body([wire.token(CUT_AFTER + 1, finish="abort"), "[DONE]"])
SHORT: list[dict[str, Any] | str] = [*wire.tokens(CUT_AFTER), wire.closing(CUT_AFTER), "[DONE]"]
GZIP = wire.HEAD.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n")
ERROR = json.dumps({"error": {"message": RUDE, "type": "rude"}}).encode()
RUDE_WORDS = r"engine \[/red\] dead"

TURNS: dict[str, Turn] = {
    "complete": Turn(Ending.COMPLETE, whole),
    "aborted": Turn(Ending.ABORTED, sent(BEGUN, ABORT, wire.LAST_CHUNK), "finish_reason abort"),
    "error event": Turn(Ending.ERROR_EVENT, sent(BEGUN, ERROR_EVENT, wire.LAST_CHUNK), RUDE_WORDS),
    "clean end": Turn(Ending.ENDED_EARLY, sent(BEGUN, wire.LAST_CHUNK), "no finish_reason"),
    "FIN within the body": Turn(Ending.TRUNCATED, sent(BEGUN), "without the last one"),
    "RST within the body": Turn(Ending.RESET, reset(BEGUN)),
    "RST behind the head": Turn(Ending.RESET, reset(wire.HEAD)),
    "silence": Turn(Ending.STALLED, silent(BEGUN), "limit 2.0 s passed after 3 tokens"),
    "comments after tokens": Turn(
        Ending.STALLED, without_end(BEGUN, lambda _: COMMENT, BEAT_S), "passed after 3 tokens"
    ),
    "comments alone": Turn(
        Ending.NO_FIRST_TOKEN, without_end(wire.HEAD, lambda _: COMMENT, BEAT_S), "passed after 0 tokens"
    ),
    "tokens without end": Turn(
        Ending.TIMED_OUT,
        without_end(BEGUN, lambda number: wire.body([wire.token(1, ids=[], usage=number)]), BEAT_S),
    ),
    "no [DONE]": Turn(Ending.NO_DONE, no_done),
    "too few tokens": Turn(Ending.SHORT, sent(wire.response(SHORT)), "3 of [0-9]+ tokens came, by ids"),
    "tokens twice": Turn(
        Ending.REPEATED, sent(BEGUN, wire.body(SHORT), wire.LAST_CHUNK), "usage fell from 3 to 1"
    ),
    "two labels": Turn(Ending.MIXED_REVISION, two_labels, "rev-a, rev-b"),
    "an event behind [DONE]": Turn(Ending.MALFORMED, behind_done, r"after \[DONE\]"),
    "an event without end": Turn(
        Ending.MALFORMED,
        without_end(wire.HEAD + wire.chunk(b"data: "), lambda _: wire.chunk(b"x" * PIECE_BYTES)),
        "longer than 10485760 bytes",
    ),
    "headers without end": Turn(
        Ending.MALFORMED,
        without_end(b"HTTP/1.1 200 OK\r\n", lambda number: b"x-%d: %s\r\n" % (number, b"y" * 1000)),
        "head is longer than 65536 bytes",
    ),
    "gzip": Turn(Ending.MALFORMED, sent(GZIP, wire.chunk(b"\x1f\x8b")), "content-encoding is gzip"),
    "a bad chunk size": Turn(Ending.MALFORMED, sent(BEGUN, b"zz\r\n"), "size in hexadecimal"),
    "RST before the head": Turn(Ending.RESET_BEFORE_HEADERS, reset()),
    "FIN within the head": Turn(Ending.RESET_BEFORE_HEADERS, sent(wire.HEAD[:40]), "40 bytes came"),
    "no head": Turn(Ending.NO_HEADERS, silent(), "limit 2.0 s"),
    "429": Turn(Ending.HTTP_429, answer("429 Slow down", "application/json", ERROR), RUDE_WORDS),
    "404": Turn(Ending.HTTP_4XX, answer("404 Gone", "application/json", ERROR), "404 Gone: " + RUDE_WORDS),
    "503": Turn(Ending.HTTP_5XX, answer("503 Busy", "text/html", b"<h1>Busy</h1>"), "<h1>Busy"),
    "JSON": Turn(Ending.NOT_SSE, answer("200 OK", "application/json", b'{"choices": []}'), "choices"),
    "HTML": Turn(Ending.NOT_SSE, answer("200 OK", "text/html", b"<h1>Log in</h1>"), "Log in"),
}


class EndingByTurns:
    """The script of a raw server; `played` has the turn of each stream by its X-Request-Id.

    The list of models is answered as vLLM would, the probe that learns traits by `probe`; neither counts.
    """

    def __init__(self, probe: Callable[[Peer, int], None] = whole) -> None:
        self._probe = probe
        self.played: list[tuple[str, str]] = []
        self._turns: Iterator[str] = itertools.cycle(TURNS)
        self._lock = threading.Lock()

    def __call__(self, peer: Peer) -> None:
        """Answer the one request of a connection."""
        head, _, body = peer.read_request().partition(b"\r\n\r\n")
        if head.startswith(b"GET "):
            peer.send(MODELS.read_bytes())
            return
        request_id, asked = _header(head, "x-request-id"), int(json.loads(body)["max_tokens"])
        if request_id.startswith(PROBE_ID):
            self._probe(peer, asked)
            return
        with self._lock:
            name = next(self._turns)
            self.played.append((request_id, name))
        TURNS[name].play(peer, asked)


def _header(head: bytes, name: str) -> str:
    lines = head.decode("latin-1").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines)
    return next(value.strip() for key, _, value in pairs if key.lower() == name)
