"""One update at a time: when it may begin, go on, be taken back."""

import re
from typing import Any

import pytest

from midstream.rollouts.standing import read_standing
from midstream.update import Deed, is_promoted, refusal, waits_in_preview
from tests.midstream.rollouts.objects import NEW, OLD, merged, pod, rollout, service
from tests.midstream.rollouts.scenes import HALF, PAUSED, scene, updating

AT_REST = scene()
UNDER_WAY = updating(rollout(**HALF))
IN_PREVIEW = updating(rollout(**PAUSED), pod("n1", NEW, 2), pod("n2", NEW, 2))
ABORTED = updating(rollout(**merged(HALF, {"status": {"abort": True}})))
PROMOTED: Any = {"status": {"currentPodHash": NEW, "stableRS": NEW, "blueGreen": {"activeSelector": NEW}}}
SWITCHED = {"vllm-stable": service("vllm-stable", NEW, 3), "vllm-preview": service("vllm-preview", NEW, 3)}
DRAINING = updating(rollout(**PROMOTED), pod("n1", NEW, 2), pod("n2", NEW, 2), services=SWITCHED)
CANARY = scene(rollout(spec={"strategy": {"blueGreen": None, "canary": {}}}))
NOT_LOOKED_AT = scene(rollout(metadata={"generation": 2}))
BROKEN_AT_FIRST = scene(rollout(status={"phase": "Degraded"}))

ALLOWED = {
    "begin at rest": (AT_REST, Deed.BEGIN),
    "begin where the only revision is broken": (BROKEN_AT_FIRST, Deed.BEGIN),
    "promote what is paused": (IN_PREVIEW, Deed.PROMOTE),
    "promote what is on its way": (UNDER_WAY, Deed.PROMOTE),
    "take back what is paused": (IN_PREVIEW, Deed.GO_BACK),
    "take back what is on its way": (UNDER_WAY, Deed.GO_BACK),
    "take back what is aborted": (ABORTED, Deed.GO_BACK),
}
REFUSED = {
    "begin beside another": (UNDER_WAY, Deed.BEGIN, "an update is under way .* --promote goes on"),
    "begin beside a paused one": (IN_PREVIEW, Deed.BEGIN, "waits for its promotion"),
    "begin after an abort": (ABORTED, Deed.BEGIN, "aborted, go back first: .* --undo"),
    "begin while the old one drains": (DRAINING, Deed.BEGIN, f"{OLD} is still on its way out: .* --wait 600"),
    "promote nothing": (AT_REST, Deed.PROMOTE, "no update waits for its promotion"),
    "promote what is aborted": (ABORTED, Deed.PROMOTE, "aborted, go back first: .* --undo"),
    "take back nothing": (AT_REST, Deed.GO_BACK, "no update to take back"),
    "a canary": (CANARY, Deed.BEGIN, "no blue/green one: use kubectl argo rollouts"),
    "changed a moment ago": (NOT_LOOKED_AT, Deed.BEGIN, "has not looked at it yet"),
}


@pytest.mark.parametrize(("found", "deed"), ALLOWED.values(), ids=ALLOWED)
def test_allowed(found, deed):
    assert refusal(read_standing(found), deed) == ""


@pytest.mark.parametrize(("found", "deed", "words"), REFUSED.values(), ids=REFUSED)
def test_refused_with_the_way_out(found, deed, words):
    assert re.search(words, refusal(read_standing(found), deed))


def test_in_preview_is_another_revision_that_can_be_promoted_or_was():
    assert waits_in_preview(read_standing(IN_PREVIEW), OLD)
    assert waits_in_preview(read_standing(DRAINING), OLD)  # autoPromotionEnabled
    assert not waits_in_preview(read_standing(UNDER_WAY), OLD)
    assert not waits_in_preview(read_standing(AT_REST), OLD)


def test_promoted_is_when_users_reach_it_and_it_is_healthy():
    assert is_promoted(read_standing(DRAINING))
    assert not is_promoted(read_standing(IN_PREVIEW))
    behind = DRAINING._replace(services=IN_PREVIEW.services)
    assert not is_promoted(read_standing(behind))
