"""Starts the whole runs that the collected tests ask for, side by side."""

import os
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.e2e.locust_run import Ended
from tests.e2e.scenarios import SCENARIOS

AT_ONCE = min(3, os.cpu_count() or 1)


@pytest.fixture(scope="session")
def all_runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """Each scenario that a collected test needs, started at once; a test waits for its own."""
    names = dict.fromkeys(
        name
        for item in request.session.items
        for mark in item.iter_markers("whole_run")
        for name in mark.args
    )
    root = tmp_path_factory.mktemp("runs")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {name: pool.submit(SCENARIOS[name], root / name) for name in names}
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def ended(request: pytest.FixtureRequest, all_runs: "dict[str, Future[Ended]]") -> Ended:
    """The run named by the test's `whole_run` mark."""
    mark = request.node.get_closest_marker("whole_run")
    return all_runs[mark.args[0]].result()
