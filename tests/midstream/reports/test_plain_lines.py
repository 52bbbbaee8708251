"""Which moments of a test a log tells."""

from typing import Any

import pytest

from midstream.reports.plain_lines import BEAT_S, LOSSES_S, Line, Told, next_lines, stamped, state_line
from midstream.reports.scene import LOAD, Scene

STEPS = ("baseline", "trigger", "drain")


def scene(at: str = "drain", waits_for: str = "the old pods to be gone: p-1, p-2", **changes: Any) -> Scene:
    return Scene(**({"at": at, "waits_for": waits_for, "steps": STEPS} | changes))


def told(*shown: tuple[float, Scene]) -> list[tuple[float, str]]:
    """The seconds and the first word of every line."""
    lines, state = list[Line](), Told()
    for since_s, each in shown:
        state, new = next_lines(state, each, since_s)
        lines += new
    return [(line.at_s, line.words.split()[0].rstrip(":")) for line in lines]


SAME = scene()
STORIES = {
    "the same scene is told once": ([(0, SAME), (1, SAME), (9, SAME)], [(0, "drain")]),
    "that it goes on is told once a minute": (
        [(second, SAME) for second in range(int(2 * BEAT_S) + 2)],
        [(0, "drain"), (BEAT_S, "drain"), (2 * BEAT_S, "drain")],
    ),
    "counts alone are no change": (
        [
            (0, scene(waits_for="3 streams to end, 0.5 s so far")),
            (1, scene(waits_for="2 streams to end, 1.5 s so far")),
        ],
        [(0, "drain")],
    ),
    "what it waits for is": (
        [(0, SAME), (1, scene(waits_for="the old pods to be gone: p-2"))],
        [(0, "drain"), (1, "drain")],
    ),
    "the first stream on a revision is": (
        [(0, scene(open=(("7c9f", 80),))), (1, scene(open=(("7c9f", 79), ("b2d4", 1))))],
        [(0, "drain"), (1, "drain")],
    ),
    "a revision that has none for a moment is not": (
        [(0, scene(open=(("a", 1),))), (1, scene(open=(("a", 0),))), (2, scene(open=(("a", 1),)))],
        [(0, "drain")],
    ),
    "a stream without a token is not": ([(0, SAME), (1, scene(open=(("", 3),)))], [(0, "drain")]),
    "a state is told with what it waits for, known a tick later": (
        [(0, scene("trigger", "")), (0.1, scene("trigger", "the change"))],
        [(0.1, "trigger")],
    ),
    "a state that waits for nothing is told alone": (
        [(0, scene("trigger", "")), (0.1, scene("trigger", ""))],
        [(0.1, "trigger")],
    ),
    "a state that is over within a tick is told": (
        [(0, scene("trigger", "")), (0.1, scene("drain", "the old pods"))],
        [(0, "trigger"), (0.1, "drain")],
    ),
    "two such states are told": (
        [(0, scene("baseline", "")), (0.1, scene("trigger", "")), (0.2, SAME)],
        [(0, "baseline"), (0.1, "trigger"), (0.2, "drain")],
    ),
    "a plain load has no states to wait for": ([(0, scene(LOAD, "", steps=()))], [(0, "load")]),
    "losses without lines of their own are told now and then": (
        [(0, SAME), *((1 + second, scene(untold=second)) for second in range(int(2 * LOSSES_S) + 1))],
        [(0, "drain"), (LOSSES_S, "drain"), (2 * LOSSES_S, "drain")],
    ),
    "losses that are told are not told again": (
        [(0, scene(untold=7)), (LOSSES_S + 1, scene(untold=7))],
        [(0, "drain")],
    ),
}


@pytest.mark.parametrize(("shown", "lines"), STORIES.values(), ids=STORIES)
def test_a_log_tells_changes(shown, lines):
    assert told(*shown) == lines


LINES = {
    "a state": (scene(), "drain: waits for the old pods to be gone: p-1, p-2 | open: none"),
    "with its deadline": (
        scene(left_s=41.4, option="--drain-limit"),
        "drain: waits for the old pods to be gone: p-1, p-2 (41 s left, --drain-limit) | open: none",
    ),
    "with open streams": (
        scene(waits_for="", open=(("7c9f", 0), ("b2d4", 79), ("", 1))),
        "drain | open: b2d4 79, no token yet 1",
    ),
    "with losses": (
        scene(waits_for="", lost=(("aborted", 41), ("answered 5xx", 3))),
        "drain | open: none | lost: 41 aborted, 3 answered 5xx",
    ),
    "a plain load": (
        scene(LOAD, "", steps=(), left_s=29.9, option="-t", open=(("", 4),)),
        "load (30 s left, -t) | open: no token yet 4",
    ),
}


@pytest.mark.parametrize(("shown", "words"), LINES.values(), ids=LINES)
def test_the_words_of_a_line(shown, words):
    assert state_line(shown) == words


def test_a_line_begins_with_the_seconds():
    assert stamped(12.34, "drain") == "[  12.3 s] drain"
