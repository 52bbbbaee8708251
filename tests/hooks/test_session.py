"""One test's parts: a failure of ours is noted once, stops the test, is never lost."""

from typing import Any

import gevent
import pytest
from locust.env import Environment
from locust.event import Events

from hooks.session import keep_session, session_of
from midstream.scenarios import Ask
from midstream.streams.ending import Ending
from tests.hooks.sessions import make_session


@pytest.fixture
def lines():
    return []


@pytest.fixture
def session(tmp_path, lines):
    return make_session(tmp_path, lines)


@pytest.fixture
def stops(session):
    told: list[str] = []
    session.on_crash(lambda: told.append("stop"))
    return told


def fail(words: str = "broken") -> Any:
    raise RuntimeError(words)


def test_a_part_that_fails_is_noted_told_and_stops_the_test(session, stops, lines):
    session.guard("verdict", fail)
    assert session.crash == "verdict: RuntimeError: broken"
    assert stops == ["stop"]
    assert lines[0].endswith("] a part of the test failed: verdict: RuntimeError: broken")


def test_a_part_that_fails_beside_the_load_is_noted_too(session, stops):
    session.spawn("watch pods", fail).get(timeout=20)
    assert session.crash == "watch pods: RuntimeError: broken"
    assert stops == ["stop"]


def test_what_failed_first_stays_and_stops_once(session, stops, lines):
    session.guard("first", fail)
    session.guard("second", fail)
    assert session.crash.startswith("first:")
    assert stops == ["stop"]
    assert len(lines) == 1


def test_a_crash_is_one_line(session, stops):
    session.guard("verdict", lambda: fail("one\n  two"))
    assert session.crash == "verdict: RuntimeError: one two"


def test_a_part_that_goes_well_is_no_crash(session, stops, lines):
    done: list[str] = []
    session.spawn("progress", lambda: done.append("done")).get(timeout=20)
    assert done == ["done"]
    assert not session.crash
    assert not stops
    assert not lines


def test_a_part_that_is_killed_is_no_crash(session, stops):
    part = session.spawn("lateness", lambda: gevent.sleep(600))
    gevent.sleep(0)
    part.kill()
    assert not session.crash


def test_a_crash_before_anybody_listens_is_still_noted(session):
    session.guard("test start", fail)
    assert session.crash


def test_a_lost_stream_of_its_load_is_told(session, lines):
    ask = Ask(scenario="test", prompt="Hello", tokens=8)
    holder = gevent.spawn(session.load.hold, ask, fresh=True)
    with gevent.Timeout(20):
        while not session.load.ledger.open_count:
            gevent.sleep(0.001)
    session.reactor.end(Ending.ABORTED)
    holder.get(timeout=20)
    assert "] lost: aborted" in lines[0]


def test_a_session_is_found_by_its_environment(session, tmp_path):
    other = make_session(tmp_path, [])
    keep_session(session)
    keep_session(other)
    assert session_of(session.environment) is session
    assert session_of(other.environment) is other


def test_a_locustfile_without_the_hooks_is_told_what_to_call():
    with pytest.raises(SystemExit, match=r"hooks\.install\(locust\.events\)"):
        session_of(Environment(events=Events()))
