"""A user holds one stream after another: what it asks, how it connects, when it stops."""

from typing import Any, cast

import gevent
import pytest
from gevent.event import Event
from locust import task
from locust.exception import StopUser

from hooks.load import Load
from hooks.session import keep_session
from hooks.user import RETRY_PAUSE_S, StreamUser
from midstream.arrivals import OpenLoop
from midstream.scenarios import Ask, Scenario, Scenarios
from midstream.streams.ending import Ending
from midstream.streams.record import StreamRecord
from tests.hooks.sessions import make_session
from tests.midstream.builders import stream

MANY = Scenarios((Scenario(name="file", prompts=tuple("abcdefghij"), tokens=50),))


class HeldStream:
    """What a load was asked to hold."""

    def __init__(self, ask: Ask, fresh: bool, share: float, scheduled_ns: int | None) -> None:
        self.ask, self.fresh, self.share, self.scheduled_ns = ask, fresh, share, scheduled_ns


class StubLoad:
    """In the place of Load: every stream ends at once, as told."""

    def __init__(self) -> None:
        self.winding_down = False
        self.held: list[HeldStream] = []
        self.ending = Ending.COMPLETE
        self.blocks: Event | None = None  # what every stream waits for

    def hold(
        self, ask: Ask, *, fresh: bool, share: float = 1.0, scheduled_ns: int | None = None
    ) -> StreamRecord:
        self.held.append(HeldStream(ask, fresh, share, scheduled_ns))
        if self.blocks is not None:
            self.blocks.wait()
        return stream(self.ending)


class Holder(StreamUser):
    @task
    def hold(self) -> None:
        self.stream()


@pytest.fixture
def load():
    return StubLoad()


@pytest.fixture
def users(tmp_path, load, monkeypatch):
    """So many users of a test that begins now with these settings."""

    def begin(count: int = 1, **settings: Any) -> list[Holder]:
        monkeypatch.setattr(StreamUser, "_count", 0)
        session = make_session(tmp_path, [], scenarios=MANY, **settings)
        session.load = cast(Load, load)
        keep_session(session)
        begun = [Holder(session.environment) for _ in range(count)]
        sessions.append(session)  # an environment must outlive its users
        return begun

    sessions: list[object] = []
    return begin


def test_a_stream_asks_for_the_next_of_the_scenario_file(users, load):
    [user] = users()
    record = user.stream()
    [held] = load.held
    assert record.ending is Ending.COMPLETE
    assert (held.ask.scenario, held.ask.tokens) == ("file", 50)
    assert held.ask.prompt in MANY.entries[0].prompts


def test_a_task_may_ask_for_its_own(users, load):
    [user] = users()
    user.stream("Mine", max_tokens=7, scenario="mine")
    user.stream("")
    assert load.held[0].ask == Ask(scenario="mine", prompt="Mine", tokens=7)
    assert load.held[1].ask == Ask(scenario="file", prompt="", tokens=50)


def test_only_the_first_stream_is_shorter_and_by_chance(users, load):
    for user in users(20):
        user.stream()
        user.stream()
    firsts, seconds = load.held[::2], load.held[1::2]
    assert all(0.2 <= held.share <= 1.0 for held in firsts)
    assert len({held.share for held in firsts}) == 20
    assert {held.share for held in seconds} == {1.0}


KEPT = {"none": (0.0, 0), "all": (1.0, 200), "a part": (0.25, 50)}


@pytest.mark.parametrize(("share", "count"), KEPT.values(), ids=KEPT)
def test_a_share_of_the_users_keeps_its_connection(users, load, share, count):
    begun = users(200, kept_share=share)
    for user in begun:
        user.stream()
    kept = sum(not held.fresh for held in load.held)
    assert abs(kept - count) <= (20 if 0 < share < 1 else 0)


def test_a_user_never_changes_its_lane(users, load):
    for user in users(20, kept_share=0.5):
        user.stream()
        user.stream()
    assert [held.fresh for held in load.held[::2]] == [held.fresh for held in load.held[1::2]]


def course(users: Any, load: StubLoad, **settings: Any) -> list[tuple[Ask, bool, float]]:
    load.held.clear()
    for user in users(5, kept_share=0.5, **settings):
        for _ in range(5):
            user.stream()
    return [(held.ask, held.fresh, held.share) for held in load.held]


def test_the_same_seed_gives_the_same_course_and_another_seed_another(users, load):
    assert course(users, load, seed=3) == course(users, load, seed=3)
    assert course(users, load, seed=3) != course(users, load, seed=4)


def test_users_do_not_all_ask_the_same(users, load):
    for user in users(20):
        user.stream()
    assert len({held.ask.prompt for held in load.held}) > 3


def test_no_stream_begins_while_the_test_winds_down(users, load):
    [user] = users()
    load.winding_down = True
    with pytest.raises(StopUser):
        user.stream()
    assert not load.held


@pytest.fixture
def pauses(monkeypatch):
    slept: list[float] = []
    monkeypatch.setattr(gevent, "sleep", slept.append)
    return slept


@pytest.mark.parametrize("ending", [Ending.ABORTED, Ending.CONNECT_REFUSED, Ending.CUT], ids=str)
def test_a_stream_that_was_not_complete_is_followed_by_a_pause(users, load, pauses, ending):
    [user] = users()
    load.ending = ending
    assert user.stream().ending is ending
    assert pauses == [RETRY_PAUSE_S]


def test_a_complete_stream_is_followed_by_the_next_at_once(users, load, pauses):
    [user] = users()
    user.stream()
    assert not pauses


OPEN = OpenLoop(rate=100.0, ramp_up_s=0.0, most_open=5)


def begin_all(user: Holder, load: StubLoad, count: int) -> gevent.Greenlet:
    """Run the user as Locust does until so many streams have begun."""
    runner = gevent.spawn(user.run)
    with gevent.Timeout(20):
        while len(load.held) < count:
            gevent.sleep(0.01)
    return runner


def test_in_an_open_loop_no_stream_waits_for_another(users, load):
    load.blocks = Event()
    [user] = users(open_loop=OPEN)
    runner = begin_all(user, load, OPEN.most_open)
    gevent.sleep(0.1)
    assert len(load.held) == OPEN.most_open  # the others are shed
    assert user._session.arrivals.loop.shed > 0
    load.blocks.set()
    begin_all(user, load, OPEN.most_open + 1).kill()
    runner.kill()


def test_in_an_open_loop_each_stream_knows_when_it_was_due(users, load):
    [user] = users(open_loop=OPEN)
    runner = begin_all(user, load, 10)
    runner.kill()
    due = [held.scheduled_ns for held in load.held]
    assert None not in due
    assert len(set(due)) == len(due)
    assert {held.share for held in load.held} == {1.0}


def test_in_an_open_loop_a_task_that_fails_is_told(users, load):
    [user] = users(open_loop=OPEN)
    told = []
    user.environment.events.user_error.add_listener(lambda exception, **_: told.append(str(exception)))
    load.hold = None  # a task that cannot hold a stream
    runner = gevent.spawn(user.run)
    with gevent.Timeout(20):
        while not told:
            gevent.sleep(0.01)
    runner.kill()
    assert "not callable" in told[0]
