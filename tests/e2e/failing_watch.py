"""A locustfile whose watch of the pods crashes in mid-test."""

import sys
from pathlib import Path

import gevent

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from locustfiles.stream import LongStream
from midstream.rollouts.watcher import RolloutWatcher

__all__ = ["LongStream"]

run_kind = RolloutWatcher.run_kind


def crash(self, kind, stop):
    """Like the real one, but the pods' watch ends with a bug."""
    if kind != "pods":
        return run_kind(self, kind, stop)
    gevent.sleep(3)
    raise RuntimeError("a bug in the watch")


setattr(RolloutWatcher, "run_kind", crash)  # noqa: B010 a plain assignment is refused by the type checker
