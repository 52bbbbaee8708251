import pytest
from msgspec import structs

from midstream.checks.check import Status
from midstream.checks.rollout import preview, rollout, second_witness
from midstream.cohorts import read_cohorts
from midstream.rollouts.timeline import Cutover, MarkName, RolloutEvent, Timeline, WatchGap
from midstream.run import PreviewFinding
from tests.midstream.builders import BUDGET, NEW, OLD, mark, ns, run, timeline

PASS, FAIL, INCONCLUSIVE, NOT_EXAMINED = Status.PASS, Status.FAIL, Status.INCONCLUSIVE, Status.NOT_EXAMINED


def ask(question, **changes):
    asked = run(**changes)
    return question(asked, read_cohorts(asked))


def event(what, at):
    return {"timeline": timeline(events=(RolloutEvent(what=what, seen_ns=ns(at), source="watch"),))}


def _gap(kind, since, until):
    return WatchGap(kind=kind, from_ns=ns(since), to_ns=ns(until), why="410")


def gap(kind, since, until):
    return {"timeline": timeline(gaps=(_gap(kind, since, until),))}


def many_gaps(length):
    """Ten within the drain, and ten of another kind."""
    found = [
        WatchGap(kind=kind, from_ns=ns(102 + number), to_ns=ns(102 + number + length), why="410")
        for number in range(10)
        for kind in ("pods", "replicasets")
    ]
    return {"timeline": timeline(gaps=tuple(found))}


NEVER_SCALED_DOWN = structs.replace(BUDGET, scale_down_delay_s=None)


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        pytest.param({}, PASS, "promoted", id="promoted and drained"),
        pytest.param(event("aborted", 101), FAIL, "was aborted 1 s after", id="aborted after the cutover"),
        pytest.param(event("degraded", 101), FAIL, "was Degraded 1 s after", id="degraded after the cutover"),
        pytest.param(event("switched_back", 110), FAIL, "old revision 10 s after", id="switched back"),
        pytest.param(event("degraded", 99), INCONCLUSIVE, "before", id="degraded before the cutover"),
        pytest.param(event("aborted", 99.99), INCONCLUSIVE, "before", id="aborted within T8's uncertainty"),
        pytest.param(
            event("unexpected_cutover", 110),
            INCONCLUSIVE,
            "again 10 s after",
            id="a cutover nobody asked for",
        ),
        pytest.param(event("deleted", 110), INCONCLUSIVE, "deleted", id="deleted"),
        pytest.param({"timeline": Timeline()}, INCONCLUSIVE, "no cutover", id="no cutover"),
        pytest.param(
            {"timeline": timeline(without=[MarkName.T14])},
            INCONCLUSIVE,
            "--drain-limit",
            id="end of the pod not seen",
        ),
        pytest.param(
            {"timeline": timeline(without=[MarkName.T14]), "budget": NEVER_SCALED_DOWN},
            INCONCLUSIVE,
            "scaleDownDelaySeconds is 0",
            id="never scaled down",
        ),
        pytest.param(
            gap("services", 99, 110), INCONCLUSIVE, "unwatched for 11 s", id="unwatched at the cutover"
        ),
        pytest.param(gap("pods", 110, 112), INCONCLUSIVE, "pods", id="unwatched in the drain"),
        pytest.param(gap("services", 100, 101), PASS, "", id="a mere re-list"),
        pytest.param(many_gaps(0.004), PASS, "", id="a storm of re-lists of some milliseconds each"),
        pytest.param(
            {"timeline": timeline(gaps=(_gap("services", 99, 110), _gap("pods", 99, 111)))},
            INCONCLUSIVE,
            "services and pods went unwatched for up to 12 s from T8 to T14 (410)",
            id="an API server that was away is told once",
        ),
        pytest.param(many_gaps(1.2), INCONCLUSIVE, "10 times", id="many long ones are told once"),
        pytest.param(gap("services", 70, 90), PASS, "", id="unwatched before the cutover"),
        pytest.param(gap("pods", 121, 139), PASS, "", id="unwatched after the drain"),
        pytest.param(gap("events", 99, 110), PASS, "", id="a kind that no check rests on"),
    ],
)
def test_the_rollout(changes, status, words):
    answer = ask(rollout, **changes)
    assert answer.status is status
    assert words in answer.why


def changed(*revisions, at=(81.0, 90.0)):
    """The template was changed to these revisions, one after the other, before the cutover to NEW."""
    line = timeline(without=[MarkName.T0])
    made = (mark(MarkName.T0, when, revision=to) for when, to in zip(at, revisions, strict=False))
    return structs.replace(line, marks=(*made, *line.marks))


@pytest.mark.parametrize(
    ("line", "status"),
    [
        pytest.param(changed(NEW), PASS, id="to what the template was changed to"),
        pytest.param(changed(None), PASS, id="the template's revision was never told"),
        pytest.param(changed(), PASS, id="the change came before we looked"),
        pytest.param(changed("third", NEW), INCONCLUSIVE, id="someone changed it again before the cutover"),
        pytest.param(changed(None, NEW), INCONCLUSIVE, id="so soon that ours had no hash yet"),
        pytest.param(changed("third"), INCONCLUSIVE, id="to another revision than the template's"),
        pytest.param(changed(NEW, "third", at=(81.0, 110.0)), PASS, id="changed again only afterwards"),
    ],
)
def test_a_cutover_to_a_third_revision_says_nothing_of_the_update(line, status):
    answer = ask(rollout, timeline=line)
    assert answer.status is status
    assert ("third revision" in answer.why) is (status is INCONCLUSIVE)


def test_the_update_after_a_cutover_is_held_against_the_next_one():
    """A -> B -> A: the second change brings the first revision back, as it was asked to."""
    line = timeline()
    back = mark(MarkName.T8, 130, cutover=2, revision=OLD)
    again = Cutover(number=2, old=NEW, new=OLD, at=back, old_pods=("vllm-b2d4-x",))
    gone = mark(MarkName.T14, 138, cutover=2, revision=NEW, pod="vllm-b2d4-x")
    marks = (*line.marks, mark(MarkName.T0, 125, cutover=2, revision=OLD), back, gone)
    assert ask(rollout, timeline=timeline(marks=marks, cutovers=(*line.cutovers, again))).status is PASS


def test_old_pods_that_were_never_seen_cannot_be_seen_to_drain():
    (cutover,) = timeline().cutovers
    unseen = timeline(cutovers=(structs.replace(cutover, old_pods=()),))
    assert ask(rollout, timeline=unseen).status is INCONCLUSIVE


def test_a_failed_rollout_is_not_hidden_by_a_gap():
    both = timeline(
        events=(RolloutEvent(what="aborted", seen_ns=ns(105), source="watch"),),
        gaps=(WatchGap(kind="pods", from_ns=ns(100), to_ns=ns(110), why="410"),),
    )
    assert ask(rollout, timeline=both).status is FAIL


@pytest.mark.parametrize(
    ("finding", "status"),
    [
        pytest.param(PreviewFinding(fit=True, streams=3), PASS, id="fit"),
        pytest.param(PreviewFinding(fit=False, why="garbage"), FAIL, id="unfit"),
        pytest.param(PreviewFinding(fit=None, why="no route"), NOT_EXAMINED, id="not reached"),
        pytest.param(PreviewFinding(fit=None, why="disagree", in_doubt=True), INCONCLUSIVE, id="in doubt"),
        pytest.param(None, NOT_EXAMINED, id="not validated"),
    ],
)
def test_the_preview(finding, status):
    assert ask(preview, preview=finding).status is status


def test_an_unfit_revision_says_whether_it_was_promoted_all_the_same():
    unfit = PreviewFinding(fit=False, why="garbage")
    assert ask(preview, preview=unfit, timeline=Timeline()).why == "new revision unfit, not promoted: garbage"
    assert ask(preview, preview=unfit).why == "new revision unfit, but promoted: garbage"
    assert ask(rollout, preview=unfit, timeline=Timeline()).status is NOT_EXAMINED


def test_the_second_witness_was_not_heard():
    assert ask(second_witness).status is NOT_EXAMINED
