"""Streams of a real engine, and some that end as told: booked, told to Locust once each, wound down."""

import dataclasses
import re
from typing import Any, cast

import gevent
import pytest
from locust.env import Environment
from locust.event import Events

from hooks import load as of_load
from hooks import tested as target_under_test
from hooks.figure_rows import ROWS
from hooks.load import Load, StreamNotCompleteError
from hooks.settings import Mode, Settings
from midstream.run import Subject
from midstream.scenarios import Ask
from midstream.streams.deadlines import Deadlines
from midstream.streams.ending import Ending
from midstream.streams.exchange import Observed
from midstream.streams.probe import learn
from midstream.streams.reactor import Reactor
from midstream.streams.second_reader import disagreement
from midstream.streams.target import Target
from midstream.streams.traits import Traits
from tests.hooks.held_reactor import HeldReactor
from tests.midstream.rehearsal.engine_process import engine
from tests.midstream.streams.raw_server import RawServer

ASK = Ask(scenario="test", prompt="Hello", tokens=40)
TESTED = target_under_test.Tested(
    target=Target.parse("http://127.0.0.1:1"),
    api="completions",
    model="tiny",
    context_tokens=None,
    traits=Traits(),
    probed_tokens_per_s=20.0,
    subject=Subject(target="http://127.0.0.1:1", path="test"),
)


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


def test_locusts_total_holds_the_streams_alone(load):
    """Their figures have rows of their own, which are no requests."""
    runner = load._environment.create_local_runner()
    records = [load.hold(Ask(scenario="test", prompt="Hello", tokens=4), fresh=True) for _ in range(2)]
    stats = load._environment.stats
    runner.quit()
    assert stats.num_requests == stats.entries[("test", "SSE")].num_requests == 2
    assert stats.num_failures == 0
    assert stats.total.total_content_length == 2 * 4
    assert stats.total.min_response_time == stats.entries[("test", "SSE")].min_response_time
    counts = {kind: entry.num_requests for (_, kind), entry in stats.entries.items() if kind != "SSE"}
    shown = {kind: sum(figure(record) is not None for record in records) for kind, figure in ROWS.items()}
    assert counts == {kind: count for kind, count in shown.items() if count}
    assert counts["TTFT"] == 2


def test_a_share_shortens_a_stream_and_the_context_bounds_it(load):
    assert load.hold(ASK, fresh=True, share=0.1).asked_tokens == 4
    assert load._tokens(Ask(scenario="test", prompt="x" * 20, tokens=500), None) == 200 - 20 - 64


def test_streams_carry_the_key_in_use(lost):
    seen: list[bytes] = []
    reactor = Reactor(Deadlines())
    with RawServer(lambda peer: seen.append(peer.read_request())) as server:
        target = Target.parse(server.url, {"Authorization": "Bearer first"})
        tested = dataclasses.replace(TESTED, target=target)
        settings = Settings(mode=Mode.PLAIN, users=1, spawn_rate=1)
        load = Load(Environment(), settings, tested, reactor, lost.append)
        load.hold(ASK, fresh=True)
        load.use_key("second")
        load.hold(ASK, fresh=True)
        load.validate(target, ASK, 4)
    reactor.close()
    keys = [re.findall(rb"\r\nAuthorization: Bearer (\w+)\r\n", request) for request in seen]
    assert keys == [[b"first"], [b"second"], [b"second"]]


def test_a_validating_stream_is_read_twice(load, monkeypatch):
    read: list[bytes] = []

    def second(observed: Observed, traits: Traits) -> str:
        read.append(observed.body)
        return disagreement(observed, traits)

    monkeypatch.setattr(of_load, "disagreement", second)
    validated = load.validate(load._tested.target, ASK, 4)
    assert validated.record.ending is Ending.COMPLETE
    assert validated.disagreement == ""
    assert read[0].endswith(b"data: [DONE]\n\n")


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


@pytest.fixture
def reactor():
    return HeldReactor()


@pytest.fixture
def begun(reactor, lost):
    """A load on the reactor that the test holds in its hand, begun with these settings."""

    def begin(**settings: Any) -> Load:
        environment = Environment(events=Events())
        whole = Settings(mode=Mode.PLAIN, users=1, spawn_rate=1, **settings)
        return Load(environment, whole, TESTED, cast(Reactor, reactor), lost.append)

    return begin


LENGTHS = {
    "the settings'": ({"tokens": 30}, None, 1.0, 30),
    "the scenario's wins": ({"tokens": 30}, 40, 1.0, 40),
    "a time at the present pace": ({"stream_seconds": 6.0}, None, 1.0, 120),
    "no wish at all": ({}, None, 1.0, 1200),
    "a share": ({"tokens": 30}, None, 0.5, 15),
    "a share of little": ({"tokens": 1}, None, 0.2, 1),
}


@pytest.mark.parametrize("length", LENGTHS.values(), ids=LENGTHS)
def test_how_long_a_stream_is(begun, reactor, length):
    settings, tokens, share, asked = length
    ask = Ask(scenario="test", prompt="Hello", tokens=tokens)
    holder = gevent.spawn(begun(**settings).hold, ask, fresh=False, share=share)
    wait_for(lambda: reactor.asked)
    reactor.end(Ending.COMPLETE)
    assert holder.get(timeout=20).asked_tokens == asked
    assert not reactor.asked[0].fresh


OUTCOMES = {
    Ending.COMPLETE: (1, 0),
    Ending.ABORTED: (1, 1),
    Ending.HTTP_5XX: (1, 1),
    Ending.CUT: (0, 0),
    Ending.CLIENT_ERROR: (0, 0),
}


@pytest.mark.parametrize(("ending", "counted"), OUTCOMES.items(), ids=OUTCOMES)
def test_each_ending_is_booked_once_and_told_once(begun, reactor, lost, ending, counted):
    load = begun(tokens=10)
    told: list[dict[str, Any]] = []
    load._environment.events.request.add_listener(lambda **event: told.append(event))
    holder = gevent.spawn(load.hold, ASK, fresh=True)
    wait_for(lambda: load.ledger.open_count)
    reactor.end(ending)
    record = holder.get(timeout=20)
    assert (load.settled, load.failed) == counted
    assert lost == [record] * counted[1]
    [event] = told
    assert event["response_time"] == (record.end_ns - record.opened_ns) / 1e6
    assert event["response_length"] == record.tokens
    assert (event["request_type"], event["name"]) == ("SSE", "test")
    assert (event["exception"] is None) is (ending is Ending.COMPLETE)
    assert ending is Ending.COMPLETE or ending.sentence in str(event["exception"])


@pytest.mark.parametrize(("undisturbed", "failed"), [(True, 0), (False, 5)], ids=["baseline", "promoted"])
def test_early_stops_are_the_servers_way_only_where_nothing_disturbed_it(begun, reactor, undisturbed, failed):
    load = begun(tokens=10)
    load.traits = Traits(honours_length=True)
    load.undisturbed = undisturbed
    for _ in range(5):
        gevent.spawn(load.hold, ASK, fresh=True)
    wait_for(lambda: load.ledger.open_count == 5)
    reactor.end(Ending.SHORT)
    wait_for(lambda: not load.ledger.open_count)
    assert (load.settled, load.failed) == (5, failed)
    assert load.traits.honours_length is not undisturbed


def test_every_stream_has_a_name_of_its_own(begun, reactor):
    load = begun(tokens=10)
    for _ in range(20):
        gevent.spawn(load.hold, ASK, fresh=True)
    wait_for(lambda: load.ledger.open_count == 20)
    assert len({request.id for request in reactor.asked}) == 20
    reactor.end(Ending.COMPLETE)


def test_a_validating_stream_is_in_no_book(begun, reactor):
    load = begun(tokens=10)
    holder = gevent.spawn(load.validate, TESTED.target, ASK, 32)
    wait_for(lambda: reactor.asked)
    reactor.end(Ending.COMPLETE)
    record, disagreement = holder.get(timeout=20)
    assert (record.asked_tokens, disagreement) == (32, "")
    assert load.ledger.count().opened == 0
    assert load.settled == 0


def test_streams_that_users_begin_meanwhile_are_no_long_ones(begun, reactor):
    load = begun(tokens=10)
    beginning = gevent.spawn(load.begin_long, lambda: ASK, 2, 6.0, 2.0)
    wait_for(lambda: len(reactor.asked) == 2)
    for _ in range(3):
        gevent.spawn(load.hold, ASK, fresh=True)
    wait_for(lambda: len(reactor.asked) == 5)
    long, users = reactor.asked[:2], reactor.asked[2:]
    assert [request.tokens for request in long] == [120, 120]
    reactor.give_token(*users, long[0])
    assert beginning.get(timeout=20) == 1
    reactor.end(Ending.COMPLETE)


def test_long_streams_that_all_have_a_token_are_not_waited_for_longer(begun, reactor):
    load = begun(tokens=10)
    beginning = gevent.spawn(load.begin_long, lambda: ASK, 2, 6.0, 600.0)
    wait_for(lambda: len(reactor.asked) == 2)
    reactor.give_token(*reactor.asked)
    assert beginning.get(timeout=20) == 2
    reactor.end(Ending.COMPLETE)


def test_a_wind_down_tells_what_it_waits_for(begun, reactor):
    load = begun(tokens=10)
    waited: list[int] = []
    for _ in range(2):
        gevent.spawn(load.hold, ASK, fresh=True)
    wait_for(lambda: load.ledger.open_count == 2)
    winding = gevent.spawn(load.wind_down, 600, waited.append)
    wait_for(lambda: waited)
    reactor.end(Ending.COMPLETE, reactor.asked[0])
    wait_for(lambda: waited[-1] == 1)
    reactor.end(Ending.COMPLETE)
    winding.get(timeout=20)
    assert waited[0] == 2
    assert load.settled == 2


def wait_for(fact):
    with gevent.Timeout(20):
        while not fact():
            gevent.sleep(0.01)
