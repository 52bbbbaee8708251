"""Does the steps of a rehearsal's faults when the cluster shows their moments."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from midstream.rehearsal.moments import WATCHED, moments_of
from midstream.rehearsal.steps import Moment, Step
from midstream.rehearsal.store import Store

Deed: TypeAlias = Callable[[Any], Awaitable[None]]  # takes a step of its kind


class StepError(Exception):
    """A step of a fault could not be done; one sentence."""


class StepRunner:
    """Follows the store and does each step once; `deeds` has the part that does it, by the step's type."""

    def __init__(
        self,
        store: Store,
        steps: Sequence[Step],
        deeds: Mapping[type[Step], Deed],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._steps = tuple(steps)
        self._deeds = deeds
        self._sleep = sleep
        self._seen: Counter[Moment] = Counter()

    async def run(self) -> None:
        """Until cancelled. Raises StepError."""
        queue = self._store.subscribe(WATCHED)
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    event = await queue.get()
                    for moment in moments_of(event, self._active_services()):
                        for step in self._due(moment):
                            group.create_task(self._do(step))
        finally:
            self._store.unsubscribe(queue)

    def _active_services(self) -> set[str]:
        rollouts = self._store.list("rollouts")[0]
        return {rollout["spec"]["strategy"]["blueGreen"]["activeService"] for rollout in rollouts}

    def _due(self, moment: Moment) -> list[Step]:
        self._seen[moment] += 1
        return [step for step in self._steps if (step.at, step.nth) == (moment, self._seen[moment])]

    async def _do(self, step: Step) -> None:
        await self._sleep(step.after_s)
        await self._deeds[type(step)](step)
