"""Each verb on a cluster that acts: it looks first, patches, waits for what follows."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from midstream.rehearsal.api import Rule
from midstream.rollouts import argo, verbs
from midstream.rollouts.client import Cluster, ForbiddenError
from midstream.rollouts.edits import RefusedError
from midstream.rollouts.observation import OwnPatch
from midstream.rollouts.timeline import MarkName
from midstream.rollouts.verbs import RolloutVerbs, UnconfirmedError
from midstream.rollouts.watcher import WATCHED_KINDS, RolloutWatcher
from tests.midstream.rollouts.objects import Object
from tests.midstream.rollouts.rehearsed import Rehearsed, rehearsed
from tests.midstream.rollouts.scripted import write_kubeconfig

DEADLINE_S = 20.0


class Live(NamedTuple):
    """A running cluster with our hands on it."""

    rehearsed: Rehearsed
    cluster: Cluster
    verbs: RolloutVerbs
    patches: list[OwnPatch]

    def rollout(self):
        found = self.cluster.get("rollouts", "llm", "vllm")
        assert found is not None
        return found

    def until(self, holds: Callable[[Object], object]) -> None:
        """Wait for a fact of the Rollout, with a deadline."""
        end = time.monotonic() + DEADLINE_S
        while not holds(self.rollout()):
            assert time.monotonic() < end, self.rollout()["status"]
            time.sleep(0.01)

    def to_the_pause(self) -> "Live":
        self.verbs.set_image({"vllm": "engine:2"})
        self.until(argo.is_paused_for_promotion)
        return self


@pytest.fixture
def live(tmp_path, monkeypatch):
    """Start a cluster: `with live(**strategy) as found`; its controller needs no quiet."""
    monkeypatch.setattr(verbs, "QUIET_S", 0.0)
    monkeypatch.setattr(verbs, "POLL_S", 0.02)

    @contextmanager
    def started(*, denied=(), **blue_green) -> Iterator[Live]:
        with rehearsed(denied=denied, **blue_green) as running:
            cluster = Cluster.connect(write_kubeconfig(tmp_path / "config", running.url))
            patches: list[OwnPatch] = []
            hands = RolloutVerbs(cluster, "llm", "vllm", on_patch=patches.append, confirm_s=DEADLINE_S)
            yield Live(running, cluster, hands, patches)

    return started


def test_a_promotion_through_the_api_is_watched_from_end_to_end(live):
    """Watches, verbs, the fold on one real sequence: the marks of facts 4 in their order."""
    with live(scaleDownDelaySeconds=1) as found:
        stop = threading.Event()
        watcher = RolloutWatcher(
            found.cluster, "llm", "vllm", labels=argo.label_selector(found.rollout()), watch_s=1.0
        )
        hands = RolloutVerbs(found.cluster, "llm", "vllm", on_patch=watcher.note)
        threads = [threading.Thread(target=watcher.run_kind, args=(kind, stop)) for kind in WATCHED_KINDS]
        for thread in threads:
            thread.start()
        try:
            found.until(lambda _: all(watcher.has_listed(kind) for kind in WATCHED_KINDS))
            before = found.rollout()["status"]["stableRS"]
            hands.set_image({"vllm": "engine:2"})
            found.until(lambda _: watcher.timeline().first(MarkName.T6))
            hands.promote()
            found.until(lambda _: len([m for m in watcher.timeline().marks if m.name is MarkName.T14]) == 2)
        finally:
            stop.set()
            for thread in threads:
                thread.join(DEADLINE_S)
        timeline = watcher.timeline()
    assert {mark.name for mark in timeline.marks} == set(MarkName) - {MarkName.T5}  # no analysis
    [cutover] = timeline.cutovers
    assert cutover.old == before
    assert len(cutover.old_pods) == 2
    promoted = timeline.first(MarkName.T7)
    assert promoted is not None
    assert promoted.not_before_ns <= cutover.at.not_before_ns < cutover.at.seen_ns
    assert {(m.pod, m.exit_code) for m in timeline.marks if m.name is MarkName.T14} == {
        (pod, 143) for pod in cutover.old_pods
    }
    assert timeline.events == ()
    assert timeline.gaps == ()


def test_promote_is_refused_while_nothing_is_paused(live):
    with live() as found:
        with pytest.raises(RefusedError, match="not paused for its promotion"):
            found.verbs.promote()
        assert found.patches == []


def test_promote_that_nobody_acts_on_is_not_confirmed(live):
    with live() as found:
        found.to_the_pause().rehearsed.stop_controller()
        impatient = RolloutVerbs(found.cluster, "llm", "vllm", on_patch=found.patches.append, confirm_s=0.3)
        with pytest.raises(UnconfirmedError, match="is the Argo Rollouts controller running"):
            impatient.promote()
        assert [patch.verb for patch in found.patches] == ["set-image", "promote"]


def test_promote_full(live):
    with live() as found:
        with pytest.raises(RefusedError, match="nothing to promote"):
            found.verbs.promote_full()
        found.to_the_pause().verbs.promote_full()
        found.until(lambda now: now["status"]["stableRS"] == now["status"]["currentPodHash"])


def test_abort_then_retry(live):
    with live() as found:
        with pytest.raises(RefusedError, match="no update to abort"):
            found.verbs.abort()
        with pytest.raises(RefusedError, match="not aborted"):
            found.verbs.retry()
        found.to_the_pause().verbs.abort()
        assert argo.is_aborted(found.rollout())
        with pytest.raises(RefusedError, match="aborted already"):
            found.verbs.abort()
        found.verbs.retry()  # after an abort in the pause Argo 1.9 cuts over without a second one
        found.until(
            lambda rollout: (
                rollout["status"]["blueGreen"]["activeSelector"] == rollout["status"]["currentPodHash"]
            )
        )


def test_pause_holds_the_rollout_until_its_promotion(live):
    with live() as found:
        found.verbs.pause()
        found.until(lambda now: argo.phase(now) is argo.Phase.PAUSED)
        with pytest.raises(RefusedError, match="paused by its spec already"):
            found.verbs.pause()
        assert [patch.verb for patch in found.patches] == ["pause"]


def test_restart_is_asked_once(live):
    with live() as found:
        found.verbs.restart()
        assert found.rollout()["spec"]["restartAt"].endswith("Z")
        assert argo.generation_observed(found.rollout())
        with pytest.raises(RefusedError, match="restart is under way already"):
            found.verbs.restart()


@pytest.mark.parametrize("verb", ["pause", "restart"])
def test_what_changes_the_spec_names_the_rule_it_lacks(live, verb):
    with live(denied=(Rule("patch", "argoproj.io", "rollouts"),)) as found:
        with pytest.raises(ForbiddenError, match=r'resources: \["rollouts"\], verbs: \["patch"\]'):
            getattr(found.verbs, verb)()
        assert found.patches == []


def test_undo_goes_back_to_the_revision_before(live):
    with live() as found:
        first = found.rollout()["spec"]["template"]
        found.to_the_pause().verbs.undo()
        assert found.rollout()["spec"]["template"] == first
        found.until(argo.is_healthy)


def test_same_makes_a_new_revision(live):
    with live() as found:
        before = found.rollout()["status"]["currentPodHash"]
        found.verbs.same()
        found.until(lambda now: now["status"]["currentPodHash"] != before)


def test_env_args_model(live):
    with live() as found:
        found.verbs.set_args(["serve", "old-model"])
        found.verbs.set_model("new-model")
        found.verbs.set_env({"A": "1"})
        [container] = found.rollout()["spec"]["template"]["spec"]["containers"]
        assert container["args"] == ["serve", "new-model"]
        assert container["env"] == [{"name": "A", "value": "1"}]
        with pytest.raises(RefusedError, match="changes nothing"):
            found.verbs.set_env({"A": "1"})


def test_a_change_by_somebody_else_in_between_is_not_overwritten(live, monkeypatch):
    """The first attempt meets a newer resourceVersion: it is read, computed, sent again."""
    with live() as found:
        json_patch, attempts = found.cluster.json_patch, []

        def interfere(*args):
            attempts.append(args)
            if len(attempts) == 1:
                found.cluster.merge_patch(
                    "rollouts", "llm", "vllm", {"metadata": {"annotations": {"by": "other"}}}
                )
            return json_patch(*args)

        monkeypatch.setattr(found.cluster, "json_patch", interfere)
        found.verbs.set_image({"vllm": "engine:2"})
        assert len(attempts) == 2
        now = found.rollout()
        assert now["spec"]["template"]["spec"]["containers"][0]["image"] == "engine:2"
        assert now["metadata"]["annotations"]["by"] == "other"


def write_often(found: Live, over: threading.Event, written: list[int]) -> threading.Thread:
    """Somebody who writes the Rollout every 50 ms until told to end."""

    def write() -> None:
        while not over.wait(0.05):
            patch = {"metadata": {"annotations": {"count": str(len(written))}}}
            found.cluster.merge_patch("rollouts", "llm", "vllm", patch)
            written.append(time.monotonic_ns())

    thread = threading.Thread(target=write)
    thread.start()
    return thread


def test_a_verb_waits_until_nobody_writes(live, monkeypatch):
    """Argo 1.9.1 can overlook a write that meets its own (verbs.QUIET_S)."""
    with live() as found:
        monkeypatch.setattr(verbs, "QUIET_S", 0.5)
        over, written = threading.Event(), list[int]()
        thread = write_often(found, over, written)
        threading.Timer(0.4, over.set).start()
        found.verbs.same()
        thread.join(DEADLINE_S)
        [patch] = found.patches
        assert patch.sent_ns - written[-1] > 0.4 * 1e9


def test_a_verb_does_not_wait_for_ever(live, monkeypatch):
    with live() as found:
        monkeypatch.setattr(verbs, "QUIET_S", 0.5)
        monkeypatch.setattr(verbs, "QUIET_LIMIT_S", 0.6)
        over = threading.Event()
        thread = write_often(found, over, [])
        try:
            found.to_the_pause().verbs.promote()
        finally:
            over.set()
            thread.join(DEADLINE_S)


def test_a_missing_permission_is_named(live):
    denied = (Rule("patch", "argoproj.io", "rollouts/status"),)
    with live(denied=denied) as found:
        found.to_the_pause()
        with pytest.raises(ForbiddenError, match="rollouts/status"):
            found.verbs.promote()


def test_a_rollout_that_is_not_there(live):
    with live() as found, pytest.raises(RefusedError, match="no Rollout other in namespace llm"):
        RolloutVerbs(found.cluster, "llm", "other").promote()
