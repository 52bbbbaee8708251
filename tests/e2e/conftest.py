"""Starts the whole runs that the collected tests ask for, side by side."""

import os
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.docs.verdict_page import Said, write_lines
from tests.e2e.fault_table import BY_NAME, EXIT_CODES
from tests.e2e.locust_run import Ended
from tests.e2e.scenarios import SCENARIOS

AT_ONCE = min(3, os.cpu_count() or 1)
EVERY_FAULT = "--every-fault"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--every-fault`: the runs too that are left out of `make test` for their time."""
    parser.addoption(EVERY_FAULT, action="store_true", help="rehearse every fault, not a few")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave tests out that need a rare whole run, unless all are wanted."""
    if not config.getoption(EVERY_FAULT, default=False):
        rare = [item for item in items if item.get_closest_marker("rare")]
        config.hook.pytest_deselected(items=rare)
        items[:] = [item for item in items if item not in rare]


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
        runs = {name: pool.submit(SCENARIOS[name], root / name) for name in names}
        yield runs
        pool.shutdown(cancel_futures=True)
    if request.config.getoption(EVERY_FAULT, default=False):
        write_lines(
            {name: _said(run) for name, run in runs.items() if name in BY_NAME and _is_right(run, name)}
        )


def _said(run: "Future[Ended]") -> Said:
    verdict = run.result().verdict
    return Said(verdict["sentence"], [cause["line"] for cause in verdict["causes"]])


def _is_right(run: "Future[Ended]", name: str) -> bool:
    """Whether it came to an end, with the verdict that the table wants: the page shows no other."""
    if run.cancelled() or not run.done() or run.exception() is not None:
        return False
    return run.result().exit_code == EXIT_CODES[BY_NAME[name].verdict]


@pytest.fixture
def ended(request: pytest.FixtureRequest, all_runs: "dict[str, Future[Ended]]") -> Ended:
    """The run named by the test's `whole_run` mark."""
    mark = request.node.get_closest_marker("whole_run")
    return all_runs[mark.args[0]].result()
