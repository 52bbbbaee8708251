"""Each mark comes from its best source, lies within its interval, whatever the watches' order."""

from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstream.rollouts.marks import read_timeline
from midstream.rollouts.observation import Observation, OwnPatch, replay
from midstream.rollouts.timeline import Mark, MarkName, Timeline
from tests.midstream.rollouts.objects import (
    NEW,
    OLD,
    THIRD,
    deleted,
    pod,
    replica_set,
    rollout,
    service,
    template,
)
from tests.midstream.rollouts.story import (
    DEADLINE,
    MS,
    listed,
    looked,
    patched,
    paused,
    promoted,
    seen,
    start,
    to_the_pause,
    updated,
    whole,
)

T = MarkName


def timeline(*notes) -> Timeline:
    return read_timeline(replay("vllm", notes))


def told(marks):
    """Each mark as (name, revision, pod, not before ms, seen ms)."""
    return [(m.name, m.revision, m.pod, m.not_before_ns / MS, m.seen_ns / MS) for m in marks]


def mark_of(found: Timeline, name: MarkName, pod_name: str | None = None) -> Mark:
    """The one mark of that name, of that pod."""
    [mark] = [mark for mark in found.marks if mark.name is name and mark.pod == pod_name]
    return mark


def events(found: Timeline):
    return [(event.what, event.detail) for event in found.events]


def test_a_whole_promotion():
    found = timeline(*whole())
    assert told(found.marks) == [
        (T.T0, NEW, None, 1000, 1008),  # our own patch: between its request with its answer
        (T.T1, NEW, None, 100, 1100),
        (T.T2, NEW, None, 100, 1110),
        (T.T3, NEW, None, 100, 1130),
        (T.T4, NEW, "new-a", 100, 3000),
        (T.T4, NEW, "new-b", 100, 3500),
        (T.T5, NEW, None, 100, 3600),
        (T.T6, NEW, None, 100, 4000),
        (T.T7, NEW, None, 6000, 6010),
        (T.T8, NEW, None, 6000, 6080),
        (T.T10, OLD, None, 100, 6090),
        (T.T9, NEW, None, 100, 6120),
        (T.T11, OLD, None, 100, 16100),
        (T.T12, OLD, "old-a", 100, 16120),
        (T.T12, OLD, "old-b", 100, 16130),
        (T.T13, OLD, "old-a", 5100, 21120),
        (T.T13, OLD, "old-b", 5100, 21130),
        (T.T14, OLD, "old-a", 100, 22000),
        (T.T14, OLD, "old-b", 100, 46500),
    ]
    assert {mark.cutover for mark in found.marks} == {1}
    [cutover] = found.cutovers
    assert (cutover.number, cutover.old, cutover.new) == (1, OLD, NEW)
    assert cutover.old_pods == ("old-a", "old-b")
    assert cutover.at.source == "watch Service/vllm-stable spec.selector"
    assert found.events == ()


def test_object_times_are_the_objects_own_words():
    found = timeline(*whole())
    assert mark_of(found, T.T12, "old-a").object_time == "2026-11-03T12:01:00Z"  # deadline - grace
    assert mark_of(found, T.T13, "old-a").object_time == "2026-11-03T12:01:05Z"
    assert mark_of(found, T.T14, "old-a").object_time == "2026-11-03T12:01:06Z"
    assert mark_of(found, T.T6).object_time == "2026-11-03T12:00:30Z"
    assert "2026-11-03T12:01:00Z" in mark_of(found, T.T10).source


@pytest.mark.parametrize(("name", "code", "reason"), [("old-a", 0, "Completed"), ("old-b", 137, "Error")])
def test_a_pods_end_has_its_exit_code(name, code, reason):
    end = mark_of(timeline(*whole()), T.T14, name)
    assert (end.exit_code, end.reason) == (code, reason)


def test_the_first_lists_make_no_marks():
    found = timeline(*start())
    assert (found.marks, found.cutovers, found.events) == ((), (), ())


def test_a_run_that_begins_in_mid_promotion_marks_only_what_it_saw():
    in_pause = [
        listed("rollouts", paused(30)),
        listed("replicasets", replica_set(OLD, 2), replica_set(NEW, 14, number=2)),
        listed("pods", pod("old-a", OLD, 3), pod("new-a", NEW, 20)),
        listed("services", service("vllm-stable", OLD, 5), service("vllm-preview", NEW, 12)),
    ]
    found = timeline(*in_pause, *promoted())
    assert [mark.name for mark in found.marks] == [T.T7, T.T8, T.T10, T.T9]
    assert found.cutovers[0].old_pods == ("old-a",)


def test_the_active_revisions_own_accidents_are_no_promotion():
    baseline = [
        seen("pods", "DELETED", deleted("old-b", OLD, 7), 500),
        seen("replicasets", "MODIFIED", replica_set(OLD, 8, spec={"replicas": 0}), 510),
        seen("replicasets", "MODIFIED", replica_set(OLD, 9), 520),
        seen("pods", "ADDED", pod("old-c", OLD, 10, ready=False), 600),
        seen("pods", "MODIFIED", pod("old-c", OLD, 11), 900),
    ]
    assert timeline(*start(), *baseline).marks == ()


def test_no_notes_no_timeline():
    assert timeline() == Timeline()


class TestUncertaintyOfT8:
    def test_it_begins_with_our_own_promotion(self):
        at = timeline(*whole()).cutovers[0].at
        assert (at.not_before_ns, at.seen_ns) == (6000 * MS, 6080 * MS)

    def test_someone_elses_promotion_is_bounded_by_the_last_look(self):
        notes = [note for note in whole() if not isinstance(note, OwnPatch)]
        look = looked("services", service("vllm-stable", OLD, 5), asked=6040)
        assert timeline(*notes).cutovers[0].at.not_before_ns == 100 * MS
        assert timeline(*notes, look).cutovers[0].at.not_before_ns == 100 * MS  # it came too late to help
        at = timeline(*start(), *to_the_pause()[1:], look, *promoted()[1:]).cutovers[0].at
        assert (at.not_before_ns, at.seen_ns) == (6040 * MS, 6080 * MS)

    def test_a_fast_rollback_without_a_pause_begins_with_our_change(self):
        back = rollout(50, metadata={"generation": 3}, status={"observedGeneration": "3", "stableRS": NEW})
        notes = [
            patched("undo", 9000, 9010, 50),
            seen("rollouts", "MODIFIED", back, 9020),
            seen("services", "MODIFIED", service("vllm-stable", OLD, 51), 9100),
        ]
        found = timeline(*start(), *to_the_pause(), *promoted(), *notes)
        assert found.cutovers[1].at.not_before_ns == 9000 * MS
        assert found.events == ()  # we asked for it

    def test_a_list_after_a_gap_bounds_it_by_the_list_before(self):
        late = listed("services", service("vllm-stable", NEW, 32), service("vllm-preview", NEW, 12), at=8000)
        notes = [note for note in promoted() if isinstance(note, Observation) and note.kind != "services"]
        at = timeline(*start(), *to_the_pause(), *notes, late).cutovers[0].at
        assert (at.not_before_ns, at.seen_ns) == (1000 * MS, 8010 * MS)  # not before its template, at least
        assert at.source.startswith("list ")


# States of a container: at its end, waiting for its restart, running again.
AT_END = {
    "terminated": {
        "exitCode": 137,
        "reason": "OOMKilled",
        "startedAt": "2026-11-03T12:00:01Z",
        "finishedAt": "2026-11-03T12:00:59Z",
    }
}
WAITING = {"waiting": {"reason": "CrashLoopBackOff"}}
BACK = {"running": {"startedAt": "2026-11-03T12:01:00Z"}}


def living(name, version, state, last, restarts, *, ready=True):
    """A pod of NEW with its container in that state, the end of its life before in `last`."""
    status = {"name": "vllm", "state": state, "lastState": last, "restartCount": restarts}
    return pod(name, NEW, version, ready=ready, status={"containerStatuses": [status]})


class TestPodEnds:
    def story(self, *notes):
        return timeline(*start(), *to_the_pause(), *promoted(), *notes)

    def test_a_pod_gone_before_the_cutover_is_not_left_behind_by_it(self):
        gone = seen("pods", "DELETED", deleted("old-b", OLD, 25), 3900)
        found = timeline(*start(), *to_the_pause(), gone, *promoted())
        assert found.cutovers[0].old_pods == ("old-a",)
        assert found.of_pod(T.T14, "old-b") is None

    def test_an_old_pod_replaced_after_the_cutover_is_left_behind_too(self):
        replacement = seen("pods", "ADDED", pod("old-c", OLD, 36), 7000)
        assert self.story(replacement).cutovers[0].old_pods == ("old-a", "old-b", "old-c")

    def test_a_crashed_container_is_no_end_of_a_pod(self):
        crashed = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
        status = {"containerStatuses": [{"name": "vllm", "state": crashed}]}
        found = self.story(seen("pods", "MODIFIED", pod("old-a", OLD, 36, status=status), 7000))
        assert found.of_pod(T.T14, "old-a") is None

    @pytest.mark.parametrize(
        "steps",
        [
            pytest.param([(AT_END, {}, 0), (BACK, AT_END, 1)], id="in two steps"),
            pytest.param([(BACK, AT_END, 1)], id="the restart alone"),
            pytest.param([(AT_END, {}, 0), (WAITING, AT_END, 1), (BACK, AT_END, 1)], id="with a back-off"),
        ],
    )
    def test_a_container_that_ended_is_told_once_with_its_pod_ready_again(self, steps):
        notes = [
            seen("pods", "MODIFIED", living("new-a", 40 + place, *step, ready=False), 7000 + 100 * place)
            for place, step in enumerate(steps)
        ]
        back = seen("pods", "MODIFIED", living("new-a", 50, BACK, AT_END, 1), 9000)
        (end,) = self.story(*notes, back).container_ends
        assert (end.pod, end.revision, end.container) == ("new-a", NEW, "vllm")
        assert (end.exit_code, end.reason) == (137, "OOMKilled")
        assert (end.seen_ns, end.ready_ns) == (7000 * MS, 9000 * MS)

    def test_a_pod_that_is_never_ready_again_has_no_such_moment(self):
        crashed = seen("pods", "MODIFIED", living("new-a", 40, AT_END, {}, 0, ready=False), 7000)
        (end,) = self.story(crashed).container_ends
        assert end.ready_ns is None

    def test_each_death_of_a_container_is_told(self):
        again = {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": "2026-11-03T12:01:20Z"}}
        notes = [
            seen("pods", "MODIFIED", living("new-a", 40, BACK, AT_END, 1), 7000),
            seen("pods", "MODIFIED", living("new-a", 41, BACK, again, 2), 8000),
        ]
        assert [end.exit_code for end in self.story(*notes).container_ends] == [137, 1]

    def test_a_death_from_before_we_looked_is_none(self):
        notes = [
            listed("pods", living("old-a", 3, BACK, AT_END, 1), pod("old-b", OLD, 4)),
            seen("pods", "MODIFIED", living("old-a", 40, BACK, AT_END, 1, ready=False), 7000),
        ]
        others = [note for note in start() if not isinstance(note, Observation) or note.kind != "pods"]
        assert timeline(*others, *notes).container_ends == ()

    def test_the_end_of_a_deleted_pod_is_no_death_of_a_container(self):
        assert timeline(*whole()).container_ends == ()

    def test_an_evicted_pod_ends_with_its_reason(self):
        terminated = {
            "terminated": {"exitCode": 137, "reason": "Error", "finishedAt": "2026-11-03T12:00:50Z"}
        }
        status = {
            "phase": "Failed",
            "reason": "Evicted",
            "containerStatuses": [{"name": "vllm", "state": terminated}],
        }
        end = self.story(seen("pods", "MODIFIED", pod("old-a", OLD, 36, status=status), 7000)).of_pod(
            T.T14, "old-a"
        )
        assert (end.exit_code, end.reason) == (137, "Evicted")

    def test_a_pod_found_missing_after_a_gap_has_no_exit_code(self):
        found = self.story(listed("pods", pod("new-a", NEW, 20), at=30000))
        end = found.of_pod(T.T14, "old-a")
        assert (end.exit_code, end.seen_ns, end.not_before_ns) == (None, 30010 * MS, 100 * MS)
        assert found.of_pod(T.T12, "old-a").object_time is None

    def test_an_end_within_pre_stop_came_before_any_sigterm(self):
        asked = seen("pods", "MODIFIED", deleted("old-a", OLD, 41), 16120)
        early = {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": "2026-11-03T12:01:01Z"}}
        status = {"containerStatuses": [{"name": "vllm", "state": early}]}
        found = self.story(asked, seen("pods", "MODIFIED", deleted("old-a", OLD, 42, status=status), 17300))
        assert found.of_pod(T.T13, "old-a") is None
        assert found.of_pod(T.T14, "old-a").exit_code == 1

    def test_sigterm_comes_at_the_end_of_grace_when_pre_stop_is_longer(self):
        spec = template("x", lifecycle={"preStop": {"sleep": {"seconds": 600}}})["spec"]
        found = self.story(seen("pods", "MODIFIED", deleted("old-a", OLD, 41, spec=spec), 16120))
        mark = found.of_pod(T.T13, "old-a")
        assert mark.seen_ns == 46120 * MS
        assert mark.source == (
            "T12 + the grace period of 30 s, the most that preStop can take "
            "(preStop 600 s, lifecycle.preStop.sleep)"
        )

    def test_sigterm_after_an_unknown_pre_stop_is_anywhere_within_grace(self):
        spec = template("x", lifecycle={"preStop": {"exec": {"command": ["./drain"]}}})["spec"]
        mark = self.story(seen("pods", "MODIFIED", deleted("old-a", OLD, 41, spec=spec), 16120)).of_pod(
            T.T13, "old-a"
        )
        assert (mark.not_before_ns, mark.seen_ns, mark.object_time) == (100 * MS, 46120 * MS, None)

    def test_the_new_revisions_own_accidents_are_no_drain(self):
        found = self.story(seen("pods", "DELETED", deleted("new-a", NEW, 41), 16120))
        assert {mark.name for mark in found.marks if mark.pod == "new-a"} == {T.T4}


class TestEvents:
    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            pytest.param(
                paused(31, abort=True, message="analysis failed"),
                [("aborted", "analysis failed")],
                id="aborted",
            ),
            pytest.param(paused(31, abort=True), [("aborted", "")], id="aborted, its message is from before"),
            pytest.param(
                updated(31, phase="Degraded", message="progress deadline exceeded"),
                [("degraded", "progress deadline exceeded")],
                id="degraded",
            ),
        ],
    )
    def test_what_the_rollout_says(self, change, expected):
        found = timeline(*start(), *to_the_pause(), seen("rollouts", "MODIFIED", change, 5000))
        assert events(found) == expected

    def test_our_own_abort_is_no_event(self):
        aborted = seen("rollouts", "MODIFIED", paused(31, abort=True), 5000)
        found = timeline(*start(), *to_the_pause(), patched("abort", 4900, 4990, 31), aborted)
        assert events(found) == []

    def test_deleted(self):
        found = timeline(*start(), seen("rollouts", "DELETED", rollout(9), 900))
        assert [event.what for event in found.events] == ["deleted"]

    def test_deleted_while_nobody_looked(self):
        assert [event.what for event in timeline(*start(), listed("rollouts", at=900)).events] == ["deleted"]

    @pytest.mark.parametrize(("revision", "what"), [(OLD, "switched_back"), (THIRD, "unexpected_cutover")])
    def test_a_second_cutover_that_nobody_here_asked_for(self, revision, what):
        again = seen("services", "MODIFIED", service("vllm-stable", revision, 60), 8000)
        found = timeline(*start(), *to_the_pause(), *promoted(), again)
        assert events(found) == [(what, f"{NEW} -> {revision}")]
        assert [cutover.number for cutover in found.cutovers] == [1, 2]


class TestSeveralPromotions:
    def test_there_with_a_fast_rollback_then_on_to_a_third(self):
        """OLD -> NEW -> OLD within the delay -> THIRD: every moment counts for the promotion it is of."""
        no_deadline = {"annotations": {"rollout.argoproj.io/revision": "3"}}
        back = {"metadata": {"generation": 3}, "status": {"observedGeneration": "3", "stableRS": NEW}}
        third = {
            "metadata": {"generation": 4},
            "spec": {"template": template("x")},
            "status": {"observedGeneration": "4", "currentPodHash": THIRD},
        }
        notes = [
            seen("rollouts", "MODIFIED", rollout(50, **back), 9000),
            seen("services", "MODIFIED", service("vllm-stable", OLD, 51), 9100),
            seen("replicasets", "MODIFIED", replica_set(OLD, 52, metadata=no_deadline), 9110),
            seen("replicasets", "MODIFIED", replica_set(NEW, 53, metadata=DEADLINE), 9120),
            seen(
                "replicasets",
                "MODIFIED",
                replica_set(NEW, 54, metadata=DEADLINE, spec={"replicas": 0}),
                19000,
            ),
            seen("pods", "DELETED", deleted("new-a", NEW, 55), 19500),
            seen("rollouts", "MODIFIED", rollout(60, **third), 30000),
            seen("replicasets", "ADDED", replica_set(THIRD, 61), 30100),
            seen("services", "MODIFIED", service("vllm-stable", THIRD, 62), 31000),
            seen("replicasets", "MODIFIED", replica_set(OLD, 63, metadata=DEADLINE), 31010),
            seen(
                "replicasets",
                "MODIFIED",
                replica_set(OLD, 64, metadata=DEADLINE, spec={"replicas": 0}),
                41000,
            ),
            seen("pods", "DELETED", deleted("old-a", OLD, 65), 41500),
        ]
        found = timeline(*start(), *to_the_pause(), *promoted(), *notes)
        assert [(c.old, c.new) for c in found.cutovers] == [(OLD, NEW), (NEW, OLD), (OLD, THIRD)]
        assert Counter((mark.name, mark.cutover, mark.revision) for mark in found.marks if mark.name in (
            T.T0, T.T1, T.T10, T.T11, T.T14
        )) == Counter([
            (T.T0, 1, NEW), (T.T1, 1, NEW), (T.T10, 1, OLD),
            (T.T0, 2, OLD), (T.T10, 2, NEW), (T.T11, 2, NEW), (T.T14, 2, NEW),
            (T.T0, 3, THIRD), (T.T1, 3, THIRD), (T.T10, 3, OLD), (T.T11, 3, OLD), (T.T14, 3, OLD),
        ])  # fmt: skip
        assert found.cutovers[2].old_pods == ("old-a", "old-b")

    def test_a_promotion_under_way_counts_for_the_cutover_to_come(self):
        found = timeline(*start(), *to_the_pause())
        assert {mark.cutover for mark in found.marks} == {1}

    def test_scaling_an_aborted_revision_down_is_no_drain(self):
        notes = [
            seen("replicasets", "MODIFIED", replica_set(NEW, 40, metadata=DEADLINE), 5000),
            seen(
                "replicasets", "MODIFIED", replica_set(NEW, 41, metadata=DEADLINE, spec={"replicas": 0}), 9000
            ),
            seen("pods", "DELETED", deleted("new-a", NEW, 42), 9500),
        ]
        names = {mark.name for mark in timeline(*start(), *to_the_pause(), *notes).marks}
        assert names.isdisjoint({T.T10, T.T11, T.T12, T.T13, T.T14})


KINDS = ("rollouts", "replicasets", "pods", "services", "endpointslices", "analysisruns")


def identities(found: Timeline):
    return Counter(
        (mark.name, mark.cutover, mark.revision, mark.pod, mark.object_time, mark.exit_code)
        for mark in found.marks
    )


@given(st.permutations(range(len(whole()))))
def test_any_interleaving_of_kinds_gives_the_same_timeline(order):
    """Notes of one kind keep their order; between kinds it is arbitrary."""
    notes = whole()
    places = [notes[place] for place in order]
    queues = {
        kind: [note for note in notes if getattr(note, "kind", "own") == kind] for kind in (*KINDS, "own")
    }
    shuffled = [queues[getattr(note, "kind", "own")].pop(0) for note in places]
    assert timeline(*shuffled) == timeline(*notes)


@given(st.fixed_dictionaries({kind: st.integers(0, 20_000) for kind in KINDS}))
def test_one_watch_later_than_another_moves_no_mark_to_another_promotion(delays):
    """Every kind delivered with a delay of its own: the same marks, only seen later."""
    late = [
        msgspec.structs.replace(note, seen_ns=note.seen_ns + delays[note.kind] * MS)
        if isinstance(note, Observation)
        else note
        for note in whole()
    ]
    found = timeline(*late)
    assert identities(found) == identities(timeline(*whole()))
    assert found.cutovers[0].old_pods == ("old-a", "old-b")
    assert all(mark.not_before_ns < mark.seen_ns for mark in found.marks)


def test_stored_halves_of_a_run_tell_what_is_known_so_far():
    """A prefix of the notes never knows a mark that the whole does not."""
    notes = whole()
    known = identities(timeline(*notes))
    for end in range(len(notes)):
        names = {(name, revision, pod) for name, _, revision, pod, *_ in identities(timeline(*notes[:end]))}
        assert names <= {(name, revision, pod) for name, _, revision, pod, *_ in known} | {(T.T0, None, None)}
