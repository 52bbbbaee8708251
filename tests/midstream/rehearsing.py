"""A rehearsal that commands reach by KUBECONFIG, as quick as it can be."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from midstream.rehearsal import launch
from midstream.rehearsal.plan import RehearsalPlan

QUICK = RehearsalPlan(load_seconds=0, scale_down_delay_s=1, pre_stop_s=0, shutdown_timeout_s=0)


@contextmanager
def rehearsing() -> Iterator[str]:
    """The Rollout's NAMESPACE/NAME, healthy."""
    rehearsal = launch.start(QUICK)
    told = rehearsal.announcement
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KUBECONFIG", told.kubeconfig)
            yield f"{told.namespace}/{told.rollout}"
    finally:
        rehearsal.stop()
