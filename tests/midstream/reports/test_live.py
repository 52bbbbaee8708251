"""The rows at the foot of a terminal, drawn as text."""

import io
import time
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from midstream.reports.live import REVISIONS_SHOWN, WAIT_ROWS, LiveScene
from midstream.reports.scene import LOAD, STOPPING, Scene
from midstream.run import State

STEPS = tuple(state.value for state in State if state is not State.DONE)
DRAIN = Scene(
    at="drain",
    steps=STEPS,
    waits_for="the old pods to be gone: vllm-7c9f-x",
    left_s=41.4,
    option="--drain-limit",
    open=(("7c9f", 20), ("b2d4", 60), ("", 0)),
    most_open=80,
    ended=312,
    not_whole=44,
    http_5xx=3,
    pulses=230,
    pulses_failed=2,
    lost=(("aborted", 41), ("answered 5xx", 3)),
    marks=(("T0", 8.2), ("T8", 12.9), ("T12", 14.8)),
)
BASELINE = Scene(
    at="baseline",
    steps=STEPS,
    waits_for="5 s of undisturbed streams: 2 s so far",
    left_s=118,
    option="--baseline-limit",
    share=0.4,
    open=(("7c9f", 78), ("", 2)),
    most_open=80,
    ended=3,
)


def drawn(scene: Scene, width: int, encoding: str = "utf-8", **console: Any) -> list[str]:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    Console(file=out, width=width, markup=False, emoji=False, highlight=False, **console).print(
        LiveScene(scene, encoding)
    )
    out.seek(0)
    return [line.rstrip() for line in out.read().splitlines()]


PICTURES = {
    "the drain, 80 columns": (
        DRAIN,
        80,
        """\
state         preflight baseline trigger preview promote cutover [drain] quiet
waits for     the old pods to be gone: vllm-7c9f-x
deadline      41 s left, --drain-limit
7c9f          ███████████████                                                20
b2d4          █████████████████████████████████████████████                  60
no token yet                                                                  0
ended         312, 44 not whole
5xx           3 answers to streams and pulses
pulses        230, 2 not answered
lost          41 aborted, 3 answered 5xx
moments       T0 8.2 s  T8 12.9 s  T12 14.8 s""",
    ),
    "the baseline, 80 columns": (
        BASELINE,
        80,
        """\
state         preflight [baseline] trigger preview promote cutover drain quiet
waits for     5 s of undisturbed streams: 2 s so far
deadline      118 s left, --baseline-limit
baseline      ████████████████████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  40%
7c9f          ██████████████████████████████████████████████████████████     78
no token yet  ██                                                              2
ended         3, 0 not whole""",
    ),
    "the drain, 40 columns": (
        DRAIN,
        40,
        """\
state        drain (7 of 8)
waits for    the old pods to be gone: vl
             lm-7c9f-x
deadline     41 s left, --drain-limit
7c9f         █████                   20
b2d4         ████████████████        60
no token yet                          0
ended        312, 44 not whole
5xx          3 answers to streams and pu
pulses       230, 2 not answered
lost         41 aborted, 3 answered 5xx
moments      T8 12.9 s  T12 14.8 s""",
    ),
    "a plain load": (
        Scene(at=LOAD, left_s=12, option="-t", open=(("", 4),), most_open=4, ended=7),
        60,
        """\
state         load
deadline      12 s left, -t
no token yet  ████████████████████████████████████████    4
ended         7, 0 not whole""",
    ),
}


@pytest.mark.parametrize(("scene", "width", "picture"), PICTURES.values(), ids=PICTURES)
def test_a_scene(scene, width, picture):
    assert "\n".join(drawn(scene, width)) == picture


@pytest.mark.parametrize("scene", [DRAIN, BASELINE], ids=["drain", "baseline"])
@pytest.mark.parametrize("width", [120, 80, 40, 20, 10, 3, 1])
def test_no_row_is_wider_than_the_terminal(scene, width):
    assert max(map(cell_len, drawn(scene, width))) <= width


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_an_old_encoding_is_drawn_with_what_it_has(encoding):
    scene = Scene(
        at="drain", steps=STEPS, waits_for="größe 模型", share=0.5, open=(("模型", 3),), most_open=3
    )
    rows = drawn(scene, 80, encoding)
    assert "\\u6a21\\u578b" in rows[1]
    assert "##" in rows[2]
    assert "##" in rows[3]
    assert max(map(len, rows)) <= 80


HOSTILE = "\x1b[31m模型\r\n\u202e\x07"


def test_words_from_outside_do_not_steer_the_terminal():
    scene = Scene(
        at="drain", steps=STEPS, waits_for=f"pods: {HOSTILE}", open=((HOSTILE, 3),), lost=((HOSTILE, 1),)
    )
    rows = drawn(scene, 120)
    assert all(row.isprintable() for row in rows)
    assert "\\x1b[31m模型" in rows[1]
    assert len(rows) == 5


def test_wide_characters_take_two_columns():
    scene = Scene(at="drain", steps=STEPS, waits_for="模型" * 30)
    assert max(map(cell_len, drawn(scene, 40))) <= 40


def test_many_pods_are_cut():
    pods = ", ".join(f"vllm-7c9f-{number}" for number in range(100))
    rows = drawn(Scene(at="drain", steps=STEPS, waits_for=f"the old pods to be gone: {pods}"), 80)
    waits = rows[1 : 1 + WAIT_ROWS]
    assert waits[-1].endswith("...")
    assert rows[1 + WAIT_ROWS].startswith("no token yet") or rows[1 + WAIT_ROWS].startswith("ended")


def test_many_revisions_are_summed():
    named = tuple((f"r{number}", 2) for number in range(20))
    rows = drawn(Scene(at=LOAD, open=named, most_open=2), 80)
    bars = [row for row in rows if "█" in row]
    assert len(bars) == REVISIONS_SHOWN
    assert bars[-1].startswith("15 others")
    assert bars[-1].endswith("30")


BARS = {
    "none": (0, 80, 0),
    "all": (80, 80, 40),
    "half": (40, 80, 20),
    "one of many is still seen": (1, 8000, 1),
    "more than the largest until now": (90, 80, 40),
}


@pytest.mark.parametrize(("count", "most", "length"), BARS.values(), ids=BARS)
def test_the_length_of_a_bar(count, most, length):
    scene = Scene(at=LOAD, open=(("", count),), most_open=most)
    assert sum(row.count("█") for row in drawn(scene, 60)) == length


STATES = {
    "the first": ("preflight", "[preflight] baseline"),
    "the last": ("quiet", "drain [quiet]"),
    "none of the script's": (STOPPING, "stopping"),
}


@pytest.mark.parametrize(("at", "words"), STATES.values(), ids=STATES)
def test_the_current_state(at, words):
    assert words in drawn(Scene(at=at, steps=STEPS), 80)[0]


def test_colours_tell_done_current_and_coming_states():
    [row, *_] = drawn(DRAIN, 80, force_terminal=True, color_system="standard")
    assert "\x1b[32mcutover\x1b[0m" in row
    assert "\x1b[1m[drain]\x1b[0m" in row
    assert "\x1b[2mquiet\x1b[0m" in row


def test_a_scene_is_drawn_in_a_few_milliseconds():
    """It stands in the way of the streams: the median of many, on a machine that may be slow and shared."""
    took = []
    for _ in range(21):
        started = time.process_time()
        drawn(DRAIN, 120)
        took.append(time.process_time() - started)
    assert sorted(took)[10] < 0.03
