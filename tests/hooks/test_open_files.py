import resource

import pytest

from hooks.layers import UsageError
from hooks.open_files import RESERVE, allow_open_files
from hooks.settings import Mode, Settings

STREAMS = Settings(mode=Mode.PLAIN, users=5_000, spawn_rate=1, sigterm_streams=8, preview_streams=3)
NEEDED = 5_011 + RESERVE
ENDLESS = resource.RLIM_INFINITY


@pytest.fixture
def limits(monkeypatch):
    """The process's limits, in this test's hands."""
    held = [1_024, ENDLESS]
    monkeypatch.setattr("resource.getrlimit", lambda _: tuple(held))
    monkeypatch.setattr("resource.setrlimit", lambda _, pair: held.__setitem__(slice(None), pair))
    return held


RAISED = {
    "endless": ((1_024, ENDLESS), (NEEDED, ENDLESS)),
    "just enough": ((1_024, NEEDED), (NEEDED, NEEDED)),
    "enough already": ((9_000, 10_000), (9_000, 10_000)),
    "no limit at all": ((ENDLESS, ENDLESS), (ENDLESS, ENDLESS)),
}


@pytest.mark.parametrize(("before", "after"), RAISED.values(), ids=RAISED)
def test_the_soft_limit_is_raised_as_far_as_needed(limits, before, after):
    limits[:] = before
    allow_open_files(STREAMS)
    assert tuple(limits) == after


def test_a_hard_limit_that_is_too_low_says_the_numbers(limits):
    limits[:] = (1_024, 4_096)
    with pytest.raises(
        UsageError, match=rf"{NEEDED} open files, .* may have 4096: .*ulimit -Hn {NEEDED}.*-u to 3885"
    ):
        allow_open_files(STREAMS)
    assert limits == [1_024, 4_096]
