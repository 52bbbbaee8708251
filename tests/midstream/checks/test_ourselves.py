from typing import Any

import pytest
from msgspec import structs

from midstream.arrivals import OpenLoop
from midstream.checks.check import Status
from midstream.checks.ourselves import arrivals, baseline, ledger, ourselves, script
from midstream.cohorts import read_cohorts
from midstream.rollouts.timeline import RolloutEvent, Timeline
from midstream.run import ControlFinding, LedgerCount, PreviewFinding, ScriptEnd, State
from midstream.streams.ending import Ending
from midstream.verdict import Decision, judge
from tests.midstream.builders import LIMITS, ns, run, streams

PASS, INCONCLUSIVE, NOT_EXAMINED = Status.PASS, Status.INCONCLUSIVE, Status.NOT_EXAMINED


def ask(question, records=None, **changes):
    asked = run(records, **changes)
    return question(asked, read_cohorts(asked))


@pytest.mark.parametrize("state", list(State))
def test_a_script_that_did_not_finish_names_its_state_and_the_next_step(state):
    answer = ask(script, script=ScriptEnd(state=state, reason="it waited for the pods"))
    assert answer.status is INCONCLUSIVE
    assert answer.why.startswith(f"stopped in state {state}: it waited for the pods. Next: ")


@pytest.mark.parametrize(
    ("end", "status", "words"),
    [
        pytest.param(
            ScriptEnd(state=State.DONE, reason="", finished=True), PASS, "all its states", id="finished"
        ),
        pytest.param(
            ScriptEnd(state=State.DRAIN, reason="-t was reached", interrupted=True),
            INCONCLUSIVE,
            "stopped in state drain: -t was reached. Next: let the test run to its end",
            id="interrupted",
        ),
        pytest.param(
            ScriptEnd(state=State.DRAIN, reason="", finished=True, crash="KeyError: 'x'"),
            INCONCLUSIVE,
            "KeyError",
            id="a part of ours failed",
        ),
    ],
)
def test_the_script(end, status, words):
    answer = ask(script, script=end)
    assert answer.status is status
    assert words in answer.why


@pytest.mark.parametrize(
    ("what", "words"),
    [("aborted", "who or what aborted it"), ("degraded", "kubectl get pods"), ("deleted", "who deleted it")],
)
def test_a_script_that_the_rollout_ended_says_where_to_look(what, words):
    event = RolloutEvent(what=what, seen_ns=ns(90), source="watch")
    end = ScriptEnd(state=State.PREVIEW, reason="the Rollout was so before the cutover. It said why.")
    answer = ask(script, script=end, timeline=Timeline(events=(event,)))
    assert "It said why. Next: " in answer.why
    assert words in answer.why.partition("Next: ")[2]
    assert "--preview-limit" not in answer.why


def test_a_script_that_refused_an_unfit_revision_stopped_as_it_should():
    unfit = PreviewFinding(fit=False, why="garbage")
    end = ScriptEnd(state=State.PREVIEW, reason="new revision unfit")
    assert ask(script, preview=unfit, script=end).status is NOT_EXAMINED


def test_a_script_that_left_a_doubtful_revision_says_how_to_look_at_it():
    doubt = PreviewFinding(fit=None, why="the two readers disagree", in_doubt=True)
    answer = ask(script, preview=doubt, script=ScriptEnd(state=State.PREVIEW, reason="in doubt"))
    assert answer.status is INCONCLUSIVE
    assert answer.why.endswith(
        "Next: look at one of its streams (python -m midstream smoke --rollout NAMESPACE/NAME --preview)"
    )


@pytest.mark.parametrize(
    ("books", "status"),
    [
        pytest.param(LedgerCount(opened=80, closed=80, still_open=0), PASS, id="all closed"),
        pytest.param(LedgerCount(opened=82, closed=80, still_open=2), PASS, id="two known to be open"),
        pytest.param(LedgerCount(opened=81, closed=80, still_open=0), INCONCLUSIVE, id="one vanished"),
        pytest.param(LedgerCount(opened=79, closed=80, still_open=0), INCONCLUSIVE, id="one never opened"),
        pytest.param(
            LedgerCount(opened=81, closed=81, still_open=0), INCONCLUSIVE, id="one closed without a record"
        ),
        pytest.param(
            LedgerCount(opened=80, closed=80, still_open=0, workers_lost=("w2",)),
            INCONCLUSIVE,
            id="a worker lost",
        ),
    ],
)
def test_the_ledger(books, status):
    assert ask(ledger, streams(80), ledger=books).status is status


EARLY: dict[str, Any] = {"at": 70.0, "lasts": 5.0}


@pytest.mark.parametrize(
    ("records", "changes", "status"),
    [
        pytest.param(streams(20, **EARLY), {}, PASS, id="well before the trigger"),
        pytest.param((), {}, PASS, id="no streams at all: the rates say so"),
        pytest.param(
            (*streams(19, **EARLY), *streams(1, Ending.RESET, **EARLY)), {}, PASS, id="at the limit"
        ),
        pytest.param(
            (*streams(18, **EARLY), *streams(2, Ending.RESET, **EARLY)), {}, INCONCLUSIVE, id="beyond"
        ),
        pytest.param(streams(2, Ending.RESET), {}, PASS, id="losses after the trigger"),
        pytest.param((), {"baseline_ns": None}, INCONCLUSIVE, id="no baseline"),
        pytest.param(
            (),
            {"script": ScriptEnd(state=State.BASELINE, reason="2 of 9 lost", baseline_failed=True)},
            INCONCLUSIVE,
            id="the script saw it fail",
        ),
        pytest.param(
            (),
            {"baseline_ns": None, "preview": PreviewFinding(fit=False), "timeline": Timeline()},
            NOT_EXAMINED,
            id="no baseline, and no promotion either",
        ),
    ],
)
def test_the_baseline(records, changes, status):
    assert ask(baseline, records, **changes).status is status


SILENT = streams(4, Ending.CUT, at=90.0, lasts=20.0, last_token_ns=ns(100))
NO_TOKEN = streams(4, Ending.CUT, at=90.0, lasts=20.0, first_token_ns=None, last_token_ns=None)
FAILED = ScriptEnd(state=State.DONE, reason="", finished=True, crash="ValueError: x")


@pytest.mark.parametrize(
    ("records", "changes", "status"),
    [
        pytest.param(streams(100), {}, PASS, id="no ending of our own"),
        pytest.param(
            (*streams(95), *streams(5, Ending.CLIENT_ERROR)), {}, PASS, id="too few to hide a failure"
        ),
        pytest.param(
            (*streams(94), *streams(6, Ending.CLIENT_ERROR)), {}, INCONCLUSIVE, id="enough to hide one"
        ),
        pytest.param(
            (*streams(95), *streams(4, Ending.RESET), *streams(2, Ending.CREDENTIAL)),
            {},
            INCONCLUSIVE,
            id="enough together with the service's own",
        ),
        pytest.param((*streams(9), *streams(90, Ending.CUT)), {}, PASS, id="streams stopped at the end"),
        pytest.param((*streams(9), *SILENT), {}, INCONCLUSIVE, id="stopped in a silence that hid their loss"),
        pytest.param((*streams(50), *NO_TOKEN), {}, INCONCLUSIVE, id="stopped before any token"),
        pytest.param((*streams(500), *SILENT), {}, PASS, id="too few silent ones to matter"),
        pytest.param(
            (*streams(97), *streams(3, Ending.STALE_CONNECTION, status=None)),
            {},
            INCONCLUSIVE,
            id="enough to hide answers of 500 or above",
        ),
        pytest.param(
            (*streams(90), *streams(10, Ending.CLIENT_ERROR)),
            {"limits": structs.replace(LIMITS, max_error_rate=1, max_5xx_rate=1, min_stream_completion=0.95)},
            INCONCLUSIVE,
            id="enough to hide a bad completion",
        ),
        pytest.param(streams(9), {"script": FAILED}, INCONCLUSIVE, id="a part of ours failed"),
        pytest.param((), {}, PASS, id="no streams: the rates say so"),
    ],
)
def test_ourselves(records, changes, status):
    assert ask(ourselves, records, **changes).status is status


def test_the_limit_is_the_users_own():
    limits = structs.replace(LIMITS, max_error_rate=0.5, max_5xx_rate=0.5, min_stream_completion=0.5)
    assert ask(ourselves, (*streams(6), *streams(4, Ending.CLIENT_ERROR)), limits=limits).status is PASS


@pytest.mark.parametrize(
    ("control", "status"),
    [
        pytest.param(ControlFinding(streams=1, lost=1, pod="p"), Status.PASS, id="lost"),
        pytest.param(ControlFinding(streams=8, lost=1, pod="p"), Status.PASS, id="one of many"),
        pytest.param(ControlFinding(streams=1, pod="p"), Status.INCONCLUSIVE, id="none was called lost"),
        pytest.param(ControlFinding(why="no pod was found"), Status.INCONCLUSIVE, id="it could not be done"),
    ],
)
def test_a_pass_is_proven_by_a_loss_on_purpose(control, status):
    judged = judge(run(streams(80), control=control, limits=structs.replace(LIMITS, require_drain=False)))
    (check,) = [check for check in judged.checks if check.name == "negative_control"]
    assert check.status is status
    assert (judged.decision is Decision.PASS) is (status is Status.PASS)
    assert control.why in check.why


def test_the_negative_control_is_only_asked_for_where_there_was_one():
    assert "negative_control" not in [check.name for check in judge(run(streams(80))).checks]


LOOP = OpenLoop(rate=10, ramp_up_s=0, most_open=100, offered=80)


def slipped(count: int, by_s: float):
    late = [structs.replace(each, scheduled_ns=each.opened_ns - ns(by_s) + ns(0)) for each in streams(count)]
    return [*streams(80 - count), *late]


@pytest.mark.parametrize(
    ("records", "status"),
    [
        pytest.param(slipped(0, 0), PASS, id="all in time"),
        pytest.param(slipped(4, 5), PASS, id="a twentieth late"),
        pytest.param(slipped(5, 5), INCONCLUSIVE, id="more of them late"),
        pytest.param(slipped(80, 0.9), PASS, id="all a little late"),
        pytest.param((), INCONCLUSIVE, id="no stream"),
    ],
)
def test_an_open_loop_has_to_keep_its_schedule(records, status):
    answer = ask(arrivals, records, open_loop=LOOP)
    assert answer.status is status
    assert ("too slow" in answer.why) is (status is INCONCLUSIVE and bool(records))


def test_what_was_shed_is_told():
    assert "7 were shed" in ask(arrivals, streams(80), open_loop=structs.replace(LOOP, shed=7)).why
