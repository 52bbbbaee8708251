from midstream.streams.clock import REREAD_NS, StampClock


class Clocks:
    """A monotonic clock that the test moves, with a wall clock at some offset from it."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000
        self.offset_ns = 1_700_000_000_000_000_000
        self.readings = 0

    def monotonic_ns(self) -> int:
        return self.now_ns

    def wall_ns(self) -> int:
        self.readings += 1
        return self.now_ns + self.offset_ns


def test_a_stamp_becomes_a_monotonic_instant():
    clocks = Clocks()
    clock = StampClock(clocks.wall_ns, clocks.monotonic_ns)
    assert clock.monotonic(clocks.offset_ns + 123) == 123


def test_drift_is_followed_once_the_offset_is_old():
    clocks = Clocks()
    clock = StampClock(clocks.wall_ns, clocks.monotonic_ns)
    before = clocks.readings
    assert clock.refresh(clocks.now_ns + REREAD_NS - 1)
    assert clocks.readings == before
    clocks.now_ns += REREAD_NS
    clocks.offset_ns += 1_000
    assert clock.refresh(clocks.now_ns)
    assert clock.monotonic(clocks.offset_ns + 5) == 5
    assert clock.steps == 0


def test_a_step_of_the_wall_clock_voids_stamps_once():
    clocks = Clocks()
    clock = StampClock(clocks.wall_ns, clocks.monotonic_ns)
    for step_ns in (2_000_000_000, -3_000_000):
        clocks.now_ns += REREAD_NS
        clocks.offset_ns += step_ns
        assert not clock.refresh(clocks.now_ns)
        clocks.now_ns += REREAD_NS
        assert clock.refresh(clocks.now_ns)
    assert clock.steps == 2
    assert clock.monotonic(clocks.offset_ns + 5) == 5


def test_being_interrupted_between_the_clocks_does_not_count():
    clocks = Clocks()
    pauses = iter([0, 40_000_000, 0])

    def wall_ns() -> int:
        value = clocks.now_ns + clocks.offset_ns
        clocks.now_ns += next(pauses)
        return value

    clock = StampClock(wall_ns, clocks.monotonic_ns)
    assert clock.monotonic(clocks.offset_ns) == 0
