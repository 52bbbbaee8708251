"""Streams against a real engine: booked, told to Locust once each, wound down."""

import gevent
import pytest
from locust.env import Environment

from hooks import tested as target_under_test
from hooks.load import Load, StreamNotCompleteError
from hooks.options import Mode, Settings
from midstream.run import Subject
from midstream.scenarios import Ask
from midstream.streams.deadlines import Deadlines
from midstream.streams.ending import Ending
from midstream.streams.probe import learn
from midstream.streams.reactor import Reactor
from midstream.streams.target import Target
from tests.midstream.rehearsal.engine_process import engine

ASK = Ask(scenario="test", prompt="Hello", tokens=40)


@pytest.fixture
def served():
    with engine("--tokens-per-second", "20") as running:
        yield running


@pytest.fixture
def lost():
    return []


@pytest.fixture
def load(served, lost):
    reactor = Reactor(Deadlines())
    target = Target.parse(f"http://127.0.0.1:{served.port}")
    tested = target_under_test.Tested(
        target=target,
        api="completions",
        model="tiny",
        context_tokens=200,
        traits=learn(reactor, target, "completions", "tiny").traits,
        probed_tokens_per_s=20.0,
        subject=Subject(target=target.url, path="test"),
    )
    settings = Settings(mode=Mode.PLAIN, users=1, spawn_rate=1)
    yield Load(Environment(), settings, tested, reactor, lost.append)
    reactor.close()


@pytest.fixture
def events(load):
    told = []
    load._environment.events.request.add_listener(lambda **event: told.append(event))
    return told


def test_one_stream_is_one_record_and_one_event(load, events):
    record = load.hold(Ask(scenario="test", prompt="Hello", tokens=4), fresh=True)
    assert record.ending is Ending.COMPLETE
    assert load.ledger.records == [record]
    assert [(event["name"], event["exception"]) for event in events] == [("test", None)]
    assert load.ledger.count().still_open == 0


def test_a_share_shortens_a_stream_and_the_context_bounds_it(load):
    assert load.hold(ASK, fresh=True, share=0.1).asked_tokens == 4
    assert load._tokens(Ask(scenario="test", prompt="x" * 20, tokens=500), None) == 200 - 20 - 64


def test_a_killed_greenlet_leaves_a_record_and_an_event(load, events):
    holder = gevent.spawn(load.hold, ASK, fresh=True)
    wait_for(lambda: load.flowing() == 1)
    holder.kill()
    assert [record.ending for record in load.ledger.records] == [Ending.CUT]
    assert len(events) == 1
    assert load.settled == 0


def test_a_lost_stream_is_a_failure_of_locust(load, events, served, lost):
    holder = gevent.spawn(load.hold, ASK, fresh=True)
    wait_for(lambda: load.flowing() == 1)
    served.process.kill()
    record = holder.get(timeout=20)
    assert record.ending in (Ending.TRUNCATED, Ending.RESET)
    assert isinstance(events[0]["exception"], StreamNotCompleteError)
    assert lost == [record]
    assert (load.settled, load.failed) == (1, 1)


def test_a_wind_down_lets_streams_finish(load):
    holder = gevent.spawn(load.hold, Ask(scenario="test", prompt="x", tokens=10), fresh=True)
    wait_for(lambda: load.flowing() == 1)
    load.wind_down(60, lambda _: None)
    assert holder.get(timeout=1).ending is Ending.COMPLETE
    assert load.winding_down


def test_a_wind_down_that_is_over_cuts(load):
    holder = gevent.spawn(load.hold, ASK, fresh=True)
    wait_for(lambda: load.flowing() == 1)
    load.wind_down(0, lambda _: None)
    assert holder.get(timeout=1).ending is Ending.CUT


def test_a_wind_down_can_be_shortened(load):
    gevent.spawn(load.hold, ASK, fresh=True)
    wait_for(lambda: load.flowing() == 1)
    gevent.spawn_later(0.1, load.cut_soon)
    with gevent.Timeout(20):
        load.wind_down(600, lambda _: None)
    assert [record.ending for record in load.ledger.records] == [Ending.CUT]


def test_long_streams_have_begun(load):
    assert load.begin_long(lambda: ASK, 3, 1.0, 20.0) == 3
    load.wind_down(0, lambda _: None)


def wait_for(fact):
    with gevent.Timeout(20):
        while not fact():
            gevent.sleep(0.01)
