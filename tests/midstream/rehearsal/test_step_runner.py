"""Steps are done at their moments: each once, by the part that does its kind, after its time."""

import asyncio
from collections.abc import Callable

from midstream.rehearsal.step_runner import StepRunner
from midstream.rehearsal.steps import Moment, PatchObject, SignalPods, Step
from tests.midstream.rehearsal.cluster import Cluster

TURNS = 20  # of the loop, more than any step here needs


class Played:
    """A cluster on a fake clock, and the steps that were done on it."""

    def __init__(self, *steps: Step) -> None:
        self.cluster = Cluster()
        self.done: list[Step] = []
        self.slept: list[float] = []
        self._runner = StepRunner(
            self.cluster.store, steps, dict.fromkeys((SignalPods, PatchObject), self._do), sleep=self._sleep
        )

    async def through(self, *acts: Callable[[], object]) -> "Played":
        running = asyncio.create_task(self._runner.run())
        await asyncio.sleep(0)
        for act in acts:
            act()
            for _ in range(TURNS):
                await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return self

    async def _do(self, step: Step) -> None:
        self.done.append(step)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def kill(at: Moment, nth: int = 1, after_s: float = 0.0) -> SignalPods:
    return SignalPods(at=at, nth=nth, after_s=after_s, pods="new", number="KILL")


async def test_each_step_is_done_once_at_its_moment_after_its_time() -> None:
    at_cutover, at_pause = kill(Moment.CUTOVER, after_s=1.5), kill(Moment.PAUSED)
    played = Played(at_cutover, at_pause)
    await played.through(played.cluster.paused)
    assert played.done == [at_pause]
    await played.through(played.cluster.promote)
    assert played.done == [at_pause, at_cutover]
    assert played.slept == [0, 1.5]


async def test_a_later_moment_of_a_name_is_meant_by_its_number() -> None:
    second = kill(Moment.READY, nth=2)
    played = Played(second)
    cluster = played.cluster
    await played.through(cluster.settle, lambda: cluster.set_ready(cluster.pods("engine:1")[0], True))
    assert played.done == []
    played = Played(second)
    await played.through(played.cluster.deployed)
    assert played.done == [second]


async def test_without_its_moment_nothing_is_done() -> None:
    played = Played(kill(Moment.CUTOVER))
    await played.through(played.cluster.paused)
    assert played.done == []
