"""The page of a Rollout's standing: each line as people read it."""

from typing import Any

import pytest

from midstream.reports.standing_page import block_lines, duration, headline, page_lines
from midstream.rollouts.blocks import Block
from midstream.rollouts.standing import read_standing
from midstream.rollouts.unready import Hold
from tests.midstream.rollouts.objects import NEW, OLD, merged, pod, replica_set, rollout
from tests.midstream.rollouts.scenes import HALF, PAUSED, event, scene, updating

ENDED = {"name": "vllm", "restartCount": 2, "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}
UPDATE = "python -m midstream update --rollout llm/vllm"


def crashing():
    return pod("n1", NEW, 2, ready=False, status={"containerStatuses": [ENDED]})


def test_a_crash_with_its_last_lines():
    standing = read_standing(
        updating(rollout(**HALF), crashing(), events=[event("n1", "Unhealthy", "refused")])
    )
    lines = page_lines(standing, {("n1", "vllm"): ["loading", "out of memory"]})
    assert lines == [
        "Rollout llm/vllm: Progressing (more replicas)",
        f"waits for the pods of revision {NEW} (0 of 2 ready)",
        f"revision 2 ({NEW}), preview: image vllm/vllm-openai:v1, model facebook/opt-125m",
        "  pod n1: not ready, 2 restarts",
        "    container vllm ended with exit code 3, restarts so far: 2",
        "      | loading",
        "      | out of memory",
        "    Unhealthy: refused",
        f"revision 1 ({OLD}), stable: image vllm/vllm-openai:v1, model facebook/opt-125m",
        "  pod p1: ready, 0 restarts",
        "  pod p2: ready, 0 restarts",
        f"Service vllm-stable (active): leads to revision 1 ({OLD})",
        f"Service vllm-preview (preview): leads to revision 2 ({NEW})",
        f"to go back: {UPDATE} --undo",
    ]


def test_paused_it_says_how_to_go_on():
    lines = page_lines(read_standing(updating(rollout(**PAUSED), pod("n1", NEW, 2), pod("n2", NEW, 2))), {})
    assert lines[:2] == ["Rollout llm/vllm: Paused (BlueGreenPause)", "waits for its promotion, for 40 s"]
    assert lines[-3:] == [
        f"to promote: {UPDATE} --promote (without load: nothing is judged)",
        f"to go back: {UPDATE} --undo",
        "to judge it under load: go back, then make verify PROMOTE=1, which brings an update of its own",
    ]


def test_at_rest_it_asks_nothing():
    lines = page_lines(read_standing(scene()), {})
    assert lines[0] == "Rollout llm/vllm: Healthy"
    assert not any(line.startswith(("waits", "to ")) for line in lines)


def test_a_canary_is_told_what_still_helps():
    strategy = {"strategy": {"blueGreen": None, "canary": {"stableService": "s"}}}
    lines = page_lines(read_standing(scene(rollout(spec=strategy), services={"s": None})), {})
    assert "Service s (stable): there is no such Service" in lines
    assert "--host" in lines[-1]


def test_what_the_first_line_says_is_not_said_again():
    message = "The Rollout is invalid: no Service"
    invalid = {"type": "InvalidSpec", "status": "True", "message": message}
    changes = {"phase": "Degraded", "message": f"InvalidSpec: {message}", "conditions": [invalid]}
    lines = page_lines(read_standing(scene(rollout(status=changes))), {})
    assert sum(message in line for line in lines) == 1


def test_a_revision_without_pods():
    refused = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    none = replica_set(NEW, 2, number=2, status={"conditions": [refused]})
    found = updating(rollout(**HALF), replica_sets=[replica_set(OLD, 1), none])
    lines = page_lines(read_standing(found), {})
    start = lines.index(f"revision 2 ({NEW}), preview: image vllm/vllm-openai:v1, model facebook/opt-125m")
    assert lines[start + 1 : start + 3] == [
        f"  no pods of revision {NEW}: exceeded quota",
        "  no pods (2 wanted)",
    ]


def test_a_revision_on_its_way_out_says_when():
    switched: Any = {"status": {"currentPodHash": NEW, "stableRS": NEW}}
    due = {"metadata": {"annotations": {"scale-down-deadline": "2026-11-03T12:01:08Z"}}}
    gone = merged(replica_set(OLD, 1), due)
    found = updating(rollout(**switched), replica_sets=[gone, replica_set(NEW, 2)])
    assert any(
        f"({OLD}), on its way out, scaled down in 8 s:" in line
        for line in page_lines(read_standing(found), {})
    )


def test_the_words_of_a_cluster_cannot_steer_a_terminal():
    status = {"message": "\x1b[2Jgone\nRollout is Healthy", "phase": "Degraded"}
    standing = read_standing(scene(rollout(status=status)))
    block = Block(Hold.ENDED, "pod \u202ex", OLD, "p1", "vllm", has_log=True)
    lines = [*page_lines(standing, {}), headline(standing)]
    lines += block_lines(block, {("p1", "vllm"): ["\x1b]0;x\x07" + "long" * 500]})
    assert all(line.isprintable() for line in lines)
    assert max(map(len, lines)) < 400


@pytest.mark.parametrize(
    ("seconds", "words"), [(-1, "0 s"), (42.4, "42 s"), (300, "5 min"), (7200, "2 h"), (200_000, "2 d")]
)
def test_durations(seconds, words):
    assert duration(seconds) == words
