"""Nothing an API server does makes a watcher lose its place unnoticed."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from midstream.rollouts import client, watcher
from midstream.rollouts.client import Cluster, ForbiddenError
from midstream.rollouts.observation import Observation, OwnPatch
from midstream.rollouts.timeline import Mark, MarkName
from midstream.rollouts.watcher import RolloutWatcher
from tests.midstream.rollouts.objects import NEW, OLD, rollout, service
from tests.midstream.rollouts.scripted import Asked, Exchange, ScriptedServer, serving, write_kubeconfig
from tests.midstream.rollouts.story import whole

DEADLINE_S = 20


def stable(revision: str, version: int):
    return service("vllm-stable", revision, version)


class Services:
    """The script of one kind: what each list answers, what each watch does, in turn; then silence."""

    def __init__(self, lists, watches) -> None:
        self.lists = list(lists)
        self.watches = list(watches)
        self.watched_from: list[str] = []

    def __call__(self, exchange: Exchange, asked: Asked) -> None:
        if "watch" not in asked.query:
            version, items = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
            exchange.answer(200, {"metadata": {"resourceVersion": str(version)}, "items": items})
            return
        self.watched_from.append(asked.query["resourceVersion"])
        if self.watches:
            self.watches.pop(0)(exchange)
        else:
            exchange.open_watch()
            exchange.hold()


def watch_of(*lines, then: str = "end_watch") -> Callable[[Exchange], None]:
    def act(exchange: Exchange) -> None:
        exchange.open_watch()
        for type_, item in lines:
            exchange.line(type_, item)
        getattr(exchange, then)()

    return act


GONE = watch_of(("ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"}))


def refuse(status: int) -> Callable[[Exchange], None]:
    return lambda exchange: exchange.refuse(status, "no")


def until(holds: Callable[[], object]) -> None:
    """Wait for a fact, with a deadline."""
    end = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.005)


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Run a watcher of Services against a script; gives (watcher, server)."""
    monkeypatch.setattr(client, "WATCH_SILENCE_S", 0.2)

    @contextmanager
    def started(script, kind: str = "services") -> Iterator[tuple[RolloutWatcher, ScriptedServer]]:
        with serving(script) as server:
            cluster = Cluster.connect(write_kubeconfig(tmp_path / "config", server.url))
            found = RolloutWatcher(cluster, "llm", "vllm", watch_s=0.1)
            found.feed(LISTED_ROLLOUT)
            stop = threading.Event()
            thread = threading.Thread(target=found.run_kind, args=(kind, stop))
            thread.start()
            try:
                yield found, server
            finally:
                stop.set()
                server.over.set()
                thread.join(DEADLINE_S)
                assert not thread.is_alive()

    return started


LISTED_ROLLOUT = Observation(
    kind="rollouts", type="LIST", object={"items": [rollout(1)]}, seen_ns=1, not_before_ns=0
)
SWITCH = ("MODIFIED", stable(NEW, 6))
BOOKMARK = ("BOOKMARK", {"metadata": {"resourceVersion": "9"}})


@pytest.mark.parametrize(
    ("watches", "from_versions"),
    [
        pytest.param([watch_of(SWITCH)], ["5", "6"], id="a watch that ends goes on where it was"),
        pytest.param([watch_of(SWITCH, then="cut")], ["5", "6"], id="a cut watch too"),
        pytest.param([watch_of(SWITCH, then="reset")], ["5", "6"], id="a reset one"),
        pytest.param([watch_of(SWITCH, then="hold")], ["5", "6"], id="a half-open one"),
        pytest.param([watch_of(SWITCH, BOOKMARK)], ["5", "9"], id="a bookmark moves the place"),
        pytest.param([refuse(503), refuse(429), watch_of(SWITCH)], ["5", "5", "5", "6"], id="server busy"),
    ],
)
def test_the_place_is_kept(start, watches, from_versions):
    script = Services([(5, [stable(OLD, 5)])], watches)
    with start(script) as (found, _):
        until(lambda: len(script.watched_from) >= len(from_versions))
        assert script.watched_from[: len(from_versions)] == from_versions
        timeline = found.timeline()
    assert [cutover.new for cutover in timeline.cutovers] == [NEW]
    assert timeline.gaps == ()
    assert found.latest("services", "vllm-stable") == stable(NEW, 6)


@pytest.mark.parametrize("gone", [GONE, refuse(410)], ids=["410 in the stream", "410 as a status"])
def test_410_lists_again_with_the_gap_on_record(start, gone):
    script = Services([(5, [stable(OLD, 5)]), (40, [stable(NEW, 33)])], [gone])
    with start(script) as (found, _):
        until(lambda: len(script.watched_from) >= 2)
        timeline = found.timeline()
    assert script.watched_from[:2] == ["5", "40"]
    [cutover] = timeline.cutovers
    [gap] = timeline.gaps
    assert (cutover.new, cutover.at.source) == (NEW, "list Service/vllm-stable spec.selector")
    assert "410" in gap.why
    assert cutover.at.not_before_ns < gap.from_ns < gap.to_ns == cutover.at.seen_ns


def test_a_storm_of_410s_is_survived(start):
    script = Services([(5, [stable(OLD, 5)])], [GONE] * 5 + [watch_of(SWITCH)])
    with start(script) as (found, _):
        until(lambda: found.timeline().cutovers)
        timeline = found.timeline()
    assert len(timeline.gaps) == 5
    assert len(timeline.connects) >= 6


def test_a_long_watch_that_ends_in_410_was_alive_until_then(start, monkeypatch):
    monkeypatch.setattr(watcher, "LATE_NS", 50_000_000)
    waited = threading.Event()

    def late_gone(exchange: Exchange) -> None:
        exchange.open_watch()
        waited.wait(0.1)
        exchange.line("ERROR", {"kind": "Status", "code": 410, "message": "too old"})

    script = Services([(5, [stable(OLD, 5)])], [late_gone])
    with start(script) as (found, _):
        until(lambda: found.timeline().gaps)
        [gap] = found.timeline().gaps
        opened = found.timeline().connects[0].at_ns
    assert gap.from_ns - opened > 50_000_000


def test_an_api_server_away_is_a_gap_though_nothing_was_lost(start, monkeypatch):
    monkeypatch.setattr(watcher, "LATE_NS", 100_000_000)
    script = Services([(5, [stable(OLD, 5)])], [watch_of(then="cut"), *[refuse(503)] * 4, watch_of(SWITCH)])
    with start(script) as (found, _):
        until(lambda: found.timeline().cutovers)
        timeline = found.timeline()
    assert [gap.kind for gap in timeline.gaps] == ["services"]
    assert "nothing lost" in timeline.gaps[0].why
    assert timeline.gaps[0].length_ns > 100_000_000


def test_a_server_that_is_gone_then_back_on_its_port_is_found_again(tmp_path, monkeypatch):
    monkeypatch.setattr(watcher, "LATE_NS", 100_000_000)
    monkeypatch.setattr(client, "WATCH_SILENCE_S", 0.2)
    first = Services([(5, [stable(OLD, 5)])], [])
    stop = threading.Event()
    with serving(first) as server:
        port = server.server_address[1]
        cluster = Cluster.connect(write_kubeconfig(tmp_path / "config", server.url))
        found = RolloutWatcher(cluster, "llm", "vllm", watch_s=0.1)
        found.feed(LISTED_ROLLOUT)
        thread = threading.Thread(target=found.run_kind, args=("services", stop))
        thread.start()
        until(lambda: found.timeline().connects)
    try:
        until(lambda: any("not seen again" in gap.why for gap in found.timeline().gaps))
        with serving(Services([], [watch_of(SWITCH)]), port):
            until(lambda: found.timeline().cutovers)
            gaps = found.timeline().gaps
            stop.set()
    finally:
        stop.set()
        thread.join(DEADLINE_S)
    assert all("nothing lost" in gap.why for gap in gaps)
    assert "connection refused" in gaps[-1].why
    assert found.timeline().connects[1].why in gaps[-1].why


@pytest.mark.parametrize(
    "watches",
    [
        pytest.param([watch_of(then="cut"), *[refuse(503)] * 400], id="a watch that ended"),
        pytest.param([watch_of(then="cut"), *[refuse(401)] * 400], id="credentials that expired"),
        pytest.param([watch_of(then="hold"), *[refuse(503)] * 400], id="a half-open watch"),
    ],
)
def test_a_watch_that_never_comes_back_is_a_gap_to_the_end(start, monkeypatch, watches):
    monkeypatch.setattr(watcher, "LATE_NS", 100_000_000)
    monkeypatch.setattr(watcher, "LONGEST_PAUSE_S", 0.1)
    with start(Services([(5, [stable(OLD, 5)])], watches)) as (found, _):
        until(lambda: found.timeline().gaps)
        [early] = found.timeline().gaps
        until(lambda: found.timeline().gaps[-1].to_ns > early.to_ns)
        assert found.timeline().gaps[-1].from_ns == early.from_ns
        assert found.log().gaps[-1].to_ns > early.to_ns
    ended_ns = time.monotonic_ns()
    [gap] = found.timeline().gaps
    assert "not seen again" in gap.why
    assert early.to_ns < gap.to_ns < ended_ns
    assert found.log().gaps == (gap,) == found.timeline().gaps  # it has ended with the watching


def test_a_first_list_that_came_late_left_the_time_before_it_unseen(start, monkeypatch):
    lists = Services([(5, [stable(OLD, 5)])], [])
    refused = [refuse(503)] * 2

    def script(exchange: Exchange, asked: Asked) -> None:
        refused.pop()(exchange) if refused else lists(exchange, asked)

    with start(script) as (found, _):
        until(lambda: found.timeline().connects)
        [gap] = found.timeline().gaps
    assert "503" in gap.why


def test_every_connection_is_on_the_timeline_with_its_reason(start):
    script = Services([(5, [stable(OLD, 5)])], [watch_of(SWITCH), watch_of(then="cut")])
    with start(script) as (found, _):
        until(lambda: len(found.timeline().connects) >= 3)
        reasons = [connect.why for connect in found.timeline().connects[:3]]
    assert reasons[:2] == ["first list", "the server ended the watch"]
    assert "was cut" in reasons[2]


def test_credentials_that_expire_later_are_waited_for(start):
    script = Services([(5, [stable(OLD, 5)])], [watch_of(), refuse(401), refuse(401), watch_of(SWITCH)])
    with start(script) as (found, _):
        until(lambda: found.timeline().cutovers)


def test_no_permission_from_the_start_is_said_at_once(tmp_path):
    with serving(lambda exchange, _: exchange.refuse(403, "no")) as server:
        found = RolloutWatcher(
            Cluster.connect(write_kubeconfig(tmp_path / "config", server.url)), "llm", "vllm"
        )
        with pytest.raises(ForbiddenError, match='resources: \\["services"\\], verbs: \\["list"\\]'):
            found.run_kind("services", threading.Event())
        found.run_kind("analysisruns", threading.Event())  # optional: it ends, the reason is kept
        assert "not watched" in found.timeline().connects[0].why
        assert not found.has_listed("services")


def test_only_what_belongs_to_the_rollout_is_asked_for(tmp_path):
    with serving(lambda exchange, _: exchange.refuse(403, "no")) as server:
        cluster = Cluster.connect(write_kubeconfig(tmp_path / "config", server.url))
        found = RolloutWatcher(cluster, "llm", "vllm", labels="app=vllm")
        for kind in ("rollouts", "pods"):
            with pytest.raises(ForbiddenError):
                found.run_kind(kind, threading.Event())
        assert [asked.query for asked in server.asked] == [
            {"fieldSelector": "metadata.name=vllm"},
            {"labelSelector": "app=vllm"},
        ]


def test_a_look_bounds_the_next_change(tmp_path):
    with serving(lambda exchange, _: exchange.answer(200, stable(OLD, 5))) as server:
        found = RolloutWatcher(
            Cluster.connect(write_kubeconfig(tmp_path / "config", server.url)), "llm", "vllm"
        )
        found.feed(LISTED_ROLLOUT)
        listed = {"items": [stable(OLD, 5)]}
        found.feed(Observation(kind="services", type="LIST", object=listed, seen_ns=1, not_before_ns=0))
        before_ns = time.monotonic_ns()
        assert found.look("services", "vllm-stable") == stable(OLD, 5)
        after_ns = time.monotonic_ns()
        found.feed(
            Observation(
                kind="services", type="MODIFIED", object=stable(NEW, 6), seen_ns=after_ns + 1, not_before_ns=0
            )
        )
        assert before_ns <= found.timeline().cutovers[0].at.not_before_ns < after_ns


def test_each_mark_is_told_once_as_it_comes(tmp_path):
    told: list[Mark] = []
    cluster = Cluster.connect(write_kubeconfig(tmp_path / "config", "http://127.0.0.1:1"))
    found = RolloutWatcher(cluster, "llm", "vllm", on_mark=told.append)
    for note in whole():
        if isinstance(note, OwnPatch):
            found.note(note)
        else:
            found.feed(note)
        assert len(told) == len(found.timeline().marks)
    assert told[0].name is MarkName.T0
    assert {(mark.name, mark.pod) for mark in told} == {
        (mark.name, mark.pod) for mark in found.timeline().marks
    }


def test_managed_fields_are_not_kept(start):
    item = stable(OLD, 5)
    item["metadata"]["managedFields"] = [{"manager": "kubectl"}]
    with start(Services([(5, [item])], [])) as (found, _):
        until(lambda: found.has_listed("services"))
        assert found.latest("services", "vllm-stable") == stable(OLD, 5)
        assert b"managedFields" not in repr(found.log()).encode()
