"""Our own lateness: only spells that matter are noted, from the moment that was due to the moment it came."""

import time
from collections.abc import Iterator

import gevent
import pytest

from hooks.lateness import LATE_NS, PERIOD_S, LatenessWatch
from midstream.run import LateSpell

MS = 1_000_000
PERIOD_NS = round(PERIOD_S * 1e9)


class Clock:
    """A clock that each sleep moves on, by a little more than it was asked to."""

    def __init__(self, delays_ns: Iterator[int]) -> None:
        self.now_ns = 0
        self._delays_ns = delays_ns

    def sleep(self, seconds: float) -> None:
        delay_ns = next(self._delays_ns, None)
        if delay_ns is None:
            raise gevent.GreenletExit
        self.now_ns += round(seconds * 1e9) + delay_ns


@pytest.fixture
def watched(monkeypatch):
    """The spells that a watch notes when its sleeps are so late."""

    def watch(*delays_ns: int) -> tuple[LateSpell, ...]:
        clock, watch = Clock(iter(delays_ns)), LatenessWatch()
        with monkeypatch.context() as patched:
            patched.setattr("gevent.sleep", clock.sleep)
            patched.setattr("time.monotonic_ns", lambda: clock.now_ns)
            with pytest.raises(gevent.GreenletExit):
                watch.run()
        return watch.spells

    return watch


def test_a_loop_in_time_has_no_spells(watched):
    assert watched(0, 1 * MS, LATE_NS) == ()


def test_a_late_loop_has_a_spell_from_what_was_due(watched):
    assert watched(0, LATE_NS + 1) == (LateSpell(from_ns=2 * PERIOD_NS, to_ns=2 * PERIOD_NS + LATE_NS + 1),)


def test_each_late_turn_is_a_spell_of_its_own(watched):
    spells = watched(200 * MS, 0, 300 * MS)
    assert [spell.length_ns for spell in spells] == [200 * MS, 300 * MS]
    assert spells[0].to_ns < spells[1].from_ns


def test_a_hub_that_is_held_up_is_noticed():
    watch = LatenessWatch()
    watching = gevent.spawn(watch.run)
    gevent.sleep(0)
    started_ns = time.monotonic_ns()
    time.sleep(0.3)  # blocks the hub: nothing is patched here
    with gevent.Timeout(20):
        while not watch.spells:
            gevent.sleep(0.01)
    watching.kill()
    spell = watch.spells[0]
    assert spell.length_ns > 200 * MS
    assert spell.from_ns > started_ns
