"""The Locust user that holds streams: one task is one stream is one request event."""

import random
import sys
from collections.abc import Callable
from typing import Any, ClassVar

import gevent
from gevent.local import local
from locust import User
from locust.env import Environment
from locust.exception import StopUser

from hooks.session import Session, session_of
from midstream.scenarios import Ask
from midstream.streams.ending import Outcome
from midstream.streams.record import StreamRecord

RETRY_PAUSE_S = 1.0  # after a stream that was not complete: a client that retried at once would only add load


def _no_pause() -> float:
    return 0.0


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
        self._arrivals = self._session.arrivals
        self._due = local()  # of the stream that this greenlet is to begin
        if self._arrivals is not None:
            self._served: list[Any] = self.tasks  # functions or task sets, as Locust collected them
            # Pauses belong to a closed loop; a class's own wait_time would stand before one of ours.
            vars(self).update(tasks=[StreamUser._arrive], wait_time=_no_pause)

    def stream(
        self, prompt: str | None = None, *, max_tokens: int | None = None, scenario: str | None = None
    ) -> StreamRecord:
        """Hold one stream to its end; what is left out comes from the scenario file and the plan."""
        if self._session.load.winding_down:
            raise StopUser
        due_ns: int | None = getattr(self._due, "ns", None)
        ask = self._session.scenarios.pick(self._chance)
        ask = Ask(
            scenario=scenario or ask.scenario,
            prompt=ask.prompt if prompt is None else prompt,
            tokens=max_tokens or ask.tokens,
        )
        if due_ns is not None:
            fresh = self._chance.random() >= self._session.settings.kept_share
            return self._session.load.hold(ask, fresh=fresh, scheduled_ns=due_ns)
        share, self._first_share = self._first_share, None
        record = self._session.load.hold(ask, fresh=self._fresh, share=share or 1.0)
        if record.outcome is not Outcome.COMPLETE:
            gevent.sleep(RETRY_PAUSE_S)
        return record

    def _arrive(self) -> None:
        """The one task in an open loop: wait for the next arrival, serve it beside those that are open."""
        assert self._arrivals is not None
        due_ns = self._arrivals.next_ns()
        if self._session.load.winding_down:
            raise StopUser
        if self._arrivals.admit():
            gevent.spawn(self._serve, self._chance.choice(self._served), due_ns)

    def _serve(self, task: Callable[["StreamUser"], None], due_ns: int) -> None:
        assert self._arrivals is not None
        self._due.ns = due_ns
        try:
            task(self)
        except StopUser:
            pass  # the test winds down
        except Exception as error:  # noqa: BLE001 as Locust does with a task that fails
            self.environment.events.user_error.fire(user_instance=self, exception=error, tb=sys.exc_info()[2])
        finally:
            self._arrivals.leave()
