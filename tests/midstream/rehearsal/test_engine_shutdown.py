"""What clients of the engine see when SIGTERM comes, against a real vLLM's bytes."""

import contextlib
import signal
from collections.abc import Iterator

import pytest

from tests.midstream.rehearsal.engine_process import Connection, Engine, engine, get, wait_until
from tests.midstream.rehearsal.engine_wire import Wire, capture, head, ids, read, request, runs, shape, shapes

COUNTS = '{}{{engine="0",model_name="rev-abc"}}'
SLOW = ("--tokens-per-second", "50")


def begin(connection: Connection, name: str, events: int) -> None:
    """Send a captured request and read that many events."""
    connection.send(request(name))
    connection.read_until(lambda raw: raw.count(b"data: ") >= events)


@contextlib.contextmanager
def two_streams(running: Engine, *names: str) -> Iterator[list[Connection]]:
    """A stream for each captured request, with some events read."""
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(running.connect()) for _ in names]
        for connection, name in zip(connections, names, strict=True):
            begin(connection, name, 5)
        yield connections


def tail(wire: Wire, size: int) -> list[object]:
    return [shape(event) for event in wire.events[-size:]]


def test_by_default_sigterm_aborts_as_in_the_capture() -> None:
    names = ("sigterm-abort-no-token-in-last-event", "chat-sigterm-abort-token-ids")
    with engine(*SLOW) as running, two_streams(running, *names) as connections:
        running.process.terminate()
        for connection, name in zip(connections, names, strict=True):
            ours, theirs = read(connection.read_to_end()), capture(name)
            assert head(ours) == head(theirs)
            assert tail(ours, 3) == tail(theirs, 3)
            assert ours.events[-2]["choices"][0]["finish_reason"] == "abort"
            assert ids(ours)[-1] == []
            assert ours.events[-1]["usage"]["completion_tokens"] == sum(map(len, ids(ours)))
            assert (ours.is_done, ours.ended, ours.rest) == (True, True, b"")
        assert running.wait() == 0
        assert running.refuses()


def test_an_aborted_answer_that_does_not_stream_says_so() -> None:
    with engine(*SLOW) as running, running.connect() as connection:
        data = request("chat-not-streaming").replace(b'"max_tokens":12,', b'"max_tokens":99,')
        connection.send(data)
        wait_until(lambda: running.metric(COUNTS.format("generation_tokens_total")) > 0)
        running.process.terminate()
        wire = read(connection.read_to_end())
        body = wire.body
        (choice,) = body["choices"]
        assert choice["finish_reason"] == "abort"
        choice["finish_reason"] = "length"
        assert shape(body) == shape(capture("chat-not-streaming").body)
        assert running.wait() == 0


def test_an_error_event_at_sigterm_is_the_captured_one() -> None:
    names = ("sigterm-error-event-token-ids", "chat-sigterm-error-event")
    with engine(*SLOW, "--on-sigterm", "error") as running, two_streams(running, *names) as connections:
        running.process.terminate()
        for connection, name in zip(connections, names, strict=True):
            ours, theirs = read(connection.read_to_end()), capture(name)
            assert head(ours) == head(theirs)
            assert ours.chunks[-2:] == theirs.chunks[-2:]
            assert shapes(ours)[-2] == shapes(theirs)[-2]
            assert (ours.is_done, ours.ended, ours.rest) == (True, True, b"")
        assert running.wait() == 0


def test_a_clean_cut_at_sigterm_ends_the_body_and_says_nothing() -> None:
    names = ("sigterm-hang-token-ids", "chat-sigterm-hang-token-ids")
    with engine(*SLOW, "--on-sigterm", "cut") as running, two_streams(running, *names) as connections:
        running.process.terminate()
        for connection in connections:
            ours = read(connection.read_to_end())
            assert (ours.is_done, ours.ended, ours.rest) == (False, True, b"")
            assert ours.events[-1]["choices"][0]["finish_reason"] is None
            assert ours.events[-1]["choices"][0]["token_ids"] != []
        assert running.wait() == 0


def drained(connection: Connection) -> None:
    """Read what was on its way, until nothing comes for half a second: fails on FIN."""
    while not connection.is_silent_for(0.5):
        assert connection.receive()


HANGS = {
    "at once": (("--on-sigterm", "hang"), "sigterm-hang-token-ids"),
    "when the shutdown timeout is over": (("--shutdown-timeout", "0.3"), "drain-deadline-hang"),
}


@pytest.mark.parametrize("case", HANGS)
def test_hanging_streams_are_silent_and_keep_the_process_until_clients_let_go(case: str) -> None:
    arguments, name = HANGS[case]
    with engine(*SLOW, *arguments) as running:
        with two_streams(running, name, name) as connections:
            running.process.terminate()
            wait_until(running.refuses)
            for connection in connections:
                drained(connection)
                ours, theirs = read(connection.raw), capture(name)
                assert (ours.ended, ours.rest) == (False, b"")  # at a chunk's end
                assert (theirs.ended, theirs.rest) == (False, b"")
                assert shapes(ours)[-1] == shapes(theirs)[-1]
            assert running.process.poll() is None
        assert running.wait() == 0


LATE = [
    "drain-late-completions",
    "drain-late-completions-not-streaming",
    "drain-late-chat",
    "drain-late-chat-not-streaming",
    "drain-late-token-id-prompt",
    "drain-late-token-id-prompt-without-usage",
    "drain-late-token-id-prompt-not-streaming",
    "drain-health",
]


def same(ours: Wire, theirs: Wire) -> bool:
    """Whether two answers are alike in head, events or body."""
    if dict(theirs.headers).get("content-type", "").startswith("text/event-stream"):
        return (head(ours), shapes(ours), ours.is_done) == (head(theirs), shapes(theirs), theirs.is_done)
    bodies = [shape(wire.body) if wire.chunks != [b""] else None for wire in (ours, theirs)]
    return head(ours) == head(theirs) and bodies[0] == bodies[1]


def test_a_drain_finishes_what_is_open_and_refuses_what_is_new_as_in_the_captures() -> None:
    aborts = 'request_success_total{engine="0",finished_reason="abort",model_name="rev-abc"}'
    with (
        engine("--tokens-per-second", "40", "--shutdown-timeout", "60") as running,
        running.connect() as stream,
        running.connect() as texts,
        running.connect() as token_ids,
    ):
        begin(stream, "drain-stream-completes", 30)
        for pooled in (texts, token_ids):  # pooled: opened and used before SIGTERM
            pooled.send(get("/health").replace(b"Connection: close\r\n", b""))
            pooled.read_response()
        running.process.terminate()
        running.wait_for_log("SIGTERM: 1 texts open, shutdown timeout 60 s")
        for name in LATE:
            ours, theirs = running.exchange(request(name)), capture(name)
            assert same(ours, theirs), (name, ours)
        for pooled, name in (
            (texts, "drain-late-pooled-connection"),
            (token_ids, "drain-late-pooled-token-id-prompt"),
        ):
            for _ in range(2):  # the connection stays open
                pooled.send(request(name))
                assert same(pooled.read_response(), capture(name)), name
        for name in ("drain-late-completions", "drain-late-chat"):
            assert running.exchange(request(name)).chunks == capture(name).chunks
        assert running.exchange(get("/v1/chat/completions")).status.startswith("HTTP/1.1 405")
        assert running.metric(COUNTS.format("num_requests_running")) == 1
        assert running.metric(aborts) == 5
        ours, theirs = read(stream.read_to_end()), capture("drain-stream-completes")
        assert head(ours) == head(theirs)
        assert runs(shapes(ours)) == runs(shapes(theirs))  # one event of the capture holds two tokens
        assert (len(ours.events), ours.is_done, ours.ended, ours.rest) == (150, True, True, b"")
        assert running.wait() == 0
        assert texts.read_to_end() == b""


def test_a_drain_finishes_streams_that_still_wait_for_a_slot() -> None:
    with engine("--max-num-seqs", "1", "--shutdown-timeout", "60", "--tokens-per-second", "400") as running:
        with running.connect() as first, running.connect() as second:
            begin(first, "drain-stream-completes", 1)
            second.send(request("drain-stream-completes"))
            second.read_until(lambda raw: b"\r\n\r\n" in raw)
            running.process.terminate()
            for connection in (first, second):
                ours = read(connection.read_to_end())
                assert ours.events[-1]["choices"][0]["finish_reason"] == "length"
        assert running.wait() == 0


def test_an_engine_with_nothing_open_exits_at_once_even_with_time_to_drain() -> None:
    with engine("--shutdown-timeout", "60") as running:
        assert not running.refuses()
        running.process.terminate()
        assert running.wait() == 0


def test_a_signal_while_loading_ends_the_engine_before_it_ever_listens() -> None:
    with engine("--load-seconds", "600") as running:
        running.wait_for_log("loading for 600 s")
        running.process.terminate()
        assert running.wait() == 0
        assert "running on" not in "".join(running.log)


def test_the_port_is_bound_once_the_load_is_over() -> None:
    with engine("--load-seconds", "0.2") as running:
        running.wait_for_log("loading for 0.2 s")
        assert running.exchange(get("/health")).status == "HTTP/1.1 200 OK"


def test_a_hung_engine_still_obeys_a_second_interrupt() -> None:
    name = "sigterm-hang-token-ids"
    with engine(*SLOW, "--on-sigterm", "hang") as running, two_streams(running, name):
        running.process.send_signal(signal.SIGINT)
        running.wait_for_log("SIGINT: 1 texts open")
        running.process.send_signal(signal.SIGINT)
        assert running.wait() == 0
