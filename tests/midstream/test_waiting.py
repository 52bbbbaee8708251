"""Waiting says what changes, survives an API server that is away, and ends with one reason."""

from collections.abc import Callable
from typing import Any

import pytest

from midstream import waiting
from midstream.rollouts.client import UnreachableError
from midstream.rollouts.named import NoRolloutError, RolloutName
from midstream.rollouts.patience import PATIENCE, Patience
from midstream.rollouts.standing import Standing, read_standing
from midstream.rollouts.unready import Hold
from midstream.waiting import End, Waited, wait_until
from tests.midstream.rollouts.objects import NEW, pod, rollout
from tests.midstream.rollouts.scenes import HALF, scene, updating
from tests.midstream.rollouts.scenes import waiting as held
from tests.midstream.rollouts.shelf import Shelf

AT_REST = read_standing(scene())
UNDER_WAY = read_standing(updating(rollout(**HALF), pod("n1", NEW, 2)))
FAILING = read_standing(updating(rollout(**HALF), pod("n1", NEW, 2, ready=False, **held("ErrImagePull"))))
AWAY = UnreachableError("the API server does not answer: timed out")
PROGRESS = f"Progressing: more replicas; waits for the pods of revision {NEW} (1 of 2 ready)"

Wait = Callable[..., tuple[Waited, list[str]]]


@pytest.fixture
def wait(monkeypatch) -> Wait:
    """Looks see these in turn, the last one for ever; each takes no time."""

    def waited(*sights: Standing | Exception, limit_s: float = 30.0) -> tuple[Waited, list[str]]:
        left = list(sights)

        def look(*_: Any) -> Standing:
            seen = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(seen, Exception):
                raise seen
            return seen

        monkeypatch.setattr(waiting, "look", look)
        said: list[str] = []
        name = RolloutName("llm", "vllm")
        end = wait_until(
            Shelf(), name, lambda now: now.is_at_rest, limit_s=limit_s, say=said.append, poll_s=0.001
        )
        return end, [line.partition(" s  ")[2] or line.strip() for line in said]

    return waited


def test_reached_at_once_says_nothing(wait):
    assert wait(AT_REST) == (Waited(End.REACHED, AT_REST, ""), [])


def test_what_does_not_change_is_said_once(wait):
    assert wait(UNDER_WAY, UNDER_WAY, UNDER_WAY, AT_REST) == (Waited(End.REACHED, AT_REST, ""), [PROGRESS])


def test_an_api_server_that_is_away_is_waited_for(wait):
    end, said = wait(UNDER_WAY, AWAY, UNDER_WAY, AT_REST)
    assert (end.end, said) == (End.REACHED, [PROGRESS, str(AWAY), PROGRESS])


def test_a_deleted_rollout_is_not_waited_for(wait):
    end, _ = wait(UNDER_WAY, NoRolloutError("there is no Rollout"))
    assert end == Waited(End.GONE, UNDER_WAY, "there is no Rollout")


def test_the_deadline(wait):
    end, _ = wait(UNDER_WAY, limit_s=0.02)
    assert end == Waited(End.TOO_LATE, UNDER_WAY, "not there after 0.02 s")


def test_an_obstacle_is_said_at_once_and_given_up_in_its_time(wait, monkeypatch):
    monkeypatch.setitem(PATIENCE, Hold.IMAGE, Patience(0.02, "no image"))
    end, said = wait(FAILING)
    assert end == Waited(End.HOPELESS, FAILING, "no image")
    assert said[1:] == ["pod n1: container vllm ErrImagePull: because"]


def test_a_silent_wait_shows_that_it_lives(wait, monkeypatch):
    monkeypatch.setattr(waiting, "SAY_EVERY_S", 0.01)
    _, said = wait(UNDER_WAY, limit_s=0.1)
    assert said[:2] == [PROGRESS, PROGRESS]
