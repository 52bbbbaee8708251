import io
import os
from pathlib import Path

import pytest

from midstream.metrics import Headroom
from midstream.reports.console import LOG_WIDTH, headroom_words, write_console
from midstream.streams.ending import Ending
from tests.midstream.builders import plain, run, stream, streams
from tests.midstream.reports.recorded import failed, passed, report_of

GOLDEN = Path(__file__).parent / "golden"
REWRITE = "MIDSTREAM_REWRITE_GOLDEN"  # set it, run the tests, read the diff


def text_of(judged, folder=None) -> str:
    stream = io.StringIO()
    write_console(report_of(judged), stream, folder)
    return stream.getvalue()


@pytest.mark.parametrize(("name", "judged"), [("pass", passed()), ("fail", failed())], ids=["pass", "fail"])
def test_the_text_in_a_log(name, judged):
    text, golden = text_of(judged, Path("results/latest")), GOLDEN / f"{name}.txt"
    if os.environ.get(REWRITE):
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize(
    "judged", [passed(), failed(), run([]), plain([])], ids=["pass", "fail", "empty", "plain"]
)
def test_a_log_has_no_colours_no_padding_and_no_line_too_long(judged):
    lines = text_of(judged).splitlines()
    assert not [line for line in lines if "\x1b" in line or line != line.rstrip() or len(line) > LOG_WIDTH]


def test_the_verdict_is_what_is_read_last():
    *_, top, sentence, bottom = text_of(failed()).splitlines()
    assert sentence.strip("| ") == "FAIL: 41 of 80 crossing streams were lost"
    assert "exit code 1" in bottom
    assert set(top) == {"+", "-"}


def test_a_plain_load_says_that_no_rollout_was_watched():
    text = text_of(plain(streams(5)))
    assert "none was watched: these are the thresholds of a plain load alone" in text
    assert "headroom" not in text


def test_words_from_outside_are_no_markup():
    name = "[red]not markup[/red]"
    judged = plain([stream(Ending.COMPLETE, scenario=name)], notes=(name,))
    assert name in text_of(judged)


@pytest.mark.parametrize(
    ("headroom", "words"),
    [
        pytest.param(
            Headroom(budget_s=36, proven_s=11, proven_past_sigterm_s=5, left_s=25),
            "a stream may live 36.0 s after the cutover; the longest complete one lived 11.0 s of it, "
            "5.0 s past SIGTERM; streams could have been 25.0 s longer",
            id="all known",
        ),
        pytest.param(
            Headroom(budget_s=36, proven_s=None, proven_past_sigterm_s=None, left_s=None),
            "a stream may live 36.0 s after the cutover; no stream was proven to outlive it",
            id="nothing proven",
        ),
        pytest.param(
            Headroom(budget_s=None, proven_s=5, proven_past_sigterm_s=None, left_s=None),
            "how long a stream may live after the cutover is not known from the spec (measured only); "
            "the longest complete one lived 5.0 s of it, none past SIGTERM",
            id="budget unknown",
        ),
    ],
)
def test_the_headroom_in_words(headroom, words):
    assert headroom_words(headroom) == words
