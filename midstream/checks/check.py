"""One question put to a run, with its answer in words that a person can check."""

from enum import StrEnum
from typing import NamedTuple

import msgspec

from midstream.cohorts import NS_PER_S
from midstream.run import Run

CONFIDENCE = 0.95


class Status(StrEnum):
    """What a check found."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_EXAMINED = "not_examined"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One question with its answer."""

    name: str
    status: Status
    observed: str
    limit: str
    why: str
    evidence: str = ""  # what the answer rests on


class Answer(NamedTuple):
    """A check without its name, which stands in the table of questions."""

    status: Status
    observed: str
    limit: str
    why: str
    evidence: str = ""


def bound(streams: int) -> float:
    """The loss rate that no loss among so many streams excludes: 1 - 0.05 ** (1 / n) (facts 7)."""
    return float(1 - (1 - CONFIDENCE) ** (1 / streams))


def is_unfit(run: Run) -> bool:
    """Whether validating the new revision showed that it must not be promoted."""
    return run.preview is not None and run.preview.fit is False


def is_in_doubt(run: Run) -> bool:
    """Whether the streams that validated the new revision could not be judged."""
    return run.preview is not None and run.preview.in_doubt


def no_cutover(run: Run, limit: str) -> Answer:
    """The answer of a question on the cutover when there was none."""
    if is_unfit(run):
        return Answer(Status.NOT_EXAMINED, "none", limit, "the new revision was not promoted")
    return Answer(Status.INCONCLUSIVE, "none", limit, "no cutover was seen")


def nothing_finished(limit: str) -> Answer:
    """The answer of a question on streams when there are none."""
    return Answer(
        Status.INCONCLUSIVE,
        "none",
        limit,
        "no stream finished: let the test run longer, or shorten the streams (--tokens)",
    )


def at_most(least: float, most: float, limit: float) -> Status:
    """A figure known to lie in [least, most] against a limit it must not pass."""
    if least > limit:
        return Status.FAIL
    return Status.INCONCLUSIVE if most > limit else Status.PASS


def percent(share: float) -> str:
    """A share for people: "1.3 %"; what is not the whole is never told as the whole."""
    words = f"{100 * share:.3g} %"
    return "> 99.9 %" if share < 1 and words == "100 %" else words


def seconds(length_ns: float) -> str:
    """A duration for people: "0.42 s", "11.5 s", "480 s"."""
    length_s = length_ns / NS_PER_S
    places = 2 if length_s < 10 else 1 if length_s < 100 else 0
    return f"{round(length_s, places):g} s"
