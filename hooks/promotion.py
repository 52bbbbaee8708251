"""Carries the script of a test out: gathers the facts of each tick, starts the actions that it asks for."""

import random
import shlex
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import gevent
from gevent.event import Event

from hooks.load import Load
from hooks.planning import script_plan
from hooks.pulses import Pulses
from hooks.settings import Settings
from hooks.tested import Tested, WatchedRollout
from midstream import promotion
from midstream.planner.lengths import sigterm_seconds
from midstream.preview import PREVIEW_TOKENS, read_preview
from midstream.promotion import NS_PER_S, Action, Facts, Promoter, Script
from midstream.rollouts import argo
from midstream.rollouts.client import ClusterError
from midstream.rollouts.edits import RefusedError
from midstream.rollouts.timeline import Mark, MarkName, Timeline
from midstream.rollouts.unready import held_up
from midstream.rollouts.verbs import RolloutVerbs, UnconfirmedError
from midstream.rollouts.watcher import WATCHED_KINDS, RolloutWatcher
from midstream.run import PreviewFinding, State
from midstream.scenarios import Scenarios

TICK_S = 0.1
LOOK_EVERY_S = 0.3
PREVIEW_REACH_S = 15.0  # the data plane follows a pod's readiness with some delay
PREVIEW_PAUSE_S = 0.5
LONG_STREAMS_LIMIT_S = 30.0


class Promotion:
    """One promotion under load, from its baseline to its quiet end."""

    def __init__(
        self,
        *,
        settings: Settings,
        tested: Tested,
        rollout: WatchedRollout,
        load: Load,
        scenarios: Scenarios,
        spawn: Callable[[str, Callable[[], None]], gevent.Greenlet],
        on_mark: Callable[[Mark], None],
        say: Callable[[str], None],
    ) -> None:
        self.plan = script_plan(settings, rollout)
        self.script: Script | None = None
        self.baseline_ns: tuple[int, int] | None = None
        self.notes: list[str] = []
        self.preview: PreviewFinding | None = None
        self._settings, self._tested, self._rollout, self._load = settings, tested, rollout, load
        self._spawn = spawn
        self._next_ask = partial(scenarios.pick, random.Random(settings.seed))
        self._done: set[Action] = set()
        self._refused: dict[Action, str] = {}
        self._stop = Event()
        self._halted = False
        self.pulses = Pulses(settings.pulse, load.pulse, say) if settings.pulse else None
        self._actions: list[gevent.Greenlet] = []
        self._looked_ns = 0
        self._watcher = RolloutWatcher(
            rollout.cluster, rollout.namespace, rollout.name, labels=rollout.labels, on_mark=on_mark
        )
        self._verbs = RolloutVerbs(
            rollout.cluster, rollout.namespace, rollout.name, on_patch=self._watcher.note
        )

    @property
    def timeline(self) -> Timeline:
        """What the watches have seen."""
        return self._watcher.timeline()

    @property
    def state(self) -> State:
        """Where the script stands."""
        return State.PREFLIGHT if self.script is None else self.script.state

    def run(self, on_tick: Callable[[Script], None]) -> None:
        """Tick until the script has ended or `stop` is called."""
        for kind in WATCHED_KINDS:
            self._spawn(f"watch {kind}", partial(self._watcher.run_kind, kind, self._stop))
        if self.pulses is not None:
            self._spawn("pulses", partial(self.pulses.run, lambda: self._load.winding_down))
        self.script = promotion.start(time.monotonic_ns())
        while self.script.end is None and not self._halted:
            before = self.script.state
            self.script, actions = promotion.step(self.script, self._facts(), self.plan)
            self._note_baseline(before)
            for action in actions:
                self._actions.append(self._spawn(action, partial(self._carry_out, action)))
            on_tick(self.script)
            gevent.sleep(TICK_S)

    def halt(self) -> None:
        """Take no further step, whatever comes: the Rollout is left as it is, and watched on."""
        self._halted = True
        for action in self._actions:  # a promotion may be waiting for its right moment
            action.kill(block=False)

    def stop(self) -> None:
        """End the watches; the timeline stays readable."""
        self._stop.set()

    def left_as(self) -> str:
        """In which state an unfinished test leaves the Rollout, with how to go on."""
        found = self._watcher.latest("rollouts", self._rollout.name)
        if found is None:
            return ""
        name, namespace = self._rollout.name, self._rollout.namespace
        phase, stable = argo.phase(found), argo.stable_hash(found)
        words = f"Rollout {namespace}/{name} is left as it is: {phase} at revision {stable}"
        message = argo.message(found)
        if message:
            words += f" ({message})"
        if argo.is_half_updated(found):
            words += f"; go on with: kubectl argo rollouts promote (or: undo) {name} -n {namespace}"
        return words

    def _note_baseline(self, before: State) -> None:
        assert self.script is not None
        if (
            before is State.BASELINE
            and self.script.state is not State.BASELINE
            and self.script.steady_since_ns
        ):
            self.baseline_ns = (self.script.steady_since_ns, self.script.entered_ns)

    def _facts(self) -> Facts:
        timeline = self._watcher.timeline()
        self._look(timeline)
        cutover = promotion.latest_cutover(timeline)
        if cutover is not None:
            self._load.undisturbed = False
        found = self._watcher.latest("rollouts", self._rollout.name)
        return Facts(
            now_ns=time.monotonic_ns(),
            streams_wanted=self._load.wanted,
            streams_flowing=self._load.flowing(),
            settled=self._load.settled,
            failed=self._load.failed,
            failed_ns=self._load.last_failed_ns,
            pulse_failed_ns=self.pulses.failed_ns if self.pulses else None,
            dark_since_ns=self.pulses.dark_since_ns if self.pulses else None,
            paused=found is not None and argo.is_paused_for_promotion(found),
            held_up=self._held_up(found),
            preview=self.preview,
            crossing_open=0 if cutover is None else self._load.ledger.open_since(cutover.at.seen_ns),
            timeline=timeline,
            done=frozenset(self._done),
            refused=dict(self._refused),
        )

    def _held_up(self, found: dict[str, Any] | None) -> str:
        if found is None or self.state is not State.PREVIEW:
            return ""
        new = argo.current_hash(found)
        pods = self._watcher.present("pods")
        return held_up(pod for pod in pods if argo.labels(pod).get(argo.HASH_LABEL) == new)

    def _look(self, timeline: Timeline) -> None:
        """Read now and then what is about to change, so that its moment is bounded from below as well."""
        now_ns = time.monotonic_ns()
        if now_ns - self._looked_ns < LOOK_EVERY_S * NS_PER_S:
            return
        self._looked_ns = now_ns
        for kind, name in self._about_to_change(timeline):
            try:
                self._watcher.look(kind, name)
            except ClusterError:
                return  # the watch tells of an API server that is away

    def _about_to_change(self, timeline: Timeline) -> list[tuple[str, str]]:
        cutover = promotion.latest_cutover(timeline)
        if self.state in (State.PROMOTE, State.CUTOVER) and self.plan.promoter is not Promoter.HOOK:
            return [("services", self._rollout.active_service)]  # our own patch bounds T8 by itself
        if self.state is State.DRAIN and cutover is not None:
            asked = (timeline.of_pod(MarkName.T12, pod) for pod in cutover.old_pods)
            return [("pods", pod) for pod, mark in zip(cutover.old_pods, asked, strict=True) if mark is None]
        return []

    def _carry_out(self, action: Action) -> None:
        try:
            _ACTIONS[action](self)
        except (RefusedError, UnconfirmedError, ClusterError) as error:
            self._refused[action] = str(error)
        else:
            self._done.add(action)

    def _trigger(self) -> None:
        settings, verbs = self._settings, self._verbs
        match settings.trigger:
            case "set-image" if settings.set_image:
                verbs.set_image(dict([settings.set_image]))
            case "set-model" if settings.set_model:
                verbs.set_model(settings.set_model)
            case "set-env" if settings.set_env:
                verbs.set_env(dict([settings.set_env]))
            case "set-args" if settings.set_args:
                verbs.set_args(shlex.split(settings.set_args))
            case "same":
                verbs.same()
            case "undo":
                verbs.undo()
            case _:
                raise RefusedError(f"there is no trigger {settings.trigger}")

    def _validate_preview(self) -> None:
        if self._tested.preview is None:
            self.preview = PreviewFinding(fit=None, why="the preview Service cannot be reached from here")
            return
        if self._settings.preview_streams == 0:
            self.preview = PreviewFinding(fit=None, why="it was not to be validated (--preview-streams 0)")
            return
        deadline = time.monotonic() + PREVIEW_REACH_S
        finding: PreviewFinding | None = None
        while finding is None:
            last_try = time.monotonic() > deadline
            streams = [
                gevent.spawn(self._load.validate, self._tested.preview, self._next_ask(), PREVIEW_TOKENS)
                for _ in range(self._settings.preview_streams)
            ]
            validated = [stream.get() for stream in streams]
            finding = read_preview(validated, self._rollout.stable, last_try=last_try)
            if finding is None:
                gevent.sleep(PREVIEW_PAUSE_S)
        self.preview = finding

    def _open_sigterm_streams(self) -> None:
        length_s = sigterm_seconds(self._rollout.budget)
        wanted = self._settings.sigterm_streams
        if length_s is None or wanted == 0:
            return
        begun = self._load.begin_long(self._next_ask, wanted, length_s, LONG_STREAMS_LIMIT_S)
        if begun < wanted:
            self.notes.append(
                f"only {begun} of {wanted} streams that should outlive SIGTERM had begun in time"
            )

    def _promote(self) -> None:
        self._load.undisturbed = False
        self._verbs.promote()


_ACTIONS: dict[Action, Callable[[Promotion], None]] = {
    Action.TRIGGER: Promotion._trigger,
    Action.VALIDATE_PREVIEW: Promotion._validate_preview,
    Action.OPEN_SIGTERM_STREAMS: Promotion._open_sigterm_streams,
    Action.PROMOTE: Promotion._promote,
}
