"""What an engine does to its connections beside answering: comments in streams, closes of kept ones."""

import re

from tests.midstream.rehearsal.engine_process import engine, get, post
from tests.midstream.rehearsal.engine_wire import read

PING = re.compile(rb": ping - \d{4}-\d\d-\d\d [0-9:.]+\+00:00\n\n")
SLOW = ("--tokens-per-second", "20")


def test_comments_come_between_the_events_each_as_a_chunk_of_its_own() -> None:
    with engine(*SLOW, "--ping-seconds", "0.12") as running, running.connect() as connection:
        connection.send(post("completions", max_tokens=12))
        wire = read(connection.read_to_end())
    pings = [chunk for chunk in wire.chunks if PING.fullmatch(chunk)]
    assert 3 <= len(pings) <= 6  # within 0.6 s
    assert not PING.fullmatch(wire.chunks[0])
    assert sum(b"ping" in chunk for chunk in wire.chunks) == len(pings)
    assert (len(wire.chunks) - len(pings), wire.is_done, wire.ended) == (13, True, True)


def test_comments_go_on_while_a_stream_waits_for_its_first_token() -> None:
    arguments = ("--ping-seconds", "0.1", "--ttft-seconds", "0.4")
    with engine(*arguments) as running, running.connect() as connection:
        connection.send(post("chat"))
        wire = read(connection.read_to_end())
    assert all(PING.fullmatch(chunk) for chunk in wire.chunks[:2])
    assert (wire.is_done, wire.ended) == (True, True)


def test_without_that_option_there_are_no_comments() -> None:
    with engine(*SLOW) as running:
        assert not any(b"ping" in chunk for chunk in running.ask("completions").chunks)


def test_a_stale_kept_connection_is_closed_without_an_answer() -> None:
    kept = get("/health").replace(b"Connection: close\r\n", b"")
    with engine("--stale-keep-alive") as running:
        with running.connect() as connection:
            connection.send(kept)
            assert connection.read_response().status == "HTTP/1.1 200 OK"
            connection.send(kept)
            assert connection.read_to_end() == b""
        assert running.exchange(get("/health")).status == "HTTP/1.1 200 OK"
