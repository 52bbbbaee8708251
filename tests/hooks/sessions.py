"""Sessions as test data: one test's parts on a reactor that the test holds in its hand."""

from pathlib import Path
from typing import Any, cast

from locust.env import Environment
from locust.event import Events

from hooks import tested as target_under_test
from hooks.planning import load_plan
from hooks.progress import Progress
from hooks.session import Session
from hooks.settings import Mode, Settings
from midstream.reports.scene import Scene
from midstream.run import Subject
from midstream.scenarios import Scenario, Scenarios
from midstream.streams.reactor import Reactor
from midstream.streams.target import Target
from midstream.streams.traits import Traits
from tests.hooks.held_reactor import HeldReactor

SCENARIOS = Scenarios((Scenario(name="test", prompts=("Hello",)),))


class HeardFace:
    """Keeps what it is given to show."""

    def __init__(self, lines: list[str]) -> None:
        self.lines, self.scenes = lines, list[Scene]()
        self.closed = False

    def line(self, words: str) -> None:
        self.lines.append(words)

    def show(self, scene: Scene, since_s: float) -> None:
        del since_s
        self.scenes.append(scene)

    def close(self) -> None:
        self.closed = True


def make_session(
    folder: Path, lines: list[str], *, scenarios: Scenarios = SCENARIOS, **settings: Any
) -> Session:
    """A plain load's session; its lines are collected, its environment has listeners of its own."""
    given: dict[str, Any] = {"mode": Mode.PLAIN, "users": 1, "spawn_rate": 1} | settings
    target = Target.parse("http://127.0.0.1:1")
    made = Settings(**given)
    tested = target_under_test.Tested(
        target=target,
        api="completions",
        model="tiny",
        context_tokens=None,
        traits=Traits(),
        probed_tokens_per_s=20.0,
        subject=Subject(target=target.url, path="test"),
    )
    return Session(
        environment=Environment(events=Events()),
        settings=made,
        scenarios=scenarios,
        tested=tested,
        load_plan=load_plan(made, scenarios, tested),
        reactor=cast(Reactor, HeldReactor()),
        folder=folder,
        progress=Progress(HeardFace(lines)),
    )
