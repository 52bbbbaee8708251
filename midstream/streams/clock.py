"""The kernel's receive stamps, which are wall-clock time, brought onto the monotonic clock."""

from collections.abc import Callable

import msgspec

REREAD_NS = 100_000_000  # 10 ppm of drift in 100 ms is 1 us (facts 7)
STEP_NS = 500_000  # slewing moves at most 500 ppm, 50 us in one interval: more was a step


class Clocks(msgspec.Struct, frozen=True, kw_only=True):
    """How well the kernel dated what a process read."""

    reads: int = 0
    undated_reads: int = 0  # without a kernel stamp, so dated by our own clock when we came to read
    steps: int = 0  # how often the wall clock was set, which voids the stamps around it

    @property
    def undated_share(self) -> float:
        """undated_reads / reads; 0 without reads."""
        return self.undated_reads / self.reads if self.reads else 0.0


class StampClock:
    """Keeps realtime - monotonic fresh. `wall_ns` and `monotonic_ns` are the two clocks."""

    def __init__(self, wall_ns: Callable[[], int], monotonic_ns: Callable[[], int]) -> None:
        self.steps = 0  # how often the wall clock was set
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._offset_ns = self._read()
        self._read_at_ns = monotonic_ns()

    def _read(self) -> int:
        """The narrowest of three readings, so that being interrupted between two clocks does not count."""
        readings = []
        for _ in range(3):
            before = self._monotonic_ns()
            wall = self._wall_ns()
            after = self._monotonic_ns()
            readings.append((after - before, wall - (before + after) // 2))
        return min(readings)[1]

    def refresh(self, now_ns: int) -> bool:
        """Re-read the offset when it is old; False: the wall clock was set, earlier stamps are void."""
        if now_ns - self._read_at_ns < REREAD_NS:
            return True
        offset_ns = self._read()
        allowed_ns = STEP_NS + (now_ns - self._read_at_ns) // 2_000  # 500 ppm
        stepped = abs(offset_ns - self._offset_ns) > allowed_ns
        self.steps += stepped
        self._offset_ns = offset_ns
        self._read_at_ns = now_ns
        return not stepped

    def monotonic(self, stamp_ns: int) -> int:
        """The monotonic instant of a kernel stamp."""
        return stamp_ns - self._offset_ns
