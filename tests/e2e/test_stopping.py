"""Every way a run stops has the right exit code, leaves results, no traceback, no process."""

import re

import pytest

INTERRUPTED = {
    "run-time-over": r"the run time limit \(-t 9 s\) was reached",
    "ctrl-c": "stopped by Ctrl-C",
    "ctrl-c-twice": "stopped by Ctrl-C",
    "sigterm": "stopped by SIGTERM",
}
CASES = [
    pytest.param(words, id=name, marks=pytest.mark.whole_run(name)) for name, words in INTERRUPTED.items()
]


@pytest.mark.parametrize("words", CASES)
def test_an_interrupted_test_is_inconclusive(ended, words):
    assert ended.exit_code == 3, ended.output
    assert ended.verdict["verdict"] == "INCONCLUSIVE"
    assert re.search(words, ended.verdict["sentence"])
    assert ended.check("ledger")["status"] == "pass"
    assert "Traceback" not in ended.output
    assert any("is left as it is" in note for note in ended.verdict["notes"])
    assert not ended.survivors


@pytest.mark.whole_run("ctrl-c")
def test_open_streams_finish_after_a_ctrl_c(ended):
    assert {stream["outcome"] for stream in ended.streams} == {"complete"}
    assert ended.requests == len(ended.streams)


@pytest.mark.whole_run("ctrl-c-twice")
def test_a_second_ctrl_c_cuts_them(ended):
    endings = [stream["ending"] for stream in ended.streams]
    assert "cut" in endings
    assert ended.requests == len(endings)


@pytest.mark.whole_run("sigterm")
def test_nothing_is_triggered_once_a_stop_was_asked_for(ended):
    assert ended.verdict["script"]["state"] == "baseline"
    assert not ended.marks


@pytest.mark.whole_run("ctrl-c-at-start")
def test_ctrl_c_during_start_up(ended):
    assert ended.exit_code == 3
    assert "nothing was tested" in ended.output
    assert "Traceback" not in ended.output
    assert not ended.survivors


@pytest.mark.whole_run("sigkill")
def test_nothing_of_the_rehearsal_outlives_a_sigkill(ended):
    assert ended.exit_code == -9
    assert not ended.survivors


CRASHES = {
    "failing-watch": "watch pods: RuntimeError: a bug in the watch",
    "failing-task": "a task of Buggy failed: KeyError: 'answer'",
}


@pytest.mark.parametrize(
    "words",
    [pytest.param(words, id=name, marks=pytest.mark.whole_run(name)) for name, words in CRASHES.items()],
)
def test_a_crash_of_our_own_is_never_a_pass(ended, words):
    assert ended.exit_code == 3, ended.output
    assert words in ended.verdict["sentence"]
    assert ended.verdict["script"]["crash"] == words
    assert not ended.survivors
