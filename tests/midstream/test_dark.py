from functools import reduce

import pytest

from midstream.dark import Dark, after_pulse
from midstream.streams.ending import Ending
from tests.midstream.builders import ns, pulse

OK, NO, OURS = Ending.COMPLETE, Ending.CONNECT_REFUSED, Ending.CUT


def after(*endings, at=100.0):
    """Pulses 0.1 s apart: what is known after them, all lines that were said."""
    lines = []

    def one(dark, numbered):
        number, ending = numbered
        dark, words = after_pulse(dark, pulse(at + number / 10, ending))
        lines.extend([words] if words else [])
        return dark

    return reduce(one, enumerate(endings), Dark()), lines


@pytest.mark.parametrize(
    ("endings", "since_s", "in_row", "lines"),
    [
        pytest.param((), None, 0, 0, id="none yet"),
        pytest.param((OK, OK), None, 0, 0, id="all answered"),
        pytest.param((OK, Ending.SHORT, Ending.REPEATED), None, 0, 0, id="answers with wrong tokens"),
        pytest.param((OK, NO, NO), 100.1, 2, 1, id="dark since the first of a row"),
        pytest.param((NO, OK, NO), 100.2, 1, 3, id="dark again"),
        pytest.param((NO, NO, OK), None, 0, 2, id="answered again"),
        pytest.param((NO, OURS), 100.0, 1, 1, id="what we cut changes nothing"),
    ],
)
def test_whether_pulses_are_answered_at_present(endings, since_s, in_row, lines):
    dark, said = after(*endings)
    assert dark.since_ns == (None if since_s is None else ns(since_s))
    assert dark.failed_in_row == in_row
    assert len(said) == lines


def test_the_lines_tell_how_long():
    _, said = after(NO, NO, NO, NO, NO, OK)
    assert said == [
        "pulses on new connections are not answered: connect_refused",
        "pulses on new connections are answered again after 0.5 s",
    ]


def test_an_older_pulse_that_ends_late_does_not_end_the_dark():
    dark, _ = after(NO)
    dark, words = after_pulse(dark, pulse(99.5))
    assert dark.since_ns == ns(100.0)
    assert not words
