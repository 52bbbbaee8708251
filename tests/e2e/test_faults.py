"""Each fault of the rehearsal comes out as the right verdict with its cause, whatever it is called."""

from typing import NamedTuple

import pytest


class Found(NamedTuple):
    """What a fault must lead to."""

    verdict: str
    exit_code: int
    cause: str | None
    endings: frozenset[str]  # of the streams that were lost
    words: str  # within the sentence


EXPECTED = {
    "no-shutdown-timeout": Found(
        "FAIL", 1, "no_shutdown_timeout", frozenset({"aborted"}), "crossing streams were lost"
    ),
    "clean-cut": Found("FAIL", 1, "no_drain", frozenset({"ended_early"}), "crossing streams were lost"),
    "short-grace": Found(
        "FAIL", 1, "grace_too_short", frozenset({"truncated"}), "crossing streams were lost"
    ),
    "promote-ignored": Found("INCONCLUSIVE", 3, None, frozenset(), "promotion"),
    "bad-preview": Found("FAIL", 1, "new_revision_unfit", frozenset(), "new revision unfit"),
}
CASES = [pytest.param(found, id=name, marks=pytest.mark.whole_run(name)) for name, found in EXPECTED.items()]


@pytest.mark.parametrize("found", CASES)
def test_verdict_and_exit_code(ended, found):
    assert ended.verdict["verdict"] == found.verdict, ended.output
    assert ended.exit_code == ended.verdict["exit_code"] == found.exit_code
    assert found.words in ended.verdict["sentence"]
    assert not ended.survivors


@pytest.mark.parametrize("found", CASES)
def test_cause_with_its_evidence(ended, found):
    causes = ended.verdict["causes"]
    assert {cause["cause"] for cause in causes} == ({found.cause} if found.cause else set())
    assert all(
        cause["evidence"] and cause["mend"] and cause["line"] in _flat(ended.output) for cause in causes
    )


@pytest.mark.parametrize("found", CASES)
def test_lost_streams_by_their_endings(ended, found):
    lost = {stream["ending"] for stream in ended.streams if stream["outcome"] == "lost"}
    assert lost == found.endings


@pytest.mark.whole_run("bad-preview")
def test_an_unfit_revision_is_never_promoted(ended):
    assert not {"T7", "T8"} & ended.marks.keys()


@pytest.mark.whole_run("promote-ignored")
def test_a_promotion_that_is_ignored_makes_no_cutover(ended):
    assert "T6" in ended.marks
    assert "T8" not in ended.marks


@pytest.mark.whole_run("ten-users")
def test_ten_users_are_too_few_to_say(ended):
    assert ended.exit_code == 3
    assert ended.verdict["verdict"] == "INCONCLUSIVE"
    check = ended.check("crossing_lost")
    assert check["status"] == "inconclusive"
    assert "59" in check["why"]
    assert "raise -u" in check["why"]


def _flat(output: str) -> str:
    return " ".join(output.split())
