import ast
import inspect
from collections.abc import Iterable
from typing import Any

import pytest
from msgspec import structs

from midstream import causes, checks, cohorts, verdict
from midstream.causes import ENDING_WORDS, UNEXPLAINED, Cause, find_causes
from midstream.causes.old_revision import may_swallow_sigterm
from midstream.cohorts import read_cohorts
from midstream.rollouts.timeline import Cutover, MarkName, Timeline
from midstream.run import Image, PreviewFinding, Run
from midstream.streams.ending import Ending, Outcome
from midstream.streams.record import Evidence, Lane, StreamRecord
from tests.midstream.builders import (
    BUDGET,
    LIMITS,
    NEW,
    OLD,
    POD,
    SUBJECT,
    T13,
    WITHOUT_TIMEOUT,
    mark,
    ns,
    plain,
    pulse,
    run,
    stream,
    streams,
    timeline,
)

BARE = structs.replace(SUBJECT, old=WITHOUT_TIMEOUT)
UNKNOWN_ENGINE = structs.replace(BUDGET, engine_drain_s=None)
NO_DRAIN = structs.replace(BUDGET, engine_drain_s=0)
ZERO = structs.replace(SUBJECT, old=Image(revision=OLD, command=("vllm", "serve", "--shutdown-timeout=0")))


def lost(ending: Ending, **changes: Any) -> Run:
    """39 whole crossing streams, and 41 that failed 0.4 s after SIGTERM."""
    at_sigterm = streams(41, ending, at=95.0, lasts=T13 + 0.4 - 95)
    return run((*streams(39), *at_sigterm), **changes)


def hung(**changes: Any) -> Run:
    """Their last token came 0.3 s before SIGTERM; 20 s later we gave them up."""
    silent = streams(41, Ending.STALLED, at=95.0, lasts=31.0, last_token_ns=ns(T13 - 0.3))
    return run((*streams(39), *silent), **changes)


def killed(others: Iterable[StreamRecord] = (), **changes: Any) -> Run:
    """Cut when the grace period of 16 s, which began at 104 s, was over."""
    cut = streams(41, Ending.TRUNCATED, at=95.0, lasts=24.9)
    given = {"timeline": timeline(exit_code=137), "budget": structs.replace(BUDGET, grace_s=16)}
    return run((*streams(39), *cut, *others), **(given | changes))


SHORT_DRAIN = structs.replace(BUDGET, engine_drain_s=5, sources={"engine_drain_s": "--shutdown-timeout 5"})
NO_PRE_STOP = structs.replace(SHORT_DRAIN, pre_stop_s=0)
KILLED_AT_16 = {"timeline": timeline(exit_code=137), "budget": structs.replace(NO_DRAIN, grace_s=16)}


def silent(last: float, ending: Ending = Ending.STALLED, *, until: float = 126.0, **changes: Any) -> Run:
    """41 whose last token came at `last`; then nothing, until `until`."""
    still = streams(41, ending, at=95.0, lasts=until - 95, last_token_ns=ns(last))
    return run((*streams(39), *still), **changes)


def behind(*command: str) -> dict[str, Any]:
    """The old revision's command."""
    return {"subject": structs.replace(SUBJECT, old=Image(revision=OLD, command=command))}


AFTER = streams(3, at=108, lasts=1, revisions=(OLD,))
SHELL = behind("sh", "-c", 'vllm serve "$@"; echo over', "sh", "--host=$(POD_IP)")


def refused(ending: Ending = Ending.CONNECT_REFUSED, **changes: Any) -> Run:
    return run((*streams(80), *streams(3, ending, at=102.0, lasts=0.1)), **changes)


def pooled(*at: float, ending: Ending = Ending.HTTP_5XX, **changes: Any) -> list[StreamRecord]:
    """Requests on kept connections that are refused at these seconds, by whom is not told."""
    refusal = {"status": 500, "revisions": (), "fresh": False} | changes
    return [stream(ending, at=each, lasts=0.02, **refusal) for each in at]


def denied(*at: float, **changes: Any) -> list[StreamRecord]:
    """Requests answered 401 at these seconds."""
    return [stream(Ending.HTTP_4XX, at=each, lasts=0.02, status=401, **changes) for each in at]


def found(judged: Run) -> tuple[Cause, ...]:
    return find_causes(judged, read_cohorts(judged))


def names(judged: Run) -> list[str]:
    return [cause.cause for cause in found(judged)]


def test_the_line_says_which_streams_when_where_and_why():
    judged = lost(Ending.ABORTED, subject=BARE, budget=UNKNOWN_ENGINE)
    (cause,) = found(judged)
    assert cause.line == (
        "41 of 80 crossing streams aborted 0.4 s after SIGTERM on rev 7c9f (pod vllm-7c9f-x, exit 0): "
        "the engine runs without --shutdown-timeout"
    )
    assert cause.streams == 41
    assert cause.evidence == (
        "The server said itself that it aborted the stream.",
        "T13 of pod vllm-7c9f-x: T12 + preStop 2 s (lifecycle.preStop.sleep)",
        "command without --shutdown-timeout: vllm serve model",
    )
    assert "--shutdown-timeout" in cause.mend


@pytest.mark.parametrize(
    ("judged", "cause"),
    [
        pytest.param(
            lost(Ending.ABORTED, subject=BARE, budget=UNKNOWN_ENGINE), "no_shutdown_timeout", id="abort"
        ),
        pytest.param(
            lost(Ending.ERROR_EVENT, subject=BARE, budget=NO_DRAIN), "no_shutdown_timeout", id="error event"
        ),
        pytest.param(hung(subject=BARE, budget=NO_DRAIN), "no_shutdown_timeout", id="silence for ever"),
        pytest.param(
            lost(Ending.ABORTED, subject=BARE, budget=None), "no_shutdown_timeout", id="budget unknown"
        ),
        pytest.param(
            lost(Ending.ABORTED, subject=ZERO, budget=NO_DRAIN), "shutdown_timeout_0", id="set to 0"
        ),
        pytest.param(lost(Ending.ENDED_EARLY), "no_drain", id="ended cleanly at SIGTERM"),
        pytest.param(lost(Ending.SHORT), "no_drain", id="a gateway told the cut as stop"),
        pytest.param(
            lost(Ending.RESET, timeline=timeline(exit_code=143)), "no_drain", id="exited at SIGTERM"
        ),
        pytest.param(killed(), "grace_too_short", id="SIGKILL after the grace period"),
        pytest.param(
            silent(105.8, Ending.TRUNCATED, until=119.9, subject=BARE, **KILLED_AT_16),
            "no_shutdown_timeout",
            id="silent at SIGTERM, killed with its sockets later",
        ),
        pytest.param(
            silent(110.9, budget=SHORT_DRAIN), "shutdown_timeout_short", id="silent when the drain was over"
        ),
        pytest.param(
            silent(110.9, Ending.RESET, until=119.9, budget=SHORT_DRAIN),
            "shutdown_timeout_short",
            id="silent when the drain was over, killed with its sockets later",
        ),
        pytest.param(
            silent(111.2, Ending.ABORTED, until=111.2, budget=SHORT_DRAIN),
            "shutdown_timeout_short",
            id="aborted when the drain was over",
        ),
        pytest.param(silent(110.9, budget=NO_PRE_STOP), "prestop_missing", id="and no preStop before it"),
        pytest.param(
            silent(
                110.9,
                budget=structs.replace(
                    NO_PRE_STOP,
                    sources={"pre_stop_s": "unknown: lifecycle.preStop is no sleep"},
                ),
            ),
            "shutdown_timeout_short",
            id="and a preStop of unknown length",
        ),
        pytest.param(
            killed(budget=structs.replace(BUDGET, grace_s=16, pre_stop_s=16)),
            "grace_below_prestop",
            id="SIGKILL while preStop ran",
        ),
        pytest.param(killed(AFTER, **SHELL), "shell_pid1", id="behind a shell, going on after SIGTERM"),
        pytest.param(
            killed(budget=structs.replace(NO_DRAIN, grace_s=16), **SHELL),
            "shell_pid1",
            id="behind a shell, tokens beyond the drain",
        ),
        pytest.param(killed(AFTER), "sigterm_ignored", id="behind what is not known, going on after SIGTERM"),
        pytest.param(
            killed(AFTER, **behind("sh", "-c", "exec vllm serve model")),
            "sigterm_ignored",
            id="exec by the shell, going on after SIGTERM",
        ),
        pytest.param(killed(**SHELL), "grace_too_short", id="behind a shell, nothing begun after SIGTERM"),
        pytest.param(
            killed(streams(3, at=106.5, lasts=1, revisions=(OLD,)), **SHELL),
            "grace_too_short",
            id="begun when SIGTERM may still have been on its way",
        ),
        pytest.param(
            killed(streams(3, at=108, lasts=1, revisions=(NEW,)), **SHELL),
            "grace_too_short",
            id="begun by the new revision after SIGTERM",
        ),
        pytest.param(refused(), "refused_after_cutover", id="connections refused after the cutover"),
        pytest.param(refused(Ending.HTTP_5XX), "refused_after_cutover", id="503 after the cutover"),
    ],
)
def test_what_the_evidence_shows(judged, cause):
    assert names(judged) == [cause]


@pytest.mark.parametrize(
    ("judged", "cause"),
    [
        pytest.param(run([*streams(80), *pooled(107, 110, 119)]), "kept_connection_drained", id="drain"),
        pytest.param(
            run([*streams(80), *pooled(110, fresh=True)]), "refused_after_cutover", id="a new connection"
        ),
        pytest.param(run([*streams(80), *pooled(103)]), UNEXPLAINED, id="before SIGTERM"),
        pytest.param(run([*streams(80), *pooled(121)]), UNEXPLAINED, id="after the pods were gone"),
        pytest.param(
            run([*streams(80), *pooled(118)], limits=structs.replace(LIMITS, watch_after_s=10)),
            "kept_connection_drained",
            id="later than is watched",
        ),
    ],
)
def test_what_pools_of_connections_meet_while_old_pods_drain(judged, cause):
    assert names(judged) == [cause]


BACK = structs.replace(
    timeline(),
    cutovers=(
        *timeline().cutovers,
        Cutover(number=2, old=NEW, new=OLD, at=mark(MarkName.T8, 118.0, revision=OLD), old_pods=()),
    ),
)
KEYLESS = {
    "from the cutover on": run([*streams(80), *denied(101, 111, 112, 113)]),
    "403": run([*streams(80), *(structs.replace(each, status=403) for each in denied(111, 112, 113))]),
    "until the old one was back": run([*streams(80), *denied(111, 112, 113), stream(at=125)], timeline=BACK),
}


@pytest.mark.parametrize("judged", KEYLESS.values(), ids=KEYLESS)
def test_a_new_revision_that_refuses_the_clients_key(judged):
    (cause,) = found(judged)
    assert cause.cause == "key_refused"
    assert cause.line.endswith(": the new revision does not accept the clients' key")
    assert {"answered 401", "answered 403"} & set(cause.evidence)
    assert "--api-key" in cause.mend


NOT_KEYLESS = {
    "refused before the cutover too": run([*streams(80), *denied(95, 111, 112, 113)]),
    "accepted by the new one too": run([*streams(80), *denied(111, 112, 113), stream(at=114)]),
    "too few": run([*streams(80), *denied(111, 112)]),
    "on kept connections alone": run([*streams(80), *denied(111, 112, 113, fresh=False)]),
    "404": run([*streams(80), *streams(3, Ending.HTTP_4XX, at=111, lasts=0.02)]),
    "no cutover": plain([*streams(80), *denied(111, 112, 113)]),
}


@pytest.mark.parametrize("judged", NOT_KEYLESS.values(), ids=NOT_KEYLESS)
def test_refusals_that_do_not_show_whose_key_it_is(judged):
    assert set(names(judged)) == {UNEXPLAINED}


DEAD = {
    "plain": (plain, "3 of 83 streams were answered 401: the key was no longer accepted by the server"),
    "rollout": (run, "3 of 83 streams were answered 401: the key was no longer accepted by both revisions"),
}


@pytest.mark.parametrize(("of", "line"), DEAD.values(), ids=DEAD)
def test_our_own_key_that_died(of, line):
    dead = [structs.replace(each, ending=Ending.CREDENTIAL) for each in denied(107, 108, 109)]
    (cause,) = found(of([*streams(80), *dead]))
    assert (cause.cause, cause.line, cause.streams) == ("dead_key", line, 3)
    assert "--api-key-command" in cause.mend


NO_T13 = timeline(without=[MarkName.T13])
FAR_OFF = timeline(marks=(*NO_T13.marks, mark(MarkName.T13, 100.5, pod=POD, revision=OLD)))
OF_ANOTHER = timeline(marks=(*NO_T13.marks, mark(MarkName.T13, T13, pod="x", revision=NEW)))
AT_137 = timeline(exit_code=137)


@pytest.mark.parametrize(
    "judged",
    [
        pytest.param(
            lost(Ending.ABORTED, subject=BARE, budget=NO_DRAIN, timeline=NO_T13), id="abort: no SIGTERM seen"
        ),
        pytest.param(
            lost(Ending.ABORTED, subject=BARE, timeline=FAR_OFF), id="abort: SIGTERM was long before"
        ),
        pytest.param(
            lost(Ending.ABORTED, subject=BARE, timeline=OF_ANOTHER), id="abort: SIGTERM to another revision"
        ),
        pytest.param(
            lost(Ending.ABORTED, subject=structs.replace(SUBJECT, old=None), budget=NO_DRAIN),
            id="abort: image unknown",
        ),
        pytest.param(
            lost(Ending.ABORTED, subject=structs.replace(SUBJECT, old=Image(revision=OLD)), budget=NO_DRAIN),
            id="abort: command unknown",
        ),
        pytest.param(
            lost(Ending.ABORTED, subject=BARE, budget=BUDGET), id="abort: the engine drains by other means"
        ),
        pytest.param(
            killed(streams=streams(9, Ending.TRUNCATED, at=95.0, lasts=15.0)), id="cut long before the kill"
        ),
        pytest.param(lost(Ending.ABORTED), id="abort: the engine has a --shutdown-timeout"),
        pytest.param(
            lost(Ending.ABORTED, subject=ZERO, budget=None), id="abort: budget unknown, option there"
        ),
        pytest.param(lost(Ending.MALFORMED, subject=BARE, budget=NO_DRAIN), id="another ending at SIGTERM"),
        pytest.param(
            lost(Ending.ABORTED, subject=BARE, budget=NO_DRAIN, timeline=Timeline()), id="no timeline"
        ),
        pytest.param(lost(Ending.ENDED_EARLY, timeline=NO_T13), id="ended early: no SIGTERM seen"),
        pytest.param(
            lost(Ending.RESET, timeline=timeline(exit_code=None)), id="exited at SIGTERM: exit code unknown"
        ),
        pytest.param(killed(timeline=timeline(exit_code=None)), id="killed: exit code unknown"),
        pytest.param(killed(timeline=timeline(exit_code=0)), id="killed: the pod exited by itself"),
        pytest.param(
            run(
                (*streams(39), *streams(9, Ending.TRUNCATED, at=95.0, lasts=15.0)),
                timeline=timeline(exit_code=137, end_width=30),
                budget=structs.replace(BUDGET, grace_s=16),
            ),
            id="cut within the grace, while nothing bounds the end of the pod from below",
        ),
        pytest.param(
            killed(timeline=timeline(exit_code=137, without=[MarkName.T14])),
            id="killed: end of the pod not seen",
        ),
        pytest.param(
            killed(timeline=timeline(exit_code=137, without=[MarkName.T12])), id="killed: deletion not seen"
        ),
        pytest.param(
            killed(budget=structs.replace(BUDGET, grace_s=60)), id="killed: long before the grace was over"
        ),
        pytest.param(
            killed(
                timeline=structs.replace(
                    AT_137,
                    marks=tuple(
                        structs.replace(each, reason="OOMKilled" if each.exit_code else None)
                        for each in AT_137.marks
                    ),
                )
            ),
            id="killed: out of memory",
        ),
        pytest.param(silent(108.5, budget=SHORT_DRAIN), id="silent before the drain was over"),
        pytest.param(silent(114.0, budget=SHORT_DRAIN), id="silent long after the drain was over"),
        pytest.param(silent(110.9), id="silent within the drain"),
        pytest.param(
            silent(110.9, budget=structs.replace(SHORT_DRAIN, engine_drain_s=None)), id="drain unknown"
        ),
        pytest.param(silent(110.9, budget=SHORT_DRAIN, timeline=NO_T13), id="drain over: no SIGTERM seen"),
        pytest.param(
            silent(110.9, Ending.TRUNCATED, until=111.0, budget=SHORT_DRAIN), id="cut in mid-flow by then"
        ),
        pytest.param(
            killed(timeline=AT_137, budget=structs.replace(BUDGET, grace_s=60, pre_stop_s=60)),
            id="killed long before a grace shorter than preStop was over",
        ),
        pytest.param(
            killed(AFTER, timeline=timeline(exit_code=0), **SHELL),
            id="behind a shell, but not killed",
        ),
        pytest.param(refused(timeline=Timeline()), id="refused: no cutover seen"),
        pytest.param(
            run((*streams(80), *streams(3, Ending.CONNECT_REFUSED, at=111.0))),
            id="refused long after the cutover",
        ),
        pytest.param(plain([stream(Ending.RESET)]), id="no rollout"),
    ],
)
def test_without_the_evidence_the_cause_is_unexplained(judged):
    assert names(judged) == [UNEXPLAINED]


def test_a_silence_that_ended_in_a_kill_is_told_by_the_silence():
    (cause,) = found(silent(105.8, Ending.TRUNCATED, until=119.9, subject=BARE, **KILLED_AT_16))
    assert "streams fell silent (later truncated) 0.2 s before SIGTERM" in cause.line


def test_a_kill_of_streams_that_stood_still_is_told_by_the_kill():
    """An engine that is short of CPU pauses, and may be killed in a pause: the silence is not its end."""
    (cause,) = found(silent(103.5, Ending.TRUNCATED, until=119.9, **KILLED_AT_16))
    assert cause.cause == "grace_too_short"
    assert "41 of 80 crossing streams truncated 16 s after the deletion of their pod was asked" in cause.line


def test_a_missing_prestop_is_named_in_what_shows_it_and_in_the_mend():
    (cause,) = found(silent(110.9, budget=NO_PRE_STOP))
    assert cause.evidence[-2:] == (
        "no preStop in the old pods",
        "--shutdown-timeout 5: over 5 s after SIGTERM",
    )
    assert cause.mend.startswith("add a preStop")


def test_a_shell_is_shown_by_its_script():
    (cause,) = found(killed(AFTER, **SHELL))
    assert cause.evidence[-2] == "the old pods still began 3 streams more than 1 s after SIGTERM"
    assert cause.evidence[-1] == """PID 1 of the pod: sh -c 'vllm serve "$@"; echo over'"""
    assert "`exec`" in cause.mend


def test_a_server_that_refuses_after_sigterm_has_heard_it():
    assert names(killed(pooled(108, 109), **SHELL)) == ["grace_too_short", "kept_connection_drained"]


SHELLS = {
    "a command after it": (("sh", "-c", "vllm serve m; echo over"), True),
    "by its path, with more flags": (("/bin/bash", "-euxc", "cd /m && vllm serve m"), True),
    "several lines": (("bash", "-c", "set -e\nvllm serve m\n"), True),
    "its output is piped": (("sh", "-c", "vllm serve m 2>&1 | tee /log"), True),
    "a single command": (("sh", "-c", "vllm serve m\n"), True),
    "exec": (("sh", "-c", "cd /m && exec vllm serve m"), False),
    "exec on a line of its own": (("sh", "-c", "set -e\nexec vllm serve m"), False),
    "a trap": (("bash", "-c", "trap 'kill $!' TERM; vllm serve m & wait"), False),
    "no shell": (("vllm", "serve", "m"), False),
    "an init before it": (("tini", "--", "sh", "-c", "vllm serve m; true"), False),
    "a script file": (("sh", "/start.sh"), False),
    "a word that only holds exec": (("sh", "-c", "./prepare-exec; vllm serve m"), True),
    "nothing": ((), False),
}


@pytest.mark.parametrize(("command", "swallows"), SHELLS.values(), ids=SHELLS)
def test_a_shell_that_may_stay_pid_1_and_pass_no_signal_on(command, swallows):
    assert may_swallow_sigterm(command) is swallows


def test_an_unfit_revision_is_a_cause_without_any_lost_stream():
    judged = run(preview=PreviewFinding(fit=False, streams=3, why="3 of 3 malformed"))
    (cause,) = found(judged)
    assert (cause.cause, cause.streams) == ("new_revision_unfit", 3)
    assert "3 of 3 malformed" in cause.line
    assert names(run(preview=PreviewFinding(fit=True))) == []
    assert names(run(preview=None)) == []


def test_two_causes_are_told_apart_the_larger_first():
    both = (*lost(Ending.ENDED_EARLY).streams, *streams(3, Ending.CONNECT_REFUSED, at=102.0, lasts=0.1))
    assert names(run(both)) == ["no_drain", "refused_after_cutover"]


def test_crossing_streams_come_before_more_others():
    judged = run([*streams(80), *streams(2, Ending.ENDED_EARLY, lasts=11.4), *refused().streams[80:]])
    assert names(judged) == ["no_drain", "refused_after_cutover"]


def test_pulses_come_after_the_streams_that_decide_the_verdict():
    judged = run(
        [
            *streams(80),
            *streams(2, Ending.ENDED_EARLY, lasts=11.4),
            *(pooled(*range(107, 119), lane=Lane.PULSE)),
        ]
    )
    assert names(judged) == ["no_drain", "kept_connection_drained"]


def test_a_kill_is_set_beside_the_deletion_that_it_followed():
    (cause,) = found(killed())
    assert cause.line == (
        "41 of 80 crossing streams truncated 16 s after the deletion of their pod was asked on rev 7c9f "
        "(pod vllm-7c9f-x, exit 137): the grace period was over before the streams were, so SIGKILL "
        "cut them off"
    )
    assert cause.evidence == (
        "The connection closed within the body.",
        "T12 of pod vllm-7c9f-x: watch",
        "T14 of pod vllm-7c9f-x exit code 137: watch",
        "terminationGracePeriodSeconds 16",
    )


def test_an_unexplained_loss_still_says_when_it_was():
    judged = run((*streams(79), stream(Ending.RESET, lasts=8.0)))
    (cause,) = found(judged)
    assert cause.line == (
        "1 of 80 crossing streams reset 3.0 s after the cutover on rev 7c9f: "
        "unexplained, nothing in the evidence says why"
    )


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        pytest.param([T13 + 0.006], "within 0.1 s of SIGTERM", id="no finer than the mark is known"),
        pytest.param([T13 + 0.4, T13 + 0.5, T13 + 0.9], "0.5 s after SIGTERM", id="close together"),
        pytest.param([T13 + 0.2, T13 + 1.8], "0.2 to 1.8 s after SIGTERM", id="far apart"),
    ],
)
def test_the_moment_is_told_as_finely_as_it_is_known(ends, words):
    judged = run([*streams(79), *(stream(Ending.ENDED_EARLY, lasts=end - 95) for end in ends)])
    (cause,) = found(judged)
    assert f"ended early {words} on rev" in cause.line


def test_a_vague_mark_is_told_as_vague_as_it_is():
    (cause,) = found(lost(Ending.ENDED_EARLY, timeline=timeline(width=0.61)))
    assert "within 0.7 s of SIGTERM" in cause.line


@pytest.mark.parametrize(
    ("judged", "words"),
    [
        pytest.param(
            run([stream(Ending.RESET, at=at, lasts=5, revisions=(NEW,)) for at in (83, 130.5)]),
            "2 of 2 steady streams reset from 12 s before to 36 s after the cutover on rev b2d4",
            id="around the cutover",
        ),
        pytest.param(
            run(streams(2, Ending.RESET, at=83, lasts=5)), "12 s before the cutover", id="before it"
        ),
        pytest.param(
            plain([stream(Ending.RESET, at=70, lasts=5), stream(Ending.RESET, at=80, lasts=5)]),
            "2 of 2 streams reset 15 to 25 s into the test",
            id="a plain load",
        ),
    ],
)
def test_steady_losses_say_when_they_were(judged, words):
    (cause,) = found(judged)
    assert words in cause.line


def test_losses_of_many_pods_are_one_line_however_far_apart_their_pods_ended():
    """Each loss stands beside its own pod's SIGTERM; names beyond three are counted."""
    line = timeline(without=[MarkName.T13])
    pods = [f"vllm-7c9f-{number}" for number in range(7)]
    marks = [mark(MarkName.T13, T13 + 3 * n, pod=pod, revision=OLD) for n, pod in enumerate(pods)]
    records = [
        stream(Ending.ENDED_EARLY, lasts=T13 + 3 * n + 0.5 - 95, id=f"{n}-{m}")
        for n in range(7)
        for m in range(3)
    ]
    judged = run([*streams(60), *records], timeline=structs.replace(line, marks=(*line.marks, *marks)))
    (cause,) = found(judged)
    assert cause.line == (
        "21 of 81 crossing streams ended early 0.5 s after SIGTERM on rev 7c9f "
        "(pod vllm-7c9f-0; pod vllm-7c9f-1; pod vllm-7c9f-2; 4 more): "
        "the server ends its answers at SIGTERM instead of finishing them"
    )
    assert cause.evidence[1:] == (
        "T13 of 7 pods (vllm-7c9f-0, vllm-7c9f-1, vllm-7c9f-2, 4 more): T12 + preStop 2 s "
        "(lifecycle.preStop.sleep)",
    )


def test_errors_that_differ_in_a_number_only_are_told_once_and_long_ones_are_cut():
    records = [
        *(stream(Ending.RESET, evidence=Evidence(error=f"passed after {n} tokens")) for n in range(30)),
        stream(Ending.RESET, evidence=Evidence(error="x" * 500)),
        stream(Ending.RESET, evidence=Evidence(errno="ECONNRESET")),
    ]
    (cause,) = found(run(records))
    assert cause.evidence == (
        "The connection was reset within the body.",
        "ECONNRESET",
        "passed after 0 tokens",
        "x" * 200 + "...",
    )


def test_an_unfit_revision_says_why_once():
    (cause,) = found(run(preview=PreviewFinding(fit=False, streams=3, why="no such model")))
    assert "no such model" in cause.line
    assert not any("no such model" in words for words in (*cause.evidence, cause.mend))


def test_two_pods_are_both_named():
    other = mark(MarkName.T13, T13, pod="vllm-7c9f-y", revision=OLD)
    line = timeline()
    judged = lost(Ending.ENDED_EARLY, timeline=timeline(marks=(*line.marks, other)))
    (cause,) = found(judged)
    assert "(pod vllm-7c9f-x, exit 0; pod vllm-7c9f-y)" in cause.line


def test_pulses_are_called_pulses():
    judged = run((*streams(80), pulse(102, Ending.CONNECT_REFUSED)))
    (cause,) = found(judged)
    assert cause.line.startswith("1 of 1 new pulses refused 2.4 s after the cutover")


def test_what_says_nothing_of_the_service_has_no_cause():
    assert names(run((*streams(80), *streams(3, Ending.CUT), *streams(3, Ending.CLIENT_ERROR)))) == []


def test_every_ending_that_can_have_a_cause_has_its_words():
    assert set(ENDING_WORDS) == {
        ending for ending in Ending if ending.outcome in (Outcome.LOST, Outcome.REFUSED)
    }


@pytest.mark.parametrize("module", [causes, checks, cohorts, verdict])
def test_the_judgement_imports_nothing_of_the_rehearsal(module):
    tree = ast.parse(inspect.getsource(module))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name for name in imported if name and ("rehearsal" in name or name.startswith("hooks"))}


def test_a_moment_is_told_no_finer_than_the_cutover_is_known():
    """T8 lies within 12 s: streams cut 3 to 9 s before it was seen may have been cut by it."""
    records = [stream(Ending.RESET, at=80.0, lasts=11.0 + number, id=f"v{number}") for number in range(7)]
    (cause,) = found(run([*streams(20), *records], timeline=timeline(width=12.0, without=[MarkName.T13])))
    assert "within 12 s of the cutover" in cause.line
