import time

import gevent
import pytest

from hooks import pulses
from hooks.pulses import Pulses
from midstream.streams.ending import Ending
from tests.midstream.builders import pulse

RATE = 100


def sent(count, *, hold=None, rate=RATE):
    """The (fresh, scheduled, begun) of the first pulses."""
    seen = []
    lines: list[str] = []

    def note(fresh, scheduled_ns):
        seen.append((fresh, scheduled_ns, time.monotonic_ns()))
        if hold is not None:
            hold(len(seen))
        return pulse(100.0, fresh=fresh)

    lane = Pulses(rate, note, lines.append)
    runner = gevent.spawn(lane.run, lambda: len(seen) >= count)
    runner.get(timeout=20)
    return seen, lane, lines


def test_by_turns_on_new_connections_and_kept_ones():
    seen, _, _ = sent(6)
    assert [fresh for fresh, _, _ in seen] == [True, False] * 3


def test_slots_are_whole_periods_from_the_start_and_never_early():
    seen, _, _ = sent(6)
    period_ns = 1_000_000_000 // RATE
    first_ns = seen[0][1]
    for _, scheduled_ns, begun_ns in seen:
        assert (scheduled_ns - first_ns) % period_ns == 0
        assert begun_ns >= scheduled_ns


def test_a_late_process_leaves_slots_out_instead_of_sending_a_burst():
    def stall(number):
        if number == 3:
            time.sleep(0.3)  # the whole process: no other greenlet runs meanwhile

    seen, _, _ = sent(8, hold=stall)
    before, after = seen[3], seen[4]  # the slot that was waited for is sent late
    assert after[1] - before[1] > 200_000_000
    assert len({scheduled_ns for _, scheduled_ns, _ in seen}) == len(seen)


def test_no_more_are_open_at_once_than_memory_bears(monkeypatch):
    monkeypatch.setattr(pulses, "MOST_OPEN", 2)
    seen = []

    def never(fresh, scheduled_ns):
        seen.append(fresh)
        gevent.sleep(30)

    lane = Pulses(RATE, never, print)
    runner = gevent.spawn(lane.run, lambda: False)
    gevent.sleep(0.2)
    runner.kill()
    assert len(seen) == 2


@pytest.mark.parametrize("failing", [True, False], ids=["new connections", "kept ones"])
def test_both_kinds_of_connection_are_told_apart(failing):
    lane = Pulses(
        RATE,
        lambda fresh, _: pulse(100.0, Ending.HTTP_5XX if fresh is failing else Ending.COMPLETE, fresh=fresh),
        lambda _: None,
    )
    for fresh in (True, False) * 2:
        lane._send(fresh, 0)
    assert lane.failed_ns is not None
    assert (lane.dark_since_ns is not None) is failing
