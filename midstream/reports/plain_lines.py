"""Which moments of a test get a line in a log: its changes, and now and then that it goes on."""

import re
from typing import NamedTuple

from midstream.reports.scene import Scene, deadline_words, label_words, lost_words

BEAT_S = 60.0  # a log without a line for minutes looks like one that hangs, and some CI ends the job
LOSSES_S = 5.0  # between two lines on losses that have none of their own
_NUMBERS = re.compile(r"\d+(\.\d+)?")


class Line(NamedTuple):
    """Words with the seconds since the first line."""

    at_s: float
    words: str


class Told(NamedTuple):
    """What the last lines said."""

    at: str = ""
    waits_for: str = ""  # without its counts
    labels: frozenset[str] = frozenset()
    untold: int = 0
    at_s: float = 0.0
    held: Line | None = None  # of a state just entered, until it is known what it waits for


def next_lines(told: Told, scene: Scene, since_s: float) -> tuple[Told, tuple[Line, ...]]:
    """The lines that a scene calls for, none when nothing has changed since the last ones."""
    labels = told.labels | {label for label, count in scene.open if label and count}
    now = Told(scene.at, _NUMBERS.sub("", scene.waits_for), labels, scene.untold, since_s)
    line = Line(since_s, state_line(scene))
    before = (told.held,) if told.held is not None and scene.at != told.at else ()
    if scene.at != told.at and scene.steps and not scene.waits_for:
        return now._replace(held=line), before
    is_quiet = (
        (now.at, now.waits_for, labels) == told[:3]
        and (scene.untold == told.untold or since_s - told.at_s < LOSSES_S)
        and since_s - told.at_s < BEAT_S
        and told.held is None
    )
    return (told, ()) if is_quiet else (now, (*before, line))


def stamped(since_s: float, words: str) -> str:
    """A line as every log of a test has it."""
    return f"[{since_s:6.1f} s] {words}"


def state_line(scene: Scene) -> str:
    """The state with what it waits for and its deadline, the open streams, the losses."""
    left = deadline_words(scene)
    waits = f": waits for {scene.waits_for}" if scene.waits_for else ""
    parts = [
        f"{scene.at}{waits}" + (f" ({left})" if left else ""),
        f"open: {_open(scene)}",
        f"lost: {lost_words(scene)}" if scene.lost else "",
    ]
    return " | ".join(filter(None, parts))


def _open(scene: Scene) -> str:
    return ", ".join(f"{label_words(label)} {count}" for label, count in scene.open if count) or "none"
