"""What one test holds from its preparation to its verdict."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from weakref import WeakKeyDictionary

import gevent
from locust.env import Environment

from hooks.arrivals import Arrivals
from hooks.lateness import LatenessWatch
from hooks.load import Load
from hooks.progress import Held, Progress
from hooks.promotion import Promotion
from hooks.settings import Settings
from hooks.tested import Tested
from midstream.planner.load_plan import LoadPlan
from midstream.rollouts.lease import RunLock
from midstream.rollouts.timeline import Timeline
from midstream.scenarios import Scenarios
from midstream.streams.reactor import Reactor
from midstream.streams.record import StreamRecord
from midstream.verdict import Verdict


class Session:
    """One test: its parts, what went wrong with them, why it stopped."""

    def __init__(
        self,
        *,
        environment: Environment,
        settings: Settings,
        scenarios: Scenarios,
        tested: Tested,
        load_plan: LoadPlan,
        reactor: Reactor,
        folder: Path,
        progress: Progress,
    ) -> None:
        self.environment = environment
        self.settings = settings
        self.scenarios = scenarios
        self.tested = tested
        self.load_plan = load_plan
        self.reactor = reactor
        self.folder = folder
        self.progress = progress
        self.load = Load(environment, settings, tested, reactor, self._tell_lost)
        self.arrivals = Arrivals(settings.open_loop, settings.seed) if settings.open_loop else None
        self.lateness = LatenessWatch()
        self.promotion: Promotion | None = None
        self.started_ns = time.monotonic_ns()
        self.crash = ""
        self.stop_reason = ""  # why it was stopped from outside; empty: by its own end
        self.next_step = ""  # what to do after that
        self.lock: RunLock | None = None  # while the Rollout is ours to change
        self.verdict: Verdict | None = None
        self._on_crash: Callable[[], None] = lambda: None

    def _tell_lost(self, record: StreamRecord) -> None:
        promotion = self.promotion
        self.progress.lost(record, lambda: Timeline() if promotion is None else promotion.timeline)

    def held(self) -> Held:
        """The load as it stands."""
        pulses = self.promotion.pulses if self.promotion else None
        dark = pulses.dark.values() if pulses else ()
        return Held(
            open_by_revision=self.load.open_by_revision(),
            ended=self.load.settled,
            not_whole=self.load.failed,
            pulses=sum(each.ended for each in dark),
            pulses_failed=sum(each.failed for each in dark),
            records=self.load.ledger.records,
        )

    def on_crash(self, stop: Callable[[], None]) -> None:
        """What to do once a part of ours has failed."""
        self._on_crash = stop

    def spawn(self, name: str, function: Callable[[], None]) -> gevent.Greenlet:
        """Run a part of ours beside the load; if it fails, the test stops, and the verdict says so."""
        return gevent.spawn(self.guard, name, function)

    def guard(self, name: str, function: Callable[[], None]) -> None:
        """Call a part of ours; its failure is noted, never lost."""
        try:
            function()
        except Exception as error:  # noqa: BLE001 the edge of the process: a crash must reach the verdict
            self.note_crash(f"{name}: {type(error).__name__}: {error}")

    def note_crash(self, words: str) -> None:
        """Note that something of ours failed, once, then stop."""
        if not self.crash:
            self.crash = self.reactor.secrets.hide(" ".join(words.split()))
            self.progress.say(f"a part of the test failed: {self.crash}")
            self._on_crash()


_SESSIONS: "WeakKeyDictionary[Environment, Session]" = WeakKeyDictionary()


def keep_session(session: Session) -> None:
    """Make it the session of its environment."""
    _SESSIONS[session.environment] = session


def session_of(environment: Environment) -> Session:
    """The session of an environment; a locustfile that never installed the hooks is told so."""
    session = _SESSIONS.get(environment)
    if session is None:
        sys.exit("this locustfile uses StreamUser without the hooks: call hooks.install(locust.events) in it")
    return session
