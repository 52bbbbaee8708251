"""Each failure of a command is one line with its exit code."""

import pytest

from midstream.rollout_command import carried_out
from midstream.rollouts.client import UnreachableError
from midstream.rollouts.edits import RefusedError
from midstream.rollouts.named import NoRolloutError
from midstream.rollouts.path import NoPathError
from midstream.rollouts.verbs import UnconfirmedError

FAILURES = {
    "interrupted": (KeyboardInterrupt(), 3, "interrupted"),
    "not confirmed": (UnconfirmedError("nothing followed"), 3, "nothing followed"),
    "no API server": (UnreachableError("away"), 2, "away"),
    "nothing there": (NoRolloutError("no Rollout"), 2, "no Rollout"),
    "refused": (RefusedError("no time for it"), 2, "no time for it"),
    "no way there": (NoPathError("no address", "give one"), 2, "no address: give one"),
    "bad input": (ValueError("write it so"), 2, "write it so"),
    "words that steer a terminal": (RefusedError("a\n\x1b[2Jb"), 2, "a \\x1b[2Jb"),
}


@pytest.mark.parametrize(("error", "code", "words"), FAILURES.values(), ids=FAILURES)
def test_each_failure(error, code, words, capsys):
    def run() -> int:
        raise error

    assert carried_out("prog", run) == code
    assert capsys.readouterr().err == f"prog: {words}\n"


def test_its_own_code_otherwise():
    assert carried_out("prog", lambda: 1) == 1
