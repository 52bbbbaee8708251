"""What a person reads while a test runs: plain lines, one for each thing that happened."""

import sys
import time
from collections.abc import Callable

from midstream.promotion import NS_PER_S, Plan, Script, deadline_s
from midstream.rollouts.timeline import MARK_WORDS, Mark
from midstream.run import State
from midstream.streams.record import StreamRecord

EVERY_S = 2.0
LOST_LINES = 10  # single lost streams that are told; the report counts them all


class Progress:
    """Writes the lines, each with the seconds since the start."""

    def __init__(self, write: Callable[[str], object] = sys.stdout.write) -> None:
        self._write = write
        self._start_ns = time.monotonic_ns()
        self._last_ns = 0
        self._last_state: State | None = None
        self._losses = 0

    def say(self, words: str) -> None:
        """One line."""
        since_s = (time.monotonic_ns() - self._start_ns) / NS_PER_S
        self._write(f"[{since_s:6.1f} s] {words}\n")
        sys.stdout.flush()

    def tick(self, script: Script, plan: Plan, open_by_revision: dict[str, int]) -> None:
        """The state with what it waits for: at each change, and every 2 s."""
        now_ns = time.monotonic_ns()
        if script.state is self._last_state and now_ns - self._last_ns < EVERY_S * NS_PER_S:
            return
        self._last_state, self._last_ns = script.state, now_ns
        limit = deadline_s(script.state, plan)
        left = ""
        if limit is not None:
            left_s = max(0.0, limit[0] - (now_ns - script.entered_ns) / NS_PER_S)
            left = f" ({left_s:.0f} s left, {limit[1]})"
        waits = f": waits for {script.waits_for}{left}" if script.waits_for else ""
        self.say(f"{script.state}{waits} | open: {_counts(open_by_revision)}")

    def mark(self, mark: Mark) -> None:
        """A moment of the promotion."""
        about = ", ".join(filter(None, (mark.pod or mark.revision, _exit(mark))))
        self.say(f"{mark.name} {MARK_WORDS[mark.name]}" + (f" ({about})" if about else ""))

    def lost(self, record: StreamRecord) -> None:
        """A stream that was lost or refused; after some only the report tells more."""
        self._losses += 1
        if self._losses <= LOST_LINES:
            revision = f" on {record.revisions[-1]}" if record.revisions else ""
            self.say(f"{record.outcome}: {record.ending}{revision} after {record.tokens} tokens")
        elif self._losses == LOST_LINES + 1:
            self.say("more streams lost or refused: the report counts them")


def _exit(mark: Mark) -> str:
    return "" if mark.exit_code is None else f"exit code {mark.exit_code} {mark.reason or ''}".strip()


def _counts(open_by_revision: dict[str, int]) -> str:
    named = sorted(open_by_revision.items())
    return ", ".join(f"{label or 'no token yet'} {count}" for label, count in named) or "none"
