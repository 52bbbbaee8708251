"""Waiting ends where time cannot help, no sooner."""

import pytest

from midstream.rollouts.blocks import Block, Stop
from midstream.rollouts.patience import NS_PER_S, PATIENCE, hopeless, seen_now
from midstream.rollouts.standing import read_standing
from midstream.rollouts.unready import Hold
from tests.midstream.rollouts.objects import NEW, OLD, pod, rollout
from tests.midstream.rollouts.scenes import HALF, updating, waiting


def failing(reason: str, revision: str = NEW):
    return read_standing(updating(rollout(**HALF), pod("n1", revision, 2, ready=False, **waiting(reason))))


def at(seconds: float) -> int:
    return round(seconds * NS_PER_S)


def test_every_kind_has_its_patience_and_every_end_its_reason():
    assert set(PATIENCE) == {*Hold, *Stop}
    assert all(bool(each.why) == (each.seconds is not None) for each in PATIENCE.values())


@pytest.mark.parametrize(("after_s", "given_up"), [(0, False), (29, False), (30, True)])
def test_an_image_is_waited_for_half_a_minute(after_s, given_up):
    seen = seen_now(failing("ErrImagePull"), {}, at(100))
    later = failing("ImagePullBackOff")  # the kubelet's other word for the same
    assert bool(hopeless(later, seen_now(later, seen, at(100 + after_s)), at(100 + after_s))) is given_up


def test_what_went_away_begins_anew():
    seen = seen_now(failing("ErrImagePull"), {}, at(0))
    seen = seen_now(failing("ContainerCreating"), seen, at(20))
    again = failing("ErrImagePull")
    assert hopeless(again, seen_now(again, seen, at(40)), at(40)) == ""


def test_another_pod_of_that_revision_goes_on_from_the_first():
    first, second = (Block(Hold.IMAGE, "x", NEW, name, "vllm") for name in ("n1", "n2"))
    assert first.key == second.key


def test_the_stable_revision_is_not_waited_for_during_an_update():
    standing = failing("ErrImagePull", OLD)
    assert standing.blocks
    assert hopeless(standing, seen_now(standing, {}, at(0)), at(3600)) == ""


def test_a_container_that_ended_once_is_waited_for():
    ended = {"name": "vllm", "restartCount": 1, "state": {"terminated": {"exitCode": 1}}}
    standing = read_standing(
        updating(rollout(**HALF), pod("n1", NEW, 2, ready=False, status={"containerStatuses": [ended]}))
    )
    assert hopeless(standing, seen_now(standing, {}, at(0)), at(3600)) == ""
    again = read_standing(
        updating(
            rollout(**HALF),
            pod("n1", NEW, 2, ready=False, status={"containerStatuses": [ended | {"restartCount": 2}]}),
        )
    )
    assert hopeless(again, seen_now(again, {}, at(0)), at(0)) == "the container ended at each of its starts"
