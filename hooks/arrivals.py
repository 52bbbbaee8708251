"""Hands the arrivals of an open loop out to the users that wait for them."""

import time

import gevent
import msgspec

from midstream.arrivals import OpenLoop, offsets_s
from midstream.promotion import NS_PER_S


class Arrivals:
    """One schedule for all users of a process."""

    def __init__(self, loop: OpenLoop, seed: int) -> None:
        self._loop = loop
        self._offsets_s = offsets_s(loop.rate, loop.ramp_up_s, seed)
        self._started_ns: int | None = None
        self._open = self._offered = self._shed = 0

    @property
    def loop(self) -> OpenLoop:
        """What was offered until now."""
        return msgspec.structs.replace(self._loop, offered=self._offered, shed=self._shed)

    def next_ns(self) -> int:
        """Wait for the next arrival, return when it was due: the schedule starts with the first call.

        Nothing is left out when this process is late: what is due then begins at once, its slip is known by
        its record.
        """
        if self._started_ns is None:
            self._started_ns = time.monotonic_ns()
        due_ns = self._started_ns + round(next(self._offsets_s) * NS_PER_S)
        gevent.sleep(max(0.0, (due_ns - time.monotonic_ns()) / NS_PER_S))
        return due_ns

    def admit(self) -> bool:
        """Whether one more stream may begin; each that may has to `leave`."""
        self._offered += 1
        if self._open >= self._loop.most_open:
            self._shed += 1
            return False
        self._open += 1
        return True

    def leave(self) -> None:
        """A stream that was admitted is over."""
        self._open -= 1
