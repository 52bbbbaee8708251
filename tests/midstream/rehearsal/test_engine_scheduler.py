"""Slots, queue and pace of the engine."""

import time

import pytest

from midstream.rehearsal.engine.outbox import Break, Outbox
from midstream.rehearsal.engine.scheduler import due_ns
from midstream.rehearsal.engine.sequence import Delta
from tests.midstream.rehearsal.engine_process import engine, post, wait_until
from tests.midstream.rehearsal.engine_wire import ids, read

COUNTS = '{}{{engine="0",model_name="rev-abc"}}'
ABORTS = 'request_success_total{engine="0",finished_reason="abort",model_name="rev-abc"}'


@pytest.mark.parametrize(
    ("position", "rate", "expected_ns"),
    [(0, 20.0, 7), (1, 20.0, 50_000_007), (20_000, 20.0, 1_000_000_000_007), (3, 3.0, 1_000_000_007)],
    ids=["the first at once", "one period later", "no drift in 1,000 s", "no drift by rounding"],
)
def test_a_token_is_due_at_its_own_multiple_of_the_period(
    position: int, rate: float, expected_ns: int
) -> None:
    assert due_ns(7, position, rate) == expected_ns


def test_tokens_come_no_faster_than_their_schedule() -> None:
    with engine("--tokens-per-second", "20", "--ttft-seconds", "0.1") as running:
        assert running.port
        since = time.monotonic()
        wire = running.ask("completions", max_tokens=9, return_token_ids=True)
        assert time.monotonic() - since >= 0.1 + 8 / 20
        assert [len(part) for part in ids(wire)] == [1] * 9


def test_beyond_the_slots_a_stream_waits_with_its_headers_sent() -> None:
    with engine("--max-num-seqs", "1", "--tokens-per-second", "50") as running:
        with running.connect() as first, running.connect() as second:
            first.send(post("completions", max_tokens=5000))
            first.read_until(lambda raw: b"data: " in raw)
            second.send(post("chat"))
            second.read_until(lambda raw: b"\r\n\r\n" in raw)
            assert second.is_silent_for(0.5)  # not even chat's role event
            assert running.metric(COUNTS.format("num_requests_running")) == 1
            assert running.metric(COUNTS.format("num_requests_waiting")) == 1
            assert 0 < running.metric(COUNTS.format("kv_cache_usage_perc")) < 1
            first.socket.close()  # its slot is free once the engine has noticed
            assert read(second.read_to_end()).is_done
        wait_until(lambda: running.metric(COUNTS.format("num_requests_running")) == 0)
        assert running.metric(ABORTS) == 1


def test_a_waiting_stream_whose_client_is_gone_leaves_the_queue() -> None:
    with engine("--max-num-seqs", "1", "--tokens-per-second", "50") as running, running.connect() as first:
        first.send(post("completions", max_tokens=5000))
        first.read_until(lambda raw: b"data: " in raw)
        with running.connect() as second:
            second.send(post("completions"))
            wait_until(lambda: running.metric(COUNTS.format("num_requests_waiting")) == 1)
        wait_until(lambda: running.metric(COUNTS.format("num_requests_waiting")) == 0)
        assert running.metric(COUNTS.format("num_requests_running")) == 1


def test_a_client_that_does_not_read_holds_no_slot() -> None:
    with engine("--tokens-per-second", "100000", "--max-model-len", "100000") as running:
        with running.connect(receive_buffer=4096) as idle:
            idle.send(post("completions", max_tokens=20_000))  # 5 MB, beyond what Linux buffers (tcp_wmem)
            idle.read_until(lambda raw: b"data: " in raw)
            done = 'request_success_total{engine="0",finished_reason="length",model_name="rev-abc"}'
            wait_until(lambda: running.metric(done) == 1)
            wire = read(idle.read_to_end())
        assert wire.is_done
        assert len(wire.events) < 20_000  # what was not taken in time came merged


async def test_what_is_not_taken_is_merged_by_choice() -> None:
    outbox = Outbox(2, 1)
    for number in (1, 2):
        outbox.put(0, Delta((number,), f"{number} "))
        outbox.put(1, Delta((number + 10,), "x", "length"))
    assert await outbox.take() == {0: Delta((1, 2), "1 2 "), 1: Delta((11, 12), "xx", "length")}


async def test_a_break_comes_after_what_is_ready() -> None:
    outbox = Outbox(1, 1)
    outbox.put(0, Delta((1,), "a"))
    outbox.break_off(Break.CUT)
    assert await outbox.take() == {0: Delta((1,), "a")}
    assert await outbox.take() is Break.CUT
