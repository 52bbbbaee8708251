"""A locustfile whose task has a bug after its stream."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from locust import events, task

from hooks import install
from hooks.user import StreamUser

install(events)


class Buggy(StreamUser):
    """Uses a key that is not there."""

    @task
    def hold(self):
        """One stream, then the bug."""
        self.stream()
        raise KeyError("answer")
