"""What a service loses by itself."""

import pytest

from midstream.causes import UNEXPLAINED, Cause, find_causes
from midstream.cohorts import read_cohorts
from midstream.rollouts.timeline import Timeline
from midstream.run import Run, ScriptEnd, State
from midstream.streams.ending import Ending
from tests.midstream.builders import T0, plain, run, stream, streams

BROKEN = ScriptEnd(state=State.BASELINE, reason="the service failed", baseline_failed=True)
REFUSED = streams(3, Ending.HTTP_5XX, at=62.0, lasts=0.1)


def found(judged: Run) -> tuple[Cause, ...]:
    return find_causes(judged, read_cohorts(judged))


def test_a_baseline_that_broke_is_not_the_updates_doing():
    (cause,) = found(run(REFUSED, timeline=Timeline(), script=BROKEN))
    assert cause.cause == "before_the_update"
    assert cause.line == (
        "3 of 3 steady streams answered 5xx 2.1 s into the test: the service failed before anything was "
        "changed, so the update is not the reason"
    )
    assert "the Rollout was not changed" in cause.evidence


def test_a_loss_before_the_template_changed_is_set_beside_that():
    (cause,) = found(run([*streams(80), stream(Ending.RESET, at=70, lasts=8)]))
    assert cause.cause == "before_the_update"
    assert "3.0 s before the change of the template" in cause.line


@pytest.mark.parametrize(
    "judged",
    [
        pytest.param(run([stream(Ending.RESET, at=T0 - 5, lasts=6)]), id="after the template changed"),
        pytest.param(run(REFUSED, timeline=Timeline()), id="nothing was watched, though it went on"),
        pytest.param(plain(REFUSED, script=BROKEN), id="no rollout"),
    ],
)
def test_other_losses_are_not_told_so(judged):
    assert {cause.cause for cause in found(judged)} == {UNEXPLAINED}
