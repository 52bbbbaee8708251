"""Promotions recorded on a real cluster come out as the timeline that a person saw there."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstream.rollouts.marks import read_timeline
from midstream.rollouts.observation import Observation, OwnPatch, read_notes, replay
from midstream.rollouts.timeline import MarkName, Timeline

RECORDED = Path(__file__).parents[2] / "fixtures" / "timeline"
BLUE, GREEN = "649cc9bbd7", "7fccd9cd8"
RED, PINK = "7f5787c74d", "6575894fb7"


def notes(name: str):
    return read_notes((RECORDED / f"{name}.jsonl").read_bytes())


def told(timeline: Timeline) -> list[str]:
    """Each mark in a line: name, cutover, revision, pod's last letters, exit code."""
    return [
        " ".join(
            str(part)
            for part in (
                mark.name,
                mark.cutover,
                mark.revision,
                (mark.pod or "-")[-5:],
                "" if mark.exit_code is None else mark.exit_code,
            )
        ).strip()
        for mark in timeline.marks
    ]


PROMOTION = [
    f"T0 1 {GREEN} -",
    f"T1 1 {GREEN} -",
    f"T2 1 {GREEN} -",
    f"T3 1 {GREEN} -",
    f"T4 1 {GREEN} h8l75",
    f"T4 1 {GREEN} stwqz",
    f"T5 1 {GREEN} -",
    f"T6 1 {GREEN} -",
    f"T7 1 {GREEN} -",
    f"T8 1 {GREEN} -",
    f"T9 1 {GREEN} -",
    f"T10 1 {BLUE} -",
    f"T11 1 {BLUE} -",
    f"T12 1 {BLUE} bfgzj",
    f"T12 1 {BLUE} 9n95w",
    f"T13 1 {BLUE} bfgzj",
    f"T13 1 {BLUE} 9n95w",
    f"T14 1 {BLUE} 9n95w 0",
    f"T14 1 {BLUE} bfgzj 0",
]

THERE_AND_BACK = [
    f"T0 1 {PINK} -",
    f"T1 1 {PINK} -",
    f"T2 1 {PINK} -",
    f"T3 1 {PINK} -",
    f"T4 1 {PINK} z64hf",
    f"T4 1 {PINK} rv2pj",
    f"T5 1 {PINK} -",
    f"T6 1 {PINK} -",
    f"T8 1 {PINK} -",
    f"T9 1 {PINK} -",
    f"T10 1 {RED} -",
    f"T0 2 {RED} -",
    f"T2 2 {RED} -",
    f"T8 2 {RED} -",
    f"T9 2 {RED} -",
    f"T10 2 {PINK} -",
    f"T11 2 {PINK} -",
    f"T12 2 {PINK} z64hf",
    f"T12 2 {PINK} rv2pj",
    f"T13 2 {PINK} z64hf",
    f"T13 2 {PINK} rv2pj",
    f"T14 2 {PINK} z64hf 0",
    f"T14 2 {PINK} rv2pj 0",
]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("promotion-argo-1.9.1", PROMOTION), ("abort-retry-undo-argo-1.9.1", THERE_AND_BACK)],
)
def test_marks(name, expected):
    assert told(read_timeline(replay("sse", notes(name)))) == expected


def test_the_cutover_follows_our_promotion_within_50_ms():
    timeline = read_timeline(replay("sse", notes("promotion-argo-1.9.1")))
    [cutover] = timeline.cutovers
    [promote] = [note for note in notes("promotion-argo-1.9.1") if getattr(note, "verb", "") == "promote"]
    assert isinstance(promote, OwnPatch)
    assert cutover.at.not_before_ns == promote.sent_ns
    assert cutover.at.seen_ns - cutover.at.not_before_ns < 50_000_000
    assert timeline.events == ()


def test_sigterm_was_two_seconds_after_the_deletion():
    """The pod's end, as the kubelet dates it, is in the second that T12 + preStop says."""
    timeline = read_timeline(replay("sse", notes("promotion-argo-1.9.1")))
    for pod in timeline.cutovers[0].old_pods:
        sigterm, end = timeline.of_pod(MarkName.T13, pod), timeline.of_pod(MarkName.T14, pod)
        assert sigterm is not None
        assert end is not None
        assert sigterm.object_time == end.object_time == "2026-11-24T11:44:49Z"


def test_an_abort_of_ours_then_undo_leave_only_the_degraded_phase_as_an_event():
    timeline = read_timeline(replay("sse", notes("abort-retry-undo-argo-1.9.1")))
    assert [event.what for event in timeline.events] == ["degraded"]
    assert [(c.number, c.old, c.new) for c in timeline.cutovers] == [(1, RED, PINK), (2, PINK, RED)]


@pytest.mark.parametrize("name", ["promotion-argo-1.9.1", "abort-retry-undo-argo-1.9.1"])
@given(data=st.data())
def test_any_interleaving_of_kinds_gives_the_same_timeline(name, data):
    recorded = notes(name)
    kinds = [note.kind if isinstance(note, Observation) else "own" for note in recorded]
    queues = {kind: [n for n, k in zip(recorded, kinds, strict=True) if k == kind] for kind in set(kinds)}
    order = data.draw(st.permutations(kinds))
    shuffled = [queues[kind].pop(0) for kind in order]
    assert read_timeline(replay("sse", shuffled)) == read_timeline(replay("sse", recorded))
