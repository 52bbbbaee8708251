import io
import os
import re
from pathlib import Path

import msgspec
import pytest

from midstream.metrics import Headroom
from midstream.reports.console import LOG_WIDTH, headroom_words, write_console
from midstream.rollouts.timeline import MarkName, Timeline
from midstream.run import PreviewFinding, ScriptEnd, State
from midstream.streams.ending import Ending, Outcome
from midstream.streams.record import Evidence
from tests.midstream.builders import OLD, mark, plain, run, stream, streams, timeline
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


def box_of(text: str) -> str:
    """What stands in the last box, on one line."""
    *_, inside, _bottom = re.split(r"^\+-.*-\+$", text, flags=re.MULTILINE)
    return " ".join(inside.replace("|", " ").split())


def test_the_verdict_is_what_is_read_last():
    text = text_of(failed())
    assert box_of(text) == (
        "FAIL: 41 of 80 crossing streams were lost cause: the engine runs without --shutdown-timeout"
    )
    assert "exit code 1" in text.splitlines()[-1]


UNFIT = PreviewFinding(fit=False, streams=3, why="malformed: no JSON")


def test_why_a_revision_is_unfit_is_told_by_its_cause_and_by_the_verdict_alone():
    text = text_of(run(preview=UNFIT, timeline=Timeline()))
    assert text.count("malformed: no JSON") == 2
    assert box_of(text) == "FAIL: new revision unfit, not promoted: malformed: no JSON"


def test_more_causes_than_one_are_counted_in_the_box():
    both = (*failed().streams, *streams(3, Ending.CONNECT_REFUSED, at=102.0, lasts=0.1))
    assert box_of(text_of(run(both))).endswith("(and 1 more above)")


def test_groups_of_one_cause_share_its_evidence_and_its_mend():
    late = streams(5, Ending.ABORTED, at=102.0, lasts=4.3, revisions=("7c9f",))
    text = text_of(msgspec.structs.replace(failed(), streams=(*failed().streams, *late)))
    assert text.count("without --shutdown-timeout:") == 1
    assert text.count("mend:") == 1
    assert len(re.findall("^  - ", text, re.MULTILINE)) == 2


def test_only_the_largest_groups_are_told_and_the_others_counted():
    endings = [e for e in Ending if e.outcome is Outcome.LOST]
    records = [
        record for n, ending in enumerate(endings) for record in streams(n + 1, ending, at=70, lasts=5)
    ]
    text = text_of(run((*streams(80), *records)))
    assert len(re.findall("^  - ", text, re.MULTILINE)) == 9
    assert "- and 5 smaller groups with 15 streams: see verdict.json" in text


def test_checks_that_have_the_same_reason_share_a_line():
    script = ScriptEnd(state=State.BASELINE, reason="9 of 20 lost", baseline_failed=True)
    text = text_of(run(script=script, timeline=Timeline()))
    assert text.count("the service failed before anything was triggered") == 1


def test_of_many_pods_the_first_and_the_last_are_told():
    pods = [f"vllm-7c9f-{number:02}" for number in range(12)]
    of_pods = [
        mark(MarkName.T14, 120 + number, pod=pod, revision=OLD, exit_code=137 if number > 9 else 0)
        for number, pod in enumerate(pods)
    ]
    line = timeline(without=[MarkName.T14])
    text = text_of(run(timeline=msgspec.structs.replace(line, marks=(*line.marks, *of_pods))))
    assert len(re.findall(" T14 ", text)) == 2
    flat = " ".join(re.sub(" +watch$", "", text, flags=re.MULTILINE).split())
    assert "+20.00 T14 old pod gone, first of 12 +31.00" in flat
    assert "+31.00 T14 old pod gone, last of 12, exit codes 0 (10), 137 (2)" in flat


def test_many_revisions_do_not_squeeze_the_figures():
    records = [stream(revisions=(f"model-number-{number}",)) for number in range(9)]
    lines = text_of(plain(records)).splitlines()
    assert sum("TTFT p50" in line for line in lines) == 3
    assert all(any(f"main model-number-{number}" in line for line in lines) for number in range(9))


def test_more_revisions_than_fit_are_counted():
    records = [stream(revisions=(f"model-{number}",)) for number in range(40)]
    text = text_of(plain((*records, stream(revisions=("model-39",), id="second"))))
    assert text.count("TTFT p50") == 3
    assert "main model-39" in text
    assert "and 29 smaller groups: see metrics.groups in verdict.json" in text


def test_one_scenario_has_no_table_of_its_own():
    assert not re.search("^  scenario ", text_of(passed()), re.MULTILINE)


def test_scenarios_are_rows():
    names = ("summaries of long documents", "chat")
    records = [
        stream(scenario=name, revisions=(revision,))
        for name in names
        for revision in ("6d5f7c8b9f", "b2d4c8b9ff")
    ]
    lines = text_of(plain(records)).splitlines()
    (title,) = [number for number, line in enumerate(lines) if line.startswith("  scenario ")]
    flat = " ".join(" ".join(lines[title:]).split())
    assert "chat main 6d5f7c8b9f 1 50.0 ms" in flat
    assert max(map(len, lines)) <= LOG_WIDTH


def test_more_scenarios_than_fit_are_counted():
    text = text_of(plain([stream(scenario=f"scenario-{number}") for number in range(30)]))
    assert len(re.findall("^  scenario-", text, re.MULTILINE)) == 20
    assert "and 10 smaller groups" in text


def test_words_from_outside_cannot_steer_a_terminal():
    words = "\x1b[2Jgone\r\x07 caf\u00e9 \udcff"
    reset = stream(Ending.RESET, evidence=Evidence(error=words), revisions=("\x1b[31mred",))
    text = text_of(plain([reset], notes=(words,)))
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f]", text)
    assert r"\x1b[2Jgone\r\x07 caf" in text
    assert r"\udcff" in text


def test_a_stream_that_holds_no_unicode_is_no_reason_to_fail():
    raw = io.BytesIO()
    narrow = io.TextIOWrapper(raw, encoding="ascii")
    write_console(report_of(plain([stream()], notes=("caf\u00e9",))), narrow)
    narrow.flush()
    assert rb"caf\xe9" in raw.getvalue()


def test_a_terminal_gets_colours_and_its_own_width():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "70")
        patch.setenv("TERM", "xterm")
        patch.delenv("NO_COLOR", raising=False)
        write_console(report_of(failed()), terminal)
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in terminal.getvalue().splitlines()]
    assert "\x1b[" in terminal.getvalue()
    assert max(len(line) for line in lines) == 70


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
            "by its spec a stream may live 36.0 s after the cutover; the longest complete one lived 11.0 s, "
            "5.0 s past SIGTERM; streams could have been 25.0 s longer",
            id="all known",
        ),
        pytest.param(
            Headroom(budget_s=36, proven_s=None, proven_past_sigterm_s=None, left_s=None),
            "by its spec a stream may live 36.0 s after the cutover; no complete stream crossed it",
            id="nothing proven",
        ),
        pytest.param(
            Headroom(budget_s=None, proven_s=5, proven_past_sigterm_s=None, left_s=None),
            "how long a stream may live after the cutover cannot be told from the spec; "
            "the longest complete one lived 5.0 s, none past SIGTERM",
            id="budget unknown",
        ),
    ],
)
def test_the_headroom_in_words(headroom, words):
    assert headroom_words(headroom) == words
