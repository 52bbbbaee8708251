"""Streams lost by the death of a container, and what looks like it but is not."""

from typing import Any

import pytest

from midstream.streams.ending import Ending
from midstream.streams.record import StreamRecord
from tests.midstream.builders import NEW, OLD, run, stream, streams
from tests.midstream.causes.scenes import NEW_POD, answered, died, found, names, refused


def cut(at: float, count: int = 6, **changes: Any) -> list[StreamRecord]:
    """Streams of different ages, all cut at that moment."""
    return [
        stream(Ending.TRUNCATED, at=at - 1 - number, lasts=1 + number, **changes) for number in range(count)
    ]


def test_the_death_of_a_container_is_told_with_its_pod_and_exit_code():
    records = [*streams(80), *cut(115.0, revisions=(NEW,)), *refused(115.5, 116.0, 118.0)]
    causes = found(run(records, **died(115.2, 118)))
    assert {cause.cause for cause in causes} == {"container_died"}
    for cause in causes:
        assert f"(pod {NEW_POD})" in cause.line
        assert any(
            "exit code 137 (SIGKILL), reason OOMKilled, restartCount 1" in words for words in cause.evidence
        )


@pytest.mark.parametrize(
    ("records", "changes"),
    [
        pytest.param(cut(115.0, revisions=(OLD,)), died(115.2), id="cut on another revision"),
        pytest.param(cut(111.0, revisions=(NEW,)), died(115.2), id="cut long before"),
        pytest.param(cut(117.0, revisions=(NEW,)), died(115.2, 117), id="cut long after"),
        pytest.param(cut(115.0, revisions=(NEW,)), {}, id="no container ended"),
        pytest.param(refused(121.0), died(115.2, 118.0), id="refused when it was ready again"),
        pytest.param(refused(112.0), died(115.2, 118.0), id="refused before"),
        pytest.param(
            refused(115.5, fresh=False, ending=Ending.HTTP_5XX),
            died(115.2, 118.0),
            id="refused on a kept connection",
        ),
        pytest.param(
            refused(115.5), died(115.2, 118.0, revision=OLD), id="refused while the other revision served"
        ),
        pytest.param(
            [stream(Ending.SHORT, at=112, lasts=3, revisions=(NEW,))], died(115.2), id="ended by the server"
        ),
    ],
)
def test_what_a_death_does_not_explain(records, changes):
    assert "container_died" not in names(run([*streams(80), *answered(NEW, 101.0), *records], **changes))


def test_an_exit_code_that_is_no_signal_is_told_bare():
    judged = run([*streams(80), *cut(115.0, revisions=(NEW,))], **died(115.2, exit_code=1, reason=None))
    assert any("exit code 1, restartCount" in words for words in found(judged)[0].evidence)
