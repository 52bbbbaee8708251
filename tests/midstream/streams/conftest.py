"""`--fuzz-seconds N`: the hypothesis properties alone, round after round of fresh examples for N seconds."""

import time
from collections.abc import Iterator

import hypothesis
import pytest

OPTION = "--fuzz-seconds"
ROUNDS = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        OPTION, type=float, metavar="N", help="run the hypothesis properties alone for N seconds"
    )


def fuzz_seconds(config: pytest.Config) -> float | None:
    """None in a usual run, which may know the option only when it was started on this folder."""
    seconds: float | None = config.getoption(OPTION, default=None)
    return seconds


def pytest_configure(config: pytest.Config) -> None:
    if fuzz_seconds(config) is not None:
        # Where CI is set hypothesis repeats the same examples, so that every round would be alike.
        hypothesis.settings.register_profile("fuzz", derandomize=False, print_blob=True)
        hypothesis.settings.load_profile("fuzz")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if fuzz_seconds(config) is None:
        return
    properties = [item for item in items if hypothesis.is_hypothesis_test(getattr(item, "obj", None))]
    config.hook.pytest_deselected(items=[item for item in items if item not in properties])
    items[:] = properties


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """One round is the test as it is written; more follow until its share of the time is over."""
    started = time.monotonic()
    outcome = yield
    config = pyfuncitem.config
    seconds = fuzz_seconds(config)
    if seconds is not None:
        rounds = 1
        while time.monotonic() < started + seconds / pyfuncitem.session.testscollected:
            pyfuncitem.obj()
            rounds += 1
        config.stash[ROUNDS] = config.stash.get(ROUNDS, 0) + rounds
    return outcome


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if fuzz_seconds(config) is not None:
        terminalreporter.write_line(f"{config.stash.get(ROUNDS, 0)} rounds of properties were over")
