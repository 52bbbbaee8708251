"""What happened becomes one Run, is judged, written, shown."""

import dataclasses
import json
import time
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from hooks import tested as target_under_test
from hooks import verdict as of_verdict
from hooks.lateness import LATE_NS, PERIOD_S
from hooks.promotion import Promotion
from hooks.settings import Mode
from hooks.verdict import conclude, gather, show
from midstream.contract import NOT_KEPT
from midstream.promotion import Script
from midstream.rollouts.client import Cluster, UnreachableError
from midstream.rollouts.timeline import Timeline
from midstream.run import UNNOTED_DELAY_NS, LateSpell, Limits, PreviewFinding, ScriptEnd, State
from midstream.streams.clock import Clocks
from midstream.streams.deadlines import Deadlines
from midstream.streams.ending import Ending
from midstream.verdict import Decision
from tests.hooks.sessions import make_session
from tests.midstream.builders import BUDGET, NEW, T8, ns, stream, streams, timeline
from tests.midstream.rollouts import objects

FINISHED = ScriptEnd(state=State.DONE, reason="", finished=True)
UNFIT = ScriptEnd(state=State.PREVIEW, reason="new revision unfit")


@pytest.fixture
def lines():
    return []


@pytest.fixture
def session(tmp_path, lines, monkeypatch):
    """A plain load that is over; the seed's summary stays unwritten."""
    monkeypatch.setattr(of_verdict, "write_summary", lambda report: "")
    return make_session(tmp_path, lines)


class StubCluster:
    """Holds one Rollout whose newest revision is that of the builders' timeline; `rollout` may be gone."""

    def __init__(self) -> None:
        self.rollout: dict[str, Any] | None = objects.rollout()
        self.away = False

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        if self.away:
            raise UnreachableError("away")
        return self.rollout

    def list(self, kind: str, namespace: str, **_: Any) -> Any:
        items = [objects.replica_set(NEW, 5)] if kind == "replicasets" else []
        return SimpleNamespace(items=items, resource_version="9")


@pytest.fixture
def cluster():
    return StubCluster()


@pytest.fixture
def watched(session, cluster):
    """The same session with a Rollout, a promotion that has come so far."""

    def watch(end: ScriptEnd | None = FINISHED, **changes: Any) -> SimpleNamespace:
        rollout = target_under_test.WatchedRollout(
            cluster=cast(Cluster, cluster),
            namespace="llm",
            name="vllm",
            labels="app=vllm",
            active_service="vllm-stable",
            stable="7c9f",
            budget=BUDGET,
        )
        session.tested = dataclasses.replace(session.tested, rollout=rollout)
        session.settings = make_settings(session, mode=Mode.ROLLOUT)
        usual = {
            "script": Script(state=State.QUIET if end is None else end.state, entered_ns=0, end=end),
            "timeline": timeline(),
            "preview": PreviewFinding(fit=True, streams=3),
            "baseline_ns": (ns(70), ns(80)),
            "notes": ["only 5 of 8 had begun"],
            "left_as": lambda: "Rollout llm/vllm is left as it is: Paused",
        }
        promotion = SimpleNamespace(**(usual | changes))
        session.promotion = cast(Promotion, promotion)
        return promotion

    return watch


def make_settings(session: Any, **changes: Any) -> Any:
    return msgspec.structs.replace(session.settings, **changes)


def close(session: Any, *records: Any) -> None:
    for record in records:
        session.load.ledger.open(record.id, record.opened_ns)
        session.load.ledger.close(record)


def test_a_plain_load_is_a_run_without_a_rollout(session):
    close(session, *streams(3))
    session.load.ledger.open("open", 1)
    session.settings = make_settings(
        session, limits=Limits(max_error_rate=0.5), deadlines=Deadlines(idle_s=3.0)
    )
    before_ns = time.monotonic_ns()
    run = gather(session)
    assert not run.watches_rollout
    assert [record.id for record in run.streams] == [record.id for record in streams(3)]
    assert (run.ledger.opened, run.ledger.closed, run.ledger.still_open) == (4, 3, 1)
    assert (run.limits, run.deadlines) == (session.settings.limits, session.settings.deadlines)
    assert run.script == FINISHED
    assert (run.timeline, run.budget, run.preview, run.baseline_ns) == (Timeline(), None, None, None)
    assert run.notes == ()
    assert run.started_ns == session.started_ns
    assert before_ns <= run.stopped_ns <= time.monotonic_ns()
    assert abs(run.stopped_ns + run.wall_minus_monotonic_ns - time.time_ns()) < 60e9


@pytest.mark.parametrize("promoted", [False, True], ids=["plain load", "promotion"])
def test_what_did_not_fit_is_noted_first(session, watched, promoted):
    if promoted:
        watched()
    session.load_plan = msgspec.structs.replace(session.load_plan, findings=("the engine holds 41 of 80",))
    assert gather(session).notes[0] == "the engine holds 41 of 80"


def test_what_dated_the_streams_reaches_the_report(session, tmp_path):
    close(session, *streams(3))
    report = conclude(session)
    assert report.run.clocks == Clocks(reads=7, undated_reads=2, steps=1)
    written = json.loads((tmp_path / "verdict.json").read_text())
    assert written["clocks"] == {"reads": 7, "undated_reads": 2, "steps": 1}
    assert any("the wall clock was set once" in note for note in written["notes"])


def test_a_delay_that_makes_no_spell_is_allowed_for():
    assert PERIOD_S * 1e9 + LATE_NS <= UNNOTED_DELAY_NS


def test_a_promotion_brings_all_that_it_saw(session, watched):
    promotion = watched()
    session.lateness._spells.append(LateSpell(from_ns=1, to_ns=2))
    run = gather(session)
    assert run.watches_rollout
    assert run.timeline == promotion.timeline
    assert run.budget == BUDGET
    assert run.preview == promotion.preview
    assert run.baseline_ns == promotion.baseline_ns
    assert run.late == (LateSpell(from_ns=1, to_ns=2),)
    assert run.script == FINISHED
    assert run.notes == ("only 5 of 8 had begun",)


def test_an_unfinished_promotion_says_how_the_rollout_is_left(session, watched):
    watched(UNFIT)
    assert gather(session).notes == ("only 5 of 8 had begun", "Rollout llm/vllm is left as it is: Paused")
    watched(UNFIT, notes=[], left_as=lambda: "")
    assert gather(session).notes == ()


ENDS = {
    "its own end": (UNFIT, "", "", UNFIT),
    "its own end, then somebody stopped it": (UNFIT, "", "stopped by Ctrl-C", UNFIT),
    "a crash beats whatever else": (
        FINISHED,
        "watch pods: KeyError: ours",
        "stopped by Ctrl-C",
        ScriptEnd(state=State.DONE, reason="", crash="watch pods: KeyError: ours"),
    ),
    "stopped for a known reason": (
        None,
        "",
        "stopped by Ctrl-C",
        ScriptEnd(state=State.QUIET, reason="stopped by Ctrl-C", interrupted=True),
    ),
    "stopped for no known reason": (
        None,
        "",
        "",
        ScriptEnd(state=State.QUIET, reason="the test was stopped from outside", interrupted=True),
    ),
}


@pytest.mark.parametrize("told", ENDS.values(), ids=ENDS)
def test_how_a_promotion_ended(session, watched, told):
    script, crash, reason, end = told
    watched(script)
    session.crash, session.stop_reason = crash, reason
    assert gather(session).script == end


PLAIN_ENDS = {
    "by its time": ("", "", FINISHED),
    "stopped": ("", "Ctrl-C", ScriptEnd(state=State.BASELINE, reason="Ctrl-C", interrupted=True)),
    "crashed": ("ours", "", ScriptEnd(state=State.BASELINE, reason="", crash="ours")),
}


@pytest.mark.parametrize(("crash", "reason", "end"), PLAIN_ENDS.values(), ids=PLAIN_ENDS)
def test_how_a_plain_load_ended(session, crash, reason, end):
    session.crash, session.stop_reason = crash, reason
    assert gather(session).script == end


def test_a_promotion_that_never_began_did_not_finish(session, watched):
    watched(script=None)
    end = gather(session).script
    assert not end.finished
    assert end.interrupted
    assert end.state is State.BASELINE


def test_the_subject_has_the_new_revision_once_it_was_switched_to(session, watched):
    watched()
    new = gather(session).subject.new
    assert new is not None
    assert new.revision == NEW
    assert new.images == {"vllm": "vllm/vllm-openai:v1"}


NO_NEW = {
    "no cutover": ({"timeline": Timeline()}, {}),
    "the API server is away": ({}, {"away": True}),
    "the Rollout is gone": ({}, {"rollout": None}),
}


@pytest.mark.parametrize(("seen", "cluster_is"), NO_NEW.values(), ids=NO_NEW)
def test_a_new_revision_that_cannot_be_read_is_left_out(session, watched, cluster, seen, cluster_is):
    watched(**seen)
    for name, value in cluster_is.items():
        setattr(cluster, name, value)
    assert gather(session).subject == session.tested.subject


def early_stop(number: int, at: float) -> Any:
    return stream(Ending.SHORT, at=at, lasts=5.0, id=f"early-{at}-{number}", finish_reason="stop", tokens=40)


def test_a_length_that_the_server_never_kept_is_not_demanded(session, watched):
    watched()
    before = [early_stop(number, T8 - 20) for number in range(5)]
    crossing = early_stop(9, T8 - 2)
    close(session, *before, crossing)
    run = gather(session)
    assert {record.ending for record in run.streams} == {Ending.COMPLETE}
    assert NOT_KEPT in run.traits_missing


def test_early_stops_that_came_with_the_cutover_stay_lost(session, watched):
    watched()
    close(session, *streams(5, at=T8 - 30, lasts=5.0), *(early_stop(number, T8 - 2) for number in range(5)))
    run = gather(session)
    assert [record.ending for record in run.streams].count(Ending.SHORT) == 5
    assert NOT_KEPT not in run.traits_missing


def test_the_conclusion_is_judged_written_and_kept(session, tmp_path):
    close(session, *streams(10))
    report = conclude(session)
    assert report.verdict == session.verdict
    assert session.verdict.decision is Decision.PASS
    assert json.loads((tmp_path / "verdict.json").read_text())["verdict"] == "PASS"
    assert len((tmp_path / "streams.jsonl").read_text().splitlines()) == 10


def test_lost_streams_fail_a_plain_load(session):
    close(session, *streams(10), *streams(10, Ending.ABORTED))
    conclude(session)
    assert session.verdict.exit_code == 1


def test_no_stream_is_no_pass(session):
    conclude(session)
    assert session.verdict.exit_code == 3


def test_a_crash_is_no_pass(session):
    close(session, *streams(10))
    session.crash = "watch pods: KeyError: ours"
    conclude(session)
    assert session.verdict.exit_code == 3
    assert "KeyError" in session.verdict.sentence


def test_results_that_cannot_be_written_are_no_pass(session, tmp_path, capsys):
    close(session, *streams(10))
    session.folder = tmp_path / "gone"
    report = conclude(session)
    show(session, report)
    assert "streams.jsonl" not in capsys.readouterr().out  # no file is named that is not there
    assert report.verdict == session.verdict
    assert session.verdict.exit_code == 3
    assert "results were not written" in session.verdict.sentence
    assert "It would have been PASS" in session.verdict.sentence


def test_a_summary_that_cannot_be_written_is_said_and_changes_nothing(session, lines, monkeypatch):
    monkeypatch.setattr(of_verdict, "write_summary", lambda report: "it is a folder")
    close(session, *streams(10))
    conclude(session)
    assert session.verdict.exit_code == 0
    assert "summary file was not written: it is a folder" in lines[-1]


def test_what_is_shown_ends_with_the_verdict(session, capsys):
    close(session, *streams(10))
    report = conclude(session)
    show(session, report)
    _, _, at_the_end = capsys.readouterr().out.partition(str(session.folder))
    assert report.verdict.decision in at_the_end
    assert at_the_end.strip().splitlines()[-1].count(f"exit code {report.verdict.exit_code}") == 1
