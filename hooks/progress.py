"""What a person is told while a test runs: gathers the scene of each moment, and says what happened."""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from hooks.faces import Face, choose_face
from midstream.causes import ENDING_WORDS
from midstream.causes.at_once import loss_words
from midstream.promotion import NS_PER_S, Plan, Script, deadline_s
from midstream.reports.plain_lines import stamped
from midstream.reports.scene import LOAD, STOPPING, Scene
from midstream.rollouts.timeline import MARK_WORDS, Mark, Timeline
from midstream.run import State
from midstream.streams.record import StreamRecord

SHOW_S = 0.25
LOST_LINES = 10  # of one ending; the others are counted, and the report has them all
STEPS = tuple(state.value for state in State if state is not State.DONE)


class Held(NamedTuple):
    """The load at one moment."""

    open_by_revision: Mapping[str, int]
    ended: int = 0
    not_whole: int = 0
    pulses: int = 0
    pulses_failed: int = 0
    records: Sequence[StreamRecord] = ()  # of all that have ended, only ever appended to


class Progress:
    """Says each thing once, and shows the test as it stands."""

    def __init__(self, face: Face | None = None) -> None:
        self._face = face or choose_face(sys.stdout, os.environ)
        self._start_ns = time.monotonic_ns()
        self._shown_ns = 0
        self._shown_at = ""
        self._labels: dict[str, None] = {}  # revisions in the order of their first stream
        self._most_open = 0
        self._counted = 0  # records that http_5xx knows
        self._http_5xx = 0
        self._lost: Counter[str] = Counter()  # by the words of its ending
        self._marks: dict[str, float] = {}

    def say(self, words: str) -> None:
        """One line, with the seconds since the start."""
        self._face.line(stamped(self._since_s(), words))

    def tick(self, script: Script, plan: Plan, look: Callable[[], Held]) -> None:
        """The script as it stands: a new state at once, else some times a second."""
        if not self._is_due(f"{script.state} {bool(script.waits_for)}"):
            return
        now_ns = time.monotonic_ns()
        limit = deadline_s(script.state, plan)
        self._show(
            look(),
            at=script.state,
            waits_for=script.waits_for,
            left_s=None if limit is None else max(0.0, limit[0] - (now_ns - script.entered_ns) / NS_PER_S),
            option="" if limit is None else limit[1],
            share=_share(script, plan, now_ns),
        )

    def load(self, left_s: float | None, look: Callable[[], Held]) -> None:
        """A plain load as it stands."""
        if self._is_due(LOAD):
            self._show(look(), at=LOAD, left_s=left_s, option="-t", steps=())

    def stopping(self, left_s: float, look: Callable[[], Held]) -> None:
        """The end of the load: open streams finish, no new ones begin."""
        if self._is_due(STOPPING):
            held = look()
            open_streams = f"{sum(held.open_by_revision.values())} open streams to finish, no new ones begin"
            self._show(held, at=STOPPING, waits_for=open_streams, left_s=left_s, option="--wind-down")

    def mark(self, mark: Mark) -> None:
        """A moment of the promotion."""
        self._marks.setdefault(mark.name.value, self._since_s())
        about = ", ".join(filter(None, (mark.pod or mark.revision, _exit(mark))))
        self.say(f"{mark.name} {MARK_WORDS[mark.name]}" + (f" ({about})" if about else ""))

    def lost(self, record: StreamRecord, timeline: Callable[[], Timeline]) -> None:
        """A stream that was lost or refused, with what is seen beside it; after some of a kind its number."""
        kind = ENDING_WORDS[record.ending]
        self._lost[kind] += 1
        if self._lost[kind] <= LOST_LINES:
            self.say(loss_words(record, timeline()))
        elif self._lost[kind] == LOST_LINES + 1:
            self.say(f"from now on streams {kind} are only counted")

    def close(self) -> None:
        """Nothing more is shown; lines are still said."""
        self._face.close()

    def _since_s(self) -> float:
        return (time.monotonic_ns() - self._start_ns) / NS_PER_S

    def _is_due(self, at: str) -> bool:
        """Whether some time has passed since the last scene, or the state is another."""
        now_ns = time.monotonic_ns()
        if at == self._shown_at and now_ns - self._shown_ns < SHOW_S * NS_PER_S:
            return False
        self._shown_at, self._shown_ns = at, now_ns
        return True

    def _show(
        self,
        held: Held,
        *,
        at: str,
        waits_for: str = "",
        left_s: float | None = None,
        option: str = "",
        share: float | None = None,
        steps: tuple[str, ...] = STEPS,
    ) -> None:
        self._count_5xx(held.records)
        scene = Scene(
            at=at,
            steps=steps,
            waits_for=waits_for,
            left_s=left_s,
            option=option,
            share=share,
            open=self._open(held.open_by_revision),
            most_open=self._most_open,
            ended=held.ended,
            not_whole=held.not_whole,
            http_5xx=self._http_5xx,
            pulses=held.pulses,
            pulses_failed=held.pulses_failed,
            lost=tuple(self._lost.most_common()),
            untold=sum(max(0, count - LOST_LINES) for count in self._lost.values()),
            marks=tuple(self._marks.items()),
        )
        self._face.show(scene, self._since_s())

    def _open(self, open_by_revision: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
        """In the order in which they came, those without a token last; a revision stays when it has none."""
        self._labels |= dict.fromkeys(sorted(label for label in open_by_revision if label))
        self._most_open = max(self._most_open, *open_by_revision.values(), 0)
        named = [(label, open_by_revision.get(label, 0)) for label in self._labels]
        return (*named, ("", open_by_revision.get("", 0)))

    def _count_5xx(self, records: Sequence[StreamRecord]) -> None:
        new = records[self._counted :]
        self._http_5xx += sum(record.status is not None and record.status >= 500 for record in new)
        self._counted = len(records)


def _share(script: Script, plan: Plan, now_ns: int) -> float | None:
    """How much of the baseline is over; None outside it."""
    if script.state is not State.BASELINE:
        return None
    if script.steady_since_ns is None or plan.baseline_s <= 0:
        return 0.0
    return min(1.0, (now_ns - script.steady_since_ns) / NS_PER_S / plan.baseline_s)


def _exit(mark: Mark) -> str:
    return "" if mark.exit_code is None else f"exit code {mark.exit_code} {mark.reason or ''}".strip()
