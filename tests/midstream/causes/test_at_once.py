"""What is said of a lost stream before anything later is known."""

import msgspec
import pytest

from midstream.causes.at_once import ERROR_LENGTH, loss_words
from midstream.rollouts.timeline import MarkName, Timeline
from midstream.streams.ending import Ending, Outcome
from midstream.streams.record import Evidence, StreamRecord
from tests.midstream.builders import NEW, OLD, POD, T8, T12, T13, mark, ns, stream, timeline

ENDED = timeline()
NO_SIGTERM = timeline(without=[MarkName.T12, MarkName.T13, MarkName.T14])


def lost(ending: Ending = Ending.ABORTED, *, at: float, revision: str = OLD, **changes) -> StreamRecord:
    """Begun 10 s before it was lost."""
    return stream(ending, at=at - 10, lasts=10, revisions=(revision,), tokens=54, **changes)


def several(count: int) -> Timeline:
    """So many pods of the old revision, one SIGTERM each 0.1 s."""
    marks = [
        mark(MarkName.T13, T13 + 0.1 * number, pod=f"p-{number}", revision=OLD) for number in range(count)
    ]
    return msgspec.structs.replace(NO_SIGTERM, marks=(*NO_SIGTERM.marks, *marks))


SIGTERM = f"SIGTERM (pod {POD})"
CASES = {
    "before anything happened": (lost(at=90), Timeline(), "lost: aborted on rev 7c9f after 54 tokens"),
    "far from every moment": (
        lost(at=T8 + 60, revision=NEW),
        ENDED,
        "lost: aborted on rev b2d4 after 54 tokens",
    ),
    "after SIGTERM of its revision's pod": (
        lost(at=T13 + 0.4),
        ENDED,
        f"lost: aborted on rev 7c9f after 54 tokens, 0.4 s after {SIGTERM}",
    ),
    "at SIGTERM": (
        lost(at=T13 + 0.05),
        ENDED,
        f"lost: aborted on rev 7c9f after 54 tokens, within 0.1 s of {SIGTERM}",
    ),
    "at a SIGTERM whose moment is known by half a second": (
        lost(at=T13 + 0.3),
        timeline(width=0.5),
        f"lost: aborted on rev 7c9f after 54 tokens, within 0.5 s of {SIGTERM}",
    ),
    "between the deletion and SIGTERM": (
        lost(at=T12 + 1.2),
        ENDED,
        f"lost: aborted on rev 7c9f after 54 tokens, 1.2 s after the deletion was asked (pod {POD})",
    ),
    "on the new revision while the old pod ends: the cutover alone": (
        lost(at=T13 + 0.4, revision=NEW),
        ENDED,
        "lost: aborted on rev b2d4 after 54 tokens, 6.4 s after the cutover",
    ),
    "after the cutover": (
        lost(Ending.RESET, at=T8 + 1.2),
        NO_SIGTERM,
        "lost: reset on rev 7c9f after 54 tokens, 1.2 s after the cutover",
    ),
    "before the cutover": (
        lost(Ending.RESET, at=T8 - 1.2),
        NO_SIGTERM,
        "lost: reset on rev 7c9f after 54 tokens",
    ),
    "refused after the cutover, by whom is not known": (
        stream(Ending.CONNECT_REFUSED, at=T8 + 0.5, lasts=0.1),
        ENDED,
        "refused, 0.6 s after the cutover",
    ),
    "refused at SIGTERM, by whom is not known": (
        stream(Ending.CONNECT_REFUSED, at=T13 + 0.2, lasts=0.1),
        ENDED,
        "refused, 6.3 s after the cutover",
    ),
    "an answer with its status": (
        stream(Ending.HTTP_5XX, at=T8 + 0.5, lasts=0.1),
        NO_SIGTERM,
        "refused: answered 5xx (503), 0.6 s after the cutover",
    ),
    "silent since SIGTERM, found out when the limit had passed": (
        lost(Ending.STALLED, at=T13 + 20, last_token_ns=ns(T13 - 0.3)),
        ENDED,
        f"lost: fell silent on rev 7c9f after 54 tokens, 0.3 s before {SIGTERM}",
    ),
    "not over in time: only its begin is a moment": (
        lost(Ending.TIMED_OUT, at=T8 + 13, revision=NEW),
        NO_SIGTERM,
        "lost: not over in time on rev b2d4 after 54 tokens, begun 3.0 s after the cutover",
    ),
    "one of two pods": (
        lost(at=T13 + 0.5),
        several(2),
        "lost: aborted on rev 7c9f after 54 tokens, 0.4 s after SIGTERM (pods p-0, p-1)",
    ),
    "one of many pods": (
        lost(at=T13 + 1.5),
        several(9),
        "lost: aborted on rev 7c9f after 54 tokens, 0.7 s after SIGTERM (9 pods)",
    ),
    "before a SIGTERM that is still to come": (
        lost(at=T13 - 1),
        timeline(without=[MarkName.T12]),
        "lost: aborted on rev 7c9f after 54 tokens, 5.0 s after the cutover",
    ),
    "with the server's own words": (
        lost(Ending.ERROR_EVENT, at=90, evidence=Evidence(error="engine died")),
        Timeline(),
        "lost: ended by an error event on rev 7c9f after 54 tokens, engine died",
    ),
    "with an error of the system": (
        lost(Ending.RESET, at=90, evidence=Evidence(errno="ECONNRESET")),
        Timeline(),
        "lost: reset on rev 7c9f after 54 tokens, ECONNRESET",
    ),
}


@pytest.mark.parametrize(("record", "seen", "words"), CASES.values(), ids=CASES)
def test_a_loss_is_told_by_what_is_seen(record, seen, words):
    assert loss_words(record, seen) == words


def test_a_long_error_is_cut():
    words = loss_words(lost(at=90, evidence=Evidence(error="x" * 500)), Timeline())
    assert words.endswith("x" * ERROR_LENGTH + "...")


@pytest.mark.parametrize(
    "ending", [each for each in Ending if each.outcome in (Outcome.LOST, Outcome.REFUSED)]
)
def test_every_loss_has_words(ending):
    assert loss_words(stream(ending), ENDED)
