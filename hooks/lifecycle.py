"""Every way a test can begin and stop, led to one verdict and one exit code."""

import argparse
import atexit
import os
import signal
import sys
import time
from datetime import UTC, datetime
from functools import partial
from types import FrameType
from typing import NoReturn

import gevent
from gevent.event import Event
from locust.env import Environment

from hooks import verdict
from hooks.api_key import keep_key_fresh
from hooks.layers import UsageError
from hooks.open_files import allow_open_files
from hooks.planning import load_plan, plan_page, with_counted_prompts
from hooks.progress import SHOW_S, Progress
from hooks.promotion import Promotion
from hooks.read_settings import read_settings
from hooks.run_lock import keep_lock, take_lock
from hooks.session import Session, keep_session
from hooks.settings import Mode, Settings
from hooks.tested import StartError, find_tested
from midstream.rehearsal.launch import Rehearsal
from midstream.reports.plan_page import page_text
from midstream.reports.report import Report
from midstream.reports.results import ResultsError, open_results
from midstream.rollouts.timeline import Mark
from midstream.scenarios import ScenarioError, read_scenarios
from midstream.streams.reactor import Reactor
from midstream.verdict import EXIT_CODES, EXIT_USAGE, Decision

EXIT_UNKNOWN = EXIT_CODES[Decision.INCONCLUSIVE]
NS_PER_S = 1_000_000_000
REHEARSAL_LOOK_S = 0.5
FINISH_LIMIT_S = 30.0  # for judging and writing, once the streams have ended


def refuse(words: str, code: int) -> NoReturn:
    """End the process with one line."""
    sys.stdout.flush()
    sys.stderr.write(f"midstream: {words}\n")
    sys.stderr.flush()
    sys.exit(code)


def end_start_up_cleanly() -> None:
    """Until the test runs, Ctrl-C and SIGTERM end the process with one line and exit code 3."""

    def stop(number: int, _: FrameType | None) -> None:
        refuse(f"stopped by {signal.Signals(number).name} during start-up: nothing was tested", EXIT_UNKNOWN)

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)


class Lifecycle:
    """The listeners of one Locust process."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._report: Report | None = None
        self._stopping = False
        self._stopped = Event()  # the streams have ended
        self._concluded = Event()
        self._watch: gevent.Greenlet | None = None  # of the rehearsal, if there is one
        self._lock_kept: gevent.Greenlet | None = None  # renews the run lock, if there is one
        self._signals: list[object] = []

    def on_init(self, environment: Environment, **_: object) -> None:
        """Prepare everything, so that whatever is wrong with the command is said before any load."""
        environment.process_exit_code = EXIT_UNKNOWN
        try:
            self._session = _prepare(environment)
        except UsageError as error:
            refuse(str(error), EXIT_USAGE)
        except StartError as error:
            refuse(str(error), EXIT_UNKNOWN)
        keep_session(self._session)
        self._session.on_crash(self._quit)
        if self._session.lock is not None:
            self._lock_kept = self._session.spawn(
                "run lock", partial(keep_lock, self._session.lock, self._on_lock_lost)
            )
        self._catch_signals()

    def on_test_start(self, environment: Environment, **_: object) -> None:
        """The load begins: start what goes beside it."""
        session = self._need_session()
        if self._stopping:
            environment.process_exit_code = EXIT_UNKNOWN
            session.progress.say("a second test in one process is not judged: start a new process for it")
            return
        session.started_ns = time.monotonic_ns()
        session.guard("test start", self._begin)

    def on_user_error(self, user_instance: object, exception: Exception, **_: object) -> None:
        """A task failed in its own code: what it would have shown is unknown."""
        # Locust hands over the task set of a user class without one of its own.
        name = type(getattr(user_instance, "user", user_instance)).__name__
        self._need_session().note_crash(f"a task of {name} failed: {type(exception).__name__}: {exception}")

    def on_test_stopping(self, **_: object) -> None:
        """Fires before Locust ends its users, on every way to stop: the streams finish here."""
        if self._stopping:
            self._stopped.wait()
            return
        self._stopping = True
        session = self._need_session()
        self._note_run_time(session)
        if session.promotion is not None:
            session.promotion.halt()
        try:
            session.guard("wind-down", lambda: self._wind_down(session))
        finally:
            self._stopped.set()

    def on_test_stop(self, environment: Environment, **_: object) -> None:
        """Judge, once."""
        if self._report is not None:
            return
        session = self._need_session()
        session.guard("verdict", lambda: self._conclude(session))
        environment.process_exit_code = session.verdict.exit_code if session.verdict else EXIT_UNKNOWN
        session.progress.close()  # what follows, Locust's tables first, needs the whole terminal
        self._concluded.set()

    def on_quitting(self, environment: Environment, **_: object) -> None:
        """Fires on every exit after init; Locust ignores an exit code set later than this."""
        session = self._session
        if session is None:
            return
        if self._stopping:
            self._concluded.wait(timeout=session.settings.wind_down_s + FINISH_LIMIT_S)
        elif environment.runner is not None:
            environment.runner.stop()
        session.progress.close()
        if session.promotion is not None:
            session.promotion.stop()
        if session.lock is not None:
            if self._lock_kept is not None:
                self._lock_kept.kill()
            session.lock.release()
        if session.tested.rehearsal is not None:
            if self._watch is not None:
                self._watch.kill()
            session.tested.rehearsal.stop()

    def on_quit(self, **_: object) -> None:
        """Fires when Locust has printed its tables: the verdict is what stays on the screen."""
        if self._session is not None and self._report is not None:
            verdict.show(self._session, self._report)
        elif self._session is not None:
            why = self._session.crash or "the test never ran"
            self._session.progress.say(f"INCONCLUSIVE: {why}")

    def _need_session(self) -> Session:
        assert self._session is not None  # Locust fires nothing before init
        return self._session

    def _begin(self) -> None:
        session = self._need_session()
        if session.stop_reason:  # before its start: in the web UI that can be long after init
            session.progress.say(f"not begun: {session.stop_reason}")
            self._quit()
            return
        session.spawn("lateness", session.lateness.run)
        if session.settings.api_key_command is not None:
            session.spawn(
                "API key",
                lambda: keep_key_fresh(
                    session.settings, session.load.use_key, session.progress.say, session.load.key_refused
                ),
            )
        rollout = session.tested.rollout
        if rollout is None:
            session.progress.say("plain load: no rollout is watched")
            session.spawn("progress", lambda: _tell_plain(session))
            return
        promotion = Promotion(
            settings=session.settings,
            tested=session.tested,
            rollout=rollout,
            load=session.load,
            scenarios=session.scenarios,
            spawn=session.spawn,
            on_mark=lambda mark: _tell_mark(session.progress, mark),
            say=session.progress.say,
        )
        session.promotion = promotion
        if session.tested.rehearsal is not None:
            self._watch = session.spawn("rehearsal", partial(_watch_rehearsal, session.tested.rehearsal))
        session.spawn("promotion", lambda: self._run_promotion(session, promotion))

    def _run_promotion(self, session: Session, promotion: Promotion) -> None:
        promotion.run(lambda script: session.progress.tick(script, promotion.plan, session.held))
        if promotion.script is not None and promotion.script.end is not None and promotion.script.end.reason:
            session.progress.say(promotion.script.end.reason)
        if not self._stopping:
            self._quit()

    def _wind_down(self, session: Session) -> None:
        until = time.monotonic() + session.settings.wind_down_s
        session.load.wind_down(
            session.settings.wind_down_s,
            lambda _: session.progress.stopping(max(0.0, until - time.monotonic()), session.held),
        )

    def _conclude(self, session: Session) -> None:
        self._report = verdict.conclude(session)
        if session.promotion is not None:
            session.promotion.stop()

    def _on_lock_lost(self, why: str) -> None:
        """Somebody else may change the Rollout from now on: what follows would not be this test's doing."""
        session = self._need_session()
        session.progress.say(why)
        if not session.stop_reason and not self._stopping:
            session.stop_reason = why
            session.next_step = "see who else tests or removes this Rollout, then run it again"
            self._quit()

    def _note_run_time(self, session: Session) -> None:
        """Locust says nobody why it stops; only its own -t is left when nothing else was noted."""
        ended = (
            session.promotion is not None and (script := session.promotion.script) is not None and script.end
        )
        if session.stop_reason or session.crash or ended or session.settings.mode is Mode.PLAIN:
            return
        limit_s = session.settings.run_time_s
        if limit_s is not None and time.monotonic_ns() - session.started_ns >= limit_s * NS_PER_S:
            session.stop_reason = f"the run time limit (-t {limit_s:g} s) was reached"

    def _quit(self) -> None:
        """Stop the test from within: headless the process too, in the web UI the test alone."""
        runner = self._need_session().environment.runner
        if runner is None:
            return
        headless = self._need_session().environment.web_ui is None
        gevent.spawn(runner.quit if headless else runner.stop)

    def _catch_signals(self) -> None:
        """From now on a signal is one more way to stop; a second one cuts the streams."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._signals.append(gevent.signal_handler(number, self._on_signal, number))

    def _on_signal(self, number: int) -> None:
        session = self._need_session()
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        if self._stopping:
            session.progress.say(f"{name} again: cutting {session.load.ledger.open_count} open streams")
            session.load.cut_soon()
            return
        session.stop_reason = session.stop_reason or f"stopped by {name}"
        session.progress.say(f"{name}: stopping; once more cuts the open streams")
        environment = session.environment
        if number == signal.SIGINT:  # for SIGTERM Locust has a listener of its own, which fires `quitting`
            gevent.spawn(_leave, environment)


def _watch_rehearsal(rehearsal: Rehearsal) -> None:
    """A rehearsal that ends by itself has failed, which says nothing of what it rehearsed."""
    while rehearsal.running:
        gevent.sleep(REHEARSAL_LOOK_S)
    raise StartError(f"it ended by itself. {rehearsal.log_tail()}")


def _tell_mark(progress: Progress, mark: Mark) -> None:
    """As it comes: a SIGTERM is known by its pod's preStop before it is sent."""
    ahead_s = max(0.0, (mark.seen_ns - time.monotonic_ns()) / NS_PER_S)
    gevent.spawn_later(ahead_s, progress.mark, mark)


def _leave(environment: Environment) -> None:
    if environment.runner is not None:
        environment.runner.quit()
    if environment.web_ui is not None:
        environment.web_ui.stop()


def _prepare(environment: Environment) -> Session:
    parsed = environment.parsed_options
    assert parsed is not None  # Locust's command line always makes them
    settings = read_settings(parsed, os.environ)
    _refuse_distributed(parsed)
    allow_open_files(settings)
    try:
        scenarios = read_scenarios(settings.scenario)
        folder = None if settings.dry_run else open_results(settings.results, datetime.now(UTC))
    except (ScenarioError, ResultsError) as error:
        raise UsageError(str(error)) from error
    _hand_to_locust(parsed, settings)
    progress = Progress()
    atexit.register(progress.close)  # whatever ends the process
    try:
        reactor = Reactor(settings.deadlines, access=settings.access)
    except ValueError as error:
        raise UsageError(str(error)) from error
    tested = find_tested(settings, tuple(sys.argv), reactor, progress.say)
    try:
        tested = with_counted_prompts(tested, settings, scenarios, reactor)
        plan = load_plan(settings, scenarios, tested)
        if folder is None:
            sys.stdout.write(page_text(plan_page(settings, scenarios, tested, plan)))
            sys.exit(0)
        lock = take_lock(settings, tested.rollout)
    except BaseException:
        if tested.rehearsal is not None:
            tested.rehearsal.stop()
        raise
    progress.say(f"target {tested.subject.target} ({tested.subject.path}), model {tested.model}")
    for finding in plan.findings:
        progress.say(f"plan: {finding}")
    session = Session(
        environment=environment,
        settings=settings,
        scenarios=scenarios,
        tested=tested,
        load_plan=plan,
        reactor=reactor,
        folder=folder,
        progress=progress,
    )
    session.lock = lock
    return session


def _refuse_distributed(parsed: argparse.Namespace) -> None:
    if parsed.master or parsed.worker or parsed.processes:
        raise UsageError("distributed runs are not supported yet: leave --master, --worker, --processes out")


def _hand_to_locust(parsed: argparse.Namespace, settings: Settings) -> None:
    """Locust reads these after init: what was left out gets the mode's default."""
    parsed.num_users = settings.users
    parsed.spawn_rate = settings.spawn_rate
    if parsed.headless:
        parsed.run_time = settings.run_time_s
        parsed.only_summary = True  # its table would scroll the states away every two seconds


def _tell_plain(session: Session) -> None:
    limit_s = session.settings.run_time_s
    while not session.load.winding_down:
        gone_s = (time.monotonic_ns() - session.started_ns) / NS_PER_S
        session.progress.load(None if limit_s is None else max(0.0, limit_s - gone_s), session.held)
        gevent.sleep(SHOW_S)
