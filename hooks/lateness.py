"""Our own lateness: the spells in which this process's loop could not run when it was due."""

import time

import gevent

from midstream.run import LateSpell

PERIOD_S = 0.05
LATE_NS = 50_000_000  # shorter ones cannot reach a fifth of any sensible limit


class LatenessWatch:
    """Notes each time the loop came back later than asked."""

    def __init__(self) -> None:
        self._spells: list[LateSpell] = []

    @property
    def spells(self) -> tuple[LateSpell, ...]:
        """What was noted so far."""
        return tuple(self._spells)

    def run(self) -> None:
        """Watch until this greenlet is killed."""
        while True:
            due_ns = time.monotonic_ns() + int(PERIOD_S * 1_000_000_000)
            gevent.sleep(PERIOD_S)
            now_ns = time.monotonic_ns()
            if now_ns - due_ns > LATE_NS:
                self._spells.append(LateSpell(from_ns=due_ns, to_ns=now_ns))
