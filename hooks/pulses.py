"""The pulse lane: short streams on a fixed schedule, which alone tell whether the service can be reached."""

import itertools
import math
import time
from collections.abc import Callable

import gevent

from midstream.dark import Dark, after_pulse
from midstream.promotion import NS_PER_S
from midstream.scenarios import Ask
from midstream.streams.record import StreamRecord

MOST_OPEN = 500  # a service that answers nothing must not fill memory: what is missing is missed by the check
PULSE = Ask(scenario="pulse", prompt="Say yes.", tokens=8)

Hold = Callable[[bool, int], StreamRecord]  # (on a fresh connection, scheduled ns) -> the pulse's record


class Pulses:
    """Sends one pulse each 1 / rate seconds, by turns on a fresh connection or on a kept one."""

    def __init__(self, rate: float, hold: Hold, say: Callable[[str], None]) -> None:
        self.dark = {True: Dark(), False: Dark()}  # fresh connections, kept ones: they fail apart
        self._period_ns = NS_PER_S / rate
        self._hold = hold
        self._say = say
        self._open = 0

    @property
    def failed_ns(self) -> int | None:
        """When the last pulse was opened that was not answered."""
        failed = [dark.last_failed_ns for dark in self.dark.values() if dark.last_failed_ns is not None]
        return max(failed, default=None)

    @property
    def dark_since_ns(self) -> int | None:
        """Since when no pulse on a new connection was answered."""
        return self.dark[True].since_ns

    def run(self, is_over: Callable[[], bool]) -> None:
        """Send them until `is_over`.

        Slots that have passed while this process was late are left out: sent all at once they would tell
        nothing of the moments that they were for.
        """
        started_ns = time.monotonic_ns()
        slot = 0
        for fresh in itertools.cycle((True, False)):
            slot = max(slot + 1, math.ceil((time.monotonic_ns() - started_ns) / self._period_ns))
            due_ns = started_ns + round(slot * self._period_ns)
            gevent.sleep(max(0.0, (due_ns - time.monotonic_ns()) / NS_PER_S))
            if is_over():
                return
            if self._open < MOST_OPEN:
                gevent.spawn(self._send, fresh, due_ns)

    def _send(self, fresh: bool, scheduled_ns: int) -> None:
        self._open += 1
        try:
            record = self._hold(fresh, scheduled_ns)
        finally:
            self._open -= 1
        self.dark[fresh], words = after_pulse(self.dark[fresh], record)
        if words:
            self._say(words)
