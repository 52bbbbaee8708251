"""The Locust user that holds streams: one task is one stream is one request event."""

import random
from typing import ClassVar

import gevent
from locust import User
from locust.env import Environment
from locust.exception import StopUser

from hooks.session import Session, session_of
from midstream.scenarios import Ask
from midstream.streams.ending import Outcome
from midstream.streams.record import StreamRecord

RETRY_PAUSE_S = 1.0  # after a stream that was not complete: a client that retried at once would only add load


class StreamUser(User):
    """Holds one stream after another.

    A locustfile subclasses it with a task that calls `self.stream()`, with a prompt of its own or with the
    next one of the scenario file.
    """

    abstract = True
    _count: ClassVar[int] = 0

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        StreamUser._count += 1
        self._session: Session = session_of(environment)
        settings = self._session.settings
        self._chance = random.Random(f"{settings.seed}/{StreamUser._count}")
        self._fresh = self._chance.random() >= settings.kept_share
        # The first stream is shorter by chance, so that the users' streams do not end all at once.
        self._first_share: float | None = self._chance.uniform(0.2, 1.0)

    def stream(
        self, prompt: str | None = None, *, max_tokens: int | None = None, scenario: str | None = None
    ) -> StreamRecord:
        """Hold one stream to its end; what is left out comes from the scenario file and the plan."""
        if self._session.load.winding_down:
            raise StopUser
        ask = self._session.scenarios.pick(self._chance)
        ask = Ask(
            scenario=scenario or ask.scenario,
            prompt=ask.prompt if prompt is None else prompt,
            tokens=max_tokens or ask.tokens,
        )
        share, self._first_share = self._first_share, None
        record = self._session.load.hold(ask, fresh=self._fresh, share=share or 1.0)
        if record.outcome is not Outcome.COMPLETE:
            gevent.sleep(RETRY_PAUSE_S)
        return record
