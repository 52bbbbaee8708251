"""What a person who watches a test is shown at one moment, free of how it is drawn."""

import msgspec

STOPPING = "stopping"
LOAD = "load"  # the one state of a plain load


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """One moment of a test; seconds count from its first line."""

    at: str  # the state of the script, LOAD or STOPPING
    steps: tuple[str, ...] = ()  # every state of the script in order; none in a plain load
    waits_for: str = ""
    left_s: float | None = None  # until the state's deadline
    option: str = ""  # that sets the deadline
    share: float | None = None  # of the baseline that is over, while it lasts
    open: tuple[tuple[str, int], ...] = ()  # revision -> open streams; "" has those without a token yet
    most_open: int = 0  # the largest such number until now: what a full bar stands for
    ended: int = 0  # streams of the main lane, those that say nothing of the service left out
    not_whole: int = 0  # of these, lost or refused
    http_5xx: int = 0
    pulses: int = 0
    pulses_failed: int = 0
    lost: tuple[tuple[str, int], ...] = ()  # words of an ending -> streams
    untold: int = 0  # losses that had no line of their own
    marks: tuple[tuple[str, float], ...] = ()  # "T8" -> when it was first seen


def deadline_words(scene: Scene) -> str:
    """The time left with the option that sets it; empty where nothing ends the state."""
    return "" if scene.left_s is None else f"{scene.left_s:.0f} s left, {scene.option}"


def lost_words(scene: Scene) -> str:
    """How many were lost in each way."""
    return ", ".join(f"{count} {words}" for words, count in scene.lost)


def label_words(revision: str) -> str:
    """A revision as it is shown; streams have none before their first event."""
    return revision or "no token yet"
